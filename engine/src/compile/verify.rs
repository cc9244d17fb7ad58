//! An independent look at a plan before it is run.

use std::collections::BTreeMap;

use crate::plan::{Plan, SILENCE, Task};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A task reads what a later one, or itself, renders.
    Order {
        /// The reader.
        task: usize,
        /// What it reads.
        source: usize,
    },
    /// A term reads a buffer that its source does not render into.
    Source {
        /// The reader.
        task: usize,
        /// What it reads.
        source: usize,
    },
    /// Two contents share a buffer although neither is over before the other begins.
    Alias {
        /// The buffer.
        buffer: usize,
        /// The tasks that write it.
        writers: (usize, usize),
    },
    /// A buffer's number is out of range, or silence would be written.
    Buffer {
        /// The task.
        task: usize,
        /// The buffer.
        buffer: usize,
    },
    /// A term is delayed and reads no line, or reads a line that its source does not feed.
    Line {
        /// The reader.
        task: usize,
        /// What it reads.
        source: usize,
    },
    /// A connection that is to stay does not arrive when the others do.
    Delay {
        /// The reader.
        task: usize,
        /// What it reads.
        source: usize,
    },
    /// The terms of an input are not in the order of summing.
    Ranks {
        /// The task.
        task: usize,
    },
}

/// Checks a plan by itself, knowing nothing of how it was made: every task after what it reads, buffers
/// never shared by contents that can be alive at once under any order that the dependencies allow, delays as
/// the rule of arrival says.
///
/// # Errors
/// All faults that were found.
pub fn verify(plan: &Plan) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for (index, task) in plan.tasks.iter().enumerate() {
        check_terms(plan, index, task, &mut faults);
    }
    if faults.is_empty() {
        check_buffers(plan, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn check_terms(plan: &Plan, index: usize, task: &Task, faults: &mut Vec<Fault>) {
    let written = task.outputs.iter().map(|o| o.buffer);
    let summed = task.inputs.iter().filter(|i| !i.terms.is_empty()).map(|i| i.buffer);
    for buffer in written.chain(summed) {
        if buffer == SILENCE || buffer >= plan.buffers {
            faults.push(Fault::Buffer { task: index, buffer });
        }
    }
    for input in &task.inputs {
        if !input.terms.is_sorted_by_key(|term| (term.rank, term.id)) {
            faults.push(Fault::Ranks { task: index });
        }
        for term in &input.terms {
            let source = term.task;
            if source >= index {
                faults.push(Fault::Order { task: index, source });
                continue;
            }
            let from = &plan.tasks[source];
            let Some(output) = from.outputs.iter().find(|o| o.buffer == term.buffer) else {
                faults.push(Fault::Source { task: index, source });
                continue;
            };
            let fed = |line| output.lines.iter().any(|l| std::sync::Arc::ptr_eq(l, line));
            if (term.id.delay > 0) != term.line.is_some() || !term.line.as_ref().is_none_or(fed) {
                faults.push(Fault::Line { task: index, source });
            }
            if term.staying && from.arrival + from.latency + term.id.delay != task.arrival {
                faults.push(Fault::Delay { task: index, source });
            }
        }
    }
}

/// A content of a buffer: who writes it and who touches it.
struct Content {
    writer: usize,
    touched_by: Vec<usize>,
}

fn check_buffers(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut contents: BTreeMap<usize, Vec<Content>> = BTreeMap::new();
    let mut readers: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    let end = plan.tasks.len();
    for (index, task) in plan.tasks.iter().enumerate() {
        for term in task.inputs.iter().flat_map(|input| &input.terms) {
            readers.entry((term.task, term.buffer)).or_default().push(index);
        }
    }
    for sink in &plan.sinks {
        readers.entry((sink.task, sink.buffer)).or_default().push(end);
    }
    for (index, task) in plan.tasks.iter().enumerate() {
        for input in task.inputs.iter().filter(|input| !input.terms.is_empty()) {
            contents
                .entry(input.buffer)
                .or_default()
                .push(Content { writer: index, touched_by: vec![index] });
        }
        for output in &task.outputs {
            let mut touched_by = readers.get(&(index, output.buffer)).cloned().unwrap_or_default();
            touched_by.push(index);
            contents.entry(output.buffer).or_default().push(Content { writer: index, touched_by });
        }
    }
    let before = reachability(plan);
    let over_before =
        |a: &Content, b: &Content| a.touched_by.iter().all(|t| *t < end && before[b.writer].contains(t));
    for (buffer, contents) in &contents {
        for (at, a) in contents.iter().enumerate() {
            for b in &contents[at + 1..] {
                if !over_before(a, b) && !over_before(b, a) {
                    faults.push(Fault::Alias { buffer: *buffer, writers: (a.writer, b.writer) });
                }
            }
        }
    }
}

/// For each task, the tasks that must be done before it can run.
fn reachability(plan: &Plan) -> Vec<std::collections::HashSet<usize>> {
    let mut before: Vec<std::collections::HashSet<usize>> = Vec::with_capacity(plan.tasks.len());
    for task in &plan.tasks {
        let mut mine = std::collections::HashSet::new();
        for term in task.inputs.iter().flat_map(|input| &input.terms) {
            if mine.insert(term.task) {
                mine.extend(before[term.task].iter().copied());
            }
        }
        before.push(mine);
    }
    before
}
