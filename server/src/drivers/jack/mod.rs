//! The JACK driver: a client of a JACK server, or of PipeWire in the guise of one.
//!
//! The library is loaded at run time. There is one JACK port for each channel of the driver that an input or output
//! of the session uses, named after it.

mod calls;
mod links;
mod ports;
mod process;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode, Rate};
use jack::{AsyncClient, Client, ClientOptions, ClientStatus, LoggerType};

pub use links::Remembered;

use super::{
    device::{Device, Facts, Loss, Opened, Opening, Wanted, resampled},
    edge::{Crossing, Edge},
    seat::MOST_CHANNELS,
};
use calls::{Latencies, Notices};
use ports::Ports;
use process::Process;

/// What the JACK library tells on threads of its own.
#[derive(Default)]
struct Shared {
    /// Set when the server has ended or thrown us out.
    gone: AtomicBool,
    /// Set while time need not pass in real time.
    freewheels: AtomicBool,
    /// Set when ports or their connections have changed.
    patched: AtomicBool,
    /// Set when latencies have changed.
    relatencied: AtomicBool,
    /// Ports that have gone since this was looked at last.
    unregistered: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Notes that the port of this name has gone.
    fn note(&self, name: String) {
        /// More come only if nobody has looked for long.
        const MOST: usize = 4096;
        let mut unregistered = self.unregistered.lock().unwrap_or_else(PoisonError::into_inner);
        if unregistered.len() < MOST {
            unregistered.insert(name);
        }
    }

