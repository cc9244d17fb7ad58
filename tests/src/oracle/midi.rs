//! Messages: what enters a stage, and what a tone makes of it.

use aulos_protocol::Rate;

use super::{Record, law::sine, wiring::Term};

/// A MIDI message and its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The frame at which it is heard or said.
    pub frame: u64,
    /// The status and the data.
    pub bytes: [u8; 3],
}

/// What enters a stage at `frame`, of everything that was `said` by the stages.
pub(super) fn merged(terms: &[Term], said: &[Record], frame: u64) -> Vec<Message> {
    let mut merged = Vec::new();
    for term in terms.iter().filter(|term| term.gain != 0.0) {
        let arrived = said[term.stage].midi.iter().filter(|message| message.frame + term.delay == frame);
        merged.extend(arrived.map(|message| Message { frame, ..*message }));
    }
    merged
}

/// A tone that sounds while a note is held.
#[derive(Debug)]
pub(crate) struct Notes {
    /// Turns a frame, in 2^-64, before the first note.
    increment: u64,
    rate: Rate,
}

/// A gain that goes from one value to another.
struct Line {
    from: f32,
    to: f32,
    since: u64,
    length: u64,
}

impl Line {
    fn at(&self, frame: u64) -> f32 {
        let passed = frame - self.since;
        if passed >= self.length {
            return self.to;
        }
        self.from + (self.to - self.from) * (passed as f32 / self.length as f32)
    }

    fn turn(&mut self, frame: u64, to: f32) {
        *self = Self { from: self.at(frame), to, since: frame, length: self.length };
    }
}

impl Notes {
    pub(crate) fn new(frequency: f64, rate: Rate) -> Self {
        Self { increment: increment(frequency, rate), rate }
    }

    /// The sine and its envelope at `frame`, after everything that was `heard` until then.
    pub(crate) fn at(&self, frame: u64, heard: &[Message]) -> (f32, f32) {
        let (mut phase, mut since, mut step) = (0u64, 0, self.increment);
        let mut envelope = Line { from: 0.0, to: 0.0, since: 0, length: self.rate.frames_in_ms(5.0) };
        let mut held = None;
        for Message { frame, bytes: [status, number, value] } in heard {
            match (status >> 4, *value) {
                (0x9, 1..) => {
                    phase = phase.wrapping_add(step.wrapping_mul(frame - since));
                    since = *frame;
                    let octaves = (f64::from(*number) - 69.0) / 12.0;
                    step = increment(440.0 * 2f64.powf(octaves), self.rate);
                    envelope.turn(*frame, f32::from(*value) / 127.0);
                    held = Some(*number);
                }
                (0x8, _) | (0x9, 0) if held == Some(*number) => {
                    envelope.turn(*frame, 0.0);
                    held = None;
                }
                (0xb, _) if matches!(number, 120 | 123) && held.is_some() => {
                    envelope.turn(*frame, 0.0);
                    held = None;
                }
                _ => {}
            }
        }
        (sine(phase.wrapping_add(step.wrapping_mul(frame - since))), envelope.at(frame))
    }
}

/// Turns a frame of a frequency, in 2^-64.
pub(super) fn increment(frequency: f64, rate: Rate) -> u64 {
    ((frequency / f64::from(rate.hz())) * 2f64.powi(64)) as u64
}
