//! The thread of a device: opens it, looks after it and closes it. All of that speaks to a server or a device, which
//! may hang; nobody else waits for it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use aulos_engine::Counters;
use aulos_protocol::{Error, ErrorCode};

use super::{
    Kind,
    choose::{self, Choice},
    device::{Device, Facts, Loss, Opened, Opening, Wanted},
};

/// How often the device is looked after.
const TICK: Duration = Duration::from_millis(20);
/// How many threads may hang in a server or a device that does not answer.
const MOST_HANGING: usize = 8;

/// Whether a change was made; false if the device must be opened anew for it.
pub type Changed = Result<bool, Error>;

/// What the thread is told.
struct Told {
    wanted: Wanted,
    counters: Arc<Counters>,
}

/// What is known of the device.
struct Seen {
    facts: Facts,
    loss: Option<Loss>,
}

struct Shared {
    told: Mutex<Told>,
    seen: Mutex<Seen>,
}

/// Another block, and where is said what became of it.
type Order = (u32, SyncSender<Changed>);

/// A device that a thread of its own looks after. When this is dropped, it is closed.
pub struct Kept {
    number: u32,
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
    closed: Receiver<()>,
}

/// What was chosen and opened.
pub struct Started {
    /// The driver.
    pub kind: Kind,
    /// Why this one, where that was left open.
    pub reason: Option<String>,
    /// The device; none for the dummy driver.
    pub device: Option<Kept>,
    /// What is not as it was asked for.
    pub warnings: Vec<Error>,
}

/// What is being opened.
pub type Pending = Receiver<Result<Started, Error>>;

/// Counts the threads of devices.
#[derive(Clone, Default)]
pub struct Crew(Arc<()>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// Opens what was asked for, on a thread that stays with the device. If nobody wants it any more when it is open,
    /// it is closed.
    ///
    /// # Errors
    /// `Unavailable` if too many threads hang already.
    pub fn begin(&self, mut opening: Opening, counters: Arc<Counters>) -> Result<Pending, Error> {
        let hanging = Arc::strong_count(&self.0) - 1;
        opening.another_hangs = hanging > 0;
        if hanging >= MOST_HANGING {
            let text = format!("{MOST_HANGING} attempts to open or close a device have not come back");
            return Err(Error::new(ErrorCode::Unavailable, text)
                .remedy("end the sound server that hangs, such as by: killall -9 jackd"));
        }
        let (started, pending) = sync_channel(1);
        let member = self.clone();
        std::thread::Builder::new()
            .name("aulos-device".into())
            .spawn(move || {
                let _member = member;
                let Choice { kind, reason, opened } = match choose::open(&opening) {
                    Ok(choice) => choice,
                    Err(error) => {
                        // Nobody may wait for it.
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let told = Told { wanted: opening.wanted, counters };
                let (warnings, device, keeper) = match opened {
                    None => (Vec::new(), None, None),
                    Some(Opened { device, warnings }) => {
                        let (kept, keeper) = keep(device, told);
                        (warnings, Some(kept), Some(keeper))
                    }
                };
                // If nobody waits, the device is dropped with it, and closed at once.
                let _ = started.send(Ok(Started { kind, reason, device, warnings }));
                if let Some(keeper) = keeper {
                    keeper.run();
                }
            })
            .map_err(|error| Error::io("start the device's thread", &error))?;
        Ok(pending)
    }
}

/// The thread's side.
struct Keeper {
    device: Box<dyn Device>,
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    closed: SyncSender<()>,
}

fn keep(device: Box<dyn Device>, told: Told) -> (Kept, Keeper) {
    let seen = Seen { facts: device.facts(), loss: None };
    let shared = Arc::new(Shared { told: Mutex::new(told), seen: Mutex::new(seen) });
    let (orders, inbox) = sync_channel(1);
    let (done, closed) = sync_channel(1);
    let kept = Kept { number: device.number(), shared: shared.clone(), orders, closed };
    (kept, Keeper { device, shared, orders: inbox, closed: done })
}

impl Keeper {
    fn run(self) {
        let Self { mut device, shared, orders, closed } = self;
        loop {
            match orders.recv_timeout(TICK) {
                Ok((frames, answer)) => {
                    // Whoever asked may have given up.
                    let _ = answer.send(device.set_block(frames));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if lock(&shared.seen).loss.is_some() {
                continue;
            }
            let (wanted, frame) = {
                let told = lock(&shared.told);
                (told.wanted.clone(), told.counters.frame())
            };
            let tended = device.tend(&wanted, frame);
            let mut seen = lock(&shared.seen);
            match tended {
                Ok(()) => seen.facts = device.facts(),
                Err(loss) => seen.loss = Some(loss),
            }
        }
        device.close();
        // Nobody may wait for it.
        let _ = closed.send(());
    }
}

impl Kept {
    /// The number that the device is invited by.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What is known of it.
    pub fn facts(&self) -> Facts {
        lock(&self.shared.seen).facts.clone()
    }

    /// Why it does not run any more.
    pub fn loss(&self) -> Option<Loss> {
        lock(&self.shared.seen).loss.clone()
    }

    /// Tells what the session wants of it.
    pub fn want(&self, wanted: &Wanted) {
        lock(&self.shared.told).wanted.clone_from(wanted);
    }

    /// Another engine has sat down: where its frames are counted.
    pub fn count_by(&self, counters: &Arc<Counters>) {
        lock(&self.shared.told).counters.clone_from(counters);
    }

    /// Asks for cycles of `frames` frames.
    ///
    /// # Errors
    /// `Busy` if it has not answered the order before.
    pub fn set_block(&self, frames: u32) -> Result<Receiver<Changed>, Error> {
        let (answer, answered) = sync_channel(1);
        self.orders.try_send((frames, answer)).map_err(|_| {
            Error::new(ErrorCode::Busy, "the device has not answered yet").remedy("try again in a moment")
        })?;
        Ok(answered)
    }

    /// Has it closed; what tells when that is done.
    pub fn close(self) -> Receiver<()> {
        self.closed
    }
}
