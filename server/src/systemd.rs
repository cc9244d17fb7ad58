//! What the service manager is told, and takes its word from: that the server runs, how it is, that it lives, and that
//! it ends. Without a manager that asks for it (`NOTIFY_SOCKET`), nobody is told anything.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aulos_engine::Counters;
use aulos_protocol::{Error, ErrorCode, Query, Reply, Status};
use tokio::{sync::watch, time::Instant};

use crate::inner::Inner;

/// By what it is seen that the server lives: two things that must both move on.
pub struct Life {
    /// Rounds of the control thread.
    rounds: AtomicU64,
    /// The engine's, whose frame the audio thread moves.
    counters: Arc<Counters>,
    /// Whether the engine's time stands still unless a command moves it: then the control thread is all that lives.
    stands_still: AtomicBool,
    ending: watch::Sender<bool>,
}

/// What moved when it was looked at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moved {
    rounds: u64,
    frame: u64,
}

impl Life {
    /// Nothing has moved yet.
    pub fn new(counters: Arc<Counters>) -> Arc<Self> {
        let (ending, _) = watch::channel(false);
        Arc::new(Self { rounds: AtomicU64::new(0), counters, stands_still: AtomicBool::new(false), ending })
    }

    /// The control thread has made another round.
    pub fn beat(&self, stands_still: bool) {
        self.stands_still.store(stands_still, Relaxed);
        self.rounds.fetch_add(1, Relaxed);
    }

    /// The server goes down from here on.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    fn moved(&self) -> Moved {
        Moved { rounds: self.rounds.load(Relaxed), frame: self.counters.frame() }
    }

    /// What has moved, if everything has since `before`; else what stands still.
    fn moved_since(&self, before: Moved) -> Result<Moved, &'static str> {
        let now = self.moved();
        if now.rounds == before.rounds {
            return Err("the control thread");
        }
        if now.frame == before.frame && !self.stands_still.load(Relaxed) {
            return Err("the audio cycle");
        }
        Ok(now)
    }
}

/// The socket that was handed over, if one was: the manager listens before the server is there.
///
/// # Errors
/// `InvalidArgument` if something else was handed over.
pub fn listener() -> Result<Option<UnixListener>, Error> {
    let wrong = |text: String| {
        Error::new(ErrorCode::InvalidArgument, text).expected("one Unix socket that listens, in LISTEN_FDS")
    };
    let mut handed = listenfd::ListenFd::from_env();
    match handed.len() {
        0 => Ok(None),
        1 => match handed.take_unix_listener(0) {
            Ok(Some(listener)) => Ok(Some(listener)),
            Ok(None) => Err(wrong("what was handed over has been taken already".into())),
            Err(error) => Err(wrong(format!("what was handed over is no such socket: {error}"))),
        },
        several => Err(wrong(format!("{several} descriptors were handed over"))),
    }
}

