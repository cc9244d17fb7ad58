//! What can be patched: the contract between the engine and the things that it runs, and every built-in node.
//!
//! A node of the session becomes one or more *stages*; each stage is run by a [`Processor`] that lives on the
//! audio thread. [`build`] makes the processor of a stage from the node's data on the control thread.
//! Processors take any block from one frame to the engine's largest and give the same bits at any.

#[cfg(test)]
mod bench;
mod click;
mod contract;
mod delay;
pub mod dsp;
mod dynamics;
mod ear;
mod eq;
mod fade;
mod master;
mod meter;
mod midi;
mod player;
mod source;
mod strip;
mod through;
mod tone;

pub use click::signature_number;
pub use contract::{CONTROL_GRID, Cycle, Io, Midi, Patch, Processor, Progress, Segment, Setting, View};
pub use ear::Listener;
pub use fade::Fade;
pub use meter::{Level, Meter};
pub use midi::{Held, MAX_MESSAGE, MESSAGES, MidiBuffer, MidiQueue, ends_notes};
pub use player::{PlacedClip, Playlist};
pub use source::{ClipSource, Pcm};

use std::sync::Arc;

use aulos_protocol::{
    Bpm, Control, Decibels, Node, NodeKind, Rate, Signature, params,
    ports::{self, Direction, Group, Signal},
};

/// A part of a node that the scheduler orders by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The clips of a track.
    Player,
    /// What comes into a track and its clips, summed; the insert point follows.
    Source,
    /// The fader of a track.
    Strip,
    /// Where a feedback takes in what it will give back.
    FeedbackIn,
    /// Where a feedback gives it back.
    FeedbackOut,
    /// The only stage of a node of any other kind.
    Whole(NodeKind),
}

impl Stage {
    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Source => "source",
            Self::Strip => "strip",
            Self::FeedbackIn => "in",
            Self::FeedbackOut => "out",
            Self::Whole(kind) => kind.name(),
        }
    }

    /// The stages of a node of `kind`, sources first.
    pub fn of(kind: NodeKind) -> &'static [Stage] {
        use NodeKind::{
            Bus, Click, Delay, Dynamics, Eq, Feedback, Group, Input, Master, Output, Send, Tone, Track, Vca,
        };
        match kind {
            Track => &[Stage::Player, Stage::Source, Stage::Strip],
            Input => &[Stage::Whole(Input)],
            Output => &[Stage::Whole(Output)],
            Bus => &[Stage::Whole(Bus)],
            Send => &[Stage::Whole(Send)],
            Master => &[Stage::Whole(Master)],
            Tone => &[Stage::Whole(Tone)],
            Delay => &[Stage::Whole(Delay)],
            Click => &[Stage::Whole(Click)],
            Eq => &[Stage::Whole(Eq)],
            Dynamics => &[Stage::Whole(Dynamics)],
            Feedback => &[Stage::FeedbackIn, Stage::FeedbackOut],
            // What they do is done in the strips of their members.
            Vca | Group => &[],
        }
    }

    /// Whether a group of ports of the stage's node belongs to the stage.
    pub fn has(self, group: &Group) -> bool {
        match self {
            // What a player gives to its track has no ports.
            Self::Player => false,
            Self::Source => matches!(group.name, "in" | "insert_out"),
            Self::Strip => !matches!(group.name, "in" | "insert_out"),
            Self::FeedbackIn => group.direction == Direction::In,
            Self::FeedbackOut => group.direction == Direction::Out,
            Self::Whole(_) => true,
        }
    }

    /// How many channels of a signal enter or leave the stage by ports.
    pub fn ports(self, node: &Node, direction: Direction, signal: Signal) -> usize {
        let groups = ports::groups(node.kind, node.channels);
        let mine = groups.iter().filter(|g| g.direction == direction && g.signal == signal && self.has(g));
        mine.map(|g| usize::from(g.channels)).sum()
    }

    /// How many output channels the stage has, those without ports included.
    pub fn outputs(self, node: &Node) -> usize {
        if self == Self::Player || self.is_sink() {
            return usize::from(node.channels);
        }
        self.ports(node, Direction::Out, Signal::Audio)
    }

    /// How many input channels the stage has.
    pub fn inputs(self, node: &Node) -> usize {
        self.ports(node, Direction::In, Signal::Audio)
    }

    /// How many frames after hearing them the stage lets its inputs out, as it reports.
    pub fn latency(self, node: &Node, rate: Rate) -> u64 {
        match self {
            Self::Whole(NodeKind::Master) => limiter_latency(node, rate),
            Self::Whole(NodeKind::Delay) if number(node, "report") != 0.0 => number(node, "frames") as u64,
            _ => 0,
        }
    }

    /// How many frames a new processor takes until its output has nothing of its empty beginning in it.
    pub fn warm_up(self, node: &Node, rate: Rate) -> u64 {
        match self {
            Self::Whole(NodeKind::Delay) => number(node, "frames") as u64,
            Self::Whole(NodeKind::Master) => limiter_latency(node, rate),
            _ => 0,
        }
    }

    /// Whether the stage ends in the driver.
    pub fn is_sink(self) -> bool {
        self == Self::Whole(NodeKind::Output)
    }
}

