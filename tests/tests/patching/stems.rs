//! Stems: they begin together and sum to the mix.

use std::{collections::BTreeMap, path::Path};

use aulos_nodes::{ClipSource, Pcm};
use aulos_tests::{random, server::read_wav};

use crate::desk::{Desk, noise, write_wav};

type Channels = Vec<Vec<f32>>;

/// Tracks, a group, a send with a return, a generator, a late path, and a master that is not at 0 dB.
fn desk() -> Desk {
    let desk = Desk::new();
    write_wav(&desk.path("a.wav"), &[noise(9600, 1), noise(9600, 2)]);
    write_wav(&desk.path("b.wav"), &[noise(7000, 3)]);
    desk.run(
        "session new evening
        track add kick --gain -6dB
        track add snare --pan L30 --channels 1
        track add voice --gain -3dB
        bus add drums
        bus add room --gain -2dB
        send add verb --level -12dB
        node add tone level=-30dB
        node add delay late frames=777 report=on
        node add delay echo frames=500
        link kick drums
        link snare drums
        link drums master --gain -1dB
        link voice late
        link late master
        link voice:pre verb
        link kick:pre verb
        link verb echo
        link echo room
        link room master
        link tone master
        clip add kick a.wav
        clip add snare b.wav --at 1000
        clip add voice a.wav --at 3000
        set master gain -2.5dB",
    );
    desk
}

/// Renders stems, and answers with them by their files' names.
fn stems(desk: &Desk, folder: &str, options: &str) -> BTreeMap<String, Channels> {
    desk.say(&format!("render {folder} --stems {options}"));
    let files = std::fs::read_dir(desk.path(folder)).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), read_wav(&file))).collect()
}

/// The largest difference between the sum of stems and a mix, in dBFS.
fn difference(stems: &BTreeMap<String, Channels>, mix: &Channels) -> f64 {
    let mut most = 0.0f64;
    for (channel, wanted) in mix.iter().enumerate() {
        assert!(stems.values().all(|stem| stem.len() == mix.len() && stem[channel].len() == wanted.len()));
        for (frame, wanted) in wanted.iter().enumerate() {
            let sum: f64 = stems.values().map(|stem| f64::from(stem[channel][frame])).sum();
            most = most.max((sum - f64::from(*wanted)).abs());
        }
    }
    20.0 * most.log10()
}

fn peak(channels: &Channels) -> f32 {
    channels.iter().flatten().fold(0.0, |most, sample| most.max(sample.abs()))
}

#[test]
fn the_stems_sum_to_the_mix() {
    let desk = desk();
    for (number, (words, options, silent)) in [
        ("", "", vec![]),
        ("", "--from 2000 --to 9001f --tail 3000 --block 333", vec![]),
        ("", "--raw", vec![]),
        ("", "--rate 44.1k", vec![]),
        ("mute drums", "", vec!["drums.wav"]),
        ("mute drums --off\nsolo snare", "", vec!["late.wav", "room.wav", "tone.wav"]),
        ("solo --clear\nsolo room", "", vec!["drums.wav", "late.wav", "tone.wav"]),
        ("solo --clear\nset voice low_latency_monitor on", "", vec![]),
        ("set master output -1.5dB\nset master limiter on", "", vec![]),
        ("vca add all master voice --gain -4dB", "--tail 500f", vec![]),
        ("vca set all solo on", "", vec!["drums.wav", "tone.wav"]),
        ("set master mute on", "", vec!["drums.wav", "late.wav", "room.wav", "tone.wav"]),
    ]
    .into_iter()
    .enumerate()
    {
        desk.run(words);
        let what = format!("{words:?} {options:?}");
        let mix = desk.render("mix.wav", options);
        let stems = stems(&desk, &format!("stems-{number}"), options);
        assert_eq!(
            stems.keys().collect::<Vec<_>>(),
            ["drums.wav", "late.wav", "room.wav", "tone.wav"],
            "{what}"
        );
        let least = difference(&stems, &mix);
        assert!(least <= -120.0, "{what}: {least} dB");
        for (name, stem) in &stems {
            assert_eq!(peak(stem) == 0.0, silent.contains(&name.as_str()), "{what}: {name}");
        }
        assert!(peak(&mix) > 0.01 || silent.len() == 4, "{what}");
    }
}

