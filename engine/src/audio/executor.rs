//! The engine as a driver sees it.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
};

use rtrb::{Consumer, Producer};

use super::{
    Clock, Running, Spare,
    contain::contain,
    denormals,
    run::{Captured, Run},
    slot::Token,
    transport::{Start, Transport},
    unit::Vitals,
};
use crate::{guard, handoff::Batch, plan::Plan};

/// How many batches are taken over in a cycle at most.
const BATCHES_A_CYCLE: usize = 16;

/// What can be seen of the audio thread from outside.
#[derive(Debug, Default)]
pub struct Counters {
    frame: AtomicU64,
    position: AtomicU64,
    rolling: AtomicBool,
    cycles: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) hurried: AtomicU64,
    /// Odd while the two below are written.
    turns: AtomicU64,
    due_frame: AtomicU64,
    due: AtomicU64,
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

    /// A frame and when it is due, in ns on the driver's clock: the one after the last cycle that had a deadline. None
    /// before there was one, or at the very moment at which it is written.
    pub fn due(&self) -> Option<(u64, u64)> {
        let turn = self.turns.load(Acquire);
        let due = (self.due_frame.load(Relaxed), self.due.load(Relaxed));
        fence(Acquire);
        (turn > 0 && turn.is_multiple_of(2) && self.turns.load(Relaxed) == turn).then_some(due)
    }

    /// [audio thread] Notes when a frame is due.
    fn note_due(&self, frame: u64, due: u64) {
        let turn = self.turns.load(Relaxed);
        self.turns.store(turn + 1, Relaxed);
        fence(Release);
        self.due_frame.store(frame, Relaxed);
        self.due.store(due, Relaxed);
        self.turns.store(turn + 2, Release);
    }

    /// How many times a task was given up because it was late.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    /// How many timed changes of the transport found no room and were carried out at once.
    pub fn hurried(&self) -> u64 {
        self.hurried.load(Relaxed)
    }
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
    /// The length of fades, as it was told last.
    fade: u64,
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
    let running = Box::new(Running::new(Plan::default(), max_block, Spare::default()));
    let transport = Transport::new(start);
    Engine { token, running, transport, batches, home, counters, frame: 0, fade: 0, max_block }
}

impl Engine {
    /// The longest block that is rendered at once; longer cycles are rendered in parts.
    pub fn max_block(&self) -> usize {
        self.max_block
    }

    /// [audio thread] Renders one cycle of `frames` frames. Every channel has at least as many; playback
    /// channels that nothing is linked to become silent, capture channels that are not there are taken as
    /// silent. A cycle of 0 frames only carries out what was sent. At `deadline` (on `clock`) the cycle should be
    /// over: what somebody else works on is waited for until what comes after it would become late.
    pub fn process<C: AsRef<[f32]>, P: AsMut<[f32]>>(
        &mut self,
        capture: &[C],
        playback: &mut [P],
        frames: usize,
        clock: &dyn Clock,
        deadline: u64,
    ) {
        guard::realtime(|| {
            denormals::flushed(|| self.cycle(capture, playback, frames, clock, deadline));
        });
    }

    fn cycle<C: AsRef<[f32]>, P: AsMut<[f32]>>(
        &mut self,
        capture: &[C],
        playback: &mut [P],
        frames: usize,
        clock: &dyn Clock,
        deadline: u64,
    ) {
        self.take_over();
        let mut offset = 0;
        while offset < frames {
            let block = (frames - offset).min(self.max_block);
            self.transport.advance(self.frame, block, self.running.plan.remembered);
            // Each block has its share of the cycle's time, so that those behind it have theirs.
            let deadline = if block < frames - offset {
                let now = clock.now();
                now + deadline.saturating_sub(now) / (frames - offset) as u64 * block as u64
            } else {
                deadline
            };
            let run = Run {
                running: &mut self.running,
                transport: &self.transport,
                token: &mut self.token,
                counters: &self.counters,
                clock,
                deadline,
                frame: self.frame,
                frames: block,
                fade: self.fade,
            };
            run.block(&Captured { channels: capture, offset });
            self.deliver(playback, offset, block);
            self.frame += block as u64;
            offset += block;
        }
        self.publish();
        self.counters.frame.store(self.frame, Relaxed);
        if frames > 0 {
            self.counters.cycles.fetch_add(1, Relaxed);
            if deadline != u64::MAX {
                self.counters.note_due(self.frame, deadline);
            }
        }
    }

    /// Carries out what the control thread has sent, at the frame at which the cycle begins, and sends it home.
    /// Never inlined: what it costs is counted by its name, in `tests/tests/counted.rs`.
    #[inline(never)]
    fn take_over(&mut self) {
        for _ in 0..BATCHES_A_CYCLE {
            match self.batches.peek() {
                Ok(batch) if batch.moves_transport(self.frame) && !self.transport.has_room(self.frame) => {
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
            // A return slot is reserved for every batch that is sent; without one it would have to be freed here.
            if self.home.slots() == 0 {
                return;
            }
            let Ok(mut batch) = self.batches.pop() else { return };
            self.fade = batch.usual_fade;
            let hurried = batch.apply(&mut self.running, &mut self.transport, &mut self.token, self.frame);
            self.counters.hurried.fetch_add(u64::from(hurried), Relaxed);
            // Whoever sees the batch at home sees the transport as it is after it.
            self.publish();
            // Cannot fail: there was a free slot, and only this thread fills them.
            let _ = self.home.push(batch);
        }
    }

    fn publish(&self) {
        let (position, rolling) = self.transport.state(self.frame);
        self.counters.position.store(position, Relaxed);
        self.counters.rolling.store(rolling, Relaxed);
    }

    /// Sums the sinks into the driver's channels.
    fn deliver<P: AsMut<[f32]>>(&self, playback: &mut [P], offset: usize, frames: usize) {
        let sinks = &self.running.plan.sinks;
        for (channel, out) in playback.iter_mut().enumerate() {
            let out = &mut out.as_mut()[offset..offset + frames];
            let from = sinks.partition_point(|sink| sink.channel < channel);
            let mut first = true;
            for sink in sinks[from..].iter().take_while(|sink| sink.channel == channel) {
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
            // Sums of what is finite need not be.
            let (not_finite, _) = contain(out);
            if let Some(sink) = sinks.get(from) {
                Vitals::count(&self.running.plan.tasks[sink.task].vitals.not_finite, not_finite);
            }
        }
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
