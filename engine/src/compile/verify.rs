//! An independent look at a plan before it is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    handoff::{FadeStart, Turn},
    plan::{Plan, SILENCE, Task, Term, TermId, Work},
};

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
    /// Two contents share a buffer although neither is over before the other begins. Of more than two, those
    /// are named that follow each other.
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
    /// What only one may move belongs to two: the gain of a term, what travels on a MIDI link, a processor, a line
    /// that two outputs feed.
    Shared {
        /// One of the two tasks.
        task: usize,
    },
    /// A feedback gives back what is not there: what is still to come in the longest block, or what its memory has
    /// forgotten; or two tasks write its memory.
    Loop {
        /// The task.
        task: usize,
    },
    /// A fade belongs to no term of the plan, or to another gain than the term's; a term has two that begin with the
    /// plan; or what is not to stay would stay heard.
    Ramp {
        /// The link of the term.
        term: TermId,
    },
    /// The inputs of a task do not begin where those of the task before end.
    Inputs {
        /// The task.
        task: usize,
    },
    /// The terms of an input are not in the order of summing.
    Ranks {
        /// The task.
        task: usize,
    },
}

/// Checks a plan by itself, knowing nothing of how it was made: every task after what it reads, buffers
/// never shared by contents that can be alive at once under any order that the dependencies allow, delays as
/// the rule of arrival says and within what their lines hold, gains and memories moved by one task only.
///
/// # Errors
/// All faults that were found.
pub fn verify(plan: &Plan) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut inputs = 0;
    for (index, task) in plan.tasks.iter().enumerate() {
        if task.first_input != inputs {
            faults.push(Fault::Inputs { task: index });
        }
        inputs += task.inputs.len();
        check_terms(plan, index, task, &mut faults);
        check_midi(plan, index, task, &mut faults);
    }
    if plan.inputs != inputs {
        faults.push(Fault::Inputs { task: plan.tasks.len() });
    }
    check_midi_buffers(plan, &mut faults);
    check_state(plan, &mut faults);
    if faults.is_empty() {
        check_buffers(plan, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The task that a term reads, if it comes before the reader; what is to be aligned must arrive with the others, by
/// its delay.
fn source_of<'a>(
    plan: &'a Plan,
    task: usize,
    source: usize,
    aligned: Option<u64>,
    faults: &mut Vec<Fault>,
) -> Option<&'a Task> {
    if source >= task {
        faults.push(Fault::Order { task, source });
        return None;
    }
    let from = &plan.tasks[source];
    let to = &plan.tasks[task];
    if aligned.is_some_and(|delay| from.arrival + from.latency + delay != to.arrival + to.postponed) {
        faults.push(Fault::Delay { task, source });
    }
    Some(from)
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
            let Some(from) = source_of(plan, index, source, term.aligned.then_some(term.id.delay), faults)
            else {
                continue;
            };
            let Some(output) = from.outputs.iter().find(|o| o.buffer == term.buffer) else {
                faults.push(Fault::Source { task: index, source });
                continue;
            };
            let fed = |line| {
                output.lines.iter().any(|feed| Arc::ptr_eq(&feed.line, line) && term.id.delay <= feed.longest)
            };
            if (term.id.delay > 0) != term.line.is_some() || !term.line.as_ref().is_none_or(fed) {
                faults.push(Fault::Line { task: index, source });
            }
        }
    }
}

fn check_midi(plan: &Plan, index: usize, task: &Task, faults: &mut Vec<Fault>) {
    for input in &task.midi_inputs {
        if !input.terms.is_empty() && (input.buffer == SILENCE || input.buffer >= plan.midi_buffers) {
            faults.push(Fault::Buffer { task: index, buffer: input.buffer });
        }
        if !input.terms.is_sorted_by_key(|term| (term.rank, term.id)) {
            faults.push(Fault::Ranks { task: index });
        }
        for term in &input.terms {
            let source = term.task;
            let Some(from) = source_of(plan, index, source, term.aligned.then_some(term.delay), faults)
            else {
                continue;
            };
            if !from.midi_outputs.contains(&Some(term.buffer)) {
                faults.push(Fault::Source { task: index, source });
            }
        }
    }
}

/// MIDI buffers are never used twice.
fn check_midi_buffers(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut writers = BTreeMap::new();
    for (index, task) in plan.tasks.iter().enumerate() {
        let merged = task.midi_inputs.iter().map(|input| input.buffer).filter(|buffer| *buffer != SILENCE);
        for buffer in merged.chain(task.midi_outputs.iter().copied().flatten()) {
            if let Some(other) = writers.insert(buffer, index) {
                faults.push(Fault::Alias { buffer, writers: (other, index) });
            }
        }
    }
}

