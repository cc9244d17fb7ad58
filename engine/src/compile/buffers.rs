//! Which memory everything is rendered in.

use std::collections::{BTreeMap, BTreeSet};

use aulos_nodes::Stage;
use aulos_protocol::ports::{Direction, Signal};

use super::{
    latency::Timing,
    order::Order,
    rack::{Instance, Life, Rack, TermState},
};
use crate::{
    graph::postponed,
    plan::{Feed, Input, MidiInput, MidiTerm, Output, Plan, SILENCE, Sink, Task, Term, TermId},
};

/// What is known to be done where a task begins: only what the task itself must wait for.
///
/// Every task leaves a bag, and the first of those that take from it inherits the bag. So what is in a bag was
/// done by the task or by what comes before it under any order that the dependencies allow, and tasks may run
/// late or at the same time.
#[derive(Default)]
struct Bag {
    /// Contents of buffers, by their numbers, with how many of their readers are known to be done.
    read: BTreeMap<usize, usize>,
    /// Buffers that nobody reads any more, the latest at the end.
    idle: Vec<usize>,
}

/// Hands out buffers. One is used again only by a task that comes after everything that touches its content.
struct Pool {
    count: usize,
    /// The buffer of every content and how many tasks read it.
    contents: Vec<(usize, usize)>,
    /// What every task left, until it is inherited.
    bags: Vec<Option<Bag>>,
}

impl Pool {
    fn take(&mut self, bag: &mut Bag) -> usize {
        bag.idle.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }

    /// Notes that so many more readers of `content` are done.
    fn note(&self, bag: &mut Bag, content: usize, done: usize) {
        let (buffer, readers) = self.contents[content];
        let read = bag.read.entry(content).or_default();
        *read += done;
        if *read == readers {
            bag.read.remove(&content);
            bag.idle.push(buffer);
        }
    }

    /// Puts what an earlier task left into the bag of one that takes from it, unless another has it already.
    fn inherit(&mut self, bag: &mut Bag, source: usize) {
        let Some(mut less) = self.bags[source].take() else { return };
        // What is moved at least doubles the bag that it is in, so that nothing moves often.
        if less.read.len() > bag.read.len() {
            std::mem::swap(&mut less.read, &mut bag.read);
        }
        if less.idle.len() > bag.idle.len() {
            std::mem::swap(&mut less.idle, &mut bag.idle);
        }
        bag.idle.append(&mut less.idle);
        for (content, done) in less.read {
            self.note(bag, content, done);
        }
    }
}

/// A term as it enters a task.
struct Entering<'a> {
    id: &'a TermId,
    state: &'a TermState,
    from: usize,
    /// What it reads.
    content: usize,
}

