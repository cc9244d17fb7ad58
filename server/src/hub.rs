//! What happens, told to everybody who wants to hear it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aulos_protocol::{
    Event, Telemetry,
    wire::{FromServer, write_from_server},
};
use tokio::sync::{mpsc, watch};

/// Where a connection's lines go.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// Lines to be written; bounded.
    pub lines: mpsc::Sender<String>,
    /// By which the connection is told that it is dropped, and why.
    pub drop: watch::Sender<Option<String>>,
}

struct Subscriber {
    outlet: Outlet,
    period: Option<Duration>,
    told: Instant,
}

/// The subscribers.
#[derive(Default)]
pub struct Hub {
    subscribers: BTreeMap<u64, Subscriber>,
}

/// The most readings of telemetry a second.
const MOST_HZ: f64 = 60.0;

impl Hub {
    /// Begins to tell a connection; telemetry at 0 Hz is none.
    pub fn subscribe(&mut self, connection: u64, outlet: Outlet, telemetry_hz: f64) {
        let period =
            (telemetry_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / telemetry_hz.clamp(0.01, MOST_HZ)));
        self.subscribers.insert(connection, Subscriber { outlet, period, told: Instant::now() });
    }

    /// Ends telling a connection.
    pub fn unsubscribe(&mut self, connection: u64) {
        self.subscribers.remove(&connection);
    }

    /// Tells an event to everybody. Nobody is waited for: a connection whose queue is full is dropped, so that
    /// those that are left have missed nothing.
    pub fn tell(&mut self, event: &Event) {
        if self.subscribers.is_empty() {
            return;
        }
        let line = write_from_server(&FromServer::Event(event.clone()));
        self.subscribers.retain(|connection, subscriber| {
            let told = subscriber.outlet.lines.try_send(line.clone());
            if told.is_err() {
                tracing::warn!("connection {connection} reads too slowly and is dropped");
                let reason = "events came faster than they were read; connect and subscribe again";
                subscriber.outlet.drop.send_replace(Some(reason.into()));
            }
            told.is_ok()
        });
    }

    /// Whether anybody's telemetry is due.
    pub fn wants_telemetry(&self) -> bool {
        self.subscribers.values().any(Subscriber::is_due)
    }

    /// Tells telemetry to those for whom it is due and whose queue has room to spare; lossy by intent.
    pub fn tell_telemetry(&mut self, telemetry: &Telemetry) {
        let line = write_from_server(&FromServer::Telemetry(telemetry.clone()));
        for subscriber in self.subscribers.values_mut().filter(|subscriber| subscriber.is_due()) {
            subscriber.told = Instant::now();
            let lines = &subscriber.outlet.lines;
            if lines.capacity() > lines.max_capacity() / 2 && lines.try_send(line.clone()).is_err() {
                tracing::debug!("a connection went away");
            }
        }
    }

    /// Forgets the connections that are gone.
    pub fn sweep(&mut self) {
        self.subscribers.retain(|_, subscriber| !subscriber.outlet.lines.is_closed());
    }
}

impl Subscriber {
    fn is_due(&self) -> bool {
        self.period.is_some_and(|period| self.told.elapsed() >= period)
    }
}
