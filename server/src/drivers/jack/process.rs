//! A cycle of the JACK server.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use aulos_engine::{Clock, Patience};
use aulos_protocol::Rate;
use jack::{AudioIn, AudioOut, Client, Control, Port, ProcessHandler, ProcessScope};

use super::{
    super::{
        Stats,
        berth::Hold,
        device::Opening,
        edge::{self, Edge},
        monotonic::{self, Monotonic, duration_ns},
        seat::MOST_CHANNELS,
    },
    Shared,
    ports::{Ends, Turn},
};
use crate::library::ReadAhead;

/// What the audio thread has.
pub struct Process {
    hold: Hold,
    edge: Edge,
    ends: Ends,
    outs: Vec<Option<Port<AudioOut>>>,
    ins: Vec<Option<Port<AudioIn>>>,
    /// One more than the highest channel that has a port, each way.
    played: usize,
    recorded: usize,
    stats: Arc<Stats>,
    shared: Arc<Shared>,
    read_ahead: Arc<ReadAhead>,
    /// The server's.
    rate: Rate,
    begun: bool,
}

impl Process {
    /// Without ports, for a server of `rate`.
    pub fn new(
        (hold, edge): (Hold, Edge),
        ends: Ends,
        opening: &Opening,
        shared: Arc<Shared>,
        rate: Rate,
    ) -> Self {
        Self {
            hold,
            edge,
            ends,
            outs: std::iter::repeat_with(|| None).take(MOST_CHANNELS).collect(),
            ins: std::iter::repeat_with(|| None).take(MOST_CHANNELS).collect(),
            played: 0,
            recorded: 0,
            stats: opening.stats.clone(),
            shared,
            read_ahead: opening.read_ahead.clone(),
            rate,
            begun: false,
        }
    }

    /// Takes over ports, and gives back those that go.
    fn turn(&mut self) {
        while self.ends.home.slots() > 0 {
            let Ok(turn) = self.ends.turns.pop() else { return };
            let given = match turn {
                Turn::Out(at, port) => Turn::Out(at, std::mem::replace(&mut self.outs[at], port)),
                Turn::In(at, port) => Turn::In(at, std::mem::replace(&mut self.ins[at], port)),
            };
            if !matches!(given, Turn::Out(_, None) | Turn::In(_, None)) {
                // There was room, and only this thread fills it.
                let _ = self.ends.home.push(given);
            }
            self.played = self.outs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            self.recorded = self.ins.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        }
    }

    /// Runs the cycle; whether it was ours.
    fn cycle(&mut self, scope: &ProcessScope, freewheels: bool) -> bool {
        let frames = scope.n_frames() as usize;
        let Self { hold, edge, outs, ins, played, recorded, rate, stats, .. } = self;
        let deadline = monotonic::now() + duration_ns(frames as u64, *rate);
        let (clock, deadline): (&dyn Clock, u64) =
            if freewheels { (&Patience, u64::MAX) } else { (&Monotonic, deadline) };
        let turn = edge::Turn { frames, recorded: *recorded, played: *played, clock, deadline };
        let slipped = hold.with(|seat| edge.cycle(seat, &turn, &mut Buffers { scope, ins, outs }));
        if slipped.is_some_and(|slipped| slipped > 0) {
            stats.xrun();
        }
        slipped.is_some()
    }
}

/// The buffers of the ports in a cycle.
struct Buffers<'a> {
    scope: &'a ProcessScope,
    ins: &'a [Option<Port<AudioIn>>],
    outs: &'a mut [Option<Port<AudioOut>>],
}

impl edge::Ends for Buffers<'_> {
    fn record(&mut self, at: usize, frames: usize, capture: &mut [Vec<f32>]) {
        for (channel, port) in capture.iter_mut().zip(self.ins) {
            match port {
                Some(port) => channel[..frames].copy_from_slice(&port.as_slice(self.scope)[at..at + frames]),
                None => channel[..frames].fill(0.0),
            }
        }
    }

    fn play(&mut self, at: usize, frames: usize, playback: &[Vec<f32>]) {
        for (channel, port) in playback.iter().zip(self.outs.iter_mut()) {
            if let Some(port) = port {
                port.as_mut_slice(self.scope)[at..at + frames].copy_from_slice(&channel[..frames]);
            }
        }
    }
}

impl ProcessHandler for Process {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        if !self.begun {
            self.begun = true;
            self.stats.set_device(super::super::realtime::ask());
        }
        self.turn();
        let freewheels = self.shared.freewheels.load(Relaxed);
        if freewheels && let Err(error) = self.read_ahead.wait(self.edge.most(scope.n_frames() as usize)) {
            tracing::warn!("{error}");
        }
        let begun = monotonic::now();
        if self.cycle(scope, freewheels) {
            let (busy, lasts) =
                (monotonic::now() - begun, duration_ns(u64::from(scope.n_frames()), self.rate));
            self.stats.cycle(busy, lasts, busy > lasts && !freewheels);
        } else {
            self.outs.iter_mut().flatten().for_each(|port| port.as_mut_slice(scope).fill(0.0));
        }
        Control::Continue
    }
}
