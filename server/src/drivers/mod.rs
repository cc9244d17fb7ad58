//! What calls the engine: a device, the dummy clock, the stepped clock, or as fast as it goes.
//!
//! The engine sits behind a [`berth`]: whoever calls it has the right to at that moment. The dummy clock always
//! can; a device that is lost loses the right, and gets it again when it is back. The [`supervisor`] sees to it.

mod alsa;
mod berth;
mod capture;
mod choose;
mod device;
mod dummy;
mod edge;
mod free;
mod jack;
mod keeper;
mod list;
mod monotonic;
mod realtime;
mod seat;
mod stats;
mod stepped;
mod supervisor;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    thread::JoinHandle,
    time::Duration,
};

use aulos_engine::{Clock, Counters, Engine, Patience};
use aulos_protocol::{DriverKind, Error, ErrorCode, Rate};

pub use capture::Capture;
pub use device::{Channel, Facts, Wanted};
pub use list::list;
pub use seat::{MOST_CHANNELS, Successor};
pub use stats::Stats;
pub use supervisor::{Answer, News, Shown};

use crate::library::ReadAhead;
use berth::{Berth, Hold};
use device::Opening;
use seat::{DEVICE_BLOCK, Exchange, Seat};
use supervisor::{Order, Supervisor};

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A running JACK, else the default sound device, else the dummy clock.
    Auto,
    /// A JACK server, or PipeWire as one.
    Jack,
    /// A sound device by ALSA; desktop PipeWire and PulseAudio, too.
    Alsa,
    /// A clock of its own, in real time, without a device.
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
            Self::Auto => "auto",
            Self::Jack => "jack",
            Self::Alsa => "alsa",
            Self::Dummy => "dummy",
            Self::Stepped => "stepped",
            Self::Offline => "offline",
        }
    }

    /// Whether there is a device behind it.
    pub fn is_device(self) -> bool {
        matches!(self, Self::Jack | Self::Alsa)
    }

    /// Whether it runs in real time, so that one of them can take the place of another.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Stepped | Self::Offline)
    }
}

impl From<DriverKind> for Kind {
    fn from(kind: DriverKind) -> Self {
        match kind {
            DriverKind::Auto => Self::Auto,
            DriverKind::Jack => Self::Jack,
            DriverKind::Alsa => Self::Alsa,
            DriverKind::Dummy => Self::Dummy,
        }
    }
}

/// The form of a device's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SampleForm {
    /// 16-bit integers.
    S16,
    /// 24-bit integers in 32 bits.
    S24,
    /// 32-bit integers.
    S32,
    /// 32-bit floating point.
    F32,
}

impl SampleForm {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::S16 => "S16",
            Self::S24 => "S24",
            Self::S32 => "S32",
            Self::F32 => "F32",
        }
    }
}

/// How a driver is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Which one.
    pub kind: Kind,
    /// Frames in a cycle; of the stepped driver, the most.
    pub block: u32,
    /// Channels that it plays; JACK has as many as the session's outputs use.
    pub playback: usize,
    /// Channels that it records; without a device, silent ones.
    pub capture: usize,
    /// Where what it plays is written.
    pub file: Option<PathBuf>,
    /// After how many frames it ends.
    pub frames: Option<u64>,
    /// Which ALSA device; the default one unless said.
    pub device: Option<String>,
    /// In which form ALSA gets samples; the best one that the device has unless said.
    pub format: Option<SampleForm>,
    /// The name of the JACK client.
    pub jack_name: String,
    /// How long a device may go without calling the engine.
    pub patience: Duration,
    /// Whether new JACK ports of outputs are connected to the hardware.
    pub connect: bool,
    /// Whether a server that has a block of its own is asked for this one.
    pub impose_block: bool,
}

impl Setup {
    /// The longest block that an engine for this driver is to render at once. A device can take the place of any live
    /// driver.
    pub fn engine_block(&self) -> usize {
        let block = self.block as usize;
        if self.kind.is_live() { block.max(DEVICE_BLOCK) } else { block }
    }

    /// How long something may take that usually takes no more than `usual`: longer where devices have much time to call
    /// the engine, so that `auto`, which gives a JACK server as much to answer, comes to the next device in time.
    fn at_most(&self, usual: Duration) -> Duration {
        const NEXT: Duration = Duration::from_secs(2);
        usual.max(self.patience + NEXT)
    }

