//! What the audio thread executes: immutable, compiled, verified.

use std::sync::Arc;

use crate::{
    audio::{
        delay_line::DelayLine,
        gain::Gain,
        loop_line::LoopLine,
        midi_line::MidiLine,
        slot::Slot,
        unit::{StageTime, Unit, Vitals},
    },
    graph::{EdgeId, Rank, StageId},
};

/// The processor of a stage, wherever plans need it.
pub type UnitSlot = Arc<Slot<Unit>>;
/// A delay line, wherever plans need it.
pub type LineSlot = Arc<Slot<DelayLine>>;
/// The memory of a feedback, wherever plans need it.
pub type LoopSlot = Arc<Slot<LoopLine>>;
/// What travels on a MIDI link, wherever plans need it.
pub type MidiSlot = Arc<Slot<MidiLine>>;
/// How loud a term is, wherever plans need it.
pub type GainSlot = Arc<Slot<Gain>>;
/// The time of a stage, wherever plans need it.
pub type TimeSlot = Arc<Slot<StageTime>>;

/// A stage as it was built once. When it must be built anew (another delay, another channel of the driver)
/// the new one has the next generation, and the links cross over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The stage.
    pub stage: StageId,
    /// How many times it was built before.
    pub generation: u32,
}

/// What identifies a term across plans. A link that goes over to another delay or processor is several terms while
/// it does: one that enters and those that give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId {
    /// The link or internal connection.
    pub edge: EdgeId,
    /// The source.
    pub from: InstanceId,
    /// The destination.
    pub to: InstanceId,
    /// The delay, in frames.
    pub delay: u64,
}

/// One summand of an input.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is.
    pub id: TermId,
    /// Its place in the sum.
    pub rank: Rank,
    /// The task that renders what it carries.
    pub task: usize,
    /// The buffer that it is in.
    pub buffer: usize,
    /// The line from which it is read late, if it is delayed.
    pub line: Option<LineSlot>,
    /// How loud it is, fading or not.
    pub gain: GainSlot,
    /// Whether it is to stay; else it fades out, or enters what fades out.
    pub staying: bool,
    /// Whether it must arrive when the others do. What fades out, enters what fades out, or is passed on at once,
    /// need not.
    pub aligned: bool,
}

/// One summand of a MIDI input. Its delay is not part of what it is: messages cannot fade, so that a link goes
/// on with another delay.
#[derive(Clone, Debug)]
pub struct MidiTerm {
    /// What it is.
    pub id: TermId,
    /// Its place in the order of merging.
    pub rank: Rank,
    /// The task that makes what it carries.
    pub task: usize,
    /// The MIDI buffer that it is in.
    pub buffer: usize,
    /// By how many frames it is delayed.
    pub delay: u64,
    /// What travels on it.
    pub line: MidiSlot,
    /// Whether it passes.
    pub gate: GainSlot,
    /// As [`Term::staying`].
    pub staying: bool,
    /// As [`Term::aligned`].
    pub aligned: bool,
}

/// One MIDI input of a task.
#[derive(Clone, Debug)]
pub struct MidiInput {
    /// Where the messages are merged; [`SILENCE`] if nothing enters.
    pub buffer: usize,
    /// What is merged.
    pub terms: Vec<MidiTerm>,
}

/// One input channel of a task: the sum of its terms, in their order.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where the sum goes. Left unused in cycles in which a single term can be taken as it is.
    pub buffer: usize,
    /// What is summed.
    pub terms: Vec<Term>,
}

/// One output channel of a task.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where it is rendered.
    pub buffer: usize,
    /// The delay lines that are fed from it.
    pub lines: Vec<Feed>,
}

/// A delay line behind an output.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The line.
    pub line: LineSlot,
    /// The longest delay that it is good for, in frames.
    pub longest: u64,
}

/// What a task does.
#[derive(Clone)]
pub enum Work {
    /// Takes the driver's channels from `first` (from 0) on.
    Capture {
        /// The first channel.
        first: usize,
    },
    /// Runs a processor.
    Process(UnitSlot),
    /// Puts what enters a feedback into its memory.
    Take(LoopSlot),
    /// Gives back what entered a feedback.
    Give {
        /// The memory.
        line: LoopSlot,
        /// How many frames before.
        tap: u64,
        /// How many frames it remembers.
        longest: u64,
    },
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Capture { first } => write!(f, "capture {first}"),
            Self::Process(_) => f.write_str("process"),
            Self::Take(_) => f.write_str("take"),
            Self::Give { tap, .. } => write!(f, "give {tap}"),
        }
    }
}

/// One stage in a cycle.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which stage it is.
    pub id: InstanceId,
    /// What it does.
    pub work: Work,
    /// Its inputs, by channel.
    pub inputs: Vec<Input>,
    /// Its outputs, by channel.
    pub outputs: Vec<Output>,
    /// Its MIDI inputs.
    pub midi_inputs: Vec<MidiInput>,
    /// The MIDI buffers of its MIDI outputs; none where nobody listens.
    pub midi_outputs: Vec<Option<usize>>,
    /// What can be seen of it.
    pub vitals: Arc<Vitals>,
    /// Its stage time.
    pub time: TimeSlot,
    /// Whether its work is done by somebody else and may be late.
    pub may_be_late: bool,
    /// How many frames after its sources' time it hears them.
    pub arrival: u64,
    /// How many frames after that it hears it, as an output asks for that is to be heard later.
    pub postponed: u64,
    /// How many frames it adds.
    pub latency: u64,
    /// Where its inputs begin among the inputs of all tasks.
    pub first_input: usize,
}

impl Task {
    /// The tasks that it takes from, each once, in their order.
    pub fn sources(&self) -> Vec<usize> {
        let audio = self.inputs.iter().flat_map(|input| &input.terms).map(|term| term.task);
        let midi = self.midi_inputs.iter().flat_map(|input| &input.terms).map(|term| term.task);
        let mut sources: Vec<usize> = audio.chain(midi).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

/// What goes to a channel of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The task.
    pub task: usize,
    /// The buffer.
    pub buffer: usize,
    /// The driver's channel, from 0.
    pub channel: usize,
}

/// The tasks in an order in which they can be run, with all they need.
#[derive(Debug, Default)]
pub struct Plan {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// What the driver gets, in the order of summing.
    pub sinks: Vec<Sink>,
    /// How many buffers there are. Buffer 0 is silence and is never written.
    pub buffers: usize,
    /// Inputs of all tasks together.
    pub inputs: usize,
    /// The longest block that it can be run with, in frames.
    pub max_block: usize,
    /// How many MIDI buffers there are. Buffer 0 is empty and is never written.
    pub midi_buffers: usize,
    /// How long the timeline is remembered for stages that hear it late, or will when latencies grow, in frames.
    pub remembered: u64,
}

/// The buffer that holds nothing but zeros.
pub const SILENCE: usize = 0;
