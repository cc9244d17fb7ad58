//! One block of a plan.
//!
//! A task runs as soon as everything that it takes from is done. Only when nothing can run is waited for those that
//! somebody else works on, until the cycle's deadline less what is still to be run takes. Then one of them is given
//! up, that with the most behind it, and what has waited for it alone runs; the others have until that is done.

use std::sync::atomic::Ordering::Relaxed;

use aulos_nodes::{Cycle, Fade, Io, Midi, Progress, View};

use super::{
    Clock, Counters, Running,
    contain::contain,
    lane::{Lane, Started},
    mix::{merge, mix},
    running::State,
    slot::Token,
    transport::{MAX_VIEWS, Transport},
    unit::Vitals,
};
use crate::plan::{SILENCE, Task, Work};

/// One block's stretch of the driver's capture channels.
pub struct Captured<'a, C> {
    /// The channels.
    pub channels: &'a [C],
    /// The block's first frame in them.
    pub offset: usize,
}

/// One block of a plan.
pub struct Run<'a> {
    pub running: &'a mut Running,
    pub transport: &'a Transport,
    pub token: &'a mut Token,
    pub counters: &'a Counters,
    pub clock: &'a dyn Clock,
    pub deadline: u64,
    pub frame: u64,
    pub frames: usize,
    /// The length of fades, in frames.
    pub fade: u64,
}

/// What is asked of a processor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Start,
    Poll,
    Abandon,
}

