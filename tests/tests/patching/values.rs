//! Values in all their units, and relative ones.

use serde_json::json;

use crate::desk::Desk;

#[test]
fn values_are_set_in_their_units_and_relative_to_what_is() {
    let desk = Desk::new();
    desk.run(
        "track add drums
        node add tone sine
        node add delay late
        node add input mic",
    );
    // Each from where the one before has left it.
    for (node, param, words, value) in [
        ("drums", "gain", "-3dB", -3.0),
        ("drums", "gain", "-4.5", -4.5),
        ("drums", "gain", "+1.5dB", -3.0),
        ("drums", "gain", "3dB-", -6.0),
        ("drums", "gain", "0.25+", -5.75),
        ("drums", "gain", "0dB", 0.0),
        ("drums", "gain", "100%", 0.0),
        ("drums", "gain", "10%", -20.0),
        ("drums", "pan", "-0.3", -0.3),
        ("drums", "pan", "L30", -0.3),
        ("drums", "pan", "R100", 1.0),
        ("drums", "pan", "C", 0.0),
        ("drums", "pan", "+0.25", 0.25),
        ("drums", "pan", "0.5-", -0.25),
        ("drums", "pan", "50%", 0.0),
        ("sine", "frequency", "1.2kHz", 1200.0),
        ("sine", "frequency", "+40Hz", 1240.0),
        ("sine", "frequency", "240-", 1000.0),
        ("sine", "frequency", "440", 440.0),
        ("sine", "level", "-6dB", -6.0),
        ("late", "frames", "480", 480.0),
        ("late", "frames", "20ms", 960.0),
        ("late", "frames", "+1ms", 1008.0),
        ("late", "frames", "0.5s", 24_000.0),
        ("late", "frames", "24000f-", 0.0),
        ("late", "frames", "10%", 192_000.0),
        ("mic", "first_channel", "3", 3.0),
        ("mic", "first_channel", "+1", 4.0),
    ] {
        desk.say(&format!("set {node} {param} {words}"));
        let got = desk.get(node, param).as_f64().unwrap();
        assert!((got - value).abs() < 1e-9, "{node} {param} {words}: {got}");
    }
    for (param, words, value) in [
        ("mute", "on", json!(true)),
        ("mute", "toggle", json!(false)),
        ("mute", "yes", json!(true)),
        ("mute", "0", json!(false)),
        ("pre_ignores_mute", "true", json!(true)),
        ("gain", "-inf", json!("-inf")),
        ("gain", "-12dB", json!(-12.0)),
        ("gain", "off", json!("-inf")),
        ("gain", "0%", json!("-inf")),
    ] {
        desk.say(&format!("set drums/{param} {words}"));
        assert_eq!(desk.get("drums", param), value, "{param} {words}");
    }
    desk.run("track add quiet --gain 50% --pan 25%\nlink quiet master --gain 200%");
    let half = desk.get("quiet", "gain").as_f64().unwrap();
    assert!((half + 6.0206).abs() < 1e-4, "{half}");
    assert_eq!(desk.get("quiet", "pan"), -0.5);
    let gain = desk.json("ls links")[2]["gain"].as_f64().unwrap();
    assert!((gain - 6.0206).abs() < 1e-4, "{gain}");
}

#[test]
fn relative_values_are_held_at_the_ends_of_their_ranges() {
    let desk = Desk::new();
    desk.run("track add drums --gain 10dB\nnode add delay late frames=100");
    for (words, param, value, note) in [
        ("set drums gain +6dB", ("drums", "gain"), 12.0, "held at the end of its range, 12.00 dB"),
        ("set drums pan +3", ("drums", "pan"), 1.0, "held at the end of its range, R100"),
        ("set late frames 1s-", ("late", "frames"), 0.0, "held at the end of its range, 0 frames"),
    ] {
        let output = desk.server.ctl(words.split(' '));
        let told = aulos_tests::server::text(&output.stderr);
        assert!(output.status.success() && told.contains(note), "{words}: {told}");
        assert_eq!(desk.get(param.0, param.1), value, "{words}");
        // What is not wanted to be told is not.
        assert_eq!(desk.say(&format!("--quiet {words}")), "");
    }
    // Absolute ones are refused instead.
    desk.fails("set drums gain 13dB", 1);
    assert_eq!(desk.get("drums", "gain"), 12.0);
}

#[test]
fn positions_are_understood_in_every_unit_at_the_sessions_tempo_and_rate() {
    let desk = Desk::new();
    desk.say("session new slow --rate 44.1k");
    for (tempo, words, frames) in [
        ("120", "0", 0),
        ("120", "44100", 44_100),
        ("120", "44100f", 44_100),
        ("120", "1.5s", 66_150),
        ("120", "10ms", 441),
        ("120", "1:02", 62 * 44_100),
        ("120", "1:00:00.5", 3600 * 44_100 + 22_050),
        ("120", "2|1", 4 * 22_050),
        ("120", "1|2.5", 33_075),
        ("60", "2|1", 4 * 44_100),
        ("441", "1|2", 6000),
    ] {
        desk.say(&format!("tempo {tempo}"));
        desk.say(&format!("locate {words}"));
        assert_eq!(desk.json("status")["transport"]["position"], frames, "{words} at {tempo} bpm");
    }
}
