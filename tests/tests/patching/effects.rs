//! Equalizer, dynamics, limiter and loudness, as they are worked and read by the command line.

use serde_json::Value as Json;

use crate::desk::Desk;

/// Six seconds of the stepped clock.
fn play(desk: &Desk) {
    for _ in 0..6 {
        desk.say(&format!("step {}", ["1000"; 48].join(" ")));
    }
}

fn meter(desk: &Desk, node: &str) -> Json {
    let meters = desk.json("meters --once");
    let meters = meters.pointer("/data/meters").or_else(|| meters.get("meters")).unwrap().as_array().unwrap();
    meters.iter().find(|meter| meter["node"] == node).unwrap().clone()
}

fn near(value: &Json, wanted: f64, tolerance: f64) {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((number - wanted).abs() <= tolerance, "{number}, not {wanted}");
}

#[test]
fn a_sine_has_the_loudness_of_its_definition_and_a_reset_begins_anew() {
    let desk = Desk::new();
    desk.run(
        "node add tone sine frequency=1000Hz level=-23dB
        node add master main
        node add output
        link sine main
        link main output",
    );
    play(&desk);
    let loudness = meter(&desk, "main")["loudness"].clone();
    for name in ["momentary", "short_term", "integrated"] {
        near(&loudness[name], -23.0, 0.1);
    }
    near(&loudness["range"], 0.0, 0.2);
    near(&loudness["true_peak"], 10f64.powf(-23.0 / 20.0), 1e-3);
    let text = desk.say("meters --once");
    assert!(text.contains("main  momentary -23.0 LUFS, short-term -23.0, integrated -23.0, "), "{text}");

    desk.run("set sine/level -33dB");
    play(&desk);
    let mixed = meter(&desk, "main")["loudness"]["integrated"].as_f64().unwrap();
    assert!((-29.0..-24.0).contains(&mixed), "{mixed}");
    assert_eq!(desk.say("meters --reset main"), "the loudness of main is measured from now on\n");
    play(&desk);
    near(&meter(&desk, "main")["loudness"]["integrated"], -33.0, 0.1);
    assert!(desk.fails("meters --reset sine", 1)["message"].as_str().unwrap().contains("not measured"));
    assert!(desk.fails("meters --reset mian", 4)["close"].as_array().unwrap().contains(&"main".into()));
}

#[test]
fn a_limiter_is_reported_as_latency_and_turns_down_what_is_too_loud() {
    let desk = Desk::new();
    desk.run(
        "node add tone sine frequency=12kHz level=0dB
        node add master main gain=6dB
        node add output
        link sine main
        link main output",
    );
    assert_eq!(desk.json("latency")["total"], 0);
    desk.run("set main/limiter on");
    // 1.5 ms for the gain, and what the search for peaks takes.
    assert_eq!(desk.json("latency")["total"], 142);
    play(&desk);
    let reading = meter(&desk, "main");
    // A little more while it sets in.
    near(&reading["reduction"], 7.2, 0.3);
    desk.run("meters --reset");
    play(&desk);
    let reading = meter(&desk, "main");
    near(&reading["loudness"]["true_peak"], 10f64.powf(-1.0 / 20.0), 0.01);
    desk.run("undo");
    assert_eq!(desk.json("latency")["total"], 0);
}

#[test]
fn equalizer_and_dynamics_do_what_is_set() {
    let desk = Desk::new();
    desk.run(
        "node add tone sine frequency=1kHz level=-12dB
        node add tone key frequency=50Hz level=-60dB
        node add eq tilt band5_frequency=1kHz band5_gain=-6dB
        node add dynamics duck knee=0dB threshold=-40dB ratio=2:1 sidechain=on detector=rms release=20ms
        node add master main
        node add output
        link sine tilt
        link tilt duck
        link key duck:sidechain
        link duck main
        link main output",
    );
    play(&desk);
    meter(&desk, "main");
    play(&desk);
    let peak = |reading: &Json| 20.0 * reading["peaks"][0].as_f64().unwrap().log10();
    let reading = meter(&desk, "main");
    assert!((peak(&reading) + 18.0).abs() < 0.1, "{reading}");
    assert_eq!(meter(&desk, "duck")["reduction"], 0.0);
    // The RMS of a sine of -10 dB is 27 dB above the threshold: half of that less is heard.
    desk.run("set key/level -10dB");
    play(&desk);
    meter(&desk, "main");
    play(&desk);
    let reading = meter(&desk, "main");
    assert!((peak(&reading) + 18.0 + 13.5).abs() < 0.3, "{reading}");
    let error = desk.fails("set duck/threshold off", 2);
    assert!(error["expected"].as_str().unwrap().starts_with("a number of decibels"), "{error}");
    let error = desk.fails("set tilt/band5_kind bel", 1);
    assert!(error["close"].as_array().unwrap().contains(&"bell".into()), "{error}");
    assert_eq!(desk.fails("set tilt/band9_gain 0", 4)["code"], "not_found");
}
