//! A sine.

use std::f64::consts::TAU;

use aulos_protocol::{Decibels, Node, Rate};

use crate::{Cycle, Fade, Io, Processor, Progress, Setting, number};

/// A sine whose phase is a function of the engine's frame: the same at any block size, and in step with
/// every other tone of its frequency. A new frequency continues the phase.
pub struct Tone {
    rate: f64,
    /// Phase in 2^-64 turns at the frame `since`.
    phase: u64,
    since: u64,
    /// Turns a frame, in 2^-64.
    step: u64,
    level: Fade,
}

impl Tone {
    pub(crate) fn new(node: &Node, rate: Rate) -> Self {
        let rate = f64::from(rate.hz());
        Self {
            rate,
            phase: 0,
            since: 0,
            step: step(number(node, "frequency"), rate),
            level: Fade::still(factor(number(node, "level"))),
        }
    }

    fn phase_at(&self, frame: u64) -> u64 {
        self.phase.wrapping_add(self.step.wrapping_mul(frame.wrapping_sub(self.since)))
    }
}

fn step(frequency: f64, rate: f64) -> u64 {
    ((frequency / rate) * 2f64.powi(64)) as u64
}

fn factor(db: f64) -> f32 {
    Decibels::new(db).unwrap_or(Decibels::SILENCE).factor()
}

/// The 53 upper bits of the phase are what an `f64` holds exactly.
fn sine(phase: u64) -> f32 {
    ((phase >> 11) as f64 / (1u64 << 53) as f64 * TAU).sin() as f32
}

impl Processor for Tone {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        if io.outputs() == 0 {
            return Progress::Done;
        }
        let mut phase = self.phase_at(cycle.frame);
        for (y, frame) in io.output(0).iter_mut().zip(cycle.frame..) {
            *y = sine(phase) * self.level.at(frame);
            phase = phase.wrapping_add(self.step);
        }
        let (first, rest) = io.outputs.split_at_mut(1);
        for channel in rest {
            channel[..cycle.frames].copy_from_slice(&first[0][..cycle.frames]);
        }
        Progress::Done
    }

    fn set(&mut self, setting: Setting) {
        match setting.param {
            "frequency" => {
                self.phase = self.phase_at(setting.frame);
                self.since = setting.frame;
                self.step = step(setting.value, self.rate);
            }
            "level" => {
                self.level.turn(factor(setting.value), setting.frame, setting.frame, setting.fade);
            }
            _ => {}
        }
    }
}
