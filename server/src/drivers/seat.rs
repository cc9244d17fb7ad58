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
    /// Whether an engine can be sent to the driver.
    ///
    /// # Errors
    /// `Busy` while the driver has not taken over the ones before.
    pub fn room(&mut self) -> Result<(), Error> {
        self.collect();
        if !self.successors.is_full() {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Busy, "the driver has not taken over the session before this one")
            .remedy("try again in a moment"))
    }

    /// Sends an engine to the driver, after [`Exchange::room`].
    pub fn send(&mut self, successor: Successor) {
        if self.successors.push(Box::new(successor)).is_err() {
            unreachable!("there was room, and nobody else sends");
        }
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
    /// The gain over all channels: moves only when engines or drivers change.
    fade: Fade,
    /// What the engine runs at.
    rate: Rate,
    /// How many capture channels may hold what a device has recorded.
    recorded: usize,
}

/// The longest block that devices are served with at once; longer cycles are served in parts.
pub const DEVICE_BLOCK: usize = 8192;
/// The channels that a device can have, each way.
pub const MOST_CHANNELS: usize = 128;
/// How long sound fades when it changes from one driver to another, in ms.
const HAND_OVER_MS: u32 = 5;

impl Seat {
    /// A seat with an engine, for cycles of up to `block` frames and so many channels.
    pub fn new(
        engine: Engine,
        rate: Rate,
        playback: usize,
        capture: usize,
        block: usize,
    ) -> (Self, Exchange) {
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
            rate,
            recorded: 0,
        };
        (seat, Exchange { successors, home })
    }

    /// A seat that any device can take, for blocks of at least `block` frames.
    pub fn for_devices(engine: Engine, rate: Rate, block: usize) -> (Self, Exchange) {
        Self::new(engine, rate, MOST_CHANNELS, MOST_CHANNELS, block.max(DEVICE_BLOCK))
    }

    /// [audio thread] Runs a cycle, which should be over at `deadline` on `clock`; 0 frames only carry out what was
    /// sent to the engine. Playback channels from `played` on are left as they are.
    pub fn cycle(&mut self, frames: usize, played: usize, clock: &dyn Clock, deadline: u64) {
        guard::realtime(|| {
            self.exchange();
            let playback = &mut self.playback[..played];
            self.engine.process(&self.capture, playback, frames, clock, deadline);
            if self.fade != Fade::still(1.0) {
                for channel in playback {
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
            self.rate = next.rate;
            self.fade.turn(1.0, self.frame, self.frame, next.fade);
            // There was a free slot, and only this thread fills them.
            let _ = self.home.push(next);
        }
    }

    /// What the cycle before has played, by channel.
    pub fn playback(&self) -> &[Vec<f32>] {
        &self.playback
    }

    /// [audio thread] Has what follows fade in: another driver begins to be heard. Before the first frame there is
    /// nothing to fade.
    pub fn enter(&mut self) {
        self.resume();
        if self.frame > 0 {
            self.fade = Fade::new(0.0, 1.0, self.frame, self.hand_over());
        }
    }

    /// [audio thread] Has nothing of another driver's last: what it recorded, or a fade at its end.
    pub fn resume(&mut self) {
        self.fade = Fade::still(1.0);
        self.capture[..self.recorded].iter_mut().for_each(|channel| channel.fill(0.0));
        self.recorded = 0;
    }

    /// [audio thread] Fades out; whether nothing is heard any more.
    pub fn leave(&mut self) -> bool {
        if self.fade.target() != 0.0 {
            self.fade.turn(0.0, self.frame, self.frame, self.hand_over());
        }
        self.fade.is_silent(self.frame)
    }

    fn hand_over(&self) -> u64 {
        u64::from(self.rate.hz() * HAND_OVER_MS / 1000)
    }

    /// [audio thread] Where a device puts what it has recorded, by channel, for so many channels.
    pub fn capture(&mut self, channels: usize) -> &mut [Vec<f32>] {
        self.recorded = self.recorded.max(channels);
        &mut self.capture[..channels]
    }

    /// The longest cycle that can be run, in frames.
    pub fn block(&self) -> usize {
        self.playback.first().or(self.capture.first()).map_or(usize::MAX, Vec::len)
    }

    /// What the engine runs at.
    pub fn rate(&self) -> Rate {
        self.rate
    }
}