impl Run<'_> {
    /// Runs all tasks.
    pub fn block<C: AsRef<[f32]>>(mut self, captured: &Captured<'_, C>) {
        let running = &mut *self.running;
        running.states.fill(State::Waiting);
        running.missing.copy_from_slice(&running.sources);
        running.ready.clear();
        running.pending.clear();
        running.room.clear();
        running.ready.extend((0..running.sources.len()).filter(|task| running.sources[*task] == 0));
        let costs = running.plan.tasks.iter().map(|task| task.vitals.cost.load(Relaxed));
        running.to_run = if running.timed { costs.sum() } else { 0 };
        let mut next = 0;
        let mut before = if running.timed { self.clock.now() } else { 0 };
        loop {
            while let Some(task) = self.running.ready.get(next).copied() {
                next += 1;
                self.start(task, captured);
                if self.running.timed {
                    let now = self.clock.now();
                    let vitals = &self.running.plan.tasks[task].vitals;
                    self.running.to_run = self.running.to_run.saturating_sub(vitals.cost.load(Relaxed));
                    vitals.spent(now.saturating_sub(before));
                    before = now;
                }
            }
            if self.running.pending.is_empty() {
                return;
            }
            self.look_at_pending();
            if next == self.running.ready.len() && !self.running.pending.is_empty() {
                if self.clock.now() >= self.deadline.saturating_sub(self.running.to_run) {
                    self.give_up();
                } else {
                    self.clock.wait();
                }
            }
            before = if self.running.timed { self.clock.now() } else { 0 };
        }
    }

    /// Asks those who work on a task whether they are done.
    fn look_at_pending(&mut self) {
        let mut index = 0;
        while let Some(task) = self.running.pending.get(index).copied() {
            if self.call(task, Call::Poll) == Progress::Done {
                self.running.pending.swap_remove(index);
                self.done(task);
            } else {
                index += 1;
            }
        }
    }

    /// Gives up on the task that somebody else works on with the most behind it.
    fn give_up(&mut self) {
        let Running { plan, pending, .. } = &mut *self.running;
        let budget = |index: &usize| plan.tasks[pending[*index]].vitals.budget.load(Relaxed);
        let Some(index) = (0..pending.len()).max_by_key(budget) else { return };
        let task = pending.swap_remove(index);
        self.call(task, Call::Abandon);
        self.counters.abandoned.fetch_add(1, Relaxed);
        self.done(task);
    }

    /// Starts a task: everything that it takes from is done.
    fn start<C: AsRef<[f32]>>(&mut self, index: usize, captured: &Captured<'_, C>) {
        let (frame, frames) = (self.frame, self.frames);
        let cycle = self.in_stage_time(index);
        let Running { plan, pool, resolved, .. } = &mut *self.running;
        let task = &plan.tasks[index];
        for (channel, input) in task.inputs.iter().enumerate() {
            resolved[task.first_input + channel] = mix(input, pool, self.token, &cycle);
        }
        match &task.work {
            Work::Capture { first } => {
                for (channel, output) in task.outputs.iter().enumerate() {
                    let out = &mut pool[output.buffer][..frames];
                    match captured.channels.get(first + channel) {
                        Some(x) => {
                            out.copy_from_slice(&x.as_ref()[captured.offset..captured.offset + frames]);
                        }
                        None => out.fill(0.0),
                    }
                }
            }
            Work::Take(line) => {
                let line = line.get(self.token);
                for channel in 0..task.inputs.len() {
                    line.write(channel, frame, &pool[resolved[task.first_input + channel]][..frames]);
                }
            }
            Work::Give { line, tap, .. } => {
                let line = line.get(self.token);
                for (channel, output) in task.outputs.iter().enumerate() {
                    line.read(channel, frame as i64 - *tap as i64, &mut pool[output.buffer][..frames]);
                }
            }
            Work::Process(_) => {
                self.merge_midi(index, &cycle);
                if self.call(index, Call::Start) == Progress::Pending {
                    self.running.states[index] = State::Pending;
                    self.running.pending.push(index);
                    return;
                }
            }
        }
        self.done(index);
    }

    /// The block in the time of a task's stage.
    fn in_stage_time(&mut self, index: usize) -> Cycle<'static> {
        let time = self.running.plan.tasks[index].time.get(self.token);
        let (time, jump) = time.advance(self.frame, self.frames);
        Cycle { time, jump, ..Cycle::new(self.frame, self.frames, &[]) }
    }

    /// Merges what enters the MIDI inputs of a task, and clears its outputs.
    fn merge_midi(&mut self, index: usize, cycle: &Cycle<'_>) {
        let Running { plan, midi_pool, .. } = &mut *self.running;
        let task = &plan.tasks[index];
        for input in task.midi_inputs.iter().filter(|input| input.buffer != SILENCE) {
            let dropped = merge(input, midi_pool, self.token, cycle);
            Vitals::count(&task.vitals.midi_dropped, dropped);
        }
        for output in task.midi_outputs.iter().flatten() {
            midi_pool[*output].clear();
        }
    }

    /// Asks something of a task's processor, with its buffers.
    fn call(&mut self, index: usize, call: Call) -> Progress {
        let cycle = self.in_stage_time(index);
        let Running { plan, pool, midi_pool, outputs, midi_outputs, resolved, midi_resolved, room, .. } =
            &mut *self.running;
        let task = &plan.tasks[index];
        let Work::Process(slot) = &task.work else { return Progress::Done };
        outputs.extend(task.outputs.iter().map(|output| std::mem::take(&mut pool[output.buffer])));
        midi_outputs
            .extend(task.midi_outputs.iter().map(|out| out.map(|out| std::mem::take(&mut midi_pool[out]))));
        midi_resolved.clear();
        midi_resolved.extend(task.midi_inputs.iter().map(|input| input.buffer));
        let mut views =
            [View { segments: &[], fade: Fade::still(0.0), present: (0, 0), begins: false }; MAX_VIEWS];
        let unit = slot.get(self.token);
        let (mut cycle, processor, lane) = match call {
            Call::Start => unit.advance(&cycle),
            Call::Poll | Call::Abandon => unit.again(&cycle),
        };
        if room.begin(&cycle) {
            match cycle.jump {
                Some((at, after)) => {
                    self.transport.look(cycle.time, 0, at, room);
                    self.transport.look(after, at, cycle.frames - at, room);
                }
                None => self.transport.look(cycle.time, 0, cycle.frames, room),
            }
        }
        cycle.views = room.views(&mut views);
        let mut work = Asked {
            task,
            cycle,
            inputs: &resolved[task.first_input..task.first_input + task.inputs.len()],
            pool,
            midi_pool,
            midi_inputs: midi_resolved,
            outputs,
            midi_outputs,
            fade: self.fade,
        };
        let progress = match lane {
            None => work.alone(processor, call),
            Some(lane) if lane.is_pipelined() => work.pipelined(processor, lane, call, self.counters),
            Some(lane) => work.in_lane(processor, lane, call),
        };
        if progress == Progress::Done {
            Vitals::count(&task.vitals.midi_dropped, processor.take_dropped());
        }
        for (output, buffer) in task.outputs.iter().zip(outputs.drain(..)) {
            pool[output.buffer] = buffer;
        }
        for (output, buffer) in task.midi_outputs.iter().zip(midi_outputs.drain(..)) {
            if let (Some(output), Some(buffer)) = (output, buffer) {
                midi_pool[*output] = buffer;
            }
        }
        progress
    }

    /// A task's outputs are there: feeds the lines behind them, and lets run what has waited for it.
    fn done(&mut self, index: usize) {
        let Running { plan, pool, states, missing, successors, first_successor, ready, .. } =
            &mut *self.running;
        let task = &plan.tasks[index];
        for output in &task.outputs {
            let block = &mut pool[output.buffer][..self.frames];
            contain_all(&mut [&mut *block], self.frames, &task.vitals);
            for feed in &output.lines {
                feed.line.get(self.token).push(block);
            }
        }
        states[index] = State::Done;
        for successor in &successors[first_successor[index]..first_successor[index + 1]] {
            missing[*successor] -= 1;
            if missing[*successor] == 0 {
                ready.push(*successor);
            }
        }
    }
}

/// Stops what is no sound, and counts it. What may be late stops it before it is faded, so that a fade neither holds
/// on to it nor counts it again.
fn contain_all(outputs: &mut [impl AsMut<[f32]>], frames: usize, vitals: &Vitals) {
    for output in outputs {
        let (not_finite, denormal) = contain(&mut output.as_mut()[..frames]);
        Vitals::count(&vitals.not_finite, not_finite);
        Vitals::count(&vitals.denormal, denormal);
    }
}