    /// What is asked for and cannot be.
    ///
    /// # Errors
    /// `InvalidArgument`.
    fn check(&self) -> Result<(), Error> {
        let invalid = |message: &str| Err(Error::new(ErrorCode::InvalidArgument, message));
        let invalid =
            |message: &str, remedy: &str| invalid(message).map_err(|error: Error| error.remedy(remedy));
        if self.kind.is_device() && (self.file.is_some() || self.frames.is_some()) {
            return invalid(
                "a device cannot wait for a file to be written, nor end after a number of frames",
                "use --capture and --frames with --driver dummy, stepped or offline",
            );
        }
        if self.jack_name.is_empty() || self.jack_name.len() > 32 || self.jack_name.contains([':', '\0']) {
            return invalid(
                "the name of a JACK client has 1 to 32 bytes and no colon",
                "choose another name",
            );
        }
        if self.device.as_ref().is_some_and(|name| name.contains('\0')) {
            return invalid("the name of a device has no zero byte", "choose another name");
        }
        Ok(())
    }
}

/// A driver that runs, as the control thread sees it.
pub struct Driver {
    /// What it was started with.
    pub setup: Setup,
    /// What can be seen of it.
    pub stats: Arc<Stats>,
    /// By which it gets another engine.
    exchange: Exchange,
    supervisor: Option<supervisor::Handle>,
    stop: Arc<AtomicBool>,
    steps: Option<SyncSender<stepped::Order>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Tells that the driver has come to its end by itself; false if that cannot be taken at the moment.
pub type Ended = Box<dyn Fn() -> bool + Send>;

/// What the thread of a driver without a device needs.
struct Station {
    /// Frames in a cycle.
    block: Arc<AtomicU32>,
    /// Channels that are played.
    playback: usize,
    hold: Hold,
    capture: Option<Capture>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    /// The engine's rate, as of the last cycle.
    rate: Rate,
    /// Frames until the end.
    left: Option<u64>,
}

impl Station {
    /// [audio thread] Runs a cycle of `frames`, or as many as are left, and hands what it played to the capture
    /// file. Answers with the frames that were run, 0 at the end; nothing if a device still has the engine.
    fn cycle(&mut self, frames: usize, clock: &dyn Clock, deadline: u64) -> Option<usize> {
        let frames = self.left.map_or(frames, |left| frames.min(left.min(usize::MAX as u64) as usize));
        if frames == 0 {
            return Some(0);
        }
        let Self { hold, playback, capture, rate, .. } = self;
        hold.with(|seat| {
            let frames = frames.min(seat.block());
            seat.cycle(frames, *playback, clock, deadline);
            if let Some(capture) = capture {
                capture.push(&seat.playback()[..*playback], frames);
            }
            *rate = seat.rate();
        })?;
        if let Some(left) = &mut self.left {
            *left -= frames as u64;
        }
        Some(frames)
    }

    /// [audio thread] Carries out what was sent to the engine.
    fn touch(&mut self) {
        let playback = self.playback;
        // Only devices take the right to it.
        let _ = self.hold.with(|seat| seat.cycle(0, playback, &Patience, u64::MAX));
    }

