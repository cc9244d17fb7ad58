//! Summing and merging what enters an input.

use aulos_nodes::{Cycle, MidiBuffer};

use super::{gain::Level, slot::Token};
use crate::plan::{Input, MidiInput, SILENCE, Term};

/// [audio thread] Sums the terms of `input` for a block in the time of the stage that it belongs to, and answers with
/// the buffer that the sum is in: the input's own, or the one of a single term that is taken as it is.
pub fn mix(input: &Input, pool: &mut [Vec<f32>], token: &mut Token, cycle: &Cycle<'_>) -> usize {
    let (frame, end) = (cycle.frame, cycle.frame + cycle.frames as u64);
    if let [term] = input.terms.as_slice()
        && term.line.is_none()
    {
        let gain = term.gain.get(token);
        if gain.at(frame, cycle).is_unity(frame) && gain.next(frame, cycle) >= end {
            return term.buffer;
        }
    }
    if input.terms.iter().all(|term| {
        let gain = term.gain.get(token);
        !gain.at(frame, cycle).sounds(frame) && gain.next(frame, cycle) >= end
    }) {
        return SILENCE;
    }
    let mut out = std::mem::take(&mut pool[input.buffer]);
    let mut from = 0;
    while from < cycle.frames {
        let now = frame + from as u64;
        let mut until = end;
        for term in &input.terms {
            until = until.min(term.gain.get(token).next(now, cycle));
        }
        let to = (until - frame) as usize;
        let mut first = true;
        for term in &input.terms {
            let level = term.gain.get(token).at(now, cycle);
            if level.sounds(now) {
                let stretch = Stretch { frame, frames: cycle.frames, from, to };
                add(term, &level, pool, token, stretch, first, &mut out[from..to]);
                first = false;
            }
        }
        if first {
            out[from..to].fill(0.0);
        }
        from = to;
    }
    pool[input.buffer] = out;
    input.buffer
}

/// A part of a block.
struct Stretch {
    frame: u64,
    frames: usize,
    from: usize,
    to: usize,
}

/// Assigns the first term and adds the others.
fn add(
    term: &Term,
    level: &Level,
    pool: &[Vec<f32>],
    token: &mut Token,
    stretch: Stretch,
    first: bool,
    out: &mut [f32],
) {
    let Stretch { frame, frames, from, to } = stretch;
    let (a, b): (&[f32], &[f32]) = match &term.line {
        Some(line) => line.get(token).tap(term.id.delay as usize, frames, from, to),
        None => (&pool[term.buffer][from..to], &[]),
    };
    let now = frame + from as u64;
    let (out_a, out_b) = out.split_at_mut(a.len());
    for (samples, out, now) in [(a, out_a, now), (b, out_b, now + a.len() as u64)] {
        if first {
            level.apply(now, samples, out);
        } else {
            level.add(now, samples, out);
        }
    }
}

/// [audio thread] Merges what enters a MIDI input in a block in its stage's time: by frame, then in the order of
/// summing. Answers how many messages were dropped.
pub fn merge(input: &MidiInput, pool: &mut [MidiBuffer], token: &mut Token, cycle: &Cycle<'_>) -> u64 {
    let mut out = std::mem::take(&mut pool[input.buffer]);
    out.clear();
    let mut dropped = 0;
    for term in &input.terms {
        // A gate moves on whether or not anything passes it.
        term.gate.get(token).at(cycle.frame, cycle);
        let line = term.line.get(token);
        line.hear(&pool[term.buffer], cycle.frame, term.delay);
        dropped += line.take_dropped();
    }
    let end = cycle.frame + cycle.frames as u64;
    loop {
        let mut first = None;
        for (place, term) in input.terms.iter().enumerate() {
            let closes = term.gate.get(token).closes(cycle);
            let next = term.line.get(token).next(closes);
            first = [first, next.map(|next| (next, place))].into_iter().flatten().min();
        }
        let Some((next, place)) = first.filter(|(next, _)| *next < end) else { break };
        let term = &input.terms[place];
        let gate = term.gate.get(token);
        let (closes, is_open) = (gate.closes(cycle), gate.at(next, cycle).is_open(next));
        let at = next.saturating_sub(cycle.frame) as usize;
        if !term.line.get(token).step(closes <= next, is_open, at, &mut out) {
            break;
        }
    }
    pool[input.buffer] = out;
    dropped
}
