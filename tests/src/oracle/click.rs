//! The metronome.

use std::f64::consts::TAU;

use aulos_protocol::{Bpm, Rate};

use super::{law::Now, midi::Message};

/// A click at every beat of the timeline, as a sound and as a note.
#[derive(Debug)]
pub(crate) struct Click {
    pub rate: Rate,
    pub tempo: Bpm,
    /// Beats in a bar.
    pub beats: u64,
}

impl Click {
    /// How long a click sounds, in frames.
    fn length(&self) -> u64 {
        (0.03 * f64::from(self.rate.hz())) as u64
    }

    /// Where the beat `number` begins.
    fn begin(&self, number: u64) -> u64 {
        let length = 60.0 * f64::from(self.rate.hz()) / self.tempo.get();
        (number as f64 * length).round() as u64
    }

    /// How many frames ago the present beat began, and whether it is accented.
    fn beat(&self, position: u64) -> (u64, bool) {
        // A beat takes six seconds at most and so is found in a few steps from an estimate that is no more.
        let length = 60.0 * f64::from(self.rate.hz()) / self.tempo.get();
        let mut number = ((position as f64 / length) as u64).saturating_sub(2);
        while self.begin(number + 1) <= position {
            number += 1;
        }
        (position - self.begin(number), number.is_multiple_of(self.beats))
    }

    pub(crate) fn sample(&self, position: Option<u64>) -> f32 {
        let Some(position) = position else { return 0.0 };
        let (age, is_accented) = self.beat(position);
        if age >= self.length() {
            return 0.0;
        }
        let (frequency, gain) = if is_accented { (1760.0, 1.0) } else { (880.0, 0.5) };
        let rate = f64::from(self.rate.hz());
        let x = 1.0 - age as f64 / self.length() as f64;
        ((TAU * frequency * age as f64 / rate).sin() * x * x * gain) as f32
    }

    /// What it says `now`, after what it has `said` before.
    pub(crate) fn messages(&self, now: Now, said: &[Message]) -> Vec<Message> {
        let frame = now.frame as u64;
        let beat = now.position.map(|position| self.beat(position)).filter(|(age, _)| *age == 0);
        let mut messages = Vec::new();
        if let Some(Message { frame: begun, bytes: [0x99, number, _] }) = said.last()
            && (beat.is_some() || frame == begun + self.length())
        {
            messages.push(Message { frame, bytes: [0x89, *number, 0] });
        }
        if let Some((_, is_accented)) = beat {
            let [number, velocity] = if is_accented { [76, 127] } else { [77, 100] };
            messages.push(Message { frame, bytes: [0x99, number, velocity] });
        }
        messages
    }
}
