//! Running a plan.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use aulos_nodes::{Cycle, Fade, Io, Progress, View};
use rtrb::{Consumer, Producer};

use super::{
    denormals,
    mix::mix,
    slot::Token,
    transport::{MAX_COURSES, Start, Transport},
};
use crate::{
    guard,
    handoff::Batch,
    plan::{Plan, SILENCE, Work},
};

/// How many batches are taken over in a cycle at most.
const BATCHES_A_CYCLE: usize = 16;

/// Says when a task that somebody else works on must be given up in this cycle.
pub trait Deadline {
    /// [audio thread] Whether the time is up. Asked between two polls; may wait a little by itself.
    fn passed(&self) -> bool;
}

/// Waits for ever: for drivers whose clock stands still meanwhile.
#[derive(Debug)]
pub struct Patience;

impl Deadline for Patience {
    fn passed(&self) -> bool {
        std::hint::spin_loop();
        false
    }
}

/// What can be seen of the audio thread from outside.
#[derive(Debug, Default)]
pub struct Counters {
    frame: AtomicU64,
    position: AtomicU64,
    rolling: AtomicBool,
    cycles: AtomicU64,
    abandoned: AtomicU64,
}

impl Counters {
    /// The engine's frame: how many were rendered.
    pub fn frame(&self) -> u64 {
        self.frame.load(Relaxed)
    }

    /// The position of the transport.
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// Whether the transport rolls.
    pub fn rolling(&self) -> bool {
        self.rolling.load(Relaxed)
    }

    /// How many cycles were run.
    pub fn cycles(&self) -> u64 {
        self.cycles.load(Relaxed)
    }

    /// How many times a task was given up because it was late.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }
}

/// How far a task is in this cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Pending,
    Done,
}

/// A plan with the memory that running it takes.
#[derive(Debug, Default)]
pub struct Running {
    plan: Plan,
    pool: Vec<Vec<f32>>,
    /// The outputs of the task that is running, taken out of the pool.
    outputs: Vec<Vec<f32>>,
    /// The buffer that each input is in, in this cycle.
    resolved: Vec<usize>,
    states: Vec<State>,
}

impl Running {
    /// [control thread] Takes all memory for blocks of up to `max_block` frames.
    pub fn new(plan: Plan, max_block: usize) -> Self {
        let widest = plan.tasks.iter().map(|task| task.outputs.len()).max().unwrap_or(0);
        Self {
            pool: vec![vec![0.0; max_block]; plan.buffers.max(1)],
            outputs: Vec::with_capacity(widest),
            resolved: vec![SILENCE; plan.inputs],
            states: vec![State::Waiting; plan.tasks.len()],
            plan,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// One block's stretch of the driver's capture channels.
struct Captured<'a, C> {
    channels: &'a [C],
    offset: usize,
}

/// The engine as the driver sees it: whoever calls [`Engine::process`] is the audio thread.
pub struct Engine {
    token: Token,
    running: Box<Running>,
    transport: Transport,
    batches: Consumer<Box<Batch>>,
    home: Producer<Box<Batch>>,
    counters: Arc<Counters>,
    frame: u64,
    max_block: usize,
}

/// [control thread] The audio thread's side of an engine.
pub(crate) fn new_engine(
    token: Token,
    start: Start,
    max_block: usize,
    batches: Consumer<Box<Batch>>,
    home: Producer<Box<Batch>>,
    counters: Arc<Counters>,
) -> Engine {
    counters.position.store(start.position, Relaxed);
    counters.rolling.store(start.rolling, Relaxed);
    let running = Box::new(Running::new(Plan { buffers: 1, ..Plan::default() }, max_block));
    let transport = Transport::new(start, max_block);
    Engine { token, running, transport, batches, home, counters, frame: 0, max_block }
}

impl Engine {
    /// The longest block that is rendered at once; longer cycles are rendered in parts.
    pub fn max_block(&self) -> usize {
        self.max_block
    }

    /// [audio thread] Renders one cycle of `frames` frames. Every channel has at least as many; playback
    /// channels that nothing is linked to become silent, capture channels that are not there are taken as
    /// silent. A cycle of 0 frames only carries out what was sent.
    pub fn process<C: AsRef<[f32]>, P: AsMut<[f32]>>(
        &mut self,
        capture: &[C],
        playback: &mut [P],
        frames: usize,
        deadline: &dyn Deadline,
    ) {
        guard::realtime(|| denormals::flushed(|| self.cycle(capture, playback, frames, deadline)));
    }

    fn cycle<C: AsRef<[f32]>, P: AsMut<[f32]>>(
        &mut self,
        capture: &[C],
        playback: &mut [P],
        frames: usize,
        deadline: &dyn Deadline,
    ) {
        self.take_over();
        let mut offset = 0;
        while offset < frames {
            let block = (frames - offset).min(self.max_block);
            self.block(&Captured { channels: capture, offset }, block, deadline);
            self.deliver(playback, offset, block);
            self.frame += block as u64;
            offset += block;
        }
        self.publish();
        self.counters.frame.store(self.frame, Relaxed);
        if frames > 0 {
            self.counters.cycles.fetch_add(1, Relaxed);
        }
    }

    /// Carries out what the control thread has sent, at the frame at which the cycle begins, and sends it home.
    fn take_over(&mut self) {
        self.transport.forget_silent(self.frame);
        for _ in 0..BATCHES_A_CYCLE {
            match self.batches.peek() {
                Ok(batch) if batch.transport.is_some() && !self.transport.has_room() => return,
                Ok(_) => {}
                Err(_) => return,
            }
            // A return slot is reserved for every batch that is sent; without one it would have to be freed here.
            if self.home.slots() == 0 {
                return;
            }
            let Ok(mut batch) = self.batches.pop() else { return };
            batch.apply(&mut self.running, &mut self.transport, &mut self.token, self.frame);
            // Whoever sees the batch at home sees the transport as it is after it.
            self.publish();
            // Cannot fail: there was a free slot, and only this thread fills them.
            let _ = self.home.push(batch);
        }
    }

    fn publish(&self) {
        let (position, rolling) = self.transport.state();
        self.counters.position.store(position, Relaxed);
        self.counters.rolling.store(rolling, Relaxed);
    }

    fn block<C: AsRef<[f32]>>(&mut self, captured: &Captured<'_, C>, frames: usize, deadline: &dyn Deadline) {
        self.transport.advance(self.frame, frames);
        let mut room = [View { segments: &[], fade: Fade::still(0.0) }; MAX_COURSES];
        let cycle = Cycle { frame: self.frame, frames, views: self.transport.views(&mut room) };
        let Running { plan, pool, outputs, resolved, states } = &mut *self.running;
        states.fill(State::Waiting);
        let mut run = Run {
            plan,
            pool,
            outputs,
            resolved,
            states,
            token: &mut self.token,
            cycle,
            deadline,
            abandoned: &self.counters.abandoned,
        };
        for task in 0..run.plan.tasks.len() {
            run.start(task, captured);
        }
        for task in 0..run.plan.tasks.len() {
            run.finish(task);
        }
    }

    /// Sums the sinks into the driver's channels.
    fn deliver<P: AsMut<[f32]>>(&self, playback: &mut [P], offset: usize, frames: usize) {
        for (channel, out) in playback.iter_mut().enumerate() {
            let out = &mut out.as_mut()[offset..offset + frames];
            let mut first = true;
            for sink in self.running.plan.sinks.iter().filter(|sink| sink.channel == channel) {
                let samples = &self.running.pool[sink.buffer][..frames];
                if first {
                    out.copy_from_slice(samples);
                } else {
                    out.iter_mut().zip(samples).for_each(|(y, x)| *y += x);
                }
                first = false;
            }
            if first {
                out.fill(0.0);
            }
        }
    }
}

/// One block of a plan.
struct Run<'a> {
    plan: &'a Plan,
    pool: &'a mut Vec<Vec<f32>>,
    outputs: &'a mut Vec<Vec<f32>>,
    resolved: &'a mut [usize],
    states: &'a mut [State],
    token: &'a mut Token,
    cycle: Cycle<'a>,
    deadline: &'a dyn Deadline,
    abandoned: &'a AtomicU64,
}

/// What is asked of a processor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Start,
    Poll,
}

