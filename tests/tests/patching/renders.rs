//! Rendered files: their form as `soxi` sees it, and their content.

use std::process::Command as Process;

use aulos_tests::{
    compare,
    server::{Server, read_wav, text},
};
use serde_json::json;

use crate::desk::{Desk, floats, noise, write_wav};

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Process::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; it is installed by make deps"));
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    output.stdout
}

/// Kind, rate, channels, bits and frames of a file.
fn form(desk: &Desk, name: &str) -> (String, u32, u32, u32, u64) {
    let path = desk.path(name);
    let say = |option| text(&run("soxi", &[option, path.to_str().unwrap()])).trim().to_owned();
    let number = |option| say(option).parse::<u64>().unwrap();
    (say("-t"), number("-r") as u32, number("-c") as u32, number("-b") as u32, number("-s"))
}

/// The samples of a file of integers as `sox` decodes them, by channel, as integers of 32 bits.
fn decode(desk: &Desk, name: &str) -> Vec<Vec<i32>> {
    let path = desk.path(name);
    let args = ["-D", path.to_str().unwrap(), "-t", "raw", "-e", "signed", "-b", "32", "-L", "-"];
    let raw = run("sox", &args);
    let (words, _) = raw.as_chunks::<4>();
    (0..2).map(|c| words.iter().skip(c).step_by(2).map(|word| i32::from_le_bytes(*word)).collect()).collect()
}

const FRAMES: usize = 9600;

/// A desk whose session plays stereo noise of [`FRAMES`] frames as it is; the noise.
fn desk_with_noise() -> (Desk, [Vec<i32>; 2]) {
    let desk = Desk::new();
    let samples = [noise(FRAMES, 1), noise(FRAMES, 2)];
    write_wav(&desk.path("noise.wav"), &samples);
    desk.run("track add drums\nlink drums master\nclip add drums noise.wav");
    (desk, samples)
}

#[test]
fn nothing_is_written_over_a_file_that_a_clip_plays() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("show/stems")).unwrap();
    for name in ["show/take.wav", "show/stems/drums.wav", "show/odd.wav.partial"] {
        write_wav(&desk.path(name), &[noise(3000, 1)]);
    }
    std::fs::hard_link(desk.path("show/take.wav"), desk.path("other.wav")).unwrap();
    desk.run(
        "session save show
        track add drums
        link drums master
        clip add drums show/take.wav
        clip add drums show/stems/drums.wav
        clip add drums show/odd.wav.partial
        session save",
    );
    let bytes = |name: &str| std::fs::read(desk.path(name)).unwrap();
    let before = bytes("show/take.wav");
    // By any name, as a stem, and what would be emptied while the file is written.
    for words in ["show/take.wav", "other.wav", "show/stems --stems", "show/odd.wav"] {
        let error = desk.fails(&format!("render {words}"), 1);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("is played by clip") && message.contains("of drums"), "{words}: {error}");
        for name in ["show/take.wav", "other.wav", "show/stems/drums.wav", "show/odd.wav.partial"] {
            assert_eq!(bytes(name), before, "{words}: {name}");
        }
    }
    desk.say("render show/mix.wav");
    desk.say("session new elsewhere");
    // Without a server, and by what a driver plays.
    let error = desk.fails("render show other.wav", 1);
    assert!(error["message"].as_str().unwrap().contains("is played by clip"), "{error}");
    let (show, take) = (desk.path("show"), desk.path("show/take.wav"));
    let args =
        ["--driver", "stepped", "--session", show.to_str().unwrap(), "--capture", take.to_str().unwrap()];
    let mut refused = Server::spawn(args);
    assert_eq!(refused.wait().code(), Some(1));
    assert!(refused.log().contains("is played by clip"), "{}", refused.log());
    assert_eq!(bytes("show/take.wav"), before);
}

