//! What the engine and a processor promise each other.

use std::any::Any;

use crate::Fade;

/// A stretch of a block in which the timeline runs without a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first frame within the block.
    pub offset: usize,
    /// Its length in frames, at least 1.
    pub len: usize,
    /// The position on the timeline of its first frame.
    pub position: u64,
}

/// One course of the timeline through a block. While the transport starts, stops or jumps there are two for
/// the length of a fade: what ends and what begins.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The stretches, in order, that cover the block where the transport rolls; none where it stands.
    pub segments: &'a [Segment],
    /// How loud this course is; see [`Fade::at`] with engine frames.
    pub fade: Fade,
}

/// The block that is being run.
#[derive(Clone, Copy, Debug)]
pub struct Cycle<'a> {
    /// The engine's frame at the beginning of the block.
    pub frame: u64,
    /// Frames in the block, 1 to the engine's largest.
    pub frames: usize,
    /// The courses of the timeline, the present one last.
    pub views: &'a [View<'a>],
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
        Self { pool, inputs, outputs, frames }
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

    /// An input and an output at once.
    pub fn pair(&mut self, input: usize, output: usize) -> (&[f32], &mut [f32]) {
        (&self.pool[self.inputs[input]][..self.frames], &mut self.outputs[output][..self.frames])
    }
}

/// The part of a stage that lives on the audio thread.
///
/// A task is started once in each cycle. One that another process works on answers [`Progress::Pending`] and
/// is polled until it is done or its time is up; then it is abandoned, and its outputs of this cycle are not
/// used. None of these may allocate, free, lock, log, block, or make a system call.
pub trait Processor: Send {
    /// [audio thread] Renders the block, or has it rendered.
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress;

    /// [audio thread] Looks whether the block is rendered by now.
    fn poll(&mut self, _cycle: &Cycle<'_>, _io: &mut Io<'_>) -> Progress {
        Progress::Done
    }

    /// [audio thread] Gives up on this cycle.
    fn abandon(&mut self) {}

    /// [audio thread] Moves a parameter, between two cycles. Unknown names are ignored: the engine sends only
    /// names of the kind's table.
    fn set(&mut self, _setting: Setting) {}

    /// [audio thread] Swaps data with `patch`, between two cycles; what is new fades in over `fade` frames from
    /// `frame` on, what is gone fades out.
    fn patch(&mut self, _patch: &mut Patch, _frame: u64, _fade: u64) {}
}