impl Run<'_> {
    /// Starts a task, after everything that it needs is done.
    fn start<C: AsRef<[f32]>>(&mut self, index: usize, captured: &Captured<'_, C>) {
        let plan = self.plan;
        let task = &plan.tasks[index];
        for input in &task.inputs {
            for term in &input.terms {
                self.finish(term.task);
            }
        }
        for (channel, input) in task.inputs.iter().enumerate() {
            self.resolved[task.first_input + channel] =
                mix(input, self.pool, self.token, self.cycle.frame, self.cycle.frames);
        }
        let progress = match &task.work {
            Work::Capture { first } => {
                for (channel, output) in task.outputs.iter().enumerate() {
                    let out = &mut self.pool[output.buffer][..self.cycle.frames];
                    match captured.channels.get(first + channel) {
                        Some(x) => {
                            let from = captured.offset;
                            out.copy_from_slice(&x.as_ref()[from..from + self.cycle.frames]);
                        }
                        None => out.fill(0.0),
                    }
                }
                Progress::Done
            }
            Work::Process(_) => self.call(index, Call::Start),
        };
        match progress {
            Progress::Done => self.done(index),
            Progress::Pending => self.states[index] = State::Pending,
        }
    }

    /// Waits for a task that was started.
    fn finish(&mut self, index: usize) {
        while self.states[index] == State::Pending {
            if self.call(index, Call::Poll) == Progress::Done {
                self.done(index);
            } else if self.deadline.passed() {
                self.abandon(index);
            }
        }
    }

    fn call(&mut self, index: usize, call: Call) -> Progress {
        let plan = self.plan;
        let task = &plan.tasks[index];
        let Work::Process(slot) = &task.work else { return Progress::Done };
        for output in &task.outputs {
            self.outputs.push(std::mem::take(&mut self.pool[output.buffer]));
        }
        let inputs = &self.resolved[task.first_input..task.first_input + task.inputs.len()];
        let mut io = Io::new(self.pool, inputs, self.outputs, self.cycle.frames);
        let processor = slot.get(self.token);
        let progress = match call {
            Call::Start => processor.start(&self.cycle, &mut io),
            Call::Poll => processor.poll(&self.cycle, &mut io),
        };
        for (output, buffer) in task.outputs.iter().zip(self.outputs.drain(..)) {
            self.pool[output.buffer] = buffer;
        }
        progress
    }

    /// A late task is silent for this block; its delay lines go on, so that alignment is kept.
    fn abandon(&mut self, index: usize) {
        let plan = self.plan;
        if let Work::Process(slot) = &plan.tasks[index].work {
            slot.get(self.token).abandon();
        }
        for output in &plan.tasks[index].outputs {
            self.pool[output.buffer][..self.cycle.frames].fill(0.0);
        }
        self.abandoned.fetch_add(1, Relaxed);
        self.done(index);
    }

    fn done(&mut self, index: usize) {
        let plan = self.plan;
        for output in &plan.tasks[index].outputs {
            for line in &output.lines {
                line.get(self.token).push(&self.pool[output.buffer][..self.cycle.frames]);
            }
        }
        self.states[index] = State::Done;
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
