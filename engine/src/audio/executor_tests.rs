//! The task contract: start, poll, abandon.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use aulos_nodes::{Cycle, Io, Processor, Progress, Stage};
use aulos_protocol::{LinkId, NodeId, NodeKind};

use super::*;
use crate::{
    audio::{
        gain::Gain,
        slot::Slot,
        unit::{StageTime, Unit},
    },
    graph::{EdgeId, Rank, StageId},
    plan::{Input, InstanceId, Output, Sink, Task, Term, TermId, Work},
};

/// Puts out a constant, a number of polls after it was started; with an input, adds it.
struct Elsewhere {
    value: f32,
    polls: usize,
    left: usize,
    abandoned: Arc<AtomicUsize>,
}

impl Processor for Elsewhere {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        self.left = self.polls;
        if self.left == 0 { self.poll(cycle, io) } else { Progress::Pending }
    }

    fn poll(&mut self, _: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        if self.left > 1 {
            self.left -= 1;
            return Progress::Pending;
        }
        for frame in 0..io.output(0).len() {
            let input = if io.inputs() > 0 { io.input(0)[frame] } else { 0.0 };
            io.output(0)[frame] = self.value + input;
        }
        Progress::Done
    }

    fn abandon(&mut self) {
        self.abandoned.fetch_add(1, Relaxed);
    }
}

/// A clock that moves on whenever it is looked at.
struct Looks(AtomicU64);

impl Clock for Looks {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}

fn instance(node: u64) -> InstanceId {
    InstanceId { stage: StageId { node: NodeId(node), stage: Stage::Whole(NodeKind::Bus) }, generation: 0 }
}

/// Sources with these polls, all summed by a last task (which takes none) that goes to the driver.
fn engine(polls: &[usize], abandoned: &Arc<AtomicUsize>) -> Engine {
    let token = Token::default();
    let id = token.id();
    let work = |value, polls| {
        let processor = Elsewhere { value, polls, left: 0, abandoned: abandoned.clone() };
        Work::Process(Arc::new(Slot::new(id, Unit::new(Box::new(processor), None))))
    };
    let time = || Arc::new(Slot::new(id, StageTime::default()));
    let count = polls.len();
    let mut plan = Plan { buffers: count + 3, inputs: 1, midi_buffers: 1, ..Plan::default() };
    for (at, polls) in polls.iter().enumerate() {
        plan.tasks.push(Task {
            id: instance(at as u64),
            work: work(10f32.powi(at as i32), *polls),
            inputs: Vec::new(),
            outputs: vec![Output { buffer: at + 1, lines: Vec::new() }],
            midi_inputs: Vec::new(),
            midi_outputs: Vec::new(),
            vitals: Arc::default(),
            time: time(),
            may_be_late: false,
            arrival: 0,
            latency: 0,
            first_input: 0,
            postponed: 0,
        });
    }
    let term = |at: usize| {
        let edge = EdgeId::Link(LinkId(at as u64));
        Term {
            id: TermId { edge, from: instance(at as u64), to: instance(count as u64), delay: 0 },
            rank: Rank::of_player(NodeId(at as u64), 0),
            task: at,
            buffer: at + 1,
            line: None,
            gain: Arc::new(Slot::new(id, Gain::new(1.0, true))),
            staying: true,
            aligned: true,
        }
    };
    plan.tasks.push(Task {
        id: instance(count as u64),
        work: work(0.0, 0),
        inputs: vec![Input { buffer: count + 1, terms: (0..count).map(term).collect() }],
        outputs: vec![Output { buffer: count + 2, lines: Vec::new() }],
        midi_inputs: Vec::new(),
        midi_outputs: Vec::new(),
        vitals: Arc::default(),
        time: time(),
        may_be_late: false,
        arrival: 0,
        latency: 0,
        first_input: 0,
        postponed: 0,
    });
    plan.sinks.push(Sink { task: count, buffer: count + 2, channel: 0 });
    crate::compile::verify(&plan).unwrap_or_else(|faults| panic!("{faults:?}"));
    let (_, batches) = rtrb::RingBuffer::new(1);
    let (home, _) = rtrb::RingBuffer::new(1);
    let mut engine = new_engine(token, Start::default(), 8, batches, home, Arc::default());
    engine.running = Box::new(Running::new(plan, 8, Spare::default()));
    engine
}

fn cycle(engine: &mut Engine, patience: u64) -> f32 {
    let mut out = [vec![0.0f32; 8]];
    engine.process::<Vec<f32>, _>(&[], &mut out, 8, &Looks(AtomicU64::new(0)), patience);
    assert!(out[0].iter().all(|x| *x == out[0][0]));
    out[0][0]
}

#[test]
fn tasks_that_somebody_else_works_on_are_waited_for() {
    let abandoned = Arc::default();
    let mut engine = engine(&[3, 0, 1, 5], &abandoned);
    for _ in 0..3 {
        assert_eq!(cycle(&mut engine, 100), 1111.0);
    }
    assert_eq!(abandoned.load(Relaxed), 0);
}

#[test]
fn a_late_task_is_abandoned_and_only_what_it_feeds_changes() {
    let abandoned = Arc::default();
    let mut engine = engine(&[0, 1_000_000, 0], &abandoned);
    assert_eq!(cycle(&mut engine, 50), 101.0);
    assert_eq!(cycle(&mut engine, 50), 101.0);
    assert_eq!((abandoned.load(Relaxed), engine.counters.abandoned()), (2, 2));
}

#[test]
fn the_frame_after_a_cycle_is_due_at_its_deadline() {
    let abandoned = Arc::default();
    let mut engine = engine(&[0, 0], &abandoned);
    assert_eq!(engine.counters.due(), None);
    cycle(&mut engine, u64::MAX);
    assert_eq!(engine.counters.due(), None);
    cycle(&mut engine, 50);
    assert_eq!(engine.counters.due(), Some((16, 50)));
    cycle(&mut engine, u64::MAX);
    assert_eq!(engine.counters.due(), Some((16, 50)));
}

#[test]
fn nothing_is_left_of_an_abandoned_cycle_in_the_next() {
    let abandoned = Arc::default();
    let mut engine = engine(&[4, 0], &abandoned);
    assert_eq!(cycle(&mut engine, 1), 10.0);
    assert_eq!(cycle(&mut engine, 100), 11.0);
}