/// A task with its buffers, as its processor is asked.
struct Asked<'a> {
    task: &'a Task,
    cycle: Cycle<'a>,
    inputs: &'a [usize],
    pool: &'a [Vec<f32>],
    midi_pool: &'a [aulos_nodes::MidiBuffer],
    midi_inputs: &'a [usize],
    outputs: &'a mut Vec<Vec<f32>>,
    midi_outputs: &'a mut Vec<Option<aulos_nodes::MidiBuffer>>,
    fade: u64,
}

impl Asked<'_> {
    /// Asks a processor that renders into the task's own buffers.
    fn ask(&mut self, processor: &mut dyn aulos_nodes::Processor, call: Call) -> Progress {
        let midi = Midi {
            pool: self.midi_pool,
            inputs: self.midi_inputs,
            outputs: self.midi_outputs.as_mut_slice(),
        };
        let mut io = Io::new(self.pool, self.inputs, self.outputs, self.cycle.frames).with_midi(midi);
        match call {
            Call::Start => processor.start(&self.cycle, &mut io),
            Call::Poll => processor.poll(&self.cycle, &mut io),
            Call::Abandon => {
                processor.abandon();
                Progress::Done
            }
        }
    }

    /// A processor whose work is never late. Should it be all the same, its outputs are silent for the block.
    fn alone(&mut self, processor: &mut dyn aulos_nodes::Processor, call: Call) -> Progress {
        let progress = self.ask(processor, call);
        if call == Call::Abandon {
            Vitals::count(&self.task.vitals.late, 1);
            self.outputs.iter_mut().for_each(|output| output[..self.cycle.frames].fill(0.0));
            self.midi_outputs.iter_mut().flatten().for_each(aulos_nodes::MidiBuffer::clear);
        }
        progress
    }

    /// A processor that may be late within its block.
    fn in_lane(
        &mut self,
        processor: &mut dyn aulos_nodes::Processor,
        lane: &mut Lane,
        call: Call,
    ) -> Progress {
        let Cycle { frame, frames, .. } = self.cycle;
        if call == Call::Start {
            let (pool, inputs) = (self.pool, self.inputs);
            lane.hear(|channel| &pool[inputs[channel]][..frames]);
        }
        let progress = self.ask(processor, call);
        if progress == Progress::Done {
            let in_time = call != Call::Abandon;
            if in_time {
                contain_all(self.outputs, frames, &self.task.vitals);
            }
            Vitals::count(&self.task.vitals.late, u64::from(!in_time));
            lane.settle(frame, in_time, self.outputs, frames, self.fade);
            lane.settle_midi(in_time, self.midi_outputs);
        }
        progress
    }

    /// A processor that has until the next block: what it was given in the block before is taken, the new block
    /// is given to it, and what is heard is what was put on its way before. Never pending.
    fn pipelined(
        &mut self,
        processor: &mut dyn aulos_nodes::Processor,
        lane: &mut Lane,
        call: Call,
        counters: &Counters,
    ) -> Progress {
        if call != Call::Start {
            return Progress::Done;
        }
        let Cycle { frame, frames, .. } = self.cycle;
        let mut staging = std::mem::take(&mut lane.staging);
        let mut midi_staging = std::mem::take(&mut lane.midi_staging);
        let mut before = 0;
        if let Some(started) = lane.started.take() {
            let cycle = Cycle { settings: &[], ..Cycle::new(started.frame, started.frames, &[]) };
            let midi = Midi { pool: self.midi_pool, inputs: &[], outputs: &mut midi_staging };
            let mut io = Io::new(self.pool, &[], &mut staging, started.frames).with_midi(midi);
            let in_time = started.done || processor.poll(&cycle, &mut io) == Progress::Done;
            if in_time {
                contain_all(&mut staging, started.frames, &self.task.vitals);
            } else {
                processor.abandon();
                Vitals::count(&self.task.vitals.late, 1);
                Vitals::count(&counters.abandoned, 1);
            }
            lane.settle(started.frame, in_time, &mut staging, started.frames, self.fade);
            lane.settle_midi(in_time, &mut midi_staging);
            before = started.frames;
            (lane.staging, lane.midi_staging) = (staging, midi_staging);
            lane.send(started);
            Vitals::count(&self.task.vitals.midi_dropped, lane.take_dropped());
            staging = std::mem::take(&mut lane.staging);
            midi_staging = std::mem::take(&mut lane.midi_staging);
        }
        let midi = Midi { pool: self.midi_pool, inputs: self.midi_inputs, outputs: &mut midi_staging };
        let mut io = Io::new(self.pool, self.inputs, &mut staging, frames).with_midi(midi);
        let done = processor.start(&self.cycle, &mut io) == Progress::Done;
        lane.started = Some(Started { frame, frames, done });
        (lane.staging, lane.midi_staging) = (staging, midi_staging);
        lane.receive(frame, frames, before, self.outputs, self.midi_outputs);
        Progress::Done
    }
}
