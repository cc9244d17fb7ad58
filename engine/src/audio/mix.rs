//! Summing and merging what enters an input.

use aulos_nodes::{Fade, MidiBuffer};

use super::{ramp::Ramp, slot::Token};
use crate::plan::{Input, MidiInput, SILENCE, Term};

/// Whether a term is part of the sum at `frame`: not before its first fade-in begins, not after it has faded
/// out, not at gain 0. Terms that are not are left out rather than added as zeros, so that a sum does not
/// depend on how long a plan keeps them.
fn sounds(fade: &Fade, frame: u64) -> bool {
    fade.begins() <= frame && !fade.is_silent(frame)
}

/// The next frame after `frame` at which a term enters or leaves the sum, or turns.
fn next_change(ramp: &mut Ramp, frame: u64) -> u64 {
    let fade = ramp.at(frame);
    let after = |at: u64| if at > frame { at } else { u64::MAX };
    let leaves = if fade.target() == 0.0 { after(fade.end()) } else { u64::MAX };
    after(fade.begins()).min(leaves).min(ramp.next())
}

/// [audio thread] Sums the terms of `input` for the block at `frame` and answers with the buffer that the sum
/// is in: the input's own, or the one of a single term that is taken as it is.
pub fn mix(input: &Input, pool: &mut [Vec<f32>], token: &mut Token, frame: u64, frames: usize) -> usize {
    if let [term] = input.terms.as_slice()
        && term.line.is_none()
    {
        let ramp = term.fade.get(token);
        let fade = ramp.at(frame);
        if fade.target() == 1.0 && fade.is_still(frame) && ramp.next() >= frame + frames as u64 {
            return term.buffer;
        }
    }
    if input.terms.iter().all(|term| {
        let ramp = term.fade.get(token);
        !sounds(&ramp.at(frame), frame) && next_change(ramp, frame) >= frame + frames as u64
    }) {
        return SILENCE;
    }
    let mut out = std::mem::take(&mut pool[input.buffer]);
    let mut from = 0;
    while from < frames {
        let now = frame + from as u64;
        let mut until = frame + frames as u64;
        for term in &input.terms {
            until = until.min(next_change(term.fade.get(token), now));
        }
        let to = (until - frame) as usize;
        let mut first = true;
        for term in &input.terms {
            let fade = term.fade.get(token).at(now);
            if sounds(&fade, now) {
                add(term, &fade, pool, token, Stretch { frame, frames, from, to }, first, &mut out[from..to]);
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
    fade: &Fade,
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
            fade.apply(now, samples, out);
        } else {
            fade.add(now, samples, out);
        }
    }
}

/// [audio thread] Merges what enters a MIDI input in the block at `frame`: by frame, then in the order of summing.
/// Answers how many messages were dropped.
pub fn merge(
    input: &MidiInput,
    pool: &mut [MidiBuffer],
    token: &mut Token,
    frame: u64,
    frames: usize,
) -> u64 {
    let mut out = std::mem::take(&mut pool[input.buffer]);
    out.clear();
    let mut dropped = 0;
    for term in &input.terms {
        // A gate moves on whether or not anything passes it.
        term.gate.get(token).at(frame);
        let line = term.line.get(token);
        line.hear(&pool[term.buffer], frame, term.delay);
        dropped += line.take_dropped();
    }
    let end = frame + frames as u64;
    loop {
        let mut first = None;
        for (place, term) in input.terms.iter().enumerate() {
            let gate = *term.gate.get(token);
            let next = term.line.get(token).next(&gate);
            first = [first, next.map(|next| (next, place))].into_iter().flatten().min();
        }
        let Some((next, place)) = first.filter(|(next, _)| *next < end) else { break };
        let term = &input.terms[place];
        let mut gate = *term.gate.get(token);
        let room = term.line.get(token).step(&mut gate, next, frame, &mut out);
        *term.gate.get(token) = gate;
        if !room {
            break;
        }
    }
    pool[input.buffer] = out;
    dropped
}