#[test]
fn files_have_the_form_that_was_asked_for_and_the_samples_that_play() {
    let (desk, samples) = desk_with_noise();
    let exact: Vec<Vec<f32>> = samples.iter().map(|channel| floats(channel)).collect();
    let shifted: Vec<Vec<i32>> = samples.iter().map(|c| c.iter().map(|x| x << 8).collect()).collect();
    let rounded = |x: &i32| ((f64::from(*x) / 256.0).round_ties_even() as i32) << 16;
    let coarse: Vec<Vec<i32>> = samples.iter().map(|c| c.iter().map(rounded).collect()).collect();

    compare("32f", &exact, &desk.render("float.wav", "")).unwrap();
    assert_eq!(form(&desk, "float.wav"), ("wav".into(), 48_000, 2, 32, FRAMES as u64));
    for (name, options, kind, bits, expected) in [
        ("24.wav", "--depth 24", "wav", 24, &shifted),
        ("16.wav", "--depth 16 --dither none", "wav", 16, &coarse),
        ("24.flac", "", "flac", 24, &shifted),
        ("16.flac", "--depth 16 --dither none", "flac", 16, &coarse),
        ("loud.FLAC", "--depth 24", "flac", 24, &shifted),
        ("wave.flac", "--format wav --depth 24", "wav", 24, &shifted),
        ("blocks.flac", "--block 17", "flac", 24, &shifted),
    ] {
        let said = desk.say(&format!("render {name} {options}"));
        assert!(said.contains("9600 frames (0.200 s), 2 channels at 48000 Hz, peak -18."), "{said}");
        let found = if kind == "wav" && name.ends_with("flac") {
            // soxi goes by the name.
            std::fs::rename(desk.path(name), desk.path("renamed.wav")).unwrap();
            "renamed.wav"
        } else {
            name
        };
        assert_eq!(form(&desk, found), (kind.into(), 48_000, 2, bits, FRAMES as u64), "{name}");
        assert_eq!(&decode(&desk, found), expected, "{name}");
    }
    let flac = desk.path("24.flac");
    run("flac", &["--test", "--silent", flac.to_str().unwrap()]);
}

#[test]
fn a_range_is_rendered_to_its_frame_and_the_tail_goes_on_after_it() {
    let (desk, samples) = desk_with_noise();
    let exact: Vec<Vec<f32>> = samples.iter().map(|channel| floats(channel)).collect();
    let slice =
        |from: usize, to: usize| -> Vec<Vec<f32>> { exact.iter().map(|c| c[from..to].to_vec()).collect() };
    compare("from", &slice(1001, FRAMES), &desk.render("a.wav", "--from 1001")).unwrap();
    compare("to", &slice(0, 4800), &desk.render("a.wav", "--to 100ms")).unwrap();
    compare("both", &slice(4800, 7001), &desk.render("a.wav", "--from 0.1s --to 7001f")).unwrap();
    let beyond = desk.render("a.wav", "--to 10000");
    assert!(beyond.iter().all(|c| c.len() == 10_000 && c[FRAMES..].iter().all(|x| *x == 0.0)));

    // An echo of 100 ms: what comes after the end of the clips is in the tail only.
    desk.run("node add delay echo frames=100ms\nlink drums echo\nlink echo master");
    let echo = |frames: usize| -> Vec<Vec<f32>> {
        let at = |c: &Vec<f32>, n: usize| c.get(n).copied().unwrap_or(0.0);
        let heard = |c: &Vec<f32>, n: usize| at(c, n) + n.checked_sub(4800).map_or(0.0, |n| at(c, n));
        exact.iter().map(|c| (0..frames).map(|n| heard(c, n)).collect()).collect()
    };
    compare("no tail", &echo(FRAMES), &desk.render("a.wav", "")).unwrap();
    compare("tail", &echo(FRAMES + 4800), &desk.render("a.wav", "--tail 100ms")).unwrap();
    // Where the range ends within the clip, the transport stops there with the session's fade, and the echo of
    // what was played still comes.
    let cut = desk.render("a.wav", "--to 2400 --tail 4800");
    compare("before the cut", &slice(0, 2400), &cut.iter().map(|c| c[..2400].to_vec()).collect::<Vec<_>>())
        .unwrap();
    for (cut, exact) in cut.iter().zip(&exact) {
        assert!(cut[2640..4800].iter().all(|x| *x == 0.0), "the clip goes on after its fade");
        assert_eq!(cut[4800..7200], exact[..2400], "the echo of what was played");
    }
}