    /// The names that were noted since this was asked last.
    fn unregistered(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.unregistered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A JACK client that runs.
struct Jack {
    client: AsyncClient<Notices, Process>,
    shared: Arc<Shared>,
    ports: Ports,
    latencies: Arc<Latencies>,
    crossing: Crossing,
    number: u32,
    facts: Facts,
}

/// A server that is busy with a client that goes, or with another block, refuses a new client without a reason; it is
/// asked again so many times.
const ATTEMPTS: u32 = 10;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

fn set_block(client: &Client, frames: u32) -> Result<(), Error> {
    client.set_buffer_size(frames).map_err(|_| {
        Error::new(ErrorCode::Unavailable, format!("the JACK server refuses cycles of {frames} frames"))
            .expected("usually a power of two from 16 to 8192")
    })
}

/// Whether a server runs, without becoming its client for longer than it takes to ask.
///
/// # Errors
/// Why it cannot be used.
pub fn look() -> Result<(u32, u32), Error> {
    let client = connect("aulos-look", false)?;
    Ok((client.sample_rate(), client.buffer_size()))
}

fn connect(name: &str, exact: bool) -> Result<Client, Error> {
    let unavailable = |message: String| Error::new(ErrorCode::Unavailable, message);
    jack_sys::library().map_err(|error| {
        unavailable(format!("the JACK library cannot be loaded: {error}"))
            .expected("libjack.so.0")
            .remedy("install it: apt install libjack-jackd2-0, or pipewire-jack")
    })?;
    // What it has to say comes with the errors.
    jack::set_logger(LoggerType::None);
    let exactly = || if exact { ClientOptions::USE_EXACT_NAME } else { ClientOptions::empty() };
    let mut attempts = 1;
    loop {
        match Client::new(name, ClientOptions::NO_START_SERVER | exactly()) {
            Ok((client, _)) => return Ok(client),
            Err(jack::Error::ClientError(status)) if reason(status).is_none() && attempts < ATTEMPTS => {
                tracing::debug!("the JACK server has refused attempt {attempts}: {status:?}");
                attempts += 1;
                std::thread::sleep(BETWEEN_ATTEMPTS);
            }
            Err(jack::Error::ClientError(status)) => {
                return Err(unavailable(refusal(status))
                    .expected("a JACK server that runs, and may be used by this user")
                    .remedy("start it, such as: jackd -d alsa; JACK_DEFAULT_SERVER names another than the default"));
            }
            Err(error) => return Err(unavailable(format!("no JACK client can be opened: {error}"))),
        }
    }
}

fn refusal(status: ClientStatus) -> String {
    let server = std::env::var("JACK_DEFAULT_SERVER").unwrap_or_else(|_| "default".into());
    format!("JACK server \"{server}\": {}", reason(status).unwrap_or("the server refuses the client"))
}

/// Why a client was refused, if it is for more than the moment.
fn reason(status: ClientStatus) -> Option<&'static str> {
    [
        (ClientStatus::VERSION_ERROR, "the library is of another version than the server"),
        (ClientStatus::SERVER_FAILED, "no server runs"),
        (ClientStatus::SHM_FAILURE, "its shared memory cannot be used"),
        (ClientStatus::NAME_NOT_UNIQUE, "the client from before, which hung, has not left it yet"),
    ]
    .into_iter()
    .find_map(|(flag, why)| status.contains(flag).then_some(why))
}

/// Becomes a client of the server that runs.
///
/// # Errors
/// `Unavailable` without library or server.
pub fn open(opening: &Opening) -> Result<Opened, Error> {
    // Else a client that hung would be there still, and this one have another name.
    let client = connect(&opening.setup.jack_name, opening.another_hangs)?;
    let mut warnings = Vec::new();
    if opening.setup.impose_block
        && client.buffer_size() != opening.setup.block
        && let Err(error) = set_block(&client, opening.setup.block)
    {
        warnings.push(error);
    }
    let hz = client.sample_rate();
    let rate = Rate::new(hz).ok_or_else(|| {
        Error::new(ErrorCode::Unavailable, format!("the JACK server runs at {hz} Hz"))
            .expected(format!("{} to {} Hz", Rate::MIN, Rate::MAX))
            .remedy("run the server at another rate")
    })?;
    let edge = Edge::new(opening.rate, rate, MOST_CHANNELS, MOST_CHANNELS)?;
    warnings.extend(resampled("the JACK server", opening.rate, rate));
    let shared = Arc::new(Shared::default());
    let crossing = edge.crossing();
    let latencies = calls::watch_latencies(&client, shared.clone())?;
    let (ports, ends) = Ports::new(opening.links.clone(), opening.setup.connect);
    let hold = opening.berth.hold(opening.rate);
    let number = hold.number();
    let block = client.buffer_size();
    let process = Process::new((hold, edge), ends, opening, shared.clone(), rate);
    let notices = Notices::new(shared.clone(), opening.stats.clone());
    let client = client.activate_async(notices, process).map_err(|error| {
        Error::new(ErrorCode::Unavailable, format!("the JACK client cannot be activated: {error}"))
    })?;
    let name = format!("JACK client \"{}\"", client.as_client().name());
    let facts = Facts {
        name,
        rate,
        block,
        playback: 0,
        capture: 0,
        most: None,
        playback_latency: 0,
        capture_latency: 0,
        waits: false,
    };
    let mut jack = Jack { client, shared, ports, latencies, crossing, number, facts };
    jack.patch(&opening.wanted, 0);
    Ok(Opened { device: Box::new(jack), warnings })
}

impl Jack {
    fn patch(&mut self, wanted: &Wanted, frame: u64) {
        let client = self.client.as_client();
        let news = self.shared.patched.swap(false, Relaxed);
        if self.ports.tend(client, wanted, frame, news) {
            self.latencies.set(self.ports.latencies(wanted, &self.crossing));
            calls::recompute_latencies(client);
        }
        if self.shared.relatencied.swap(false, Relaxed) {
            let (playback, capture) = self.latencies.outside();
            self.facts.playback_latency = self.crossing.playback(playback);
            self.facts.capture_latency = self.crossing.capture(capture);
        }
        self.facts.block = client.buffer_size();
        self.facts.waits = self.shared.freewheels.load(Relaxed);
        (self.facts.playback, self.facts.capture) = self.ports.counts();
    }
}

impl Device for Jack {
    fn number(&self) -> u32 {
        self.number
    }

    fn tend(&mut self, wanted: &Wanted, frame: u64) -> Result<(), Loss> {
        if !self.shared.gone.load(Relaxed) {
            self.patch(wanted, frame);
            let client = self.client.as_client();
            if self.ports.look(client, self.shared.unregistered()) {
                // The server answers after it has told, and we have heard, of all that came before: whether a port has
                // gone and another of its name has come is known by the next look.
                calls::recompute_latencies(client);
            }
        }
        // Asked again: what was seen of a server that dies meanwhile must not be remembered.
        if self.shared.gone.load(Relaxed) {
            return Err(Loss::passing("the JACK server has ended, or has thrown us out"));
        }
        self.ports.remember();
        Ok(())
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn set_block(&mut self, frames: u32) -> Result<bool, Error> {
        set_block(self.client.as_client(), frames)?;
        Ok(true)
    }

    fn close(self: Box<Self>) {
        let Self { client, latencies, .. } = *self;
        match client.deactivate() {
            Ok((client, ..)) => drop(client),
            Err(error) => tracing::debug!("a JACK client was not deactivated in order: {error}"),
        }
        // What the library may still call is kept for ever, but not what it refers to.
        latencies.set(calls::Table::default());
    }
}