#[test]
fn what_is_named_is_rendered_and_what_cannot_be_is_refused() {
    let desk = desk();
    let all = stems(&desk, "all", "");
    let some = stems(&desk, "some", "drums tone");
    assert_eq!(some.keys().collect::<Vec<_>>(), ["drums.wav", "tone.wav"]);
    assert!(
        some.iter().all(|(name, stem)| *stem == all[name]),
        "a stem depends on which others are asked for"
    );
    // The folder is there by now, and files are replaced.
    desk.run("set drums gain -inf\nrender some --stems drums");
    assert_eq!(peak(&read_wav(&desk.path("some/drums.wav"))), 0.0);
    let said = desk.say("render flac --stems drums --format flac --depth 16");
    assert!(said.contains("flac/drums.flac: "), "{said}");

    for (words, code, part) in [
        ("render x --stems kick", 1, "kick does not go into a master or an output by itself"),
        ("render x --stems drms", 4, "\"drms\""),
        ("render mix/deep/x --stems", 1, "mix/deep/x"),
        ("render all/drums.wav --stems", 1, "is a file"),
    ] {
        let error = desk.fails(words, code);
        assert!(error["message"].as_str().unwrap().contains(part), "{words}: {error}");
    }
    let refused = |part: &str| {
        let error = desk.fails("render x --stems", 1);
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    };
    desk.run("node rm output");
    refused("no output");
    desk.run("node add output output first_channel=512");
    refused("4 stems of 513 channels");
    desk.run("node rm master\nnode rm output\nnode add output output");
    refused("nothing goes into a master or an output");
    assert!(!desk.path("x").exists());
    // Without a master, what goes into the outputs is what the mix is made of.
    desk.run("link room output\nlink late output --gain -3dB");
    let mix = desk.render("mix.wav", "");
    let stems = stems(&desk, "plain", "");
    assert_eq!(stems.keys().collect::<Vec<_>>(), ["late.wav", "room.wav"]);
    assert!(difference(&stems, &mix) <= -120.0);
}

/// Sound that goes past the master, a cue on channels of its own, and behind the master another output, gains, a mute
/// and a solo that can be set, filters, delays, an echo and a track with a clip of its own.
fn crossed() -> Desk {
    let desk = desk();
    write_wav(&desk.path("c.wav"), &[noise(3000, 4), noise(3000, 5)]);
    desk.run(
        "unlink master output
        link master output --gain -4dB
        link voice output --gain -7dB
        link tone output --gain -inf
        bus add cue --gain -3dB
        link kick:pre cue
        link master cue --gain -9dB
        node add eq bright
        set bright gain -2dB
        set bright band3_gain 4.5
        link cue bright
        node add output phones
        set phones first_channel 3
        set phones delay 7.5
        set phones align_group 2
        link bright phones --gain -1.5dB
        track add print --gain -5dB
        clip add print c.wav --at 4000
        link room:out_L print:insert_in_L
        link master print
        node add delay slap frames=1234
        link print slap
        link slap output --gain -10dB
        link print output
        node add feedback loop frames=4000
        link slap loop
        link loop slap --gain -8dB
        set master limiter on
        vca add behind cue print --gain -2dB",
    );
    desk
}

