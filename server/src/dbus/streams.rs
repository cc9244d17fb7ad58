//! Descriptors that are handed out, of which a client reads what happens or what the meters say. They are sockets, so
//! that it is seen when the other end is gone; what is written into them by the client is not looked at.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::SyncSender,
    },
};

use aulos_protocol::{
    Error, ErrorCode, Event, Range, Reply, Telemetry,
    wire::{FromServer, write_from_server},
};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::{
    io::{AsyncReadExt, Interest},
    net::{UnixStream, unix::OwnedReadHalf},
    sync::{mpsc, oneshot, watch},
};

use super::properties::Counts;
use crate::{
    control::ToControl,
    hub::{Connections, MOST_HZ, Outlet, Queue},
    inner::{Heard, Inner, Subscription},
    socket::write_lines,
};

/// How many descriptors there can be.
const MOST: usize = 64;
/// How many of them one client can have.
const MOST_OF_ONE: usize = 8;
/// How many lines wait for a reader of events.
const MOST_LINES: usize = 1024;
/// How many bytes of meters wait for a reader; old readings are worth nothing.
const METERS_BUFFER: usize = 16 << 10;

/// The descriptors that have been handed out.
pub struct Streams {
    connections: Arc<Connections>,
    control: SyncSender<ToControl>,
    open: Mutex<Vec<Open>>,
    numbers: AtomicU64,
    counts: Arc<Counts>,
}

struct Open {
    number: u64,
    client: String,
    /// Whether it is ended by `Unsubscribe`.
    is_subscription: bool,
    end: watch::Sender<Option<String>>,
}

/// Its place among those that are open, which it leaves when this goes.
struct Place {
    streams: Arc<Streams>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.locked().retain(|open| open.number != self.number);
    }
}

impl Streams {
    /// None are open yet.
    pub fn new(
        connections: Arc<Connections>,
        control: SyncSender<ToControl>,
        counts: Arc<Counts>,
    ) -> Arc<Self> {
        Arc::new(Self { connections, control, open: Mutex::default(), numbers: AtomicU64::new(0), counts })
    }

    /// What the door counts.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a descriptor of `client`.
    fn admit(
        self: &Arc<Self>,
        client: &str,
        is_subscription: bool,
        end: watch::Sender<Option<String>>,
    ) -> Result<Place, Error> {
        let mut open = self.locked();
        let own = open.iter().filter(|open| open.client == client).count();
        if own >= MOST_OF_ONE || open.len() >= MOST {
            let text = format!("there are {own} descriptors of this client and {} in all", open.len());
            return Err(Error::new(ErrorCode::Busy, text)
                .expected(format!("at most {MOST_OF_ONE} of one client, and {MOST} in all"))
                .remedy("close those that are not read any more"));
        }
        let number = self.numbers.fetch_add(1, Relaxed);
        open.push(Open { number, client: client.to_owned(), is_subscription, end });
        Ok(Place { streams: self.clone(), number })
    }

    /// Ends the subscriptions of a client.
    pub fn unsubscribe(&self, client: &str) {
        for open in self.locked().iter().filter(|open| open.is_subscription && open.client == client) {
            open.end.send_replace(Some("unsubscribed".into()));
        }
    }

    /// A descriptor of what happens: first the full state, then every change, and telemetry so many times a second. A
    /// reader that is too slow is dropped, and told why.
    ///
    /// # Errors
    /// `OutOfRange` for telemetry that comes too often, `Busy` where there are too many descriptors, `Unavailable`.
    pub async fn subscribe(self: Arc<Self>, client: String, telemetry_hz: f64) -> Result<OwnedFd, Error> {
        let (end, ended) = watch::channel(None);
        let place = self.admit(&client, true, end.clone())?;
        let (ours, theirs) = pair()?;
        let (read, write) = ours.into_split();
        let inner = Inner::new(&self.connections, self.control.clone());
        let (lines, outgoing) = mpsc::channel(MOST_LINES);
        let (refuse, refused) = oneshot::channel();
        let own = lines.clone();
        let put = move |result| match result {
            Ok(Reply::Subscribed(state)) => {
                own.try_send(write_from_server(&FromServer::Event(Event::Opened(state)))).is_ok()
            }
            other => {
                // Waited for below.
                let _ = refuse.send(other.err());
                false
            }
        };
        let outlet = Outlet { queue: Queue::Lines(lines), drop: end };
        let asked = inner.subscribe_outlet(outlet, telemetry_hz, put).await;
        asked.map_err(|result| result.err().unwrap_or_else(no_state))?;
        if let Ok(error) = refused.await {
            return Err(error.unwrap_or_else(no_state));
        }
        tokio::spawn(async move {
            tokio::select! {
                () = write_lines(write, outgoing, ended) => {}
                () = until_closed(read) => {}
            }
            inner.unsubscribe().await;
            drop(place);
        });
        Ok(theirs)
    }

