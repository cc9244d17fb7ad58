//! What can be patched: the contract between the engine and the things that it runs, and every built-in node.
//!
//! A node of the session becomes one or more *stages*; each stage is run by a [`Processor`] that lives on the
//! audio thread. [`build`] makes the processor of a stage from the node's data on the control thread.
//! Processors take any block from one frame to the engine's largest and give the same bits at any.

mod contract;
mod delay;
mod fade;
mod meter;
mod player;
mod source;
mod strip;
mod through;
mod tone;

pub use contract::{Cycle, Io, Patch, Processor, Progress, Segment, Setting, View};
pub use fade::Fade;
pub use meter::Meter;
pub use player::{PlacedClip, Playlist};
pub use source::{ClipSource, Pcm};

use std::sync::Arc;

use aulos_protocol::{Node, NodeKind, Rate, params, ports};

/// A part of a node that the scheduler orders by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The clips of a track.
    Player,
    /// What comes into a track and its clips, summed; the insert point follows.
    Source,
    /// The fader of a track.
    Strip,
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
            Self::Whole(kind) => kind.name(),
        }
    }

    /// The stages of a node of `kind`, sources first.
    pub fn of(kind: NodeKind) -> &'static [Stage] {
        use NodeKind::{Bus, Delay, Input, Master, Output, Send, Tone, Track};
        match kind {
            Track => &[Stage::Player, Stage::Source, Stage::Strip],
            Input => &[Stage::Whole(Input)],
            Output => &[Stage::Whole(Output)],
            Bus => &[Stage::Whole(Bus)],
            Send => &[Stage::Whole(Send)],
            Master => &[Stage::Whole(Master)],
            Tone => &[Stage::Whole(Tone)],
            Delay => &[Stage::Whole(Delay)],
        }
    }

    /// The names of the groups of ports by which links enter the stage.
    pub fn input_groups(self) -> &'static [&'static str] {
        match self {
            Self::Player | Self::Whole(NodeKind::Input | NodeKind::Tone) => &[],
            Self::Strip => &["insert_in"],
            Self::Source | Self::Whole(_) => &["in"],
        }
    }

    /// The names of the groups of ports by which links leave the stage. What a player gives to its track and
    /// an output gives to the driver has no ports.
    pub fn output_groups(self) -> &'static [&'static str] {
        match self {
            Self::Player | Self::Whole(NodeKind::Output) => &[],
            Self::Source => &["insert_out"],
            Self::Strip | Self::Whole(NodeKind::Bus) => &["pre", "out"],
            Self::Whole(_) => &["out"],
        }
    }

    /// How many output channels the stage has.
    pub fn outputs(self, node: &Node) -> usize {
        if self == Self::Player || self.is_sink() {
            return usize::from(node.channels);
        }
        let groups = ports::groups(node.kind, node.channels);
        let of_stage = groups
            .iter()
            .filter(|g| g.direction == ports::Direction::Out && self.output_groups().contains(&g.name));
        of_stage.map(|g| usize::from(g.channels)).sum()
    }

    /// How many input channels the stage has.
    pub fn inputs(self, node: &Node) -> usize {
        if self.input_groups().is_empty() { 0 } else { usize::from(node.channels) }
    }

    /// How many frames after hearing them the stage lets its inputs out, as it reports.
    pub fn latency(self, node: &Node) -> u64 {
        match self {
            Self::Whole(NodeKind::Delay) if number(node, "report") != 0.0 => number(node, "frames") as u64,
            _ => 0,
        }
    }

    /// How many frames a new processor takes until its output has nothing of its empty beginning in it.
    pub fn warm_up(self, node: &Node) -> u64 {
        match self {
            Self::Whole(NodeKind::Delay) => number(node, "frames") as u64,
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

/// The processor of a stage, and the meter that it feeds.
pub struct Built {
    /// To be run on the audio thread.
    pub processor: Box<dyn Processor>,
    /// To be read by anybody.
    pub meter: Option<Arc<Meter>>,
}

/// Makes the processor of `stage` of `node` with the node's parameters as they are, nothing fading.
///
/// [control thread] Takes all the memory that the processor will need for blocks of up to `max_block` frames.
pub fn build(stage: Stage, node: &Node, rate: Rate, max_block: usize, playlist: Playlist) -> Built {
    let silent = |processor: Box<dyn Processor>| Built { processor, meter: None };
    match stage {
        Stage::Player => silent(Box::new(player::Player::new(node.channels, max_block, playlist))),
        Stage::Source => silent(Box::new(through::Through)),
        Stage::Whole(NodeKind::Input | NodeKind::Output) => silent(Box::new(through::Through)),
        Stage::Whole(NodeKind::Tone) => silent(Box::new(tone::Tone::new(node, rate))),
        Stage::Whole(NodeKind::Delay) => silent(Box::new(delay::Delay::new(node))),
        Stage::Strip | Stage::Whole(NodeKind::Track | NodeKind::Bus | NodeKind::Send | NodeKind::Master) => {
            let strip = strip::Strip::new(node);
            let meter = strip.meter();
            Built { processor: Box::new(strip), meter: Some(meter) }
        }
    }
}
