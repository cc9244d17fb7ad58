//! Sessions small enough to be computed by hand.

use std::collections::BTreeMap;

use aulos_protocol::{
    Clip, ClipId, Decibels, Frames, Link, LinkId, Node, PortRef, Rate, Slug, Value,
    ports::{self, Direction},
};

use super::*;

/// A session, and the frames that the driver records.
struct Patch {
    session: Session,
    files: BTreeMap<String, Arc<Pcm>>,
    capture: Vec<Vec<f32>>,
    start: Start,
}

impl Patch {
    fn new(capture: &[&[f32]]) -> Self {
        let capture = capture.iter().map(|channel| channel.to_vec()).collect();
        let session = Session::new("patch", Rate::default());
        Self { session, files: BTreeMap::new(), capture, start: Start::default() }
    }

    fn number(&mut self) -> u64 {
        self.session.next_id += 1;
        self.session.next_id - 1
    }

    fn add(&mut self, name: &str, kind: NodeKind, channels: u16, params: &[(&str, f64)]) {
        let id = NodeId(self.number());
        let slug = Slug::new(name).unwrap();
        let (set, clips, unknown) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut node = Node { id, slug, kind, channels, params: set, clips, unknown };
        for (name, value) in params {
            let value = params::find(&node, name).unwrap().accept(Value::Number(*value)).unwrap();
            node.params.insert((*name).to_owned(), value);
        }
        self.session.nodes.insert(Arc::new(node));
    }

    fn port(&self, text: &str) -> PortRef {
        let (node, port) = text.split_once(':').unwrap();
        PortRef { node: self.session.node(node).unwrap().id, port: port.to_owned() }
    }

    fn link(&mut self, from: &str, to: &str, db: f64) {
        let id = LinkId(self.number());
        let (from, to, gain) = (self.port(from), self.port(to), Decibels::new(db).unwrap());
        self.session.links.insert(Arc::new(Link { id, from, to, gain, unknown: BTreeMap::new() }));
    }

    fn file(&mut self, name: &str, channels: &[&[f32]]) {
        let channels = channels.iter().map(|channel| channel.to_vec()).collect();
        self.files.insert(name.to_owned(), Arc::new(Pcm::new(channels).unwrap()));
    }

    fn clip(&mut self, track: &str, file: &str, at: u64, offset: u64, length: Option<u64>) {
        let id = ClipId(self.number());
        let (at, offset, length) = (Frames(at), Frames(offset), length.map(Frames));
        let mut node = Node::clone(self.session.node(track).unwrap());
        node.clips.push(Clip { id, file: file.to_owned(), at, offset, length });
        self.session.nodes.insert(Arc::new(node));
    }

    fn evaluate(&self, frames: usize) -> Outcome {
        let files = |name: &str| self.files.get(name).cloned();
        evaluate(&self.session, &files, self.start, &self.capture, frames, 2)
    }

    fn arrival(&self, node: &str, stage: &'static str) -> u64 {
        self.evaluate(0).arrivals[&(self.session.node(node).unwrap().id, stage)]
    }
}

impl Outcome {
    fn port(&self, patch: &Patch, text: &str) -> &[f32] {
        let PortRef { node, port } = patch.port(text);
        &self.ports[&(node, port)]
    }
}

/// One mono input; links and nodes are added to it.
fn mono(samples: &[f32]) -> Patch {
    let mut patch = Patch::new(&[samples]);
    patch.add("in", NodeKind::Input, 1, &[]);
    patch
}

#[test]
fn an_input_reaches_the_output_as_it_is() {
    let mut patch = Patch::new(&[&[9.0], &[1.0, 2.0], &[3.0]]);
    patch.add("in", NodeKind::Input, 2, &[("first_channel", 2.0)]);
    patch.add("out", NodeKind::Output, 2, &[]);
    patch.link("in:out_L", "out:in_R", 0.0);
    patch.link("in:out_R", "out:in_L", 0.0);
    assert_eq!(patch.evaluate(3).playback, [[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]]);
}

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

