//! A plan with the memory that running it takes.

use aulos_nodes::MidiBuffer;

use super::transport::Room;
use crate::plan::{Plan, SILENCE};

/// How far a task is in this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not begun.
    Waiting,
    /// Begun, and somebody else works on it.
    Pending,
    /// Its outputs are there.
    Done,
}

/// A plan with the memory that running it takes.
#[derive(Debug)]
pub struct Running {
    pub(super) plan: Plan,
    pub(super) pool: Vec<Vec<f32>>,
    pub(super) midi_pool: Vec<MidiBuffer>,
    /// The outputs of the task that is running, taken out of the pools.
    pub(super) outputs: Vec<Vec<f32>>,
    pub(super) midi_outputs: Vec<Option<MidiBuffer>>,
    /// The buffer that each input is in, in this block.
    pub(super) resolved: Vec<usize>,
    /// The MIDI buffer of each MIDI input of the task that is running.
    pub(super) midi_resolved: Vec<usize>,
    pub(super) states: Vec<State>,
    /// How many tasks each task waits for, and those that it still waits for in this block.
    pub(super) sources: Vec<u32>,
    pub(super) missing: Vec<u32>,
    /// The tasks that wait for each task, one after the other, and where they begin.
    pub(super) successors: Vec<usize>,
    pub(super) first_successor: Vec<usize>,
    /// The tasks that can run, in the order in which they became ready.
    pub(super) ready: Vec<usize>,
    /// The tasks that somebody else works on.
    pub(super) pending: Vec<usize>,
    /// What the tasks that have not begun in this block take, in ns.
    pub(super) to_run: u64,
    /// The courses of the timeline as a task sees them.
    pub(super) room: Room,
    /// Whether the time that tasks take is measured: only if there is something that may be late.
    pub(super) timed: bool,
}

/// The buffers of a plan that runs no more, for the next: at thousands of them, taking new ones is a large part of
/// an edit. What is in them does not matter, as every buffer is written before it is read.
#[derive(Debug, Default)]
pub struct Spare {
    pool: Vec<Vec<f32>>,
    midi_pool: Vec<MidiBuffer>,
}

impl Spare {
    /// As many buffers as asked for. The first of each stand for silence and are never written.
    fn fitted(mut self, buffers: usize, midi_buffers: usize, max_block: usize) -> Self {
        // Cloned, so that the audio thread is not the first to touch the memory.
        self.pool.resize(buffers.max(SILENCE + 1), vec![0.0; max_block]);
        self.midi_pool.truncate(midi_buffers.max(SILENCE + 1));
        if self.midi_pool.is_empty() {
            self.midi_pool.push(MidiBuffer::default());
        }
        let lacking = midi_buffers.saturating_sub(self.midi_pool.len());
        self.midi_pool.extend((0..lacking).map(|_| MidiBuffer::new()));
        self
    }
}

impl Running {
    /// [control thread] Takes all memory for blocks of up to `max_block` frames: from `spare`, of an engine with the
    /// same `max_block`, as far as it goes.
    pub fn new(plan: Plan, max_block: usize, spare: Spare) -> Self {
        let tasks = plan.tasks.len();
        let widest = plan.tasks.iter().map(|task| task.outputs.len()).max().unwrap_or(0);
        let midi_inputs = plan.tasks.iter().map(|task| task.midi_inputs.len()).max().unwrap_or(0);
        let midi_outputs = plan.tasks.iter().map(|task| task.midi_outputs.len()).max().unwrap_or(0);
        let edges: Vec<Vec<usize>> = plan.tasks.iter().map(|task| task.sources()).collect();
        let mut first_successor = vec![0; tasks + 1];
        edges.iter().flatten().for_each(|source| first_successor[source + 1] += 1);
        for task in 0..tasks {
            first_successor[task + 1] += first_successor[task];
        }
        let mut next = first_successor.clone();
        let mut successors = vec![0; first_successor[tasks]];
        for (task, sources) in edges.iter().enumerate() {
            for source in sources {
                successors[next[*source]] = task;
                next[*source] += 1;
            }
        }
        let sources: Vec<u32> = edges.iter().map(|sources| sources.len() as u32).collect();
        let Spare { pool, midi_pool } = spare.fitted(plan.buffers, plan.midi_buffers, max_block);
        Self {
            pool,
            midi_pool,
            outputs: Vec::with_capacity(widest),
            midi_outputs: Vec::with_capacity(midi_outputs),
            resolved: vec![SILENCE; plan.inputs],
            midi_resolved: Vec::with_capacity(midi_inputs),
            states: vec![State::Waiting; tasks],
            missing: sources.clone(),
            sources,
            successors,
            first_successor,
            ready: Vec::with_capacity(tasks),
            pending: Vec::with_capacity(tasks),
            to_run: 0,
            room: Room::new(max_block),
            timed: plan.tasks.iter().any(|task| task.may_be_late),
            plan,
        }
    }

    /// [control thread] What the next plan can use.
    pub fn into_spare(self) -> Spare {
        Spare { pool: self.pool, midi_pool: self.midi_pool }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
