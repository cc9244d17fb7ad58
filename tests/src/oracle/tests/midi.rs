//! Messages on their way.

use aulos_protocol::Bpm;

use super::*;

/// A click that says something at 0 and 1440, and at 2880 and 4320.
fn patch(clicks: &[(&str, f64)]) -> Patch {
    let mut patch = Patch::new(&[]);
    patch.session.tempo = Bpm::new(1000.0).unwrap();
    patch.start.rolling = true;
    for (name, beats) in clicks {
        patch.add(name, NodeKind::Click, 1, &[("beats", *beats)]);
    }
    patch
}

fn delay(patch: &mut Patch, name: &str, frames: f64, report: f64) {
    patch.add(name, NodeKind::Delay, 1, &[("frames", frames), ("report", report)]);
}

fn frames(messages: &[(u64, [u8; 3])]) -> Vec<u64> {
    messages.iter().map(|(frame, _)| *frame).collect()
}

#[test]
fn a_delay_passes_messages_on_later() {
    let mut patch = patch(&[("click", 4.0)]);
    delay(&mut patch, "late", 100.0, 0.0);
    patch.link("click:midi_out", "late:midi_in", 0.0);
    let messages = patch.midi("late:midi_out", 3000);
    assert_eq!(messages, [(100, [0x99, 76, 127]), (1540, [0x89, 76, 0]), (2980, [0x99, 77, 100])]);
    assert_eq!(patch.arrival("late", "delay"), 0);
}

#[test]
fn links_are_delayed_to_arrive_together() {
    let mut patch = patch(&[("click", 4.0)]);
    delay(&mut patch, "late", 100.0, 1.0);
    delay(&mut patch, "merged", 0.0, 0.0);
    patch.add("tone", NodeKind::Tone, 1, &[]);
    patch.link("click:midi_out", "late:midi_in", 0.0);
    patch.link("late:midi_out", "merged:midi_in", 0.0);
    patch.link("click:midi_out", "merged:midi_in", 0.0);
    patch.link("merged:midi_out", "tone:midi_in", 0.0);
    assert_eq!(frames(&patch.midi("merged:midi_out", 2000)), [100, 100, 1540, 1540]);
    assert_eq!(patch.arrival("tone", "tone"), 100);
    // What enters as sound waits for the messages.
    patch.capture = vec![vec![1.0]];
    patch.add("in", NodeKind::Input, 1, &[]);
    patch.link("in:out_1", "merged:in_1", 0.0);
    assert_eq!(patch.evaluate(200).port(&patch, "merged:out_1")[100], 1.0);
}

#[test]
fn messages_of_one_frame_are_merged_in_the_order_of_nodes() {
    let mut patch = patch(&[("one", 1.0), ("two", 2.0)]);
    delay(&mut patch, "merged", 0.0, 0.0);
    for from in ["two", "one"] {
        patch.link(&format!("{from}:midi_out"), "merged:midi_in", 0.0);
    }
    let (accent, beat) = ([0x99, 76, 127], [0x99, 77, 100]);
    let expected = [
        (0, accent),
        (0, accent),
        (1440, [0x89, 76, 0]),
        (1440, [0x89, 76, 0]),
        (2880, accent),
        (2880, beat),
    ];
    assert_eq!(patch.midi("merged:midi_out", 3000), expected);
}

#[test]
fn messages_of_one_link_stay_in_order() {
    // A loop from beat to beat, in which each note ends as the next begins.
    let mut patch = patch(&[("one", 1.0), ("two", 2.0)]);
    patch.start.loop_range = Some((0, 500));
    delay(&mut patch, "merged", 10.0, 0.0);
    patch.link("two:midi_out", "merged:midi_in", 0.0);
    patch.link("one:midi_out", "merged:midi_in", 0.0);
    let at = |frame| move |message: &(u64, [u8; 3])| message.0 == frame;
    let messages = patch.midi("merged:midi_out", 600);
    let kinds: Vec<_> = messages.into_iter().filter(at(510)).map(|(_, [status, ..])| status).collect();
    assert_eq!(kinds, [0x89, 0x99, 0x89, 0x99]);
}

#[test]
fn a_silent_link_passes_nothing_but_is_there() {
    let mut patch = patch(&[("click", 4.0)]);
    delay(&mut patch, "late", 100.0, 1.0);
    delay(&mut patch, "merged", 0.0, 0.0);
    patch.link("click:midi_out", "late:midi_in", 0.0);
    patch.link("late:midi_out", "merged:midi_in", f64::NEG_INFINITY);
    patch.link("click:midi_out", "merged:midi_in", 0.0);
    assert_eq!(frames(&patch.midi("merged:midi_out", 200)), [100]);
}

#[test]
#[should_panic = "does not exist"]
fn sound_is_no_message() {
    let mut patch = mono(&[]);
    patch.add("tone", NodeKind::Tone, 1, &[]);
    patch.link("in:out_1", "tone:midi_in", 0.0);
    patch.evaluate(0);
}

#[test]
#[should_panic = "neither unity nor silence"]
fn messages_have_no_level() {
    let mut patch = patch(&[("click", 4.0)]);
    patch.add("tone", NodeKind::Tone, 1, &[]);
    patch.link("click:midi_out", "tone:midi_in", -6.0);
    patch.evaluate(0);
}
