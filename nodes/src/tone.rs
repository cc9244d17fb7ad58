//! A sine.

use std::{f64::consts::TAU, ops::Range};

use aulos_protocol::{Node, Rate};

use crate::{Cycle, Fade, Io, Processor, Progress, Setting, factor, number};

/// How long a note takes to begin and to end, in ms.
const ENVELOPE_MS: f64 = 5.0;

/// A sine whose phase is a function of the engine's frame: the same at any block size, and in step with
/// every other tone of its frequency. A new frequency continues the phase and is reached in steps on the
/// control grid. With `notes` it sounds only while a note is held; the newest counts.
pub struct Tone {
    rate: f64,
    /// Phase in 2^-64 turns at the frame `since`.
    phase: u64,
    since: u64,
    /// Turns a frame, in 2^-64.
    step: u64,
    /// The parameter, in Hz.
    frequency: f64,
    glide: Option<Glide>,
    level: Fade,
    notes: bool,
    /// The key of the note that sounds.
    key: Option<u8>,
    envelope: Fade,
    envelope_frames: u64,
}

/// A frequency on its way to another. It begins at a frame of the engine; its steps lie on the control grid.
#[derive(Clone, Copy)]
struct Glide {
    from: f64,
    to: f64,
    start: u64,
    len: u64,
}

impl Tone {
    pub(crate) fn new(node: &Node, rate: Rate) -> Self {
        let frequency = number(node, "frequency");
        let notes = number(node, "notes") != 0.0;
        let rate_hz = f64::from(rate.hz());
        Self {
            rate: rate_hz,
            phase: 0,
            since: 0,
            step: step(frequency, rate_hz),
            frequency,
            glide: None,
            level: Fade::still(factor(number(node, "level"))),
            notes,
            key: None,
            envelope: Fade::still(if notes { 0.0 } else { 1.0 }),
            envelope_frames: rate.frames_in_ms(ENVELOPE_MS),
        }
    }

    fn phase_at(&self, frame: u64) -> u64 {
        self.phase.wrapping_add(self.step.wrapping_mul(frame.wrapping_sub(self.since)))
    }

    /// Goes on at another frequency from `frame` on.
    fn tune(&mut self, frequency: f64, frame: u64) {
        self.phase = self.phase_at(frame);
        self.since = frame;
        self.step = step(frequency, self.rate);
    }

    /// Takes the next step of a frequency that moves; `frame` lies on the control grid.
    fn glide(&mut self, frame: u64) {
        let Some(glide) = self.glide else { return };
        let Some(passed) = frame.checked_sub(glide.start) else { return };
        let arrived = passed >= glide.len;
        let part = if arrived { 1.0 } else { passed as f64 / glide.len as f64 };
        let frequency = if arrived { glide.to } else { glide.from + (glide.to - glide.from) * part };
        if !self.notes {
            self.tune(frequency, frame);
        }
        self.frequency = frequency;
        if arrived {
            self.glide = None;
        }
    }

    fn message(&mut self, message: &[u8], frame: u64) {
        let &[status, key, velocity] = message else { return };
        match (status & 0xf0, velocity) {
            (0x90, 1..) => {
                self.key = Some(key);
                self.tune(440.0 * 2f64.powf((f64::from(key) - 69.0) / 12.0), frame);
                self.envelope.turn(f32::from(velocity) / 127.0, frame, frame, self.envelope_frames);
            }
            (0x80 | 0x90, _) if self.key == Some(key) => self.release(frame),
            (0xb0, _) if key == 120 || key == 123 => self.release(frame),
            _ => {}
        }
    }

    fn release(&mut self, frame: u64) {
        if self.key.take().is_some() {
            self.envelope.turn(0.0, frame, frame, self.envelope_frames);
        }
    }

    fn render(&mut self, cycle: &Cycle<'_>, stretch: Range<usize>, out: &mut [f32]) {
        for (piece, on_grid) in cycle.grid(stretch) {
            let first = cycle.frame + piece.start as u64;
            if on_grid {
                self.glide(first);
            }
            let mut phase = self.phase_at(first);
            for (y, frame) in out[piece].iter_mut().zip(first..) {
                *y = sine(phase) * self.level.at(frame) * self.envelope.at(frame);
                phase = phase.wrapping_add(self.step);
            }
        }
    }
}

fn step(frequency: f64, rate: f64) -> u64 {
    ((frequency / rate) * 2f64.powi(64)) as u64
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
        let notes = io.midi_in(0);
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            let mut from = stretch.start;
            if self.notes {
                let within = notes.into_iter().flat_map(|n| n.iter()).filter(|(at, _)| stretch.contains(at));
                for (at, message) in within {
                    self.render(cycle, from..at, io.output(0));
                    from = at;
                    self.message(message, cycle.frame + at as u64);
                }
            }
            self.render(cycle, from..stretch.end, io.output(0));
        }
        io.copy_first_output();
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        match setting.param {
            "frequency" => {
                let start = setting.frame;
                self.glide =
                    Some(Glide { from: self.frequency, to: setting.value, start, len: setting.fade });
            }
            "level" => {
                self.level.turn(factor(setting.value), setting.frame, setting.frame, setting.fade);
            }
            "notes" => {
                self.notes = setting.value != 0.0;
                self.key = None;
                if !self.notes {
                    self.tune(self.frequency, setting.frame);
                }
                let open = if self.notes { 0.0 } else { 1.0 };
                self.envelope.turn(open, setting.frame, setting.frame, setting.fade);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{NodeId, NodeKind, Slug};

    use super::*;

    fn tone() -> Tone {
        let node = Node {
            id: NodeId(1),
            slug: Slug::new("tone").unwrap(),
            kind: NodeKind::Tone,
            channels: 1,
            rank: None,
            params: Default::default(),
            clips: Vec::new(),
            unknown: Default::default(),
        };
        Tone::new(&node, Rate::default())
    }

    fn run(blocks: &[usize], settings: &[Setting]) -> Vec<f32> {
        let mut tone = tone();
        let mut out = Vec::new();
        let mut frame = 0;
        for frames in blocks {
            let end = frame + *frames as u64;
            let due: Vec<_> = settings.iter().copied().filter(|s| (frame..end).contains(&s.frame)).collect();
            let cycle = Cycle { settings: &due, ..Cycle::new(frame, *frames, &[]) };
            let mut outputs = vec![vec![9.0; *frames]];
            tone.start(&cycle, &mut Io::new(&[], &[], &mut outputs, *frames));
            out.append(&mut outputs[0]);
            frame = end;
        }
        out
    }

    #[test]
    fn a_glide_is_the_same_at_any_block_size() {
        let set = |param, value, frame| Setting { param, value, frame, fade: 240 };
        let settings = [set("frequency", 880.0, 17), set("level", -6.0, 100), set("frequency", 200.0, 150)];
        let whole = run(&[1000], &settings);
        assert_eq!(whole, run(&[1; 1000], &settings));
        assert_eq!(whole, run(&[37, 500, 64, 399], &settings));
        let steepest = whole.windows(2).fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
        assert!(steepest < 0.2, "{steepest}");
    }
}
