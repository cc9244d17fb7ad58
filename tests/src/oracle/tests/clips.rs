//! Clips along the timeline.

use super::*;

/// A mono track that plays 1, 2, … 8 from frame 2 of the timeline on.
fn counting(start: Start) -> Vec<f32> {
    let mut patch = Patch::new(&[]);
    patch.start = start;
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("count.wav", &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]);
    patch.clip("track", "count.wav", 2, 0, None);
    patch.evaluate(12).port(&patch, "track:insert_out_1").to_vec()
}

#[test]
fn the_transport_rolls_from_its_start_and_wraps_in_its_loop() {
    let from = |position| Start { position, rolling: true, loop_range: None };
    assert_eq!(counting(from(0)), [0., 0., 1., 2., 3., 4., 5., 6., 7., 8., 0., 0.]);
    assert_eq!(counting(from(6))[..6], [5., 6., 7., 8., 0., 0.]);
    assert_eq!(counting(Start { rolling: false, ..from(6) }), [0.; 12]);

    let looped = |position, start, end| Start { loop_range: Some((start, end)), ..from(position) };
    assert_eq!(counting(looped(0, 3, 6)), [0., 0., 1., 2., 3., 4., 2., 3., 4., 2., 3., 4.]);
    assert_eq!(counting(looped(4, 4, 5)), [3.; 12]);
    // Who starts at the end or behind it plays on, and an empty loop is none.
    assert_eq!(counting(looped(6, 3, 6)), counting(from(6)));
    assert_eq!(counting(looped(7, 3, 6)), counting(from(7)));
    assert_eq!(counting(looped(0, 5, 5)), counting(from(0)));
    assert_eq!(counting(looped(0, 6, 3)), counting(from(0)));
}

#[test]
fn clips_begin_at_their_offset_end_at_their_length_and_overlap() {
    let mut patch = Patch::new(&[]);
    patch.start.rolling = true;
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("count.wav", &[&[1.0, 2.0, 3.0, 4.0]]);
    patch.clip("track", "count.wav", 0, 1, Some(2));
    patch.clip("track", "count.wav", 1, 2, Some(100));
    patch.clip("track", "count.wav", 0, 4, None);
    patch.clip("track", "count.wav", 0, 9, Some(3));
    patch.clip("track", "lost.wav", 0, 0, None);
    assert_eq!(patch.evaluate(5).port(&patch, "track:insert_out_1"), [2.0, 6.0, 4.0, 0.0, 0.0]);
}

#[test]
fn clips_are_summed_in_the_order_of_their_numbers() {
    let mut patch = Patch::new(&[]);
    patch.start = Start { position: 1, rolling: true, loop_range: None };
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("a.wav", &[&[0.0, 1e9, -1e9, 1.0, -0.0]]);
    patch.clip("track", "a.wav", 1, 1, Some(1));
    patch.clip("track", "a.wav", 1, 2, Some(1));
    patch.clip("track", "a.wav", 0, 2, Some(3));
    let outcome = patch.evaluate(2);
    let played = outcome.port(&patch, "track:insert_out_1");
    // 1e9 - 1e9 + 1, and not in the order of their beginnings; a sum of clips begins with 0, so it is never -0.
    assert_eq!([played[0].to_bits(), played[1].to_bits()], [1f32.to_bits(), 0]);
}

#[test]
fn clips_go_to_the_track_by_the_channel_map() {
    let mut patch = Patch::new(&[]);
    patch.start.rolling = true;
    patch.file("mono.wav", &[&[1.0]]);
    patch.file("stereo.wav", &[&[0.3], &[0.7]]);
    patch.file("wide.wav", &[&[1.0], &[2.0], &[3.0]]);
    for (name, channels) in [("one", 1), ("two", 2), ("three", 3)] {
        patch.add(name, NodeKind::Track, channels, &[]);
        let file = ["stereo.wav", "mono.wav", "stereo.wav"][usize::from(channels) - 1];
        patch.clip(name, file, 0, 0, None);
    }
    patch.clip("two", "wide.wav", 1, 0, None);
    let outcome = patch.evaluate(2);
    let minus_three = Decibels::new(-3.0).unwrap().factor();
    assert_eq!(outcome.port(&patch, "one:insert_out_1")[0], 0.3 * minus_three + 0.7 * minus_three);
    assert_eq!(outcome.port(&patch, "two:insert_out_L"), [1.0, 1.0]);
    assert_eq!(outcome.port(&patch, "two:insert_out_R"), [1.0, 2.0]);
    let three = ["three:insert_out_1", "three:insert_out_2", "three:insert_out_3"];
    assert_eq!(three.map(|port| outcome.port(&patch, port)[0]), [0.3, 0.7, 0.0]);
}