    /// A descriptor of telemetry. What is not read in time is left out.
    ///
    /// # Errors
    /// `OutOfRange` for a rate that is not possible, `Busy` where there are too many descriptors, `Unavailable`.
    pub async fn meters(self: Arc<Self>, client: String, hz: f64) -> Result<OwnedFd, Error> {
        if !(hz > 0.0 && hz <= MOST_HZ) {
            let range = Range { min: 0.0, max: MOST_HZ, unit: "Hz".into() };
            return Err(Error::out_of_range("hz", hz, range).expected("more than 0 and at most 60"));
        }
        let (end, _) = watch::channel(None);
        let place = self.admit(&client, false, end)?;
        let (ours, theirs) = pair()?;
        set_socket_send_buffer_size(&ours, METERS_BUFFER)
            .map_err(|error| Error::io("set a socket's buffer", &error.into()))?;
        let inner = Inner::new(&self.connections, self.control.clone());
        let (_, subscription) = inner.subscribe(hz).await?;
        let counts = self.counts.clone();
        tokio::spawn(async move {
            write_meters(&ours, subscription, &counts).await;
            inner.unsubscribe().await;
            drop(place);
        });
        Ok(theirs)
    }
}

fn no_state() -> Error {
    Error::new(ErrorCode::Internal, "a subscription did not begin with the state")
}

/// Two ends of a socket: ours, and one to hand out.
fn pair() -> Result<(UnixStream, OwnedFd), Error> {
    let io = |error: std::io::Error| Error::io("make a socket", &error);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(io)?;
    ours.set_nonblocking(true).map_err(io)?;
    Ok((UnixStream::from_std(ours).map_err(io)?, theirs.into()))
}

/// Waits until the other end is closed.
async fn until_closed(mut read: OwnedReadHalf) {
    let mut unwanted = [0; 1024];
    while matches!(read.read(&mut unwanted).await, Ok(bytes) if bytes > 0) {}
}

/// Writes readings until the other end is closed or the server goes down; a reading that finds the last one not yet
/// read is left out.
async fn write_meters(socket: &UnixStream, mut subscription: Subscription, counts: &Counts) {
    let mut rest = Vec::new();
    loop {
        let interest =
            if rest.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        tokio::select! {
            heard = subscription.next() => match heard {
                Some(Heard::Telemetry(telemetry)) if rest.is_empty() => rest = line(&telemetry),
                Some(Heard::Telemetry(_)) => {
                    counts.meters_dropped.fetch_add(1, Relaxed);
                }
                Some(_) => {}
                None => return,
            },
            ready = socket.ready(interest) => {
                let Ok(ready) = ready else { return };
                if ready.is_readable() && is_closed(socket) {
                    return;
                }
            }
        }
        if !rest.is_empty() {
            match socket.try_write(&rest) {
                Ok(bytes) => {
                    rest.drain(..bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Whether there is nothing to be read any more; what there is, is thrown away.
fn is_closed(socket: &UnixStream) -> bool {
    let mut unwanted = [0; 1024];
    loop {
        match socket.try_read(&mut unwanted) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

fn line(telemetry: &Telemetry) -> Vec<u8> {
    let mut line = write_from_server(&FromServer::Telemetry(telemetry.clone())).into_bytes();
    line.push(b'\n');
    line
}
