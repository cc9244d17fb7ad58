//! What a session must sound like: a naive evaluator that the engine is compared with, bit for bit.
//!
//! It computes one frame after the other, and in each frame one stage after the other, and remembers
//! everything that was ever heard or said. There is no plan, no block and no reuse of memory, and nothing is
//! shared with the engine: a mistake would have to be made twice to go unnoticed. All arithmetic is `f32` in the
//! order in which it is written here, without fused multiply-add.
//!
//! - `wiring` says what each stage hears, `arrival` how late, and `solo` what of it is shut.
//! - `law` says what each stage makes of it; `click` and `midi` are a part of that. Filters and dynamics are not
//!   made twice: `kernel` asks the built-in processors frame by frame, which are tested against their definitions.
//!
//! The transport stands still or rolls from the first frame on; nothing is edited, so nothing fades.

pub(crate) mod arrival;
mod click;
pub(crate) mod control;
mod kernel;
pub(crate) mod law;
mod midi;
mod solo;
pub(crate) mod wiring;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use aulos_nodes::Pcm;
use aulos_protocol::{NodeId, NodeKind, PortRef, Session, params};

use law::{Law, Now};
pub use midi::Message;
use wiring::{Term, Wiring};

/// How the transport stands at frame 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The position on the timeline.
    pub position: u64,
    /// Whether it moves from there.
    pub rolling: bool,
    /// The first frame of the loop and the one after its last; without effect unless the first is less.
    pub loop_range: Option<(u64, u64)>,
}

/// What a session sounds like.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The channels that the driver plays.
    pub playback: Vec<Vec<f32>>,
    /// What leaves each output port for audio.
    pub ports: BTreeMap<(NodeId, String), Vec<f32>>,
    /// What leaves each output port for MIDI.
    pub midi: BTreeMap<(NodeId, String), Vec<Message>>,
    /// The arrival of each stage, in frames: `player`, `source` and `strip` of a track, `in` and `out` of a
    /// feedback, and the one stage of any other node, which is named like its kind.
    pub arrivals: BTreeMap<(NodeId, &'static str), u64>,
    /// The links that do not arrive when their destination does, in the order of their numbers.
    pub unaligned: Vec<Unaligned>,
    /// How many samples of each stage were replaced by 0, where there are any.
    pub zeroed: BTreeMap<(NodeId, &'static str), u64>,
}

/// A link that does not arrive when its destination does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unaligned {
    /// Where the link comes from.
    pub from: PortRef,
    /// Where it leads to.
    pub to: PortRef,
    /// By how many frames it is early; negative if it is late.
    pub early: i64,
}

/// Everything that entered or left a stage.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// By channel and frame.
    pub audio: Vec<Vec<f32>>,
    pub midi: Vec<Message>,
}

impl Record {
    fn new(channels: usize) -> Self {
        Self { audio: vec![Vec::new(); channels], midi: Vec::new() }
    }
}

/// The first `frames` frames of `session` from a reset.
///
/// `files` finds the audio files of clips by what the clips call them; a file that it does not find is silent.
/// `capture` is what the driver records, by channel; what is missing is 0.
///
/// # Panics
/// If the session is not one that commands can make: a link with an end that does not exist, a cycle, or a loop
/// whose latency is longer than its feedback.
pub fn evaluate(
    session: &Session,
    files: &dyn Fn(&str) -> Option<Arc<Pcm>>,
    start: Start,
    capture: &[Vec<f32>],
    frames: usize,
    playback_channels: usize,
) -> Outcome {
    let Wiring { stages, order } = wiring::wire(session);
    let laws: Vec<_> = stages.iter().map(|stage| Law::of(stage, session, files)).collect();

    let mut heard: Vec<_> = stages.iter().map(|stage| Record::new(stage.inputs.len())).collect();
    let mut said: Vec<_> = stages.iter().map(|stage| Record::new(stage.outputs.len())).collect();
    let mut zeroed = BTreeMap::new();

    let mut position = start.position;
    let mut samples = Vec::new();
    for frame in 0..frames {
        let now = Now { frame, position: start.rolling.then_some(position), capture };
        for &number in &order {
            let stage = &stages[number];
            for (channel, terms) in stage.inputs.iter().enumerate() {
                heard[number].audio[channel].push(sum(terms, &said, frame));
            }
            heard[number].midi.extend(midi::merged(&stage.midi, &said, frame as u64));
            samples.clear();
            laws[number].apply(now, number, &heard, &mut samples);
            for (output, sample) in said[number].audio.iter_mut().zip(&samples) {
                let is_sound = sample.is_normal() || *sample == 0.0;
                output.push(if is_sound { *sample } else { 0.0 });
                if !is_sound {
                    *zeroed.entry((stage.node.id, stage.name)).or_insert(0) += 1;
                }
            }
            let messages = laws[number].messages(now, &heard[number].midi, &said[number].midi);
            said[number].midi.extend(messages);
        }
        position = after(position, start.loop_range);
    }

    let mut outcome = Outcome {
        playback: vec![vec![0.0; frames]; playback_channels],
        ports: BTreeMap::new(),
        midi: BTreeMap::new(),
        arrivals: BTreeMap::new(),
        unaligned: arrival::unaligned(session, &stages),
        zeroed,
    };
    let mut fed = vec![false; playback_channels];
    for ((stage, heard), said) in stages.iter().zip(heard).zip(said) {
        outcome.arrivals.insert((stage.node.id, stage.name), stage.arrival);
        if stage.name != wiring::PLAYER {
            let names = stage.outputs.iter().map(|port| (stage.node.id, port.clone()));
            outcome.ports.extend(names.zip(said.audio));
        }
        outcome
            .midi
            .extend(stage.midi_output.iter().map(|port| ((stage.node.id, port.clone()), said.midi.clone())));
        if stage.node.kind == NodeKind::Output {
            // The stages are in the order of their nodes' numbers, and so are the contributions.
            for (channel, signal) in heard.audio.into_iter().enumerate() {
                let channel = first_channel(stage.node) + channel;
                if channel >= playback_channels {
                    continue;
                }
                for (sum, sample) in outcome.playback[channel].iter_mut().zip(signal) {
                    *sum = if fed[channel] { *sum + sample } else { sample };
                }
                fed[channel] = true;
            }
        }
    }
    outcome
}

/// What enters an input port at `frame`: the first term, and the others added to it one after the other.
fn sum(terms: &[Term], said: &[Record], frame: usize) -> f32 {
    let term = |term: &Term| {
        let sample = match frame.checked_sub(term.delay as usize) {
            Some(then) => said[term.stage].audio[term.output][then],
            None => 0.0,
        };
        sample * term.gain
    };
    // A link at gain 0 passes nothing: it is left out, so that not even a NaN or the sign of a zero comes through.
    let mut sounding = terms.iter().filter(|term| term.gain != 0.0).map(term);
    let Some(first) = sounding.next() else { return 0.0 };
    sounding.fold(first, |sum, other| sum + other)
}

/// The position of the frame after the one at `position`. Who starts at the end of the loop or behind it never
/// comes by its end and so never wraps.
fn after(position: u64, loop_range: Option<(u64, u64)>) -> u64 {
    match loop_range {
        Some((start, end)) if start < end && position + 1 == end => start,
        _ => position + 1,
    }
}

/// The driver's channel (from 0) that the first port of an input or output belongs to.
pub(crate) fn first_channel(node: &aulos_protocol::Node) -> usize {
    params::number(node, "first_channel").map_or(0, |channel| channel as usize - 1)
}
