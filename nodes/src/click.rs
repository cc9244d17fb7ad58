//! A metronome.

use std::{f64::consts::TAU, ops::Range};

use aulos_protocol::{Bpm, Node, Rate, Signature, Value};

use crate::{Cycle, Fade, Io, Processor, Progress, Segment, Setting, factor, number};

/// How long a click sounds, in seconds.
const LENGTH: f64 = 0.03;
/// Channel 10, on which keys are percussion.
const NOTE_ON: u8 = 0x99;
const NOTE_OFF: u8 = 0x89;
/// High and low wood block of General MIDI, for accents, beats and soft beats.
const KEYS: [u8; 3] = [76, 77, 77];
const VELOCITIES: [u8; 3] = [127, 100, 60];
/// Frequency and level of the same.
const SOUNDS: [(f64, f64); 3] = [(1760.0, 1.0), (880.0, 0.5), (880.0, 0.25)];

/// What sounds in a bar, step by step: the number of a sound.
#[derive(Clone, Copy, PartialEq)]
struct Pattern {
    steps: [Option<u8>; Pattern::MOST],
    len: usize,
}

impl Pattern {
    /// As many steps as a bar can have beats.
    const MOST: usize = Signature::MOST_BEATS as usize;

    /// An accent, and `beats` − 1 beats.
    fn plain(beats: usize) -> Self {
        let mut steps = [Some(1); Self::MOST];
        steps[0] = Some(0);
        Self { steps, len: beats.clamp(1, Self::MOST) }
    }

    /// As it was written; `None` for `auto`.
    fn written(node: &Node) -> Option<Self> {
        let Some(Value::Name(text)) = node.params.get("pattern") else { return None };
        let mut pattern = Self { steps: [None; Self::MOST], len: text.as_str().len() };
        for (step, letter) in pattern.steps.iter_mut().zip(text.as_str().bytes()) {
            *step = match letter {
                b'X' => Some(0),
                b'x' => Some(1),
                b'o' => Some(2),
                b'.' => None,
                _ => return None,
            };
        }
        Some(pattern)
    }
}

/// Where steps are: how many frames each takes, and what sounds.
#[derive(Clone, Copy, PartialEq)]
struct Grid {
    step: f64,
    pattern: Pattern,
}

/// What a grid follows from.
#[derive(Clone, Copy)]
struct Bar {
    rate: f64,
    tempo: f64,
    signature: Signature,
    /// Beats in a bar instead of the signature's, if not 0.
    beats: f64,
    pattern: Option<Pattern>,
}

impl Bar {
    fn grid(&self) -> Grid {
        let beats = if self.beats == 0.0 { f64::from(self.signature.beats()) } else { self.beats };
        let beat = 60.0 * self.rate / self.tempo * self.signature.quarters_per_beat();
        match self.pattern {
            Some(pattern) => Grid { step: beat * beats / pattern.len as f64, pattern },
            None => Grid { step: beat, pattern: Pattern::plain(beats as usize) },
        }
    }
}

impl Grid {
    /// The first frame of a step.
    fn begins(&self, step: u64) -> u64 {
        (step as f64 * self.step).round() as u64
    }

    /// The step that a position is in. Steps begin on whole frames, so dividing may miss it by one.
    fn step_at(&self, position: u64) -> u64 {
        let near = (position as f64 / self.step) as u64;
        (near.saturating_sub(1)..=near + 1).rev().find(|step| self.begins(*step) <= position).unwrap_or(0)
    }

    /// The number of the sound of a step, if it has one.
    fn voice(&self, step: u64) -> Option<usize> {
        self.pattern.steps[(step % self.pattern.len as u64) as usize].map(usize::from)
    }

    /// Calls `each` with every piece of a step in a segment: the offset in the block, the frames, the step, and
    /// how old it is.
    fn pieces(&self, segment: &Segment, mut each: impl FnMut(usize, usize, u64, u64)) {
        let mut passed = 0;
        while passed < segment.len {
            let position = segment.position + passed as u64;
            let step = self.step_at(position);
            let rest = self.begins(step + 1) - position;
            let len = (segment.len - passed).min(rest as usize);
            each(segment.offset + passed, len, step, position - self.begins(step));
            passed += len;
        }
    }
}

