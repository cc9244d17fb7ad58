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
        monotonic::{self, Monotonic, duration_ns},
        seat::{MOST_CHANNELS, Seat},
    },
    Shared,
    ports::{Ends, Turn},
};
use crate::library::ReadAhead;

/// What the audio thread has.
pub struct Process {
    hold: Hold,
    ends: Ends,
    outs: Vec<Option<Port<AudioOut>>>,
    ins: Vec<Option<Port<AudioIn>>>,
    /// One more than the highest channel that has a port, each way.
    played: usize,
    recorded: usize,
    stats: Arc<Stats>,
    shared: Arc<Shared>,
    read_ahead: Arc<ReadAhead>,
    rate: Rate,
    begun: bool,
}

impl Process {
    /// Without ports.
    pub fn new(hold: Hold, ends: Ends, opening: &Opening, shared: Arc<Shared>) -> Self {
        Self {
            hold,
            ends,
            outs: std::iter::repeat_with(|| None).take(MOST_CHANNELS).collect(),
            ins: std::iter::repeat_with(|| None).take(MOST_CHANNELS).collect(),
            played: 0,
            recorded: 0,
            stats: opening.stats.clone(),
            shared,
            read_ahead: opening.read_ahead.clone(),
            rate: opening.rate,
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

    /// Runs the cycle in parts that fit into the seat.
    fn cycle(&mut self, scope: &ProcessScope, freewheels: bool) -> bool {
        let frames = scope.n_frames() as usize;
        let Self { outs, ins, played, recorded, rate, .. } = self;
        let begun = monotonic::now();
        let deadline = begun + duration_ns(frames as u64, *rate);
        let (clock, deadline): (&dyn Clock, u64) =
            if freewheels { (&Patience, u64::MAX) } else { (&Monotonic, deadline) };
        let work = |seat: &mut Seat| {
            let mut done = 0;
            while done < frames {
                let part = (frames - done).min(seat.block());
                let channels = seat.capture(*recorded).iter_mut().zip(ins.iter());
                for (channel, port) in channels {
                    match port {
                        Some(port) => {
                            channel[..part].copy_from_slice(&port.as_slice(scope)[done..done + part]);
                        }
                        None => channel[..part].fill(0.0),
                    }
                }
                seat.cycle(part, *played, clock, deadline);
                for (channel, port) in seat.playback().iter().zip(outs.iter_mut()) {
                    if let Some(port) = port {
                        port.as_mut_slice(scope)[done..done + part].copy_from_slice(&channel[..part]);
                    }
                }
                done += part;
            }
        };
        self.hold.with(work).is_some()
    }
}

impl ProcessHandler for Process {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        if !self.begun {
            self.begun = true;
            self.stats.set_realtime(super::super::realtime::ask());
        }
        self.turn();
        let freewheels = self.shared.freewheels.load(Relaxed);
        if freewheels && let Err(error) = self.read_ahead.wait(u64::from(scope.n_frames())) {
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
