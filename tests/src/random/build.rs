//! Builds a session stage by stage.
//!
//! A stage is linked from what is there already and nothing is linked to it later, so no cycle can arise. A
//! track has two of them: its `in` is linked when it is made, its `insert_in` when its strip is, and what was
//! built in between can be patched in as an insert. A feedback has two as well: what it gives back is there
//! early, and what it hears is linked at the end, so that there are loops. Numbers are given at the end and at
//! random, so that the order of the sums is not the order of the signal.

use std::collections::BTreeMap;

use aulos_protocol::{
    Clip, ClipId, Decibels, Frames, Node, NodeId, NodeKind, Slug, Value, params,
    ports::{self, Group},
};

use super::{PEAK, level::Level, rng::Rng};
use crate::oracle::{Start, control::Control, law::coefficients};

/// A group of output ports that can be linked from.
#[derive(Debug)]
pub(super) struct Tap {
    pub node: usize,
    pub group: Group,
    pub level: Level,
    /// Whether nothing is linked from it yet and the mix would miss it: not so for taps inside of strips.
    pub loose: bool,
}

#[derive(Debug)]
pub(super) struct Wire {
    pub from: (usize, String),
    pub to: (usize, String),
    pub gain: Decibels,
}

/// A session while it is made. Nodes are named by their place in `nodes`, taps by theirs in `taps`.
pub(super) struct Builder<'a> {
    pub rng: &'a mut Rng,
    /// The names and lengths of the audio files.
    files: &'a [(String, u64)],
    /// How the transport starts; clips are put around it.
    pub start: Start,
    /// Whether nothing may be heard of what was long ago.
    pub forgets: bool,
    pub max_block: u32,
    pub nodes: Vec<Node>,
    pub taps: Vec<Tap>,
    /// The nodes that have a MIDI output which can be linked from.
    pub midi: Vec<usize>,
    /// The feedbacks that hear nothing yet.
    pub open: Vec<usize>,
    pub wires: Vec<Wire>,
    /// The VCAs and groups, and their members.
    pub members: Vec<(usize, Vec<usize>)>,
    /// What enters the input ports.
    pub entering: BTreeMap<(usize, String), Level>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(rng: &'a mut Rng, files: &'a [(String, u64)], start: Start, forgets: bool) -> Self {
        let max_block = if rng.percent(75) { 1024 } else { *rng.pick(&[64, 100, 333, 2048]) };
        Self {
            rng,
            files,
            start,
            forgets,
            max_block,
            nodes: Vec::new(),
            taps: Vec::new(),
            midi: Vec::new(),
            open: Vec::new(),
            wires: Vec::new(),
            members: Vec::new(),
            entering: BTreeMap::new(),
        }
    }

    fn channels(&mut self) -> u16 {
        match self.rng.below(100) {
            0..70 => 2,
            70..88 => 1,
            88..98 => self.rng.range(3, 6) as u16,
            // Two digits: by name, `out_10` comes before `out_2`.
            _ => 11,
        }
    }

    pub(super) fn add(&mut self, kind: NodeKind) -> usize {
        let channels = self.channels();
        self.add_wide(kind, channels)
    }

    pub(super) fn add_wide(&mut self, kind: NodeKind, channels: u16) -> usize {
        // The number tells the place in the order of the signal.
        let slug = Slug::new(format!("{kind}{}", self.nodes.len())).expect("a valid slug");
        self.nodes.push(Node::new(NodeId(0), slug, kind, channels));
        self.nodes.len() - 1
    }

    pub(super) fn set(&mut self, node: usize, name: &str, value: Value) {
        set(&mut self.nodes[node], name, value);
    }

    pub(super) fn group(&self, node: usize, name: &str) -> Group {
        let node = &self.nodes[node];
        let mut groups = ports::groups(node.kind, node.channels).into_iter();
        groups.find(|group| group.name == name).expect("a group of the node")
    }

    pub(super) fn publish(&mut self, node: usize, group: &str, level: Level) -> usize {
        let group = self.group(node, group);
        self.taps.push(Tap { node, group, level, loose: group.name == "out" });
        self.taps.len() - 1
    }

    /// A tap; more often one that sounds.
    pub(super) fn any_tap(&mut self) -> usize {
        let tap = self.drawn_tap();
        if self.taps[tap].level == Level::SILENT { self.drawn_tap() } else { tap }
    }

    /// A tap; more often one that nothing is linked from, or a recent one, so that there is depth.
    fn drawn_tap(&mut self) -> usize {
        let loose: Vec<_> = (0..self.taps.len()).filter(|tap| self.taps[*tap].loose).collect();
        match self.rng.below(100) {
            0..45 if !loose.is_empty() => *self.rng.pick(&loose),
            0..75 => {
                let recent = self.taps.len().min(8) as u64;
                self.taps.len() - 1 - self.rng.below(recent) as usize
            }
            _ => self.rng.below(self.taps.len() as u64) as usize,
        }
    }

    /// A tone, an input or a track with clips.
    pub(super) fn source(&mut self) -> usize {
        // Clips are silent while the transport stands still.
        let kinds = if self.start.rolling { 4 } else { 2 };
        match self.rng.below(kinds) {
            0 => self.tone(),
            1 => self.input(),
            _ => self.track(&[]),
        }
    }

    fn tone(&mut self) -> usize {
        let node = self.add(NodeKind::Tone);
        let frequency = self.rng.tenths(200, 80_000);
        let level = self.rng.tenths(-300, -30);
        self.set(node, "frequency", Value::Number(frequency));
        self.set(node, "level", Value::Number(level));
        let level = Level::TONE.scaled(decibels(level).factor());
        self.publish(node, "out", level)
    }

    fn input(&mut self) -> usize {
        let node = self.add(NodeKind::Input);
        let first_channel = *self.rng.pick(&[1, 1, 1, 2, 3]);
        self.set(node, "first_channel", Value::Number(f64::from(first_channel)));
        self.publish(node, "out", Level::SAMPLES.scaled(PEAK))
    }

    /// A track whose insert is not patched.
    pub(super) fn track(&mut self, taps: &[usize]) -> usize {
        let (node, _) = self.track_source(taps);
        self.track_strip(node, None)
    }

    /// The first half of a track, and the tap of its `insert_out`.
    pub(super) fn track_source(&mut self, taps: &[usize]) -> (usize, usize) {
        let node = self.add(NodeKind::Track);
        self.feed(node, "in", taps);
        let played = self.clips(node, taps.is_empty());
        let level = self.entered(node, "in").plus(played);
        let insert_out = self.publish(node, "insert_out", level);
        (node, insert_out)
    }

    /// The other half, and the tap of its `out`. What is patched into the insert may leave channels as they are.
    pub(super) fn track_strip(&mut self, node: usize, insert: Option<usize>) -> usize {
        let insert_out = self.taps.iter().rfind(|tap| tap.node == node).expect("the first half");
        let mut level = insert_out.level;
        if let Some(insert) = insert {
            self.feed(node, "insert_in", &[insert]);
            level = level.or(self.entered(node, "insert_in"));
        }
        self.strip(node, level)
    }

    fn clips(&mut self, node: usize, needed: bool) -> Level {
        let count = self.rng.range(u64::from(needed), 3);
        for _ in 0..count {
            let (file, frames) = self.rng.pick(self.files).clone();
            let at = (self.start.position + self.rng.range(0, 5000)).saturating_sub(3000);
            let offset = if self.rng.percent(50) { 0 } else { self.rng.below(frames) };
            let length = self.rng.percent(40).then(|| Frames(self.rng.range(1, 5000)));
            let (at, offset) = (Frames(at), Frames(offset));
            self.nodes[node].clips.push(Clip { id: ClipId(0), file, at, offset, length });
        }
        // Stereo on a mono track is the loudest case.
        if count == 0 { Level::SILENT } else { Level::SAMPLES.scaled(PEAK * count as f32 * 1.5) }
    }

    /// A bus or a send.
    pub(super) fn mixer(&mut self, kind: NodeKind, taps: &[usize]) -> usize {
        let node = self.add(kind);
        self.feed(node, "in", taps);
        let level = self.entered(node, "in");
        self.strip(node, level)
    }

    /// A delay; `latent` if it must report that it is one.
    pub(super) fn delay(&mut self, latent: bool, taps: &[usize]) -> usize {
        let node = self.add(NodeKind::Delay);
        let frames = match self.rng.below(100) {
            0..10 => u64::from(latent),
            10..65 => self.rng.range(1, 200),
            65..93 => self.rng.range(200, 1000),
            _ => self.rng.range(1000, 3000),
        };
        let report = latent || self.rng.percent(50);
        self.set(node, "frames", Value::Number(frames as f64));
        self.set(node, "report", Value::Switch(report));
        self.feed(node, "in", taps);
        let level = self.entered(node, "in");
        if self.rng.percent(20)
            && let Some(&from) = self.midi.last()
        {
            self.wire_midi(from, node);
            self.midi.push(node);
        }
        self.publish(node, "out", level)
    }

    pub(super) fn master(&mut self, taps: &[usize]) -> usize {
        let node = self.add(NodeKind::Master);
        self.nodes[node].slug = Slug::new("master").expect("a valid slug");
        self.feed(node, "in", taps);
        let gain = if self.rng.percent(60) { 0.0 } else { self.rng.tenths(-120, 0) };
        let mute = self.rng.percent(3);
        self.set(node, "gain", Value::Number(gain));
        self.set(node, "mute", Value::Switch(mute));
        let mut level =
            self.entered(node, "in").through(&coefficients(&self.nodes[node], Control::default()));
        if !self.forgets && self.rng.percent(30) {
            level = self.limiter(node, level);
        }
        self.publish(node, "out", level)
    }

    /// An output, mostly aligned with the others.
    fn add_output(&mut self, others: &[u32]) -> usize {
        let node = self.add(NodeKind::Output);
        let group = if self.rng.percent(65) { 1 } else { *self.rng.pick(others) };
        self.set(node, "align_group", Value::Number(f64::from(group)));
        node
    }

    /// The output that the mix leaves by; most likely someone hears it.
    pub(super) fn main_output(&mut self, tap: usize) {
        let node = self.add_output(&[1, 1, 0, 2]);
        let (from, to) = (self.taps[tap].group, self.group(node, "in"));
        for (from_channel, to_channel, gain) in ports::channel_map(from.channels, to.channels) {
            self.wire(tap, from_channel, (node, to.port_name(to_channel)), gain, 0.0);
        }
    }

    pub(super) fn output(&mut self, taps: &[usize]) {
        let node = self.add_output(&[0, 2]);
        let first_channel = if self.rng.percent(75) { 1 } else { self.rng.range(1, 6) };
        self.set(node, "first_channel", Value::Number(first_channel as f64));
        self.feed(node, "in", taps);
    }

    /// Draws what a strip or a send does with `level`, and publishes its taps; answers with that of `out`.
    pub(super) fn strip(&mut self, node: usize, level: Level) -> usize {
        let is_send = self.nodes[node].kind == NodeKind::Send;
        let gain = if is_send { "level" } else { "gain" };
        let value = match self.rng.below(100) {
            0..50 => Value::Number(0.0),
            50..52 => Value::Silence,
            _ => Value::Number(self.rng.tenths(-180, 60)),
        };
        self.set(node, gain, value);
        if self.nodes[node].channels <= 2 {
            let pan = match self.rng.below(100) {
                0..45 => 0.0,
                45..52 => -1.0,
                52..60 => 1.0,
                _ => self.rng.tenths(-9, 9),
            };
            self.set(node, "pan", Value::Number(pan));
        }
        let mut silenced = false;
        if !is_send {
            let (mute, pre_ignores_mute) = (self.rng.percent(7), self.rng.percent(30));
            self.set(node, "mute", Value::Switch(mute));
            self.set(node, "pre_ignores_mute", Value::Switch(pre_ignores_mute));
            silenced = mute && !pre_ignores_mute;
        }
        let mut out = level.through(&coefficients(&self.nodes[node], Control::default()));
        if !out.fits() {
            self.set(node, gain, Value::Number(0.0));
            out = level.through(&coefficients(&self.nodes[node], Control::default()));
        }
        if !is_send {
            self.publish(node, "pre", if silenced { Level::SILENT } else { level });
        }
        self.publish(node, "out", out)
    }

    /// Whether the tap is in front of or behind a fader.
    pub(super) fn is_strip(&self, tap: usize) -> bool {
        let tap = &self.taps[tap];
        let kind = self.nodes[tap.node].kind;
        matches!(kind, NodeKind::Track | NodeKind::Bus) && tap.group.name != "insert_out"
    }
}

pub(super) fn decibels(db: f64) -> Decibels {
    Decibels::new(db).expect("a gain")
}

/// Sets a parameter; what is as by default is not stored.
pub(super) fn set(node: &mut Node, name: &str, value: Value) {
    let param = params::find(node, name).expect("a parameter of the node");
    if value == param.default {
        node.params.remove(name);
    } else {
        node.params.insert(name.to_owned(), value);
    }
}