/// How many grids can fade out at once; the oldest goes when there are more.
const LEAVING: usize = 4;

/// Clicks on the beats of the timeline: what it plays depends on the position only, so that loops, locates and
/// renders are exact. Another tempo or bar is another grid, with a crossfade.
pub struct Click {
    bar: Bar,
    /// By frame.
    sounds: [Vec<f32>; 3],
    grid: Grid,
    fade: Fade,
    /// The grids before, the latest first.
    leaving: [(Grid, Fade); LEAVING],
    level: Fade,
    /// One course of the timeline, while there are several.
    course: Vec<f32>,
    /// The key of the note that sounds, and the engine's frame at which it ends.
    note: Option<(u8, u64)>,
}

impl Click {
    pub(crate) fn new(
        node: &Node,
        rate: Rate,
        (tempo, signature): (Bpm, Signature),
        max_block: usize,
    ) -> Self {
        let rate = f64::from(rate.hz());
        let bar = Bar {
            rate,
            tempo: tempo.get(),
            signature,
            beats: number(node, "beats"),
            pattern: Pattern::written(node),
        };
        let grid = bar.grid();
        Self {
            bar,
            sounds: SOUNDS.map(|(frequency, gain)| sound(rate, frequency, gain)),
            grid,
            fade: Fade::still(1.0),
            leaving: [(grid, Fade::still(0.0)); LEAVING],
            level: Fade::still(factor(number(node, "level"))),
            course: vec![0.0; max_block],
            note: None,
        }
    }

    /// Goes over to the grid that follows from the meter.
    fn change(&mut self, setting: &Setting) {
        let grid = self.bar.grid();
        if grid == self.grid {
            return;
        }
        let (frame, len) = (setting.frame, setting.fade);
        let mut out = self.fade;
        out.turn(0.0, frame, frame, len);
        self.leaving.rotate_right(1);
        self.leaving[0] = (self.grid, out);
        (self.grid, self.fade) = (grid, Fade::new(0.0, 1.0, frame, len));
    }

    /// Adds what one course of the timeline sounds like within a stretch to `out`, which was cleared.
    fn play(&self, segments: &[Segment], stretch: &Range<usize>, frame: u64, out: &mut [f32]) {
        let leaving = self.leaving.iter().filter(|(_, fade)| !fade.is_silent(frame + stretch.start as u64));
        for (grid, fade) in std::iter::once(&(self.grid, self.fade)).chain(leaving) {
            for segment in segments.iter().filter_map(|segment| segment.within(stretch.start, stretch.end)) {
                if !segment.rolling {
                    continue;
                }
                grid.pieces(&segment, |offset, len, step, age| {
                    let Some(voice) = grid.voice(step) else { return };
                    let sound = self.sounds[voice].iter().skip(age as usize);
                    fade_in(&mut out[offset..offset + len], sound, fade, frame + offset as u64);
                });
            }
        }
    }

    /// The notes of a segment of the present course; a note that is cut off by a jump ends there.
    fn notes(&mut self, segment: &Segment, is_cut: bool, frame: u64, out: &mut impl FnMut(usize, &[u8])) {
        let at = |offset: usize| frame + offset as u64;
        if is_cut || !segment.rolling {
            self.end_note(at(segment.offset), frame, out);
        }
        if !segment.rolling {
            return;
        }
        let length = self.sounds[0].len() as u64;
        let grid = self.grid;
        grid.pieces(segment, |offset, _, step, age| {
            let Some(voice) = grid.voice(step).filter(|_| age == 0) else { return };
            self.end_note(at(offset), frame, out);
            out(offset, &[NOTE_ON, KEYS[voice], VELOCITIES[voice]]);
            self.note = Some((KEYS[voice], at(offset) + length));
        });
    }

