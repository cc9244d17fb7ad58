//! The metronome.

use std::f64::consts::TAU;

use aulos_protocol::{Node, Rate, Session, Value};

use super::{
    law::{Now, number},
    midi::Message,
};

/// A click at the steps of the timeline's bars, as a sound and as a note.
#[derive(Debug)]
pub(crate) struct Click {
    rate: Rate,
    /// Frames in a step.
    length: f64,
    /// What sounds in the steps of a bar: X, x, o or nothing.
    bar: String,
}

/// Frequency, level, key and velocity.
fn voice(step: char) -> Option<(f64, f64, u8, u8)> {
    match step {
        'X' => Some((1760.0, 1.0, 76, 127)),
        'x' => Some((880.0, 0.5, 77, 100)),
        'o' => Some((880.0, 0.25, 77, 60)),
        _ => None,
    }
}

impl Click {
    pub(crate) fn new(node: &Node, session: &Session) -> Self {
        let beats = match number(node, "beats") as usize {
            0 => usize::from(session.signature.beats()),
            beats => beats,
        };
        let quarter = 60.0 * f64::from(session.rate.hz()) / session.tempo.get();
        let beat = quarter * (4.0 / f64::from(session.signature.unit()));
        let (length, bar) = match node.params.get("pattern") {
            Some(Value::Name(text)) if text.as_str() != "auto" => {
                (beat * beats as f64 / text.as_str().len() as f64, text.as_str().to_owned())
            }
            _ => (beat, format!("X{}", "x".repeat(beats - 1))),
        };
        Self { rate: session.rate, length, bar }
    }

    /// How long a click sounds, in frames.
    fn sounds(&self) -> u64 {
        (0.03 * f64::from(self.rate.hz())) as u64
    }

    /// Where the step `number` begins.
    fn begin(&self, number: u64) -> u64 {
        (number as f64 * self.length).round() as u64
    }

    /// How many frames ago the present step began, and what sounds in it.
    fn step(&self, position: u64) -> (u64, Option<(f64, f64, u8, u8)>) {
        // Found in a few steps from an estimate that is no more.
        let mut number = ((position as f64 / self.length) as u64).saturating_sub(2);
        while self.begin(number + 1) <= position {
            number += 1;
        }
        let step = self.bar.chars().nth((number % self.bar.len() as u64) as usize);
        (position - self.begin(number), step.and_then(voice))
    }

    pub(crate) fn sample(&self, position: Option<u64>) -> f32 {
        let Some(position) = position else { return 0.0 };
        let (age, voice) = self.step(position);
        let Some((frequency, gain, ..)) = voice.filter(|_| age < self.sounds()) else { return 0.0 };
        let rate = f64::from(self.rate.hz());
        let x = 1.0 - age as f64 / self.sounds() as f64;
        ((TAU * frequency * age as f64 / rate).sin() * x * x * gain) as f32
    }

    /// What it says `now`, after what it has `said` before.
    pub(crate) fn messages(&self, now: Now, said: &[Message]) -> Vec<Message> {
        let frame = now.frame as u64;
        let begun = now.position.map(|position| self.step(position)).filter(|(age, _)| *age == 0);
        let begun = begun.and_then(|(_, voice)| voice);
        let mut messages = Vec::new();
        if let Some(Message { frame: last, bytes: [0x99, number, _] }) = said.last()
            && (begun.is_some() || frame == last + self.sounds())
        {
            messages.push(Message { frame, bytes: [0x89, *number, 0] });
        }
        if let Some((_, _, number, velocity)) = begun {
            messages.push(Message { frame, bytes: [0x99, number, velocity] });
        }
        messages
    }
}