#[test]
fn sums_go_by_node_then_port_then_link() {
    // In single precision big + 1 - big is 0, and big - big + 1 is 1.
    let big = 1e9;
    let mut patch = Patch::new(&[&[big], &[1.0], &[-big]]);
    patch.add("first", NodeKind::Input, 1, &[("first_channel", 3.0)]);
    patch.add("second", NodeKind::Input, 2, &[]);
    patch.add("sum", NodeKind::Master, 1, &[]);
    patch.link("second:out_L", "sum:in_1", 0.0);
    patch.link("second:out_R", "sum:in_1", 0.0);
    patch.link("first:out_1", "sum:in_1", 0.0);
    assert_eq!(patch.evaluate(1).port(&patch, "sum:out_1"), [1.0]);

    // Port names are compared as text: 10 comes before 2. Of big, 1 and -big only big - big + 1 is 1.
    let mut patch = Patch::new(&[]);
    patch.capture = vec![vec![0.0]; 10];
    (patch.capture[0], patch.capture[1], patch.capture[9]) = (vec![big], vec![1.0], vec![-big]);
    patch.add("in", NodeKind::Input, 10, &[]);
    patch.add("sum", NodeKind::Master, 1, &[]);
    for port in ["in:out_1", "in:out_2", "in:out_10"] {
        patch.link(port, "sum:in_1", 0.0);
    }
    assert_eq!(patch.evaluate(1).port(&patch, "sum:out_1"), [1.0]);
}

#[test]
fn the_first_term_is_assigned() {
    let mut patch = mono(&[-0.0]);
    patch.add("sum", NodeKind::Master, 1, &[]);
    patch.add("out", NodeKind::Output, 1, &[]);
    patch.link("in:out_1", "sum:in_1", 0.0);
    patch.link("sum:out_1", "out:in_1", 0.0);
    let bits = |samples: &[f32]| samples.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let outcome = patch.evaluate(2);
    let expected = bits(&[-0.0, 0.0]);
    assert_eq!(bits(outcome.port(&patch, "sum:out_1")), expected);
    assert_eq!(bits(&outcome.playback[0]), expected);
    // Another output on the same channel adds its silence, though nothing is linked to it.
    patch.add("idle", NodeKind::Output, 1, &[]);
    assert_eq!(bits(&patch.evaluate(2).playback[0]), bits(&[0.0, 0.0]));
}

#[test]
fn an_insert_is_normalled_port_by_port() {
    let mut patch = Patch::new(&[&[1.0, 2.0], &[10.0, 20.0]]);
    patch.add("in", NodeKind::Input, 2, &[]);
    patch.add("track", NodeKind::Track, 2, &[]);
    patch.add("plugin", NodeKind::Delay, 1, &[("frames", 1.0), ("report", 1.0)]);
    patch.link("in:out_L", "track:in_L", 0.0);
    patch.link("in:out_R", "track:in_R", 0.0);
    let outcome = patch.evaluate(3);
    assert_eq!(outcome.port(&patch, "track:out_L"), [1.0, 2.0, 0.0]);
    assert_eq!(outcome.port(&patch, "track:out_R"), [10.0, 20.0, 0.0]);

    patch.link("track:insert_out_L", "plugin:in_1", 0.0);
    patch.link("plugin:out_1", "track:insert_in_L", Decibels::SILENCE.get());
    let outcome = patch.evaluate(3);
    assert_eq!(outcome.port(&patch, "track:insert_out_L"), [1.0, 2.0, 0.0]);
    // Even a silent link takes the connection's place; the other side waits for the latency.
    assert_eq!(outcome.port(&patch, "track:out_L"), [0.0; 3]);
    assert_eq!(outcome.port(&patch, "track:out_R"), [0.0, 10.0, 20.0]);
    let arrivals = ["player", "source", "strip"].map(|stage| patch.arrival("track", stage));
    assert_eq!(arrivals, [0, 0, 1]);
}