    /// Ends the note that sounds, at its end or at `now` if that is earlier.
    fn end_note(&mut self, now: u64, frame: u64, out: &mut impl FnMut(usize, &[u8])) {
        if let Some((key, end)) = self.note.take() {
            out((end.min(now).saturating_sub(frame)) as usize, &[NOTE_OFF, key, 0]);
        }
    }

    /// What is heard and said within a stretch of the block.
    fn render(&mut self, cycle: &Cycle<'_>, stretch: Range<usize>, io: &mut Io<'_>) {
        let mut course = std::mem::take(&mut self.course);
        let out = io.output(0);
        let first = cycle.frame + stretch.start as u64;
        match cycle.views {
            [view] if view.fade.is_still(cycle.frame) && view.fade.target() == 1.0 => {
                self.play(view.segments, &stretch, cycle.frame, out);
            }
            views => {
                for view in views.iter().filter(|view| view.segments.iter().any(|s| s.rolling)) {
                    course[stretch.clone()].fill(0.0);
                    self.play(view.segments, &stretch, cycle.frame, &mut course);
                    // A click has nothing in front of it: its stage time is the engine's.
                    view.fade.add(first, &course[stretch.clone()], &mut out[stretch.clone()]);
                }
            }
        }
        let level = self.level;
        out[stretch.clone()].iter_mut().zip(first..).for_each(|(y, n)| *y *= level.at(n));
        self.course = course;
        let mut midi = io.midi_out(0);
        let mut say = |at: usize, message: &[u8]| {
            if let Some(out) = &mut midi {
                out.push(at, message);
            }
        };
        for view in cycle.views {
            for segment in view.present_segments() {
                let begins = view.begins && segment.offset == view.present.0;
                if let Some(part) = segment.within(stretch.start, stretch.end) {
                    self.notes(&part, begins && part.offset == segment.offset, cycle.frame, &mut say);
                }
            }
        }
    }
}

/// A time signature as the number of a setting.
pub fn signature_number(signature: Signature) -> f64 {
    f64::from(u16::from(signature.beats()) << 8 | u16::from(signature.unit()))
}

fn signature(number: f64) -> Signature {
    let number = number as u16;
    Signature::new((number >> 8) as u8, number as u8).unwrap_or_default()
}

/// Adds a sound at a gain that may move.
fn fade_in<'a>(out: &mut [f32], sound: impl Iterator<Item = &'a f32>, fade: &Fade, frame: u64) {
    if fade.is_still(frame) && fade.target() == 1.0 {
        out.iter_mut().zip(sound).for_each(|(y, x)| *y += x);
    } else {
        out.iter_mut().zip(sound).zip(frame..).for_each(|((y, x), n)| *y += x * fade.at(n));
    }
}

/// A sine that dies away with the square of what is left of it.
fn sound(rate: f64, frequency: f64, gain: f64) -> Vec<f32> {
    let frames = (LENGTH * rate) as u64;
    let sample = |age: u64| {
        let x = 1.0 - age as f64 / frames as f64;
        ((TAU * frequency * age as f64 / rate).sin() * x * x * gain) as f32
    };
    (0..frames).map(sample).collect()
}

impl Processor for Click {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        io.output(0).fill(0.0);
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            self.render(cycle, stretch, io);
        }
        let end = cycle.frame + cycle.frames as u64;
        if let Some((key, at)) = self.note.filter(|(_, at)| *at < end) {
            self.note = None;
            if let Some(out) = io.midi_out(0) {
                out.push(at.saturating_sub(cycle.frame) as usize, &[NOTE_OFF, key, 0]);
            }
        }
        io.copy_first_output();
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        match setting.param {
            "level" => {
                self.level.turn(factor(setting.value), setting.frame, setting.frame, setting.fade);
            }
            "beats" => {
                self.bar.beats = setting.value;
                self.change(setting);
            }
            "tempo" => {
                self.bar.tempo = setting.value;
                self.change(setting);
            }
            "signature" => {
                self.bar.signature = signature(setting.value);
                self.change(setting);
            }
            _ => {}
        }
    }
}
