//! What calls the engine: the dummy clock, the stepped clock, or as fast as it goes.

mod capture;
mod dummy;
mod free;
mod realtime;
mod seat;
mod stats;
mod stepped;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    thread::JoinHandle,
    time::Duration,
};

use aulos_engine::{Clock, Engine};
use aulos_protocol::{Error, ErrorCode, Rate};

pub use capture::Capture;
pub use seat::{Exchange, Successor};
pub use stats::Stats;

use crate::library::ReadAhead;
use seat::Seat;

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A clock of its own, in real time.
    Dummy,
    /// A clock that stands until the command `step` moves it.
    Stepped,
    /// As fast as disk and processor allow.
    Offline,
}

impl Kind {
    /// The driver's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dummy => "dummy",
            Self::Stepped => "stepped",
            Self::Offline => "offline",
        }
    }
}

/// How a driver is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which one.
    pub kind: Kind,
    /// Frames in a cycle; of the stepped driver, the most.
    pub block: u32,
    /// Channels that it plays.
    pub playback: usize,
    /// Channels that it records: silent ones, as none of these drivers hears anything.
    pub capture: usize,
    /// Where what it plays is written.
    pub file: Option<PathBuf>,
    /// After how many frames it ends.
    pub frames: Option<u64>,
}

/// A driver that runs, as the control thread sees it.
pub struct Driver {
    /// What it was set up with.
    pub setup: Setup,
    /// What can be seen of it.
    pub stats: Arc<Stats>,
    /// By which it gets another engine.
    pub exchange: Exchange,
    stop: Arc<AtomicBool>,
    steps: Option<SyncSender<stepped::Order>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Tells that the driver has come to its end by itself; false if that cannot be taken at the moment.
pub type Ended = Box<dyn Fn() -> bool + Send>;

/// What a driver thread needs.
struct Station {
    setup: Setup,
    seat: Seat,
    capture: Option<Capture>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    rate: Rate,
    /// Frames until the end.
    left: Option<u64>,
}

impl Station {
    /// [audio thread] Runs a cycle of `frames`, or as many as are left, and hands what it played to the capture
    /// file. Answers with the frames that were run; 0 at the end.
    fn cycle(&mut self, frames: usize, clock: &dyn Clock, deadline: u64) -> usize {
        let frames = self.left.map_or(frames, |left| frames.min(left.min(usize::MAX as u64) as usize));
        if frames == 0 {
            return 0;
        }
        self.seat.cycle(frames, clock, deadline);
        if let Some(capture) = &mut self.capture {
            capture.push(self.seat.playback(), frames);
        }
        if let Some(left) = &mut self.left {
            *left -= frames as u64;
        }
        frames
    }

    /// Completes the capture file.
    fn end(self) -> Result<(), Error> {
        self.capture.map_or(Ok(()), Capture::finish)
    }
}

impl Driver {
    /// Starts the driver with its first engine.
    ///
    /// # Errors
    /// If the capture file cannot be made or the thread cannot be started.
    pub fn start(
        setup: Setup,
        engine: Engine,
        rate: Rate,
        read_ahead: Arc<ReadAhead>,
        ended: Ended,
    ) -> Result<Self, Error> {
        let stats = Arc::new(Stats::default());
        let stop = Arc::new(AtomicBool::new(false));
        let capture = match &setup.file {
            Some(path) => Some(Capture::create(path, rate, setup.playback)?),
            None => None,
        };
        let (seat, exchange) = Seat::new(engine, setup.playback, setup.capture, setup.block as usize);
        let station = Station {
            seat,
            capture,
            stats: stats.clone(),
            stop: stop.clone(),
            rate,
            left: setup.frames,
            setup: setup.clone(),
        };
        let (steps, orders) = std::sync::mpsc::sync_channel(64);
        let kind = setup.kind;
        let thread = std::thread::Builder::new()
            .name("aulos-audio".into())
            .spawn(move || {
                let stop = station.stop.clone();
                let run = || match kind {
                    Kind::Dummy => dummy::run(station),
                    Kind::Stepped => stepped::run(station, &orders),
                    Kind::Offline => free::run(station, &read_ahead),
                };
                let result = catch_unwind(AssertUnwindSafe(run))
                    .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the audio thread panicked")));
                // Without a driver there is no server; unless it is the server that ends the driver.
                while !stop.load(Relaxed) && !ended() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                result
            })
            .map_err(|error| Error::io("start the audio thread", &error))?;
        let steps = (kind == Kind::Stepped).then_some(steps);
        Ok(Self { setup, stats, exchange, stop, steps, thread: Some(thread) })
    }

    /// Has the stepped driver carry out what was sent to the engine, its clock standing still.
    pub fn touch(&self) {
        if let Some(steps) = &self.steps {
            // A full queue has steps in it, which do the same.
            let _ = steps.try_send(stepped::Order::Touch);
        }
    }

    /// Moves the clock of the stepped driver.
    ///
    /// # Errors
    /// `Unavailable` for other drivers, `OutOfRange` for blocks that it cannot run, `Busy` if too many steps
    /// wait already.
    pub fn step(&self, blocks: Vec<u32>, done: stepped::Done) -> Result<(), Error> {
        let Some(steps) = &self.steps else {
            let message = format!("the {} driver moves its clock by itself", self.setup.kind.name());
            return Err(Error::new(ErrorCode::Unavailable, message)
                .remedy("start the server with --driver stepped to move the clock by command"));
        };
        if let Some(wrong) = blocks.iter().find(|block| **block == 0 || **block > self.setup.block) {
            let range =
                aulos_protocol::Range { min: 1.0, max: f64::from(self.setup.block), unit: "frames".into() };
            return Err(Error::out_of_range("a cycle of the stepped driver", f64::from(*wrong), range));
        }
        if blocks.len() > stepped::MOST_BLOCKS {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("{} cycles in one step", blocks.len()),
            )
            .expected(format!("at most {}", stepped::MOST_BLOCKS)));
        }
        steps
            .try_send(stepped::Order::Step(blocks, done))
            .map_err(|_| Error::new(ErrorCode::Busy, "too many steps are waiting already"))
    }

    /// Whether the engine's time stands still unless a command moves it.
    pub fn stands_still(&self) -> bool {
        self.setup.kind == Kind::Stepped
    }

    /// Whether the driver is paced by a clock, so that what ends abruptly is heard.
    pub fn is_live(&self) -> bool {
        self.setup.kind == Kind::Dummy
    }
}

impl Driver {
    /// Ends the driver and completes its capture file.
    ///
    /// # Errors
    /// What went wrong with the file.
    pub fn finish(mut self) -> Result<(), Error> {
        self.stop.store(true, Relaxed);
        self.steps = None;
        let joined = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        joined.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the audio thread ended with a panic")))
    }
}
