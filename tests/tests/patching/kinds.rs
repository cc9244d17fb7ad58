//! Clicks, MIDI, feedback, solo and monitoring at low latency, as they are patched.

use serde_json::json;

use crate::desk::Desk;

fn says(error: &serde_json::Value, parts: &[&str]) {
    let text = error.to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
}

#[test]
fn midi_is_linked_to_midi_alone_and_has_no_gain() {
    let desk = Desk::new();
    desk.run("node add click click\nnode add tone tone notes=on\nnode add delay late");
    assert_eq!(desk.say("link click tone"), "linked click → tone (1 link)\n");
    assert!(desk.say("ls").contains("midi_out → tone:midi_in"));
    assert!(desk.say("node show tone").contains("midi_in ← click:midi_out"));
    assert_eq!(desk.say("link click late"), "linked click → late (2 links)\n");
    assert_eq!(desk.say("link click:midi_out late"), "linked click:midi_out → late (1 link)\n");
    let before = desk.session();
    says(&desk.fails("link click:out late:midi_in", 1), &["is audio", "is MIDI"]);
    says(&desk.fails("link click:midi_out master", 1), &["master has no MIDI port", "midi_in"]);
    says(&desk.fails("link master tone", 1), &["master has no MIDI port", "midi_out"]);
    says(&desk.fails("link click tone --gain -6dB", 1), &["MIDI link", "-inf"]);
    assert_eq!(desk.session(), before);
    desk.say("link click tone --gain -inf");
    desk.say("unlink click tone");
}

#[test]
fn a_feedback_is_as_long_as_the_longest_block_and_its_loop() {
    let desk = Desk::new();
    desk.run(
        "session new loops --max-block 256
        node add feedback echo frames=4800
        bus add mix
        link mix echo
        link echo mix --gain -6dB",
    );
    let before = desk.session_but_next_id();
    assert_eq!(before["max_block"], 256);
    says(&desk.fails("set echo frames 255", 1), &["echo", "256"]);
    says(&desk.fails("node add feedback short frames=100", 1), &["short", "256"]);
    desk.say("set echo frames 256");
    // What is late within the loop has to fit into it.
    desk.say("set echo frames 4800");
    desk.run("unlink echo mix\nnode add delay late frames=5000 report=on\nlink late mix");
    says(&desk.fails("link echo late", 1), &["echo", "latency"]);
    desk.say("set late frames 4000");
    desk.say("link echo late");
    says(&desk.fails("set late frames 5000", 1), &["echo", "latency"]);
}

#[test]
fn a_session_allows_latencies_up_to_its_longest() {
    let desk = Desk::new();
    desk.run("session set --max-latency 1s\nnode add delay late report=on");
    let error = desk.fails("set late frames 48001", 1);
    says(&error, &["late", "48001", "48000", "--max-latency"]);
    assert_eq!(error["code"], "out_of_range");
    desk.say("set late frames 48000");
    says(&desk.fails("session set --max-latency 500ms", 1), &["late"]);
    desk.say("session set --max-latency 2s");
    desk.say("set late frames 48001");
    assert_eq!(desk.get("late", "frames"), 48_001.0);
    // A delay that keeps its latency to itself is as long as delays can be.
    desk.run("set late report off\nset late frames 1920000");
}

#[test]
fn what_is_not_aligned_is_told() {
    let desk = Desk::new();
    desk.run(
        "node add input mic
        track add voice low_latency_monitor=on
        track add drums
        node add delay late frames=480 report=on
        link mic voice
        link drums late
        link late master
        link voice master",
    );
    let report = desk.json("latency");
    let unaligned = report["unaligned"].as_array().unwrap();
    assert!(!unaligned.is_empty());
    assert!(unaligned.iter().all(|link| link["early"] == 480), "{report}");
    let text = desk.say("latency");
    let row = text.lines().find(|line| line.ends_with("early")).unwrap();
    let parts = ["voice:out", "master:in", "480", "10.00 ms"];
    assert!(parts.iter().all(|part| row.contains(part)), "{text}");
    assert!(text.contains("low_latency_monitor"), "{text}");
    desk.say("set voice low_latency_monitor off");
    assert_eq!(desk.json("latency")["unaligned"], json!([]));
    assert!(!desk.say("latency").contains("early"));
    assert_eq!(desk.json("status")["faults"], json!([]));
}