#[test]
fn the_latency_is_trimmed_unless_the_render_is_raw() {
    let (desk, samples) = desk_with_noise();
    desk.run(
        "node add delay late frames=333 report=on
        link drums:pre late
        link late master --gain -6dB",
    );
    assert_eq!(desk.json("status")["latency"], 333);
    let raw = desk.render("raw.wav", "--raw");
    let said = desk.say("render trimmed.wav");
    assert!(said.contains("333 frames of latency were trimmed"), "{said}");
    let trimmed = read_wav(&desk.path("trimmed.wav"));
    for channel in 0..2 {
        assert_eq!((raw[channel].len(), trimmed[channel].len()), (FRAMES + 333, FRAMES));
        assert_eq!(raw[channel][333..], trimmed[channel]);
        assert!(raw[channel][..333].iter().all(|x| *x == 0.0), "sound before its time");
        // Both ways are heard at once: the delayed one adds half of the same sample.
        let gain = 10f64.powf(-6.0 / 20.0) as f32;
        let expected: Vec<f32> = floats(&samples[channel]).iter().map(|x| x + x * gain).collect();
        assert_eq!(trimmed[channel], expected);
    }
}

#[test]
fn another_rate_keeps_the_sound_and_its_length() {
    let desk = Desk::new();
    desk.run("node add tone sine frequency=1kHz level=-6dB\nlink sine master");
    let amplitude = 10f64.powf(-6.0 / 20.0);
    for (name, rate, kind, bits) in [
        ("a.wav", 44_100, "wav", 32),
        ("b.wav", 96_000, "wav", 32),
        ("c.flac", 22_050, "flac", 16),
        ("d.wav", 8000, "wav", 16),
    ] {
        let depth = if bits == 16 { "--depth 16" } else { "" };
        desk.say(&format!("render {name} --rate {rate} --to 1s {depth}"));
        assert_eq!(form(&desk, name), (kind.into(), rate, 2, bits, u64::from(rate)), "{name}");
        let samples: Vec<f64> = if kind == "wav" {
            read_wav(&desk.path(name))[0].iter().map(|x| f64::from(*x)).collect()
        } else {
            decode(&desk, name)[0].iter().map(|x| f64::from(*x) / 2f64.powi(31)).collect()
        };
        // Away from the ends, where the tone begins and breaks off, it is the same sine.
        let step = 2.0 * std::f64::consts::PI * 1000.0 / f64::from(rate);
        let middle = rate as usize / 4..rate as usize * 3 / 4;
        let worst =
            middle.map(|n| (samples[n] - amplitude * (step * n as f64).sin()).abs()).fold(0.0, f64::max);
        assert!(worst < if bits == 16 { 1e-4 } else { 1e-5 }, "{name} is off by {worst}");
    }
}

#[test]
fn a_render_tells_what_it_did() {
    let (desk, _) = desk_with_noise();
    let state = desk.json("render a.wav");
    assert_eq!((&state["ended"], &state["progress"]), (&json!(true), &json!(1.0)));
    assert!(state["report"][0].as_str().unwrap().contains("9600 frames"), "{state}");
    assert_eq!(desk.say("--quiet render a.wav"), "");

    let number = desk.say("render b.wav --no-wait");
    let number = number.trim();
    while desk.json(&format!("operation show {number}"))["ended"] == false {}
    assert!(desk.say(&format!("operation show {number}")).contains("done"));
    assert_eq!(std::fs::read(desk.path("a.wav")).unwrap(), std::fs::read(desk.path("b.wav")).unwrap());

    // What does not fit into integers is counted.
    desk.run("set drums gain +12dB\nset master gain +12dB");
    let said = desk.say("render loud.wav --depth 16");
    assert!(said.contains("samples were clipped"), "{said}");
    let loud = decode(&desk, "loud.wav");
    assert!(loud[0].contains(&(i32::from(i16::MAX) << 16)) && loud[0].contains(&(i32::from(i16::MIN) << 16)));
    desk.run("node add input mic\nlink mic drums");
    let said = desk.say("render mic.wav");
    assert!(said.contains("the input mic was rendered as silence"), "{said}");
}
