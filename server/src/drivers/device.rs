//! What the supervisor knows of any device.

use std::{collections::BTreeMap, sync::Arc};

use aulos_protocol::{Error, ErrorCode, Rate};

use super::{Setup, Stats, berth::Berth, jack};
use crate::library::ReadAhead;

/// What the session wants of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The channels that its outputs play, counted from 0.
    pub playback: BTreeMap<usize, Channel>,
    /// The channels that its inputs record.
    pub capture: BTreeMap<usize, Channel>,
    /// After how many frames nothing is heard any more of what was removed.
    pub settles: u64,
}

impl Wanted {
    /// How many channels a device must play and record so that all are reached.
    pub fn channels(&self) -> (usize, usize) {
        let count =
            |channels: &BTreeMap<usize, Channel>| channels.last_key_value().map_or(0, |(at, _)| at + 1);
        (count(&self.playback), count(&self.capture))
    }
}

/// A channel of the driver that the session uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Its name, of the node and its port.
    pub name: String,
    /// How many frames after its sources' time it is heard.
    pub arrival: u64,
}

/// What is told of a device that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// The rate that it runs at.
    pub rate: Rate,
    /// Frames in a cycle.
    pub block: u32,
    /// Channels that it plays.
    pub playback: usize,
    /// Channels that it records.
    pub capture: usize,
    /// How many channels it could play and record if it was opened for them; none where they come as they are needed.
    pub most: Option<(usize, usize)>,
    /// How many frames of the session after the engine's time its outputs are heard, by what it says itself.
    pub playback_latency: u64,
    /// How many frames of the session before the engine's time its inputs were sound.
    pub capture_latency: u64,
    /// Whether time need not pass, so that it may be waited for: in freewheel mode.
    pub waits: bool,
}

impl Facts {
    /// Whether it would reach more of what is wanted if it was opened anew.
    pub fn is_outgrown_by(&self, wanted: &Wanted) -> bool {
        let Some(most) = self.most else { return false };
        let (playback, capture) = wanted.channels();
        playback.min(most.0) > self.playback || capture.min(most.1) > self.capture
    }
}

/// Why a device does not run any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The reason, as a sentence without a full stop.
    pub reason: String,
    /// Whether it makes sense to try again by itself.
    pub retry: bool,
}

impl Loss {
    /// A loss that may pass.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true }
    }
}

/// A device that was opened and calls the engine when it is invited to.
pub trait Device: Send {
    /// The number that it is invited by.
    fn number(&self) -> u32;

    /// Looks after it, many times a second: `frame` is the engine's.
    ///
    /// # Errors
    /// Why it does not run any more.
    fn tend(&mut self, wanted: &Wanted, frame: u64) -> Result<(), Loss>;

    /// What is told of it.
    fn facts(&self) -> Facts;

    /// Has its cycles last `frames` frames from now on; false if it must be opened anew for that.
    fn set_block(&mut self, frames: u32) -> Result<bool, Error>;

    /// Closes it. May take its time, and may never come back if the other side is dead.
    fn close(self: Box<Self>);
}

/// What is told of a device whose rate is not that of the session.
pub fn resampled(device: &str, session: Rate, rate: Rate) -> Option<Error> {
    (session != rate).then(|| {
        let (session, hz) = (session.hz(), rate.hz());
        let text = format!("{device} runs at {hz} Hz, the session at {session} Hz: it is resampled");
        Error::new(ErrorCode::Unavailable, text)
            .expected("equal rates, so that the device gets the samples as they are")
            .remedy(format!("run it at {session} Hz, or make a session of {hz} Hz"))
    })
}

/// What a device needs to be opened.
#[derive(Clone)]
pub struct Opening {
    /// What was asked for.
    pub setup: Setup,
    /// The session's rate.
    pub rate: Rate,
    /// What the session wants.
    pub wanted: Wanted,
    /// Where the engine is.
    pub berth: Arc<Berth>,
    /// Where cycles are counted.
    pub stats: Arc<Stats>,
    /// What is waited for when time need not pass in real time.
    pub read_ahead: Arc<ReadAhead>,
    /// The links to foreign ports.
    pub links: jack::Remembered,
    /// Whether a device of ours has not come back from being opened or closed, and may still hold what is wanted.
    pub another_hangs: bool,
}

/// A device that was opened.
pub struct Opened {
    /// The device.
    pub device: Box<dyn Device>,
    /// What is not as it was asked for.
    pub warnings: Vec<Error>,
}