/// The way to the manager.
pub struct Manager {
    socket: UnixDatagram,
    /// How soon the manager gives up a server of which it hears nothing.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that the environment names, if it names one.
    ///
    /// # Errors
    /// `InvalidArgument` if what it names is no socket; `Io` if it is not there.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let Some(name) = env("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(None) };
        let io = |error: io::Error| Error::io(&format!("speak to the service manager at {name}"), &error);
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name.as_bytes()).map_err(io)?,
            None if name.starts_with('/') => SocketAddr::from_pathname(&name).map_err(io)?,
            None => {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("NOTIFY_SOCKET is {name:?}, which is no socket that can be written to"),
                )
                .expected("a path that begins with / or, for an abstract socket, with @"));
            }
        };
        let socket = UnixDatagram::unbound().map_err(io)?;
        socket.connect_addr(&address).map_err(io)?;
        socket.set_nonblocking(true).map_err(io)?;
        let is_ours = env("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = env("WATCHDOG_USEC").filter(|_| is_ours).and_then(|micros| micros.parse().ok());
        let watchdog = micros.filter(|micros| *micros > 0).map(Duration::from_micros);
        Ok(Some(Self { socket, watchdog }))
    }

    /// Tells the manager how the server is, until that ends. `READY=1` is told when the graph runs, `WATCHDOG=1` only
    /// if both the control thread and the engine's time have moved since it was told last.
    pub async fn follow(self, life: Arc<Life>, inner: Inner) {
        /// How often it is told how the server is, if that has changed.
        const STATUS: Duration = Duration::from_secs(5);
        /// How soon it is looked again whether the graph runs.
        const SOON: Duration = Duration::from_millis(10);
        let mut ending = life.ending.subscribe();
        let begun = life.moved();
        while life.moved_since(begun).is_err() && !*ending.borrow() {
            tokio::time::sleep(SOON).await;
        }
        if !*ending.borrow() {
            self.say("READY=1").await;
        }
        // Often enough that one which comes late does no harm.
        let period = self.watchdog.map_or(STATUS, |watchdog| watchdog / 4);
        let mut feed = tokio::time::interval_at(Instant::now() + period, period);
        feed.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut fed, mut is_lacking) = (life.moved(), false);
        let (mut told, mut tell) = (String::new(), Instant::now());
        loop {
            tokio::select! {
                _ = async { ending.wait_for(|is_ending| *is_ending).await.is_ok() } => break,
                _ = feed.tick(), if self.watchdog.is_some() => {
                    match life.moved_since(fed) {
                        Ok(moved) => {
                            (fed, is_lacking) = (moved, false);
                            self.say("WATCHDOG=1").await;
                        }
                        // So that it can be read why the manager ends the server.
                        Err(what) if !is_lacking => {
                            is_lacking = true;
                            tracing::warn!("{what} stands still: the service manager is not told that the server lives");
                        }
                        Err(_) => {}
                    }
                }
                status = status(&inner, tell) => {
                    tell = Instant::now() + STATUS;
                    if let Some(status) = status.filter(|status| *status != told) {
                        self.say(&format!("STATUS={status}")).await;
                        told = status;
                    }
                }
            }
        }
        self.say("STOPPING=1\nSTATUS=saving and ending").await;
    }

    /// Says something. A manager that does not listen is waited for a second.
    async fn say(&self, text: &str) {
        const TIMES: usize = 50;
        for _ in 0..TIMES {
            match self.socket.send(text.as_bytes()) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => {
                    return tracing::warn!("the service manager cannot be told \"{text}\": {error}");
                }
            }
        }
        tracing::warn!("the service manager does not listen, and is not told \"{text}\"");
    }
}

/// How the server is, as one line, when it is time to look; none if it does not answer.
async fn status(inner: &Inner, at: Instant) -> Option<String> {
    tokio::time::sleep_until(at).await;
    match inner.query(Query::Status).await {
        Ok(Reply::Status(status)) => Some(line(&status)),
        _ => None,
    }
}

fn line(status: &Status) -> String {
    let driver = &status.driver;
    format!(
        "\"{}\": {} Hz, {} frames a cycle, driver {}, {} nodes, {} xruns, {} late cycles",
        status.session.escape_debug(),
        status.rate.hz(),
        driver.block,
        driver.name,
        status.nodes,
        driver.xruns,
        driver.late
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_one_that_the_environment_names_rightly() {
        assert!(Manager::from_env(|_| None).unwrap().is_none());
        let at =
            |name: &'static str| Manager::from_env(move |key| (key == "NOTIFY_SOCKET").then(|| name.into()));
        assert_eq!(at("relative").err().unwrap().code, ErrorCode::InvalidArgument);
        assert_eq!(at("/nowhere/notify").err().unwrap().code, ErrorCode::Io);
        assert!(at("").unwrap().is_none());
    }

    #[test]
    fn what_lives_moves_in_both_places_unless_time_stands_still() {
        let life = Life::new(Arc::default());
        let begun = life.moved();
        assert_eq!(life.moved_since(begun), Err("the control thread"));
        life.beat(false);
        assert_eq!(life.moved_since(begun), Err("the audio cycle"));
        life.beat(true);
        assert_eq!(life.moved_since(begun), Ok(life.moved()));
        assert_eq!(life.moved_since(life.moved()), Err("the control thread"));
    }
}
