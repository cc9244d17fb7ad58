//! Stems: they begin together and sum to the mix.

use std::collections::BTreeMap;

use aulos_tests::server::read_wav;

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
        ("render x --stems kick", 1, "kick does not go into master by itself"),
        ("render x --stems drms", 4, "\"drms\""),
        ("render mix/deep/x --stems", 1, "mix/deep/x"),
        ("render all/drums.wav --stems", 1, "is a file"),
    ] {
        let error = desk.fails(words, code);
        assert!(error["message"].as_str().unwrap().contains(part), "{words}: {error}");
    }
    assert!(!desk.path("x").exists());
    desk.run("node add master other");
    assert!(desk.fails("render x --stems", 1)["message"].as_str().unwrap().contains("several masters"));
    desk.run("node rm master other");
    assert!(desk.fails("render x --stems", 1)["message"].as_str().unwrap().contains("no master"));
    desk.run("node add master empty");
    assert!(
        desk.fails("render x --stems", 1)["message"].as_str().unwrap().contains("nothing goes into empty")
    );
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
