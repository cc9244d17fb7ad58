//! A metronome.

use std::{f64::consts::TAU, ops::Range};

use aulos_protocol::{Bpm, Node, Rate};

use crate::{Cycle, Fade, Io, Processor, Progress, Segment, Setting, factor, number};

/// How long a click sounds, in seconds.
const LENGTH: f64 = 0.03;
/// Channel 10, on which keys are percussion.
const NOTE_ON: u8 = 0x99;
const NOTE_OFF: u8 = 0x89;
/// High and low wood block of General MIDI.
const KEYS: [u8; 2] = [76, 77];
const VELOCITIES: [u8; 2] = [127, 100];

/// Where beats are: frames in a beat, and beats in a bar.
#[derive(Clone, Copy, PartialEq)]
struct Grid {
    beat: f64,
    beats: u64,
}

impl Grid {
    /// The first frame of a beat.
    fn begins(&self, beat: u64) -> u64 {
        (beat as f64 * self.beat).round() as u64
    }

    /// The beat that a position is in. Beats begin on whole frames, so dividing may miss it by one.
    fn beat_at(&self, position: u64) -> u64 {
        let near = (position as f64 / self.beat) as u64;
        (near.saturating_sub(1)..=near + 1).rev().find(|beat| self.begins(*beat) <= position).unwrap_or(0)
    }

    /// 0 for an accented beat, 1 for the others.
    fn voice(&self, beat: u64) -> usize {
        usize::from(!beat.is_multiple_of(self.beats))
    }

    /// Calls `each` with every piece of a beat in a segment: the offset in the block, the frames, the beat, and
    /// how old it is.
    fn pieces(&self, segment: &Segment, mut each: impl FnMut(usize, usize, u64, u64)) {
        let mut passed = 0;
        while passed < segment.len {
            let position = segment.position + passed as u64;
            let beat = self.beat_at(position);
            let rest = self.begins(beat + 1) - position;
            let len = (segment.len - passed).min(rest as usize);
            each(segment.offset + passed, len, beat, position - self.begins(beat));
            passed += len;
        }
    }
}

/// How many grids can fade out at once; the oldest goes when there are more.
const LEAVING: usize = 4;

/// Clicks on the beats of the timeline: what it plays depends on the position only, so that loops, locates and
/// renders are exact. Another tempo or bar is another grid, with a crossfade.
pub struct Click {
    rate: f64,
    /// The sound of an accented beat and of the others, by frame.
    sounds: [Vec<f32>; 2],
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
    pub(crate) fn new(node: &Node, rate: Rate, tempo: Bpm, max_block: usize) -> Self {
        let rate = f64::from(rate.hz());
        let grid = Grid { beat: 60.0 * rate / tempo.get(), beats: number(node, "beats") as u64 };
        Self {
            rate,
            sounds: [sound(rate, 1760.0, 1.0), sound(rate, 880.0, 0.5)],
            grid,
            fade: Fade::still(1.0),
            leaving: [(grid, Fade::still(0.0)); LEAVING],
            level: Fade::still(factor(number(node, "level"))),
            course: vec![0.0; max_block],
            note: None,
        }
    }

    fn change(&mut self, grid: Grid, setting: &Setting) {
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
                grid.pieces(&segment, |offset, len, beat, age| {
                    let sound = self.sounds[grid.voice(beat)].iter().skip(age as usize);
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
        let mut begin = [(0, 0); 64];
        let mut found = 0;
        self.grid.pieces(segment, |offset, _, beat, age| {
            if age == 0 && found < begin.len() {
                begin[found] = (offset, beat);
                found += 1;
            }
        });
        for (offset, beat) in &begin[..found] {
            self.end_note(at(*offset), frame, out);
            let voice = self.grid.voice(*beat);
            out(*offset, &[NOTE_ON, KEYS[voice], VELOCITIES[voice]]);
            self.note = Some((KEYS[voice], at(*offset) + length));
        }
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
            "beats" => self.change(Grid { beats: setting.value as u64, ..self.grid }, setting),
            "tempo" => self.change(Grid { beat: 60.0 * self.rate / setting.value, ..self.grid }, setting),
            _ => {}
        }
    }
}