/// Assigns buffers and writes the plan.
pub fn plan(rack: &Rack, order: &Order) -> Plan {
    let count = order.tasks.len();
    let mut instances: Vec<_> = order.task_of.iter().zip(rack.instances.values()).collect();
    instances.sort_unstable_by_key(|(task, _)| **task);
    let outputs_of = |task: usize| order.tasks[task].stage.stage.outputs(&instances[task].1.node);
    // The number of the first content that each task renders.
    let mut contents = 0;
    let first_content: Vec<usize> = (0..count)
        .map(|task| {
            contents += outputs_of(task);
            contents - outputs_of(task)
        })
        .collect();
    let mut entering: Vec<Vec<Entering<'_>>> = (0..count).map(|_| Vec::new()).collect();
    let mut messages: Vec<Vec<Entering<'_>>> = (0..count).map(|_| Vec::new()).collect();
    let mut midi_heard: BTreeSet<(usize, usize)> = BTreeSet::new();
    for ((id, state), (from, to)) in rack.terms.iter().zip(&order.ends) {
        if state.midi.is_some() {
            midi_heard.insert((*from, state.output));
            messages[*to].push(Entering { id, state, from: *from, content: 0 });
            continue;
        }
        let content = first_content[*from] + state.output;
        entering[*to].push(Entering { id, state, from: *from, content });
    }
    let mut readers = vec![0; contents];
    for terms in &entering {
        reads(terms).iter().for_each(|(_, content)| readers[*content] += 1);
    }
    let bags = (0..count).map(|_| None).collect();
    let mut pool = Pool { count: SILENCE + 1, contents: Vec::with_capacity(contents), bags };
    let mut plan = Plan { midi_buffers: SILENCE + 1, max_block: rack.max_block, ..Plan::default() };
    for (task, (id, mut terms)) in order.tasks.iter().zip(entering).enumerate() {
        let instance = instances[task].1;
        let mut bag = Bag::default();
        let reads = reads(&terms);
        reads.iter().for_each(|(source, _)| pool.inherit(&mut bag, *source));
        terms.sort_unstable_by_key(|term| (term.state.input, term.state.rank, *term.id));
        let mut terms = terms.into_iter().peekable();
        let mut inputs = Vec::new();
        for channel in 0..id.stage.stage.inputs(&instance.node) {
            let mut summed = Vec::new();
            while let Some(Entering { id, state, from, content }) =
                terms.next_if(|term| term.state.input == channel)
            {
                summed.push(Term {
                    id: *id,
                    rank: state.rank,
                    task: from,
                    buffer: pool.contents[content].0,
                    line: if id.delay > 0 { rack.line_of.get(id).cloned() } else { None },
                    gain: state.gain.clone(),
                    staying: state.life == Life::Live && !instance.ghost,
                    aligned: state.life == Life::Live && !instance.ghost && !state.exempt,
                });
            }
            let buffer = if summed.is_empty() { SILENCE } else { pool.take(&mut bag) };
            inputs.push(Input { buffer, terms: summed });
        }
        let mut outputs = Vec::new();
        for output in 0..outputs_of(task) {
            let buffer = pool.take(&mut bag);
            let lines = rack.lines.get(&(*id, output)).into_iter().flatten();
            let lines = lines.map(|line| Feed { line: line.slot.clone(), longest: line.capacity });
            outputs.push(Output { buffer, lines: lines.collect() });
        }
        for (content, output) in (first_content[task]..).zip(&outputs) {
            pool.contents.push((output.buffer, readers[content]));
            // The driver takes what a sink renders when everything is done.
            if readers[content] == 0 && !id.stage.stage.is_sink() {
                bag.idle.push(output.buffer);
            }
        }
        if id.stage.stage.is_sink() {
            let first = super::rack::first_channel(&instance.node);
            plan.sinks.extend(outputs.iter().enumerate().map(|(c, o)| Sink {
                task,
                buffer: o.buffer,
                channel: first + c,
            }));
        }
        bag.idle.extend(inputs.iter().map(|input| input.buffer).filter(|buffer| *buffer != SILENCE));
        reads.iter().for_each(|(_, content)| pool.note(&mut bag, *content, 1));
        pool.bags[task] = Some(bag);
        let midi_inputs =
            midi_inputs(&mut plan, id.stage.stage, std::mem::take(&mut messages[task]), instance);
        let midi_outputs = (0..id.stage.stage.ports(&instance.node, Direction::Out, Signal::Midi))
            .map(|output| {
                midi_heard.contains(&(task, output)).then(|| {
                    plan.midi_buffers += 1;
                    plan.midi_buffers - 1
                })
            })
            .collect();
        let first_input = plan.inputs;
        plan.inputs += inputs.len();
        let Timing { arrival, latency } = instance.timing;
        plan.tasks.push(Task {
            id: *id,
            work: instance.work.clone(),
            inputs,
            outputs,
            midi_inputs,
            midi_outputs,
            vitals: instance.vitals.clone(),
            time: instance.time.clone(),
            may_be_late: instance.lane.is_some(),
            arrival,
            postponed: postponed(&instance.node, rack.rate),
            latency,
            first_input,
        });
    }
    plan.sinks.sort_by_key(|sink| (sink.channel, plan.tasks[sink.task].id));
    plan.buffers = pool.count;
    plan
}

/// The contents that a task reads, each once, with the task that renders it.
fn reads(terms: &[Entering<'_>]) -> Vec<(usize, usize)> {
    let mut reads: Vec<_> = terms.iter().map(|term| (term.from, term.content)).collect();
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// The MIDI inputs of a task. There are few of them, so that each has a buffer of its own.
fn midi_inputs(
    plan: &mut Plan,
    stage: Stage,
    terms: Vec<Entering<'_>>,
    instance: &Instance,
) -> Vec<MidiInput> {
    let mut inputs: Vec<MidiInput> = (0..stage.ports(&instance.node, Direction::In, Signal::Midi))
        .map(|_| MidiInput { buffer: SILENCE, terms: Vec::new() })
        .collect();
    for Entering { id, state, from, .. } in terms {
        let Some((line, delay)) = &state.midi else { continue };
        let Some(buffer) = plan.tasks[from].midi_outputs[state.output] else { continue };
        inputs[state.input].terms.push(MidiTerm {
            id: *id,
            rank: state.rank,
            task: from,
            buffer,
            delay: *delay,
            line: line.clone(),
            gate: state.gain.clone(),
            staying: state.life == Life::Live && !instance.ghost,
            aligned: state.life == Life::Live && !instance.ghost && !state.exempt,
        });
    }
    for input in inputs.iter_mut().filter(|input| !input.terms.is_empty()) {
        input.terms.sort_by_key(|term| (term.rank, term.id));
        input.buffer = plan.midi_buffers;
        plan.midi_buffers += 1;
    }
    inputs
}
