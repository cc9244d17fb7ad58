//! Runs a processor as the engine does, for tests.

use aulos_protocol::{
    Bpm, Control, Node, NodeId, NodeKind, Rate, Signature, Slug, Value, params,
    ports::{self, Direction, Signal},
};

use crate::{Built, Cycle, Io, Order, Playlist, Processor, Setting, Stage, build};

/// A node with these parameters; names are those of choices.
pub fn node(kind: NodeKind, channels: u16, set: &[(&str, Value)]) -> Node {
    let slug = Slug::new("node").unwrap();
    let mut node = Node::new(NodeId(1), slug, kind, channels);
    for (name, value) in set {
        let value = params::find(&node, name).unwrap().accept(*value).unwrap();
        node.params.insert((*name).to_owned(), value);
    }
    node
}

/// The processor of the only stage of a node, at 48 kHz.
pub fn built(node: &Node) -> Built {
    let (rate, tempo, signature) = (Rate::default(), Bpm::default(), Signature::default());
    let (stage, control, playlist) = (Stage::Whole(node.kind), Control::NONE, Playlist::new());
    build(Order { stage, node, rate, tempo, signature, control, max_block: 8192, playlist })
}

/// A setting that begins to move at `frame`.
pub fn setting(node: &Node, param: &'static str, value: Value, frame: u64) -> Setting {
    let known = params::find(node, param).unwrap();
    Setting { param, value: known.number(known.accept(value).unwrap()), frame, fade: 240 }
}

/// What comes out, if the input is cut into blocks whose lengths are repeated as often as it takes. Stage time is 5
/// frames behind the engine's, and jumps to 77 behind at frame 1000.
pub fn run(node: &Node, input: &[Vec<f32>], settings: &[Setting], blocks: &[usize]) -> Vec<Vec<f32>> {
    play(&mut *built(node).processor, node, input, settings, blocks)
}

/// The same with a processor that may have played something before.
pub fn play(
    processor: &mut dyn Processor,
    node: &Node,
    input: &[Vec<f32>],
    settings: &[Setting],
    blocks: &[usize],
) -> Vec<Vec<f32>> {
    const JUMP: u64 = 1000;
    let length = input[0].len();
    let is_heard = |group: &ports::Group| (group.direction, group.signal) == (Direction::Out, Signal::Audio);
    let groups = ports::groups(node.kind, node.channels).into_iter().filter(is_heard);
    let channels: usize = groups.map(|group| usize::from(group.channels)).sum();
    let mut out = vec![Vec::new(); channels];
    let numbers: Vec<usize> = (0..input.len()).collect();
    let (mut frame, mut blocks) = (0, blocks.iter().cycle());
    while frame < length {
        let frames = (*blocks.next().unwrap()).min(length - frame);
        let (from, to) = (frame as u64, (frame + frames) as u64);
        let due: Vec<_> = settings.iter().copied().filter(|s| (from..to).contains(&s.frame)).collect();
        let pool: Vec<Vec<f32>> = input.iter().map(|x| x[frame..frame + frames].to_vec()).collect();
        let mut outputs = vec![vec![9.0; frames]; channels];
        let behind = |frame: u64| frame as i64 - if frame < JUMP { 5 } else { 77 };
        let jump = (from + 1..to).contains(&JUMP).then(|| ((JUMP - from) as usize, behind(JUMP)));
        let cycle = Cycle { settings: &due, time: behind(from), jump, ..Cycle::new(from, frames, &[]) };
        processor.start(&cycle, &mut Io::new(&pool, &numbers, &mut outputs, frames));
        out.iter_mut().zip(outputs).for_each(|(out, block)| out.extend(block));
        frame += frames;
    }
    out
}

/// White noise, in −0.5 to 0.5, other in each channel.
pub fn noise(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / (1u32 << 24) as f32 - 0.5
    };
    (0..channels).map(|_| (0..frames).map(|_| next()).collect()).collect()
}

/// The bits of samples, without printing any of them when they differ.
pub fn same(what: &str, a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len());
    for (channel, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.len(), b.len());
        let differs = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(differs, None, "{what}: channel {channel} differs from this frame on");
    }
}

/// A number as a value.
pub fn n(number: f64) -> Value {
    Value::Number(number)
}
