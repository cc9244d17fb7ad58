//! What comes back.

use super::*;

/// A session with blocks of four frames, in which one input, a bus and a feedback are.
fn patch(samples: &[f32], frames: f64) -> Patch {
    let mut patch = mono(samples);
    patch.session.max_block = 4;
    patch.add("back", NodeKind::Feedback, 1, &[("frames", frames)]);
    patch.add("sum", NodeKind::Bus, 1, &[("pan", -1.0)]);
    patch
}

fn late(patch: &mut Patch, name: &str, frames: f64) {
    patch.add(name, NodeKind::Delay, 1, &[("frames", frames), ("report", 1.0)]);
}

fn arrivals(patch: &Patch, name: &str) -> [u64; 2] {
    ["in", "out"].map(|stage| patch.arrival(name, stage))
}

/// The frames at which something leaves a port.
fn sounding(patch: &Patch, port: &str, frames: usize) -> Vec<usize> {
    let outcome = patch.evaluate(frames);
    let signal = outcome.port(patch, port).iter().enumerate();
    signal.filter(|(_, x)| **x != 0.0).map(|(frame, _)| frame).collect()
}

#[test]
fn what_goes_in_comes_out_later() {
    let mut patch = patch(&[1.0, 2.0], 6.0);
    patch.link("in:out_1", "back:in_1", 0.0);
    let outcome = patch.evaluate(9);
    assert_eq!(outcome.port(&patch, "back:out_1"), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0]);
    assert_eq!(arrivals(&patch, "back"), [0, 0]);
}

#[test]
fn a_loop_rings() {
    let mut patch = patch(&[1.0], 5.0);
    patch.link("in:out_1", "sum:in_1", 0.0);
    patch.link("sum:out_L", "back:in_1", -20.0);
    patch.link("back:out_1", "sum:in_1", 0.0);
    let tenth = Decibels::new(-20.0).unwrap().factor();
    let outcome = patch.evaluate(11);
    let rung = outcome.port(&patch, "sum:out_L");
    assert_eq!([rung[0], rung[5], rung[10]], [1.0, tenth, tenth * tenth]);
    assert_eq!(sounding(&patch, "sum:out_L", 18), [0, 5, 10, 15]);
}

#[test]
fn behind_a_latent_source_it_arrives_as_late_as_a_block_needs() {
    let mut patch = patch(&[1.0], 6.0);
    late(&mut patch, "late", 10.0);
    patch.link("in:out_1", "late:in_1", 0.0);
    patch.link("late:out_1", "back:in_1", 0.0);
    patch.link("back:out_1", "sum:in_1", 0.0);
    patch.link("in:out_1", "sum:in_1", 0.0);
    // It hears at 10 and may not say it before 14, which are its 6 frames after an arrival of 8.
    assert_eq!(arrivals(&patch, "back"), [10, 8]);
    assert_eq!(sounding(&patch, "back:out_1", 30), [14]);
    assert_eq!(sounding(&patch, "sum:out_L", 30), [8, 14]);
}

#[test]
fn the_latency_of_a_loop_is_a_part_of_its_delay() {
    for (frames, in_front, [hears, gives]) in
        [(7.0, 0, [3, 0]), (8.0, 0, [3, 0]), (7.0, 10, [13, 10]), (9.0, 10, [13, 8]), (17.0, 10, [13, 0])]
    {
        let mut patch = patch(&[1.0], frames);
        late(&mut patch, "front", f64::from(in_front));
        late(&mut patch, "inside", 3.0);
        patch.link("in:out_1", "front:in_1", 0.0);
        patch.link("front:out_1", "sum:in_1", 0.0);
        patch.link("sum:out_L", "inside:in_1", 0.0);
        patch.link("inside:out_1", "back:in_1", 0.0);
        patch.link("back:out_1", "sum:in_1", 0.0);
        assert_eq!(arrivals(&patch, "back"), [hears, gives], "{frames} after {in_front}");
        let (first, every) = (in_front as usize, frames as usize);
        assert_eq!(sounding(&patch, "sum:out_L", 60)[..3], [first, first + every, first + 2 * every]);
    }
}

#[test]
fn feedbacks_in_a_row_settle_one_after_the_other() {
    // The last has the lowest number.
    let mut patch = patch(&[1.0], 5.0);
    patch.add("first", NodeKind::Feedback, 1, &[("frames", 5.0)]);
    for name in ["late", "later"] {
        late(&mut patch, name, 10.0);
    }
    patch.link("in:out_1", "late:in_1", 0.0);
    patch.link("late:out_1", "first:in_1", 0.0);
    patch.link("first:out_1", "later:in_1", 0.0);
    patch.link("later:out_1", "back:in_1", 0.0);
    assert_eq!((arrivals(&patch, "first"), arrivals(&patch, "back")), ([10, 9], [19, 18]));
    // 5 frames each, after the arrival.
    assert_eq!(sounding(&patch, "back:out_1", 40), [28]);
}

#[test]
fn the_first_channel_stays_the_first() {
    let mut patch = patch(&[1.0], 4.0);
    patch.add("wide", NodeKind::Feedback, 2, &[("frames", 4.0)]);
    patch.link("in:out_1", "wide:in_R", 0.0);
    assert_eq!(sounding(&patch, "wide:out_L", 9), [0; 0]);
    assert_eq!(sounding(&patch, "wide:out_R", 9), [4]);
}

#[test]
#[should_panic = "the latency of a loop"]
fn a_loop_longer_than_its_feedback_is_no_session() {
    let mut patch = patch(&[1.0], 6.0);
    late(&mut patch, "inside", 3.0);
    patch.link("back:out_1", "inside:in_1", 0.0);
    patch.link("inside:out_1", "back:in_1", 0.0);
    patch.evaluate(0);
}

#[test]
#[should_panic = "too short"]
fn a_feedback_shorter_than_a_block_is_no_session() {
    patch(&[1.0], 3.0).evaluate(0);
}