/// The number of a parameter that the kind is known to have.
pub(crate) fn number(node: &Node, name: &str) -> f64 {
    params::number(node, name).unwrap_or(0.0)
}

/// How many frames a master's limiter looks ahead.
fn limiter_latency(node: &Node, rate: Rate) -> u64 {
    if master::is_limited(node) { dsp::limiter::latency(f64::from(rate.hz())) as u64 } else { 0 }
}

/// A gain in dB as a factor; what is no gain is silence.
pub(crate) fn factor(db: f64) -> f32 {
    Decibels::new(db).unwrap_or(Decibels::SILENCE).factor()
}

/// What is heard of a stage whose work was not done in time. It comes and goes with a fade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// Nothing.
    Silence,
    /// What goes in, as late as the stage would have let it out.
    Dry,
    /// The stage has a block more of time: what it makes is heard the session's `max_block` later, which counts as
    /// latency. If that is not enough, nothing is heard.
    Pipelined,
}

/// The processor of a stage, and what belongs to it.
pub struct Built {
    /// To be run on the audio thread.
    pub processor: Box<dyn Processor>,
    /// To be read by anybody.
    pub meter: Option<Arc<Meter>>,
}

/// What a processor is built for.
pub struct Order<'a> {
    /// The stage.
    pub stage: Stage,
    /// The node with its parameters as they are; nothing fades.
    pub node: &'a Node,
    /// The engine's rate.
    pub rate: Rate,
    /// The tempo.
    pub tempo: Bpm,
    /// The time signature.
    pub signature: Signature,
    /// What VCAs and groups do to the node.
    pub control: Control,
    /// The longest block, in frames.
    pub max_block: usize,
    /// The clips of a player.
    pub playlist: Playlist,
}

/// Makes processors. [`build`] makes those of the built-in nodes; who has others puts itself before it.
pub trait Workshop: Send {
    /// [control thread] Makes a processor, with all the memory that it will need.
    fn build(&mut self, order: Order<'_>) -> Built;

    /// Whether a stage's work is done by somebody else and may be late, and what is heard then.
    fn lateness(&self, _stage: Stage, _node: &Node) -> Option<Lateness> {
        None
    }
}

/// The workshop of the built-in nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

impl Workshop for BuiltIn {
    fn build(&mut self, order: Order<'_>) -> Built {
        build(order)
    }
}

/// [control thread] Makes the processor of a stage of a built-in node.
pub fn build(order: Order<'_>) -> Built {
    let Order { stage, node, rate, tempo, signature, control, max_block, playlist } = order;
    let silent = |processor: Box<dyn Processor>| Built { processor, meter: None };
    match stage {
        Stage::Player => silent(Box::new(player::Player::new(node.channels, max_block, playlist))),
        Stage::Source | Stage::FeedbackIn | Stage::FeedbackOut => silent(Box::new(through::Through)),
        Stage::Whole(NodeKind::Input | NodeKind::Output) => silent(Box::new(through::Through)),
        Stage::Whole(NodeKind::Tone) => silent(Box::new(tone::Tone::new(node, rate))),
        Stage::Whole(NodeKind::Click) => {
            silent(Box::new(click::Click::new(node, rate, (tempo, signature), max_block)))
        }
        Stage::Whole(NodeKind::Delay) => {
            silent(Box::new(delay::Delay::new(node.channels, number(node, "frames") as u64)))
        }
        Stage::Whole(NodeKind::Eq) => silent(Box::new(eq::Eq::new(node, rate))),
        Stage::Whole(NodeKind::Dynamics) => {
            let dynamics = dynamics::Dynamics::new(node, rate);
            let meter = dynamics.meter();
            Built { processor: Box::new(dynamics), meter: Some(meter) }
        }
        Stage::Whole(NodeKind::Master) => {
            let master = master::Master::new(node, control, rate, max_block);
            let meter = master.meter();
            Built { processor: Box::new(master), meter: Some(meter) }
        }
        Stage::Strip | Stage::Whole(_) => {
            let strip = strip::Strip::new(node, control, rate, max_block);
            let meter = strip.meter();
            Built { processor: Box::new(strip), meter: Some(meter) }
        }
    }
}