    /// Completes the capture file.
    fn end(self) -> Result<(), Error> {
        self.capture.map_or(Ok(()), Capture::finish)
    }
}

/// What a driver is started with, beside its setup.
pub struct Beginning {
    /// The first engine.
    pub engine: Engine,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Its rate.
    pub rate: Rate,
    /// What the session wants of a device.
    pub wanted: Wanted,
    /// What is waited for when time need not pass in real time.
    pub read_ahead: Arc<ReadAhead>,
}

impl Driver {
    /// Starts the driver with its first engine.
    ///
    /// # Errors
    /// If the device cannot be opened, the capture file cannot be made or the thread cannot be started.
    pub fn start(setup: Setup, beginning: Beginning, ended: Ended) -> Result<Self, Error> {
        setup.check()?;
        let Beginning { engine, counters, rate, wanted, read_ahead } = beginning;
        let stats = Arc::new(Stats::default());
        let stop = Arc::new(AtomicBool::new(false));
        let block = Arc::new(AtomicU32::new(setup.block));
        let kind = setup.kind;
        let (seat, exchange) = if kind.is_live() {
            Seat::for_devices(engine, rate, setup.block as usize)
        } else {
            Seat::new(engine, rate, setup.playback, setup.capture, setup.block as usize)
        };
        let (berth, hold) = Berth::new(seat);
        let opening = Opening {
            setup: setup.clone(),
            rate,
            wanted,
            berth,
            stats: stats.clone(),
            read_ahead: read_ahead.clone(),
            links: jack::Remembered::default(),
            another_hangs: false,
        };
        // A device calls from the first frame on: the dummy clock only comes when it does not.
        let crew = keeper::Crew::default();
        let first = if kind.is_live() { Some(supervisor::first(&opening, &counters, &crew)?) } else { None };
        let capture = match &setup.file {
            Some(path) => Some(Capture::create(path, rate, setup.playback)?),
            None => None,
        };
        let (steps, orders) = std::sync::mpsc::sync_channel(64);
        let (begin, begun) = std::sync::mpsc::sync_channel::<()>(1);
        let station = Station {
            block: block.clone(),
            playback: setup.playback,
            hold,
            capture,
            stats: stats.clone(),
            stop: stop.clone(),
            rate,
            left: setup.frames,
        };
        let waited_for = first.as_ref().is_some_and(|first| first.device.is_some());
        let thread = std::thread::Builder::new()
            .name("aulos-audio".into())
            .spawn(move || {
                const FIRST_CALL: Duration = Duration::from_secs(2);
                let berth = station.hold.berth().clone();
                // Either way it is time to begin.
                let _ = begun.recv();
                let since = std::time::Instant::now();
                while waited_for && berth.is_stood_in() && since.elapsed() < FIRST_CALL {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let stop = station.stop.clone();
                let run = || match kind {
                    Kind::Stepped => stepped::run(station, &orders),
                    Kind::Offline => free::run(station, &read_ahead),
                    Kind::Auto | Kind::Jack | Kind::Alsa | Kind::Dummy => dummy::run(station),
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
        let dummy = thread.thread().clone();
        let supervisor = match first {
            Some(first) => {
                Some(Supervisor::start(supervisor::Post { opening, first, crew, counters, block, dummy })?)
            }
            None => None,
        };
        // The thread waits for it, and has not ended.
        let _ = begin.send(());
        let steps = (kind == Kind::Stepped).then_some(steps);
        Ok(Self { setup, stats, exchange, supervisor, stop, steps, thread: Some(thread) })
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
        self.setup.kind.is_live()
    }

    /// Whether another engine can be put in the place of the one that runs.
    ///
    /// # Errors
    /// `Busy` while the driver has not taken over the ones before.
    pub fn can_exchange(&mut self) -> Result<(), Error> {
        self.exchange.room()
    }

    /// Puts another engine in the place of the one that runs, after [`Driver::can_exchange`].
    pub fn exchange(&mut self, successor: Successor, counters: Arc<Counters>) {
        // The supervisor knows before a device notices that the rate is another.
        if let Some(supervisor) = &self.supervisor {
            supervisor.board.announce(counters, successor.rate);
        }
        self.exchange.send(successor);
    }

    /// Frees the engines that came home.
    pub fn collect(&mut self) {
        self.exchange.collect();
    }

    /// Tells what the session wants of a device.
    ///
    /// # Errors
    /// `Busy` if that is not taken.
    pub fn want(&self, wanted: Wanted) -> Result<(), Error> {
        self.supervisor.as_ref().map_or(Ok(()), |supervisor| supervisor.order(Order::Wanted(wanted)))
    }

    /// Whether there may be a device, now or later.
    pub fn may_have_device(&self) -> bool {
        self.supervisor.is_some()
    }

    /// What the supervisor has to say.
    pub fn news(&self) -> Option<News> {
        self.supervisor.as_ref()?.news.try_recv().ok()
    }

    /// The driver as it is shown.
    pub fn shown(&self) -> Shown {
        match &self.supervisor {
            Some(supervisor) => supervisor.board.shown(),
            None => Shown::new(self.setup.clone()),
        }
    }

    /// Changes the driver while the engine runs. `answer` is told how that went.
    pub fn set(&self, setup: Setup, answer: Answer) {
        let fixed = self.setup.file.is_some() || self.setup.frames.is_some();
        let Some(supervisor) = self.supervisor.as_ref().filter(|_| !fixed) else {
            let name = self.setup.kind.name();
            let why = if fixed {
                "what it plays is captured, or ends after a number of frames"
            } else {
                "its clock does not go in real time"
            };
            let message = format!("the {name} driver cannot be changed: {why}");
            return answer(Err(Error::new(ErrorCode::Unavailable, message)
                .remedy("start another server with the driver that is wanted")));
        };
        if let Err(error) = setup.check() {
            return answer(Err(error));
        }
        supervisor.set(setup, answer);
    }
}

impl Driver {
    /// Ends the driver and completes its capture file.
    ///
    /// # Errors
    /// What went wrong with the file.
    pub fn finish(mut self) -> Result<(), Error> {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop();
        }
        self.stop.store(true, Relaxed);
        self.steps = None;
        let joined = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        joined.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the audio thread ended with a panic")))
    }
}
