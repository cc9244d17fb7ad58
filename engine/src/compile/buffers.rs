//! Which memory everything is rendered in.

use std::collections::BTreeMap;

use super::rack::{Life, Rack};
use crate::plan::{Input, InstanceId, Output, Plan, SILENCE, Sink, Task, Term};

/// Which tasks come before which, as sets of bits.
pub(super) struct Ancestors {
    words: usize,
    bits: Vec<u64>,
}

impl Ancestors {
    /// `sources[task]` are the tasks that it takes from, all of them smaller.
    pub fn new(sources: &[Vec<usize>]) -> Self {
        let words = sources.len().div_ceil(64);
        let mut bits = vec![0u64; words * sources.len()];
        for (task, sources) in sources.iter().enumerate() {
            let (before, own) = bits.split_at_mut(task * words);
            for source in sources {
                let theirs = &before[source * words..(source + 1) * words];
                own.iter_mut().zip(theirs).for_each(|(own, theirs)| *own |= theirs);
                own[source / 64] |= 1 << (source % 64);
            }
        }
        Self { words, bits }
    }

    /// Whether `task` can only run after `earlier` is done.
    pub fn comes_before(&self, earlier: usize, task: usize) -> bool {
        self.bits[task * self.words + earlier / 64] & (1 << (earlier % 64)) != 0
    }
}

/// A buffer and the tasks that touch what is in it now.
struct Buffer {
    number: usize,
    touched_by: Vec<usize>,
}

/// Hands out buffers. One is used again only by a task that comes after everything that touches its content,
/// under any order that the dependencies allow, so that tasks may run late or at the same time.
struct Pool {
    count: usize,
    /// Buffers whose content has its last reader, the latest at the end.
    idle: Vec<Buffer>,
}

/// How many idle buffers are tried before a new one is taken; bounds the time that a compile takes.
const TRIES: usize = 64;

impl Pool {
    fn take(&mut self, task: usize, ancestors: &Ancestors) -> usize {
        let usable = |buffer: &Buffer| buffer.touched_by.iter().all(|t| ancestors.comes_before(*t, task));
        match self.idle.iter().rev().take(TRIES).position(usable) {
            Some(from_end) => {
                let index = self.idle.len() - 1 - from_end;
                self.idle.swap_remove(index).number
            }
            None => {
                self.count += 1;
                self.count - 1
            }
        }
    }
}

/// Assigns buffers and writes the plan.
pub fn plan(rack: &Rack, order: &[InstanceId]) -> Plan {
    let index: BTreeMap<InstanceId, usize> = order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut entering = vec![Vec::new(); order.len()];
    let mut readers: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (id, term) in &rack.terms {
        let (from, to) = (index[&id.from], index[&id.to]);
        entering[to].push((term.input, term.rank, *id));
        readers.entry((from, term.output)).or_default().push(to);
    }
    let sources: Vec<Vec<usize>> =
        entering.iter().map(|terms| terms.iter().map(|(_, _, id)| index[&id.from]).collect()).collect();
    let ancestors = Ancestors::new(&sources);
    let mut pool = Pool { count: SILENCE + 1, idle: Vec::new() };
    let mut plan = Plan::default();
    // Outputs by the last task (in the order) that reads them: then they are idle.
    let mut ending: Vec<Vec<Buffer>> = order.iter().map(|_| Vec::new()).collect();
    for (task, id) in order.iter().enumerate() {
        let instance = &rack.instances[id];
        entering[task].sort_unstable_by_key(|(input, rank, id)| (*input, *rank, *id));
        let mut inputs = Vec::new();
        for channel in 0..id.stage.stage.inputs(&instance.node) {
            let terms: Vec<Term> = entering[task]
                .iter()
                .filter(|(input, ..)| *input == channel)
                .map(|(_, rank, id)| {
                    let state = &rack.terms[id];
                    let from = index[&id.from];
                    let source: &Task = &plan.tasks[from];
                    Term {
                        id: *id,
                        rank: *rank,
                        task: from,
                        buffer: source.outputs[state.output].buffer,
                        line: rack.line_of.get(id).cloned(),
                        fade: state.fade.clone(),
                        staying: state.life == Life::Live && !instance.ghost,
                    }
                })
                .collect();
            let buffer = if terms.is_empty() { SILENCE } else { pool.take(task, &ancestors) };
            inputs.push(Input { buffer, terms });
        }
        let mut outputs = Vec::new();
        for output in 0..id.stage.stage.outputs(&instance.node) {
            let buffer = pool.take(task, &ancestors);
            let lines = rack.lines.get(&(*id, output)).into_iter().flatten();
            outputs.push(Output { buffer, lines: lines.map(|line| line.slot.clone()).collect() });
            let mut touched_by = readers.remove(&(task, output)).unwrap_or_default();
            touched_by.push(task);
            let last = touched_by.iter().copied().max().unwrap_or(task);
            if !id.stage.stage.is_sink() {
                ending[last].push(Buffer { number: buffer, touched_by });
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
        let sums = inputs.iter().filter(|input| input.buffer != SILENCE);
        pool.idle.extend(sums.map(|input| Buffer { number: input.buffer, touched_by: vec![task] }));
        pool.idle.append(&mut ending[task]);
        let first_input = plan.inputs;
        plan.inputs += inputs.len();
        let (arrival, latency) = (instance.arrival, instance.latency);
        plan.tasks.push(Task {
            id: *id,
            work: instance.work.clone(),
            inputs,
            outputs,
            arrival,
            latency,
            first_input,
        });
    }
    plan.sinks.sort_by_key(|sink| (plan.tasks[sink.task].id, sink.channel));
    plan.buffers = pool.count;
    plan
}
