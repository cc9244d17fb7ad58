//! What happens, told to everybody who wants to hear it.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aulos_protocol::{
    Event, MeterReading, Telemetry,
    wire::{FromServer, write_from_server},
};
use tokio::sync::{mpsc, watch};

/// Gives each connection its number, whatever surface it comes by.
#[derive(Debug, Default)]
pub struct Connections(AtomicU64);

impl Connections {
    /// A number that no connection has had.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

/// What a surface inside of the server hears.
#[derive(Clone, Debug)]
pub enum News {
    /// Something happened.
    Event(Arc<Event>),
    /// The newest of what moves.
    Telemetry(Box<Telemetry>),
}

/// Where what a connection hears goes; bounded.
#[derive(Clone, Debug)]
pub enum Queue {
    /// As lines to be written.
    Lines(mpsc::Sender<String>),
    /// As it is.
    News(mpsc::Sender<News>),
}

/// Where a connection hears what happens.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// Where it goes.
    pub queue: Queue,
    /// By which the connection is told that it is dropped, and why.
    pub drop: watch::Sender<Option<String>>,
}

impl Outlet {
    /// Tells an event, which must not be missed, and says whether that went well. Nobody is waited for: a
    /// connection whose queue is full is dropped, so that those that are left have missed nothing.
    fn tell(&self, event: &Arc<Event>, line: &OnceCell<String>) -> bool {
        let queued = match &self.queue {
            Queue::Lines(lines) => {
                let line = line.get_or_init(|| write_from_server(&FromServer::Event((**event).clone())));
                lines.try_send(line.clone()).is_ok()
            }
            Queue::News(news) => news.try_send(News::Event(event.clone())).is_ok(),
        };
        if !queued {
            self.give_up();
        }
        queued
    }

    /// Has the connection dropped, as it reads too slowly.
    pub fn give_up(&self) {
        let reason = "events came faster than they were read; connect and subscribe again";
        self.drop.send_replace(Some(reason.into()));
    }

    /// Whether its queue is at least half empty.
    fn has_room(&self) -> bool {
        let (free, most) = match &self.queue {
            Queue::Lines(lines) => (lines.capacity(), lines.max_capacity()),
            Queue::News(news) => (news.capacity(), news.max_capacity()),
        };
        free > most / 2
    }

    /// Tells telemetry, if there is room for it.
    fn move_on(&self, telemetry: Telemetry) {
        let queued = match &self.queue {
            Queue::Lines(lines) => {
                lines.try_send(write_from_server(&FromServer::Telemetry(telemetry))).is_ok()
            }
            Queue::News(news) => news.try_send(News::Telemetry(Box::new(telemetry))).is_ok(),
        };
        if !queued {
            tracing::debug!("a connection went away");
        }
    }

    fn is_closed(&self) -> bool {
        match &self.queue {
            Queue::Lines(lines) => lines.is_closed(),
            Queue::News(news) => news.is_closed(),
        }
    }
}

struct Subscriber {
    outlet: Outlet,
    period: Option<Duration>,
    told: Instant,
    peaks: Peaks,
}

/// The highest peaks of each node since they were taken last. Everybody who looks at meters has their own, so
/// that nobody takes a peak away from another.
#[derive(Debug, Default)]
pub struct Peaks(Vec<MeterReading>);

impl Peaks {
    /// Notes readings.
    pub fn note(&mut self, readings: &[MeterReading]) {
        let before = std::mem::replace(&mut self.0, readings.to_vec());
        for (at, now) in self.0.iter_mut().enumerate() {
            // Nodes keep their order; only when some came or went must they be looked for.
            let same = before.get(at).filter(|old| old.node == now.node);
            let Some(old) = same.or_else(|| before.iter().find(|old| old.node == now.node)) else { continue };
            now.peaks.iter_mut().zip(&old.peaks).for_each(|(now, old)| *now = now.max(*old));
            if let (Some(now), Some(old)) = (&mut now.reduction, old.reduction) {
                *now = now.max(old);
            }
        }
    }

    /// The peaks since the last time.
    pub fn take(&mut self) -> Vec<MeterReading> {
        std::mem::take(&mut self.0)
    }
}

/// The subscribers.
#[derive(Default)]
pub struct Hub {
    subscribers: BTreeMap<u64, Subscriber>,
}

/// The most readings of telemetry a second.
pub const MOST_HZ: f64 = 60.0;

impl Hub {
    /// Begins to tell a connection; telemetry at 0 Hz is none.
    pub fn subscribe(&mut self, connection: u64, outlet: Outlet, telemetry_hz: f64) {
        let period =
            (telemetry_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / telemetry_hz.clamp(0.01, MOST_HZ)));
        self.subscribers
            .insert(connection, Subscriber { outlet, period, told: Instant::now(), peaks: Peaks::default() });
    }

    /// Ends telling a connection.
    pub fn unsubscribe(&mut self, connection: u64) {
        self.subscribers.remove(&connection);
    }

    /// Tells an event to everybody, or drops those whom it cannot be told.
    pub fn tell(&mut self, event: &Event) {
        if self.subscribers.is_empty() {
            return;
        }
        let (event, line) = (Arc::new(event.clone()), OnceCell::new());
        self.subscribers.retain(|connection, subscriber| {
            let queued = subscriber.outlet.tell(&event, &line);
            if !queued {
                tracing::warn!("connection {connection} reads too slowly and is dropped");
            }
            queued
        });
    }

    /// Whether anybody looks at meters.
    pub fn wants_meters(&self) -> bool {
        self.subscribers.values().any(|subscriber| subscriber.period.is_some())
    }

    /// Notes what the meters say, for everybody who looks at them.
    pub fn note_peaks(&mut self, readings: &[MeterReading]) {
        for subscriber in self.subscribers.values_mut().filter(|subscriber| subscriber.period.is_some()) {
            subscriber.peaks.note(readings);
        }
    }

    /// Whether anybody's telemetry is due.
    pub fn wants_telemetry(&self) -> bool {
        self.subscribers.values().any(Subscriber::is_due)
    }

    /// Tells telemetry to those for whom it is due and whose queue has room to spare; lossy by intent.
    pub fn tell_telemetry(&mut self, telemetry: &Telemetry) {
        for subscriber in self.subscribers.values_mut().filter(|subscriber| subscriber.is_due()) {
            subscriber.told = Instant::now();
            if subscriber.outlet.has_room() {
                let meters = subscriber.peaks.take();
                subscriber.outlet.move_on(Telemetry { meters, ..telemetry.clone() });
            }
        }
    }

    /// Forgets the connections that are gone.
    pub fn sweep(&mut self) {
        self.subscribers.retain(|_, subscriber| !subscriber.outlet.is_closed());
    }
}

impl Subscriber {
    fn is_due(&self) -> bool {
        self.period.is_some_and(|period| self.told.elapsed() >= period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(node: &str, peak: f32) -> MeterReading {
        MeterReading { node: node.into(), peaks: vec![peak], ..Default::default() }
    }

    #[test]
    fn the_highest_peak_is_kept_until_it_is_taken() {
        let mut peaks = Peaks::default();
        peaks.note(&[reading("a", 0.5), reading("b", 0.1)]);
        peaks.note(&[reading("new", 0.9), reading("a", 0.2), reading("b", 0.3)]);
        assert_eq!(peaks.take(), [reading("new", 0.9), reading("a", 0.5), reading("b", 0.3)]);
        assert!(peaks.take().is_empty());
    }
}