#[test]
fn clips_come_last_and_wait_for_a_late_input() {
    let mut patch = mono(&[1.0, 1.0, 1.0]);
    patch.start.rolling = true;
    patch.add("late", NodeKind::Delay, 1, &[("frames", 1.0), ("report", 1.0)]);
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("a.wav", &[&[10.0, 20.0, 30.0]]);
    patch.clip("track", "a.wav", 0, 0, None);
    patch.link("in:out_1", "late:in_1", 0.0);
    patch.link("late:out_1", "track:in_1", 0.0);
    let outcome = patch.evaluate(4);
    assert_eq!(outcome.port(&patch, "track:insert_out_1"), [0.0, 11.0, 21.0, 31.0]);
    let arrivals = ["player", "source", "strip"].map(|stage| patch.arrival("track", stage));
    assert_eq!(arrivals, [0, 1, 1]);

    // (big - big) + 10, and not (10 + big) - big.
    let big = 1e9;
    let mut patch = Patch::new(&[&[big], &[-big]]);
    patch.start.rolling = true;
    patch.add("in", NodeKind::Input, 2, &[]);
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("a.wav", &[&[10.0]]);
    patch.clip("track", "a.wav", 0, 0, None);
    patch.link("in:out_L", "track:in_1", 0.0);
    patch.link("in:out_R", "track:in_1", 0.0);
    assert_eq!(patch.evaluate(1).port(&patch, "track:insert_out_1"), [10.0]);
}

#[test]
fn a_mono_strip_is_panned_with_constant_power() {
    let mut patch = mono(&[1.0]);
    let half = std::f64::consts::FRAC_PI_4;
    let quarter = std::f64::consts::FRAC_PI_8;
    let cases = [
        (-1.0, 1.0, 0.0),
        (1.0, 0.0, 1.0),
        (0.0, half.cos() as f32, half.sin() as f32),
        (-0.5, quarter.cos() as f32, quarter.sin() as f32),
    ];
    for (number, (pan, left, right)) in cases.into_iter().enumerate() {
        let (bus, gain) = (format!("bus{number}"), 6.0);
        patch.add(&bus, NodeKind::Bus, 1, &[("pan", pan), ("gain", gain)]);
        patch.link("in:out_1", &format!("{bus}:in_1"), 0.0);
        let outcome = patch.evaluate(1);
        let gain = Decibels::new(gain).unwrap().factor();
        assert_eq!(outcome.port(&patch, &format!("{bus}:out_L")), [gain * left]);
        assert_eq!(outcome.port(&patch, &format!("{bus}:out_R")), [gain * right]);
        assert_eq!(outcome.port(&patch, &format!("{bus}:pre_1")), [1.0]);
    }
}

#[test]
fn a_stereo_strip_is_balanced_and_a_wide_one_left_alone() {
    let mut patch = Patch::new(&[&[1.0], &[1.0], &[1.0]]);
    patch.add("in", NodeKind::Input, 3, &[]);
    patch.add("left", NodeKind::Send, 2, &[("pan", -0.75)]);
    patch.add("right", NodeKind::Bus, 2, &[("pan", 0.25), ("gain", -20.0)]);
    patch.add("wide", NodeKind::Bus, 3, &[("gain", -20.0)]);
    for to in ["left:in_L", "right:in_L", "wide:in_1"] {
        patch.link("in:out_1", to, 0.0);
    }
    for to in ["left:in_R", "right:in_R", "wide:in_2"] {
        patch.link("in:out_2", to, 0.0);
    }
    let outcome = patch.evaluate(1);
    let tenth = Decibels::new(-20.0).unwrap().factor();
    let at = |port: &str| outcome.port(&patch, port)[0];
    assert_eq!([at("left:out_L"), at("left:out_R")], [1.0, 0.25]);
    assert_eq!([at("right:out_L"), at("right:out_R")], [tenth * 0.75, tenth]);
    // The pan is subtracted in double precision.
    assert_ne!((1.0 - 0.59) as f32, 1.0 - 0.59f32);
    assert_eq!(law::balance(0.59), [(1.0 - 0.59) as f32, 1.0]);
    assert_eq!([at("wide:out_1"), at("wide:out_2"), at("wide:out_3")], [tenth, tenth, 0.0]);
}

