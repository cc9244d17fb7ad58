//! What is delayed so that it arrives together.

use super::*;

#[test]
fn paths_of_a_diamond_meet_aligned() {
    let mut patch = mono(&[1.0, 2.0, 3.0]);
    patch.add("late", NodeKind::Delay, 1, &[("frames", 2.0), ("report", 1.0)]);
    patch.add("sum", NodeKind::Master, 1, &[]);
    patch.add("out", NodeKind::Output, 1, &[]);
    patch.link("in:out_1", "late:in_1", 0.0);
    patch.link("in:out_1", "sum:in_1", 0.0);
    patch.link("late:out_1", "sum:in_1", -20.0);
    patch.link("sum:out_1", "out:in_1", 0.0);
    let outcome = patch.evaluate(6);
    let tenth = Decibels::new(-20.0).unwrap().factor();
    let expected = [0.0, 0.0, 1.0 + tenth, 2.0 + 2.0 * tenth, 3.0 + 3.0 * tenth, 0.0];
    assert_eq!(outcome.playback[0], expected);
    assert_eq!(outcome.port(&patch, "late:out_1"), [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
    assert_eq!((patch.arrival("late", "delay"), patch.arrival("sum", "master")), (0, 2));
}

#[test]
fn a_delay_that_does_not_report_is_heard() {
    let mut patch = mono(&[1.0, 2.0]);
    patch.add("echo", NodeKind::Delay, 1, &[("frames", 1.0)]);
    patch.add("out", NodeKind::Output, 1, &[]);
    patch.link("in:out_1", "echo:in_1", 0.0);
    patch.link("in:out_1", "out:in_1", 0.0);
    patch.link("echo:out_1", "out:in_1", 0.0);
    assert_eq!(patch.evaluate(4).playback[0], [1.0, 3.0, 2.0, 0.0]);
    assert_eq!(patch.arrival("out", "output"), 0);
}

#[test]
fn outputs_are_aligned_and_summed_in_the_order_of_nodes() {
    let mut patch = mono(&[1.0]);
    patch.add("late", NodeKind::Delay, 1, &[("frames", 3.0), ("report", 1.0)]);
    patch.add("dry", NodeKind::Output, 1, &[]);
    patch.add("wet", NodeKind::Output, 2, &[]);
    patch.add("far", NodeKind::Output, 2, &[("first_channel", 2.0)]);
    patch.link("in:out_1", "late:in_1", 0.0);
    patch.link("in:out_1", "dry:in_1", 0.0);
    patch.link("late:out_1", "wet:in_L", 0.0);
    patch.link("in:out_1", "far:in_R", 0.0);
    // Nobody waits for what reaches no output.
    patch.add("lost", NodeKind::Delay, 1, &[("frames", 9.0), ("report", 1.0)]);
    patch.add("blind", NodeKind::Bus, 1, &[]);
    patch.link("late:out_1", "lost:in_1", 0.0);
    patch.link("lost:out_1", "blind:in_1", 0.0);
    assert_eq!(patch.arrival("blind", "bus"), 12);
    // What `far` plays on the third channel is dropped, as the driver has two.
    assert_eq!(patch.evaluate(5).playback, [[0.0, 0.0, 0.0, 2.0, 0.0], [0.0; 5]]);
    for name in ["dry", "wet", "far"] {
        assert_eq!(patch.arrival(name, "output"), 3);
    }
}

/// A delay that reports itself.
fn late(patch: &mut Patch, name: &str, frames: f64) {
    patch.add(name, NodeKind::Delay, 1, &[("frames", frames), ("report", 1.0)]);
    patch.link("in:out_1", &format!("{name}:in_1"), 0.0);
}

/// Who is how early.
fn unaligned(patch: &Patch) -> Vec<(String, String, i64)> {
    let text = |port: &PortRef| patch.session.port_text(port);
    let unaligned = patch.evaluate(0).unaligned.into_iter();
    unaligned.map(|row| (text(&row.from), text(&row.to), row.early)).collect()
}

fn row(from: &str, to: &str, early: i64) -> (String, String, i64) {
    (from.to_owned(), to.to_owned(), early)
}

#[test]
fn outputs_wait_for_their_group_only() {
    let mut patch = mono(&[1.0]);
    late(&mut patch, "three", 3.0);
    late(&mut patch, "five", 5.0);
    let outputs = [
        ("a", 1.0, "three", 3),
        ("b", 1.0, "in", 3),
        ("c", 2.0, "in", 5),
        ("d", 2.0, "five", 5),
        ("e", 0.0, "in", 0),
        ("f", 0.0, "three", 3),
        ("g", 64.0, "in", 0),
    ];
    for (name, group, from, _) in outputs {
        patch.add(name, NodeKind::Output, 1, &[("align_group", group)]);
        patch.link(&format!("{from}:out_1"), &format!("{name}:in_1"), 0.0);
    }
    for (name, _, _, arrival) in outputs {
        assert_eq!(patch.arrival(name, "output"), arrival, "{name}");
    }
    assert_eq!(patch.evaluate(7).playback[0], [2.0, 0.0, 0.0, 3.0, 0.0, 2.0, 0.0]);
    assert_eq!(unaligned(&patch), []);
}

#[test]
fn a_track_of_low_latency_is_not_delayed() {
    let mut patch = mono(&[1.0]);
    late(&mut patch, "late", 4.0);
    patch.add("live", NodeKind::Track, 1, &[("low_latency_monitor", 1.0), ("pan", -1.0)]);
    patch.add("sum", NodeKind::Bus, 1, &[("pan", -1.0)]);
    patch.add("out", NodeKind::Output, 1, &[]);
    patch.link("in:out_1", "live:in_1", 0.0);
    patch.link("live:out_L", "sum:in_1", 0.0);
    patch.link("late:out_1", "sum:in_1", 6.0);
    patch.link("sum:out_L", "out:in_1", 0.0);
    let louder = Decibels::new(6.0).unwrap().factor();
    assert_eq!(patch.evaluate(5).playback[0], [1.0, 0.0, 0.0, 0.0, louder]);
    assert_eq!((patch.arrival("sum", "bus"), patch.arrival("live", "strip")), (4, 0));
    assert_eq!(unaligned(&patch), [row("live:out_L", "sum:in_1", 4)]);

    // Its own output waits for nobody, though it has the group's arrival.
    patch.add("phones", NodeKind::Output, 1, &[("first_channel", 2.0)]);
    patch.link("live:out_L", "phones:in_1", 0.0);
    assert_eq!(patch.evaluate(2).playback[1], [1.0, 0.0]);
    assert_eq!(patch.arrival("phones", "output"), 4);
    assert_eq!(unaligned(&patch)[1..], [row("live:out_L", "phones:in_1", 4)]);
}

#[test]
fn what_a_track_of_low_latency_hears_counts_where_nothing_else_does() {
    let mut patch = mono(&[1.0]);
    late(&mut patch, "late", 4.0);
    patch.add("live", NodeKind::Track, 1, &[("low_latency_monitor", 1.0), ("pan", -1.0)]);
    patch.add("sum", NodeKind::Bus, 1, &[("pan", -1.0)]);
    patch.link("in:out_1", "live:in_1", 0.0);
    patch.link("late:out_1", "live:in_1", 0.0);
    patch.link("live:out_L", "sum:in_1", 0.0);
    // All that enters it is exempt, so the latest counts; but nothing is delayed.
    let arrivals = ["player", "source", "strip"].map(|stage| patch.arrival("live", stage));
    assert_eq!(arrivals, [0, 4, 4]);
    assert_eq!(patch.arrival("sum", "bus"), 4);
    assert_eq!(patch.evaluate(5).port(&patch, "sum:pre_1"), [1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(unaligned(&patch), [row("in:out_1", "live:in_1", 4)]);

    // Something else comes in: the track is late, and nobody waits for it.
    patch.link("in:out_1", "sum:in_1", 20.0);
    assert_eq!(patch.arrival("sum", "bus"), 0);
    assert_eq!(patch.evaluate(5).port(&patch, "sum:pre_1"), [11.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(unaligned(&patch), [row("in:out_1", "live:in_1", 4), row("live:out_L", "sum:in_1", -4)]);
}

#[test]
fn the_insert_of_a_track_of_low_latency_is_not_delayed() {
    let mut patch = mono(&[1.0]);
    patch.add("live", NodeKind::Track, 2, &[("low_latency_monitor", 1.0)]);
    patch.add("late", NodeKind::Delay, 1, &[("frames", 2.0), ("report", 1.0)]);
    patch.link("in:out_1", "live:in_L", 0.0);
    patch.link("in:out_1", "live:in_R", 0.0);
    patch.link("live:insert_out_L", "late:in_1", 0.0);
    patch.link("late:out_1", "live:insert_in_L", 0.0);
    let outcome = patch.evaluate(3);
    assert_eq!(outcome.port(&patch, "live:out_L"), [0.0, 0.0, 1.0]);
    // The connection inside is early, but it is no link.
    assert_eq!(outcome.port(&patch, "live:out_R"), [1.0, 0.0, 0.0]);
    assert_eq!(patch.arrival("live", "strip"), 2);
    assert_eq!(unaligned(&patch), []);
}