/// Checks the fades that begin with a plan that passed [`verify`].
///
/// # Errors
/// All faults that were found.
pub fn verify_fades(plan: &Plan, fades: &[FadeStart]) -> Result<(), Vec<Fault>> {
    let mut gains = BTreeMap::new();
    for task in &plan.tasks {
        gains.extend(terms(task).map(|term| (term.id, (&term.gain, term.staying))));
        let midi = task.midi_inputs.iter().flat_map(|input| &input.terms);
        gains.extend(midi.map(|term| (term.id, (&term.gate, term.staying))));
    }
    let mut begun = BTreeSet::new();
    let mut faults = Vec::new();
    for start in fades {
        let shares = matches!(start.turn, Turn::Enter(_) | Turn::GiveWay(_));
        let twice = !matches!(start.turn, Turn::GainAt(..)) && !begun.insert((start.term, shares));
        let fits = gains.get(&start.term).is_some_and(|(gain, staying)| {
            let may = match start.turn {
                Turn::Enter(_) => *staying,
                Turn::GiveWay(_) | Turn::Leave(_) => !staying,
                Turn::Gain(_) | Turn::GainAt(..) => true,
            };
            Arc::ptr_eq(gain, &start.gain) && may
        });
        if twice || !fits {
            faults.push(Fault::Ramp { term: start.term });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What outlives plans is moved by one task each.
fn check_state(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut owners = BTreeSet::new();
    let mut memories = BTreeSet::new();
    for (task, of) in plan.tasks.iter().enumerate() {
        let mut alone = |address: *const ()| {
            if !owners.insert(address) {
                faults.push(Fault::Shared { task });
            }
        };
        terms(of).for_each(|term| alone(Arc::as_ptr(&term.gain).cast()));
        for term in of.midi_inputs.iter().flat_map(|input| &input.terms) {
            alone(Arc::as_ptr(&term.gate).cast());
            alone(Arc::as_ptr(&term.line).cast());
        }
        of.outputs.iter().flat_map(|o| &o.lines).for_each(|feed| alone(Arc::as_ptr(&feed.line).cast()));
        match &of.work {
            Work::Process(unit) => alone(Arc::as_ptr(unit).cast()),
            Work::Take(line) if !memories.insert(Arc::as_ptr(line)) => faults.push(Fault::Loop { task }),
            Work::Give { tap, longest, .. } if !(plan.max_block as u64..=*longest).contains(tap) => {
                faults.push(Fault::Loop { task });
            }
            _ => {}
        }
    }
}

/// A content of a buffer: who writes it, and who else touches it, as a range of the readers.
struct Content {
    buffer: usize,
    writer: usize,
    readers: std::ops::Range<usize>,
}

fn check_buffers(plan: &Plan, faults: &mut Vec<Fault>) {
    let end = plan.tasks.len();
    // (writer, buffer, reader)
    let mut readers: Vec<(usize, usize, usize)> =
        plan.sinks.iter().map(|sink| (sink.task, sink.buffer, end)).collect();
    for (index, task) in plan.tasks.iter().enumerate() {
        readers.extend(terms(task).map(|term| (term.task, term.buffer, index)));
    }
    readers.sort_unstable();
    readers.dedup();
    let mut contents = Vec::new();
    for (writer, task) in plan.tasks.iter().enumerate() {
        let summed = task.inputs.iter().filter(|input| !input.terms.is_empty());
        contents.extend(summed.map(|input| Content { buffer: input.buffer, writer, readers: 0..0 }));
        contents.extend(task.outputs.iter().map(|output| {
            let place = (writer, output.buffer);
            let first = readers.partition_point(|(task, buffer, _)| (*task, *buffer) < place);
            let last = readers.partition_point(|(task, buffer, _)| (*task, *buffer) <= place);
            Content { buffer: output.buffer, writer, readers: first..last }
        }));
    }
    contents.sort_by_key(|content| (content.buffer, content.writer));
    // What is over before the next content begins is over before all that follow it, so that only neighbours
    // need to be looked at.
    let neighbours: Vec<_> =
        contents.windows(2).map(|pair| (&pair[0], &pair[1])).filter(|(a, b)| a.buffer == b.buffer).collect();
    let mut asked = Vec::new();
    for (pair, (a, b)) in neighbours.iter().enumerate() {
        asked.push((a.writer, b.writer, pair));
        asked.extend(readers[a.readers.clone()].iter().map(|(_, _, reader)| (*reader, b.writer, pair)));
    }
    let open: BTreeSet<usize> = not_before(plan, asked).into_iter().collect();
    faults.extend(open.into_iter().map(|pair| {
        let (a, b) = neighbours[pair];
        Fault::Alias { buffer: a.buffer, writers: (a.writer, b.writer) }
    }));
}

fn terms(task: &Task) -> impl Iterator<Item = &Term> {
    task.inputs.iter().flat_map(|input| &input.terms)
}

/// Words of bits for each task: memory grows with the tasks alone, as only so many sources are looked at at
/// once.
const WORDS: usize = 8;

/// Of (earlier, later, mark), the marks of those whose later task could run before the earlier is done.
fn not_before(plan: &Plan, mut asked: Vec<(usize, usize, usize)>) -> Vec<usize> {
    asked.sort_unstable();
    let sources: Vec<Vec<usize>> = plan.tasks.iter().map(Task::sources).collect();
    // Which of the sources that are looked at come before each task.
    let mut before = vec![[0u64; WORDS]; plan.tasks.len()];
    let mut open = Vec::new();
    for asked in asked.chunk_by(|a, b| a.0 / (64 * WORDS) == b.0 / (64 * WORDS)) {
        let first = asked[0].0 / (64 * WORDS) * (64 * WORDS);
        let last = asked.iter().map(|(_, later, _)| *later).max().unwrap_or(0);
        for task in first..=last {
            let mut own = [0; WORDS];
            for source in sources[task].iter().copied().skip_while(|source| *source < first) {
                own.iter_mut().zip(before[source]).for_each(|(own, theirs)| *own |= theirs);
                if let Some(word) = own.get_mut((source - first) / 64) {
                    *word |= 1 << ((source - first) % 64);
                }
            }
            before[task] = own;
        }
        let is_open = |(earlier, later, _): &&(usize, usize, usize)| {
            earlier >= later || before[*later][(earlier - first) / 64] & (1 << ((earlier - first) % 64)) == 0
        };
        open.extend(asked.iter().filter(is_open).map(|(_, _, pair)| *pair));
    }
    open
}