#[test]
fn what_goes_past_the_master_and_what_lies_behind_it_is_in_the_stems() {
    let desk = crossed();
    let all = ["drums.wav", "kick.wav", "late.wav", "print.wav", "room.wav", "tone.wav", "voice.wav"];
    for (number, (words, options, silent)) in [
        ("", "--tail 5000f", vec![]),
        ("", "--raw --from 100f --to 6000f --block 77", vec![]),
        ("mute cue", "", vec!["kick.wav"]),
        ("mute cue --off\nset voice low_latency_monitor on", "", vec![]),
        ("set kick low_latency_monitor on\nset print low_latency_monitor on", "--tail 1s", vec![]),
        ("set phones align_group 1\nsolo voice", "", vec!["drums.wav", "kick.wav", "tone.wav"]),
        ("solo --clear\nsolo print", "--tail 2000f", vec!["kick.wav", "voice.wav"]),
        ("solo --clear\nvca set behind solo on", "", vec!["voice.wav"]),
        ("vca set behind solo off\nvca set behind mute on", "", vec!["kick.wav", "print.wav"]),
        (
            "set master mute on",
            "",
            vec!["drums.wav", "kick.wav", "late.wav", "print.wav", "room.wav", "tone.wav"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        desk.run(words);
        let what = format!("{words:?} {options:?}");
        let mix = desk.render("mix.wav", options);
        let stems = stems(&desk, &format!("stems-{number}"), options);
        assert_eq!(stems.keys().collect::<Vec<_>>(), all, "{what}");
        assert_eq!(mix.len(), 4, "{what}");
        let least = difference(&stems, &mix);
        assert!(least <= -120.0, "{what}: {least} dB");
        for (name, stem) in &stems {
            assert_eq!(peak(stem) == 0.0, silent.contains(&name.as_str()), "{what}: {name}");
        }
    }
}

#[test]
fn what_turns_the_mix_down_is_told_and_not_in_the_stems() {
    let desk = desk();
    let told = |folder: &str| desk.say(&format!("render {folder} --stems"));
    desk.run("set master limiter on");
    assert!(!told("idle").contains("warning"));
    let free = stems(&desk, "free", "");
    desk.run("set master ceiling -24");
    assert!(told("limited").contains("warning: master turns the mix down by up to "));
    assert_eq!(stems(&desk, "limited", ""), free, "a stem is limited");

    desk.run(
        "set master limiter off
        unlink master output
        node add dynamics glue threshold=-60 gate=on makeup=3
        link master glue
        link glue output",
    );
    let turned_down = stems(&desk, "glued", "");
    assert!(told("glued").contains("warning: glue turns the mix down by up to "));
    let louder = 10f32.powf(3.0 / 20.0);
    for (name, stem) in &turned_down {
        // The limiter made it later, which was trimmed.
        let pairs = stem.iter().flatten().zip(free[name].iter().flatten());
        pairs.for_each(|(x, wanted)| assert!((x - wanted * louder).abs() < 1e-6, "{name}"));
    }
    desk.run("set glue gate off\nset glue threshold 0\nset glue knee 0");
    let mix = desk.render("mix.wav", "");
    assert!(difference(&stems(&desk, "at-rest", ""), &mix) <= -120.0);
    assert!(!told("at-rest").contains("warning"));
    desk.run("set glue threshold -60\nset glue bypass on");
    assert!(!told("bypassed").contains("warning"));
}

#[test]
fn the_stems_of_any_session_sum_to_its_mix() {
    let desk = Desk::new();
    let (mut count, mut sounding) = (0, 0);
    for seed in 0..60 {
        let scene = random::scene(7000 + seed);
        let folder = desk.path(&format!("session-{seed}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("session.json"), serde_json::to_vec(&scene.session).unwrap()).unwrap();
        for (name, file) in &scene.files {
            write_floats(&folder.join(name), file);
        }
        let (from, block) = (scene.start.position, scene.session.max_block);
        let options = format!("--from {from}f --to {}f --tail 3000f --block {block}", from + 4000);
        desk.say(&format!("session open session-{seed} --discard"));
        let mix = desk.render("mix.wav", &options);
        let said = desk.say(&format!("render stems-{seed} --stems {options}"));
        let files = std::fs::read_dir(desk.path(&format!("stems-{seed}"))).unwrap();
        let stems: BTreeMap<_, _> = files
            .map(|file| file.unwrap())
            .map(|file| (file.file_name().into_string().unwrap(), read_wav(&file.path())))
            .collect();
        if said.contains("turns the mix down") {
            continue;
        }
        let least = difference(&stems, &mix);
        assert!(least <= -120.0, "seed {seed}: {least} dB");
        (count, sounding) = (count + 1, sounding + usize::from(peak(&mix) > 0.001));
    }
    assert!(
        count >= 40 && sounding >= 35,
        "{count} sessions without a limiter that works, {sounding} with sound"
    );
}

fn write_floats(path: &Path, file: &Pcm) {
    let spec = hound::WavSpec {
        channels: file.channels(),
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..file.frames() as usize {
        (0..file.channels()).for_each(|c| writer.write_sample(file.channel(c)[frame]).unwrap());
    }
    writer.finalize().unwrap();
}

#[test]
fn sixteen_bits_are_dithered_and_the_same_each_time() {
    let desk = desk();
    let bytes = |name: &str, options: &str| {
        desk.say(&format!("render {name} {options}"));
        std::fs::read(desk.path(name)).unwrap()
    };
    let first = bytes("one.wav", "--depth 16 --tail 1s");
    assert!(first == bytes("one.wav", "--depth 16 --tail 1s --block 77"), "dither depends on the block");
    assert!(first == bytes("one.wav", "--depth 16 --tail 1s --dither tpdf"));
    assert!(first != bytes("two.wav", "--depth 16 --tail 1s --dither none"));
    assert!(bytes("three.wav", "--depth 24") == bytes("four.wav", "--depth 24 --dither none"));
    assert!(bytes("three.wav", "--depth 24 --dither tpdf") != bytes("four.wav", "--depth 24"));
    let error = desk.fails("render e.wav --dither tpdf", 1);
    assert!(error["message"].as_str().unwrap().contains("not dithered"), "{error}");
    // Without a sound there is no noise.
    desk.run("mute master");
    desk.say("render silent.wav --depth 16");
    let mut silent = hound::WavReader::open(desk.path("silent.wav")).unwrap();
    assert!(silent.samples::<i32>().all(|sample| sample.unwrap() == 0));
}