#[test]
fn mute_silences_the_tap_unless_it_ignores_it() {
    for (ignores, pre) in [(0.0, -0.0), (1.0, -1.0)] {
        let mut patch = mono(&[-1.0]);
        patch.add("bus", NodeKind::Bus, 1, &[("mute", 1.0), ("pre_ignores_mute", ignores)]);
        patch.link("in:out_1", "bus:in_1", 0.0);
        let outcome = patch.evaluate(1);
        for (port, expected) in [("bus:pre_1", pre), ("bus:out_L", -0.0f32), ("bus:out_R", -0.0)] {
            assert_eq!(outcome.port(&patch, port)[0].to_bits(), expected.to_bits(), "{port}");
        }
    }
}

#[test]
fn a_master_is_not_panned() {
    let mut patch = mono(&[1.0]);
    patch.add("loud", NodeKind::Master, 1, &[("gain", 6.0)]);
    patch.add("quiet", NodeKind::Master, 2, &[("mute", 1.0)]);
    patch.link("in:out_1", "loud:in_1", 0.0);
    patch.link("in:out_1", "quiet:in_L", 0.0);
    let outcome = patch.evaluate(1);
    assert_eq!(outcome.port(&patch, "loud:out_1"), [Decibels::new(6.0).unwrap().factor()]);
    assert_eq!(outcome.port(&patch, "quiet:out_L"), [0.0]);
}

#[test]
fn a_tone_of_a_quarter_of_the_rate_has_a_period_of_four() {
    let mut patch = Patch::new(&[]);
    patch.add("tone", NodeKind::Tone, 2, &[("frequency", 12_000.0), ("level", 0.0)]);
    let outcome = patch.evaluate(9);
    let left = outcome.port(&patch, "tone:out_L");
    assert_eq!([left[0], left[1], left[3], left[8]], [0.0, 1.0, -1.0, 0.0]);
    assert!(left[2].abs() < 1e-15);
    assert_eq!(left, outcome.port(&patch, "tone:out_R"));

    // Over an hour the phase does not drift: frame n is the sine of n increments.
    let increment = (440.0 / 48_000.0 * 2f64.powi(64)) as u64;
    let turns = (u128::from(increment) * 172_800_000) as u64;
    let expected = ((turns >> 11) as f64 / 2f64.powi(53) * std::f64::consts::TAU).sin() as f32;
    assert_eq!(law::sine(increment, 172_800_000), expected);
}

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

#[test]
fn every_output_port_has_a_signal_and_every_stage_an_arrival() {
    let mut patch = Patch::new(&[]);
    let mut expected = Vec::new();
    for (number, kind) in NodeKind::ALL.into_iter().enumerate() {
        for channels in [1, 2, 11] {
            patch.add(&format!("n{number}-{channels}"), kind, channels, &[]);
            let id = NodeId(patch.session.next_id - 1);
            let groups = ports::groups(kind, channels).into_iter();
            let names = groups.filter(|g| g.direction == Direction::Out).flat_map(|g| g.port_names());
            expected.extend(names.map(|name| (id, name)));
        }
    }
    expected.sort();
    let outcome = patch.evaluate(1);
    assert_eq!(outcome.ports.keys().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(outcome.arrivals.len(), patch.session.nodes.len() + 2 * 3);
    assert!(outcome.ports.values().all(|signal| signal.len() == 1));
}

#[test]
#[should_panic = "a cycle goes through"]
fn a_cycle_is_no_session() {
    let mut patch = Patch::new(&[]);
    patch.add("a", NodeKind::Bus, 1, &[]);
    patch.add("b", NodeKind::Track, 1, &[]);
    patch.link("a:out_L", "b:in_1", 0.0);
    patch.link("b:out_L", "a:in_1", 0.0);
    patch.evaluate(0);
}

#[test]
#[should_panic = "does not exist"]
fn a_link_to_nowhere_is_no_session() {
    let mut patch = mono(&[]);
    patch.add("b", NodeKind::Bus, 2, &[]);
    patch.link("in:out_1", "b:in_1", 0.0);
    patch.evaluate(0);
}
