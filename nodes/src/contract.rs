//! What the engine and a processor promise each other.

use std::{any::Any, ops::Range};

use crate::{Fade, MidiBuffer};

/// A stretch of a block in which the timeline runs, or stands, without a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first frame within the block.
    pub offset: usize,
    /// Its length in frames, at least 1.
    pub len: usize,
    /// The position on the timeline of its first frame.
    pub position: u64,
    /// Whether the position moves on.
    pub rolling: bool,
    /// Whether the position does not follow from the frame before: the transport was located, or went back at
    /// the end of its loop.
    pub jumped: bool,
}

/// One course of the timeline through a block. While the transport starts, stops or jumps there are two for
/// the length of a fade: what ends and what begins.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The stretches, in order, as far as the course covers the block.
    pub segments: &'a [Segment],
    /// How loud this course is: [`Fade::at`] with stage time.
    pub fade: Fade,
    /// The frames of the block in which this course is the present one. Before, it had not begun; after, it
    /// only fades out.
    pub present: (usize, usize),
    /// Whether it begins in this block, by a start, a stop or a locate.
    pub begins: bool,
}

impl<'a> View<'a> {
    /// A course that is the present one all through a block of `frames` frames.
    pub fn whole(segments: &'a [Segment], frames: usize) -> Self {
        Self { segments, fade: Fade::still(1.0), present: (0, frames), begins: false }
    }

    /// The segments as far as the course is the present one.
    pub fn present_segments(&self) -> impl Iterator<Item = Segment> + use<'a> {
        let (first, last) = self.present;
        self.segments.iter().filter_map(move |segment| segment.within(first, last))
    }
}

impl Segment {
    /// The part of it between two frames of the block.
    pub fn within(&self, first: usize, last: usize) -> Option<Self> {
        let (from, to) = (self.offset.max(first), (self.offset + self.len).min(last));
        let passed = from.checked_sub(self.offset).filter(|_| from < to)?;
        let position = self.position + if self.rolling { passed as u64 } else { 0 };
        let jumped = self.jumped && passed == 0;
        Some(Self { offset: from, len: to - from, position, jumped, ..*self })
    }
}

/// The block that is being run.
#[derive(Clone, Copy, Debug)]
pub struct Cycle<'a> {
    /// The engine's frame at the beginning of the block.
    pub frame: u64,
    /// Frames in the block, 1 to the engine's largest.
    pub frames: usize,
    /// Stage time at the beginning of the block: the engine's frame less the stage's arrival. Timeline, timed
    /// settings and the control grid go by it.
    pub time: i64,
    /// Where in the block stage time jumps because the stage's arrival changed, and what it is from there on.
    pub jump: Option<(usize, i64)>,
    /// The courses of the timeline in stage time, the present one last.
    pub views: &'a [View<'a>],
    /// Parameters that move within the block, in order; [`Setting::frame`] lies in the block.
    pub settings: &'a [Setting],
}

/// Work at control rate (coefficients, steps of smoothed values) is done once in so many frames of stage time.
pub const CONTROL_GRID: i64 = 32;

impl<'a> Cycle<'a> {
    /// A block at the engine's frame `frame`, in which stage time is the engine's time and nothing moves.
    pub fn new(frame: u64, frames: usize, views: &'a [View<'a>]) -> Self {
        Self { frame, frames, time: frame as i64, jump: None, views, settings: &[] }
    }

    /// Stage time at a frame of the block.
    pub fn time_at(&self, offset: usize) -> i64 {
        match self.jump {
            Some((from, time)) if offset >= from => time + (offset - from) as i64,
            _ => self.time + offset as i64,
        }
    }

    /// The first frame of the block at which stage time has come to `time`.
    pub fn offset_of(&self, time: i64) -> Option<usize> {
        let until = |end: usize, from: usize, first: i64| {
            let offset = from as i64 + (time - first).max(0);
            (offset < end as i64).then_some(offset as usize)
        };
        match self.jump {
            Some((jump, after)) => until(jump, 0, self.time).or_else(|| until(self.frames, jump, after)),
            None => until(self.frames, 0, self.time),
        }
    }

    /// The block cut where a setting begins: each stretch with the settings that begin with it.
    pub fn stretches(&self) -> impl Iterator<Item = (Range<usize>, &'a [Setting])> + use<'a> {
        let (frame, frames, settings) = (self.frame, self.frames, self.settings);
        let offset = move |setting: &Setting| (setting.frame.saturating_sub(frame) as usize).min(frames);
        let (mut from, mut next) = (0, 0);
        std::iter::from_fn(move || {
            if from >= frames {
                return None;
            }
            let first = next;
            while settings.get(next).is_some_and(|setting| offset(setting) <= from) {
                next += 1;
            }
            let to = settings.get(next).map_or(frames, offset);
            let stretch = (from..to, &settings[first..next]);
            from = to;
            Some(stretch)
        })
    }

    /// A stretch of the block cut at the control grid: each piece with whether it begins on a line of the grid.
    pub fn grid(&self, stretch: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> + use<> {
        let (time, jump) = (self.time, self.jump);
        let at = move |offset: usize| match jump {
            Some((from, after)) if offset >= from => after + (offset - from) as i64,
            _ => time + offset as i64,
        };
        let mut from = stretch.start;
        std::iter::from_fn(move || {
            if from >= stretch.end {
                return None;
            }
            let past = at(from).rem_euclid(CONTROL_GRID);
            let mut to = (from + (CONTROL_GRID - past) as usize).min(stretch.end);
            if let Some((jump, _)) = jump
                && (from + 1..to).contains(&jump)
            {
                to = jump;
            }
            let piece = (from..to, past == 0);
            from = to;
            Some(piece)
        })
    }
}

/// A parameter that moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The parameter's name, as in the parameter table.
    pub param: &'static str,
    /// The new value as a number; see [`aulos_protocol::Value::as_f64`].
    pub value: f64,
    /// The engine's frame at which the move begins.
    pub frame: u64,
    /// How many frames a smoothed parameter takes.
    pub fade: u64,
}

