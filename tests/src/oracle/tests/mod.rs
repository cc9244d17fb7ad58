//! Sessions small enough to be computed by hand.

mod arrivals;
mod clicks;
mod clips;
mod feedbacks;
mod midi;
mod solo;
mod strips;
mod tones;

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
        let mut node = Node::new(id, slug, kind, channels);
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

    fn midi(&self, port: &str, frames: usize) -> Vec<(u64, [u8; 3])> {
        let PortRef { node, port } = self.port(port);
        let messages = &self.evaluate(frames).midi[&(node, port)];
        messages.iter().map(|message| (message.frame, message.bytes)).collect()
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
    let mut seen: Vec<_> = outcome.ports.keys().chain(outcome.midi.keys()).cloned().collect();
    seen.sort();
    assert_eq!(seen, expected);
    // Clicks and delays.
    assert_eq!(outcome.midi.len(), 6);
    let stages = |kind| match kind {
        NodeKind::Track => 3,
        NodeKind::Feedback => 2,
        NodeKind::Vca | NodeKind::Group => 0,
        _ => 1,
    };
    let stages: usize = patch.session.nodes.values().map(|node| stages(node.kind)).sum();
    assert_eq!(outcome.arrivals.len(), stages);
    assert!(outcome.ports.values().all(|signal| signal.len() == 1));
}

#[test]
fn what_is_no_sound_leaves_no_stage() {
    let least = f32::MIN_POSITIVE;
    let mut patch = Patch::new(&[
        &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, least / 2.0, -least / 2.0, -least, -0.0],
        &[f32::MAX],
    ]);
    patch.start.rolling = true;
    patch.add("in", NodeKind::Input, 2, &[]);
    patch.add("sum", NodeKind::Bus, 2, &[("mute", 1.0)]);
    patch.add("track", NodeKind::Track, 1, &[]);
    patch.file("odd.wav", &[&[1.0, f32::NAN, least / 2.0]]);
    patch.clip("track", "odd.wav", 0, 0, None);
    patch.link("in:out_R", "sum:in_R", 0.0);
    patch.link("in:out_R", "sum:in_R", 6.0);
    let outcome = patch.evaluate(7);
    let bits = |samples: &[f32]| samples.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let expected = bits(&[0.0, 0.0, 0.0, 0.0, 0.0, -least, -0.0]);
    assert_eq!(bits(outcome.port(&patch, "in:out_L")), expected);
    // The sum is infinite, and infinity times 0 is no number.
    assert_eq!(outcome.port(&patch, "in:out_R")[0], f32::MAX);
    assert_eq!(outcome.port(&patch, "sum:out_R")[0].to_bits(), 0);
    assert_eq!(outcome.port(&patch, "track:insert_out_1")[..3], [1.0, 0.0, 0.0]);
    let zeroed = |node: &str, stage| outcome.zeroed.get(&(patch.session.node(node).unwrap().id, stage));
    assert_eq!((zeroed("in", "input"), zeroed("sum", "bus")), (Some(&5), Some(&2)));
    assert_eq!((zeroed("track", "player"), zeroed("track", "source")), (Some(&2), None));
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
