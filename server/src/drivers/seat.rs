//! Where the engine sits in a driver, and how another takes its place without a click.

use aulos_engine::{Clock, Engine, guard};
use aulos_nodes::Fade;
use aulos_protocol::{Error, ErrorCode, Rate};
use rtrb::{Consumer, Producer, RingBuffer};

/// An engine that is to take the place of the one that runs.
pub struct Successor {
    /// The engine; on the way home, the one that ran before.
    pub engine: Engine,
    /// The rate that it runs at.
    pub rate: Rate,
    /// How long the old one fades out and the new one in, in frames.
    pub fade: u64,
}

/// The control thread's end of the exchange.
pub struct Exchange {
    successors: Producer<Box<Successor>>,
    home: Consumer<Box<Successor>>,
}

/// How many engines can be on their way at once. Each has a return slot.
const SUCCESSORS: usize = 4;

impl Exchange {
    /// Sends an engine to the driver.
    ///
    /// # Errors
    /// `Busy` while the driver has not taken over the ones before.
    pub fn send(&mut self, successor: Successor) -> Result<(), Error> {
        self.collect();
        self.successors.push(Box::new(successor)).map_err(|_| {
            Error::new(ErrorCode::Busy, "the driver has not taken over the session before this one")
                .remedy("try again in a moment")
        })
    }

    /// Frees the engines that came home.
    pub fn collect(&mut self) {
        while self.home.pop().is_ok() {}
    }
}

/// What a driver does with its engine.
pub struct Seat {
    engine: Engine,
    playback: Vec<Vec<f32>>,
    capture: Vec<Vec<f32>>,
    successors: Consumer<Box<Successor>>,
    home: Producer<Box<Successor>>,
    /// Frames since the seat was made, over all engines.
    frame: u64,
    /// The gain over all channels: moves only when engines change.
    fade: Fade,
    /// The rate of an engine that has taken its place.
    changed_rate: Option<Rate>,
}

impl Seat {
    /// A seat with an engine, for cycles of up to `block` frames.
    pub fn new(engine: Engine, playback: usize, capture: usize, block: usize) -> (Self, Exchange) {
        let (successors, incoming) = RingBuffer::new(SUCCESSORS);
        let (outgoing, home) = RingBuffer::new(SUCCESSORS * 2);
        let seat = Self {
            engine,
            playback: vec![vec![0.0; block]; playback],
            capture: vec![vec![0.0; block]; capture],
            successors: incoming,
            home: outgoing,
            frame: 0,
            fade: Fade::still(1.0),
            changed_rate: None,
        };
        (seat, Exchange { successors, home })
    }

    /// [audio thread] Runs a cycle, which should be over at `deadline` on `clock`; 0 frames only carry out what was
    /// sent to the engine.
    pub fn cycle(&mut self, frames: usize, clock: &dyn Clock, deadline: u64) {
        guard::realtime(|| {
            self.exchange();
            self.engine.process(&self.capture, &mut self.playback, frames, clock, deadline);
            if self.fade != Fade::still(1.0) {
                for channel in &mut self.playback {
                    let gains = (self.frame..).map(|frame| self.fade.at(frame));
                    channel[..frames].iter_mut().zip(gains).for_each(|(y, gain)| *y *= gain);
                }
            }
            self.frame += frames as u64;
        });
    }

    /// Begins to fade out when a successor waits, and seats it when that is done.
    fn exchange(&mut self) {
        let Ok(next) = self.successors.peek() else {
            if self.fade.target() == 1.0 && self.fade.is_still(self.frame) {
                self.fade = Fade::still(1.0);
            }
            return;
        };
        if self.fade.target() != 0.0 {
            self.fade.turn(0.0, self.frame, self.frame, next.fade);
        }
        if !self.fade.is_silent(self.frame) || self.home.slots() == 0 {
            return;
        }
        if let Ok(mut next) = self.successors.pop() {
            std::mem::swap(&mut self.engine, &mut next.engine);
            self.changed_rate = Some(next.rate);
            self.fade.turn(1.0, self.frame, self.frame, next.fade);
            // There was a free slot, and only this thread fills them.
            let _ = self.home.push(next);
        }
    }

    /// What the cycle before has played, by channel.
    pub fn playback(&self) -> &[Vec<f32>] {
        &self.playback
    }

    /// The rate of the engine that has taken its place since this was asked last.
    pub fn take_changed_rate(&mut self) -> Option<Rate> {
        self.changed_rate.take()
    }
}