/// Data that replaces a processor's own (such as a player's clips). The processor swaps it with what it had,
/// so that the old goes home to be freed.
pub type Patch = Box<dyn Any + Send>;

/// Whether a task has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The outputs are complete.
    Done,
    /// Somebody else is still working on it.
    Pending,
}

/// The buffers of a stage in a cycle. Inputs are summed and aligned already.
pub struct Io<'a> {
    /// All buffers of the plan; those of the outputs are taken out.
    pub(crate) pool: &'a [Vec<f32>],
    /// Where in the pool each input is.
    pub(crate) inputs: &'a [usize],
    pub(crate) outputs: &'a mut [Vec<f32>],
    pub(crate) frames: usize,
    midi: Midi<'a>,
}

/// The MIDI ports of a stage in a cycle.
#[derive(Default)]
pub struct Midi<'a> {
    /// All MIDI buffers of the plan; those of the outputs are taken out.
    pub pool: &'a [MidiBuffer],
    /// Where in the pool each input is.
    pub inputs: &'a [usize],
    /// The outputs; `None` where nobody listens.
    pub outputs: &'a mut [Option<MidiBuffer>],
}

impl<'a> Io<'a> {
    /// [audio thread] The buffers of a task: `inputs` index into `pool`; every buffer has at least `frames`
    /// frames.
    pub fn new(
        pool: &'a [Vec<f32>],
        inputs: &'a [usize],
        outputs: &'a mut [Vec<f32>],
        frames: usize,
    ) -> Self {
        Self { pool, inputs, outputs, frames, midi: Midi::default() }
    }

    /// [audio thread] The same with MIDI ports.
    pub fn with_midi(self, midi: Midi<'a>) -> Self {
        Self { midi, ..self }
    }

    /// The messages of a MIDI input; `None` if nothing is linked to it.
    pub fn midi_in(&self, input: usize) -> Option<&'a MidiBuffer> {
        self.midi.pool.get(*self.midi.inputs.get(input)?)
    }

    /// A MIDI output, empty at first; `None` if nobody listens.
    pub fn midi_out(&mut self, output: usize) -> Option<&mut MidiBuffer> {
        self.midi.outputs.get_mut(output)?.as_mut()
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The samples of an input.
    pub fn input(&self, input: usize) -> &[f32] {
        &self.pool[self.inputs[input]][..self.frames]
    }

    /// The samples of an output; what they were before is undefined.
    pub fn output(&mut self, output: usize) -> &mut [f32] {
        &mut self.outputs[output][..self.frames]
    }

    /// Copies the first output to all others.
    pub fn copy_first_output(&mut self) {
        if let Some((first, rest)) = self.outputs.split_first_mut() {
            rest.iter_mut().for_each(|y| y[..self.frames].copy_from_slice(&first[..self.frames]));
        }
    }

    /// An input and an output at once.
    pub fn pair(&mut self, input: usize, output: usize) -> (&[f32], &mut [f32]) {
        (&self.pool[self.inputs[input]][..self.frames], &mut self.outputs[output][..self.frames])
    }
}

/// The part of a stage that lives on the audio thread.
///
/// A task is started once in each block. One that another process works on answers [`Progress::Pending`] and
/// is polled until it is done or its time is up; then it is abandoned, and its outputs of this block are not
/// used. After that it is started again with the next block, whether or not it has come to an end meanwhile:
/// what it still has to say about an earlier block is of no use to anybody. None of these may allocate, free,
/// lock, log, block, or make a system call.
pub trait Processor: Send {
    /// [audio thread] Renders the block, or has it rendered. Inputs can be read only here.
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress;

    /// [audio thread] Looks whether the block is rendered by now, and if so, puts it out. Of a pipelined task
    /// this is asked at the beginning of the next block, whose frames and outputs `cycle` and `io` are not:
    /// they are those of the block that was started.
    fn poll(&mut self, _cycle: &Cycle<'_>, _io: &mut Io<'_>) -> Progress {
        Progress::Done
    }

    /// [audio thread] Gives up on this cycle.
    fn abandon(&mut self) {}

    /// [audio thread] Moves a parameter at once, between two blocks. Those that move within a block come in
    /// [`Cycle::settings`]. Unknown names are ignored: the engine sends only
    /// names of the kind's table.
    fn set(&mut self, _setting: &Setting) {}

    /// [audio thread] How many MIDI messages found no room since this was asked last.
    fn take_dropped(&mut self) -> u64 {
        0
    }

    /// [audio thread] Swaps data with `patch`, between two cycles; what is new fades in over `fade` frames from
    /// `frame` on, what is gone fades out.
    fn patch(&mut self, _patch: &mut Patch, _frame: u64, _fade: u64) {}
}
