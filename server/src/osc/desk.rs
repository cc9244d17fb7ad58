//! The desk: takes what clients send, asks the control thread, and tells what comes back. One task, so that nothing
//! needs to be locked.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aulos_osc::{
    own::{Own, Told},
    packet::{self, AT_ONCE},
    space::Target,
};
use aulos_protocol::{Clock, Error, ErrorCode, OscStatus, Reply, State, Status};
use rosc::{OscMessage, OscPacket};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
};

use super::{
    Setup,
    access::{self, Access},
    answers::Asked,
    board::Board,
    bundles::Outcome,
    client::{Client, Key, Queued, Taken, What},
    outbox::{Outbox, Way},
    tcp::{self, Connection, FromTcp, Line},
    web,
};
use crate::inner::{Inner, Subscription};

/// How many clients are known at once by UDP.
const MOST_CLIENTS: usize = 256;
/// How many datagrams are read before others get their turn.
const DATAGRAMS: usize = 64;
/// How many packets of connections wait.
const FROM_TCP: usize = 64;
/// How often what has changed is told at most, and how often it is looked around when there is nobody to tell.
const TICK: Duration = Duration::from_micros(16_667);
const REST: Duration = Duration::from_millis(500);

/// A request that was answered.
pub(super) struct Done {
    pub key: Key,
    pub asked: Asked,
    /// Whether the client's next message waited for it.
    pub changing: bool,
    pub came: Came,
}

/// What came of a request.
pub(super) enum Came {
    /// Of a command or query.
    Answer(Result<Reply, Error>),
    /// Of settings: of each the address and the number of the setting.
    Set(Vec<(Target, u64)>, Result<Reply, Error>),
    /// Of a reading for which the status was needed.
    Status(Wanted, Result<Box<Status>, Error>),
    /// Of a bundle.
    Bundle(Box<Outcome>),
    /// What the clocks show, for who asked by this.
    Clock(Own, Result<Clock, Error>),
}

/// For what the status was needed.
pub(super) enum Wanted {
    /// For these values.
    Values(Vec<Target>),
    /// For something that only it tells.
    Told(Told),
}

/// What is known at the desk.
pub struct Desk {
    pub(super) access: Access,
    pub(super) inner: Inner,
    pub(super) subscription: Subscription,
    pub(super) telemetry_hz: f64,
    pub(super) state: State,
    pub(super) udp: UdpSocket,
    listener: TcpListener,
    board: Arc<Board>,
    pub(super) counts: OscStatus,
    pub(super) clients: BTreeMap<Key, Client>,
    connections: BTreeMap<u64, Connection>,
    open: Arc<AtomicUsize>,
    numbers: Arc<AtomicU64>,
    out: mpsc::Sender<FromTcp>,
    from_tcp: mpsc::Receiver<FromTcp>,
    pub(super) asked: JoinSet<Done>,
    pub(super) positions_told: Instant,
}

impl Desk {
    /// A desk at these sockets.
    ///
    /// # Errors
    /// If the sockets cannot be used, or the server goes down.
    pub async fn open(
        setup: Setup,
        udp: StdSocket,
        tcp: StdListener,
        board: Arc<Board>,
        inner: Inner,
    ) -> Result<Self, Error> {
        let io = |error: std::io::Error| Error::io("listen for OSC", &error);
        let place = udp.local_addr().map_err(io)?;
        let (udp, listener) =
            (UdpSocket::from_std(udp).map_err(io)?, TcpListener::from_std(tcp).map_err(io)?);
        let (state, subscription) = inner.subscribe(0.0).await?;
        let (out, from_tcp) = mpsc::channel(FROM_TCP);
        let access = Access::new(setup.allow, setup.trust);
        board.set_place(place);
        match (access::is_here(place), access.is_open()) {
            (false, false) => tracing::warn!(
                "OSC is listened to at {place}, but only of this machine: nobody else is allowed, see osc.allow"
            ),
            (true, true) => tracing::warn!(
                "OSC is allowed from other machines, but listened to at {place} only, where they do not come"
            ),
            _ => tracing::info!("OSC is listened to at {place}, by UDP and TCP"),
        }
        Ok(Self {
            access,
            inner,
            subscription,
            telemetry_hz: 0.0,
            state: *state,
            udp,
            listener,
            board,
            counts: OscStatus::default(),
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            open: Arc::default(),
            numbers: Arc::default(),
            out,
            from_tcp,
            asked: JoinSet::new(),
            positions_told: Instant::now(),
        })
    }

    /// Where it listens, unless the socket does not tell.
    pub fn place(&self) -> Option<SocketAddr> {
        self.udp.local_addr().ok()
    }

    /// What is to serve OSCQuery for this desk.
    pub fn door(&self, setup: Setup) -> std::io::Result<web::Door> {
        Ok(web::Door {
            access: Access::new(setup.allow, setup.trust),
            osc: self.udp.local_addr()?,
            numbers: self.numbers.clone(),
            out: self.out.clone(),
        })
    }

    /// Serves until the server goes down.
    pub async fn serve(mut self) {
        let mut buffer = vec![0; aulos_osc::framing::MOST_BYTES];
        let mut next = Instant::now();
        loop {
            tokio::select! {
                ready = self.udp.readable() => match ready {
                    Ok(()) => self.read_datagrams(&mut buffer),
                    Err(error) => {
                        tracing::warn!("OSC by UDP cannot be read: {error}");
                        tokio::time::sleep(REST).await;
                    }
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.connect(stream, peer),
                    Err(error) => {
                        // Out of descriptors, most likely: those that are open may close meanwhile.
                        tracing::warn!("could not take a connection by OSC: {error}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(from) = self.from_tcp.recv() => self.hear_tcp(from),
                Some(done) = self.asked.join_next(), if !self.asked.is_empty() => match done {
                    Ok(done) => {
                        // What it has changed is heard before what came of it.
                        self.catch_up();
                        self.came(done);
                    }
                    Err(error) => tracing::error!("a request by OSC panicked: {error}"),
                },
                heard = self.subscription.next() => match heard {
                    Some(heard) => self.hear(heard),
                    None => return,
                },
                () = tokio::time::sleep_until(next.into()) => {}
            }
            self.catch_up();
            self.pump();
            let now = Instant::now();
            if now >= next {
                next = now + if self.look_around(now) { TICK } else { REST };
            } else if next > now + TICK && self.has_news() {
                next = now + TICK;
            }
            if self.follow_telemetry().await.is_none() {
                return;
            }
            self.tell_board();
        }
    }

    fn tell_board(&mut self) {
        self.counts.connections = self.connections.len();
        self.counts.subscribers = self.clients.values().filter(|client| !client.feed.is_empty()).count();
        self.board.note(&self.counts);
    }

    fn read_datagrams(&mut self, buffer: &mut [u8]) {
        for _ in 0..DATAGRAMS {
            // Also an error of an earlier answer, which nobody was there to take.
            let Ok((count, peer)) = self.udp.try_recv_from(buffer) else { return };
            if !self.access.admits(peer) {
                self.counts.refused += 1;
                self.access.refuse(peer, "it is not allowed, see osc.allow");
                continue;
            }
            let key = Key::Udp(peer);
            if !self.clients.contains_key(&key) {
                if !self.has_place() {
                    self.counts.refused += 1;
                    self.access.refuse(peer, "there are too many clients");
                    continue;
                }
                let client = Client::new(peer, self.access.trusts(peer), Outbox::new(Way::Udp(peer)));
                self.clients.insert(key, client);
            }
            self.take_packet(key, &buffer[..count], None);
        }
    }

    /// Whether there is a place for another client by UDP; one that nobody misses is forgotten for it.
    fn has_place(&mut self) -> bool {
        let by_udp = |key: &Key| matches!(key, Key::Udp(_));
        if self.clients.keys().filter(|key| by_udp(key)).count() < MOST_CLIENTS {
            return true;
        }
        let forgettable =
            self.clients.iter().find(|(key, client)| by_udp(key) && client.is_forgettable(**key, true));
        let Some(key) = forgettable.map(|(key, _)| *key) else { return false };
        self.clients.remove(&key);
        true
    }

    fn connect(&mut self, stream: tokio::net::TcpStream, peer: SocketAddr) {
        let why = match (self.access.admits(peer), self.open.load(Relaxed) < tcp::MOST_CONNECTIONS) {
            (true, true) => {
                let connection = self.numbers.fetch_add(1, Relaxed) + 1;
                let serving = tcp::serve(connection, stream, peer, &self.open, self.out.clone());
                self.connections.insert(connection, serving);
                return;
            }
            (false, _) => "it is not allowed, see osc.allow",
            (true, false) => "there are too many connections",
        };
        self.counts.refused += 1;
        self.access.refuse(peer, why);
    }

    fn hear_tcp(&mut self, from: FromTcp) {
        match from {
            FromTcp::Packet { connection, peer, framing, bytes, permit } => {
                let Some(open) = self.connections.get(&connection) else { return };
                let key = Key::Tcp(connection);
                if let (Line::Packets(packets), Some(framing)) = (&open.line, framing)
                    && !self.clients.contains_key(&key)
                {
                    let outbox = Outbox::new(Way::Tcp(packets.clone(), framing));
                    self.clients.insert(key, Client::new(peer, self.access.trusts(peer), outbox));
                }
                self.take_packet(key, &bytes, Some(permit));
            }
            FromTcp::Joined { connection, peer, line } => {
                if let Line::Web(out) = &line.line {
                    let client =
                        Client::new(peer, self.access.trusts(peer), Outbox::new(Way::Web(out.clone())));
                    self.clients.insert(Key::Tcp(connection), client);
                    self.connections.insert(connection, line);
                }
            }
            FromTcp::Listen { connection, address, listens } => {
                self.listen(Key::Tcp(connection), &address, listens);
            }
            FromTcp::State { answer } => {
                // What has happened is seen in it. Whoever asked may have left.
                self.catch_up();
                let _ = answer.send(self.state.clone());
            }
            FromTcp::Refused => self.counts.refused += 1,
            FromTcp::Closed { connection, reason } => self.close(connection, reason),
        }
    }

    /// Lets a connection go.
    pub(super) fn close(&mut self, connection: u64, reason: Option<String>) {
        self.connections.remove(&connection);
        if let Some(client) = self.clients.get_mut(&Key::Tcp(connection)) {
            // What it has sent is still carried out.
            client.ended = true;
            client.feed = Default::default();
        }
        if let Some(reason) = reason {
            self.counts.closed += 1;
            tracing::warn!("an OSC connection is closed: {reason}");
        }
    }

    /// Takes a packet of a client to its queue.
    fn take_packet(&mut self, key: Key, bytes: &[u8], permit: Option<OwnedSemaphorePermit>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.hears();
        let packet = match packet::read(bytes) {
            Ok(packet) => packet,
            Err(why) => {
                self.counts.malformed += 1;
                self.counts.errors += 1;
                let asked = Asked { address: String::new(), id: None };
                let error = Error::new(ErrorCode::Parse, why);
                return client.outbox.answer(&self.udp, asked.error(&error), &mut self.counts);
            }
        };
        let permit = permit.map(Arc::new);
        let mut size = bytes.len();
        for what in parts(packet) {
            let messages = match &what {
                What::Message(..) => 1,
                What::Bundle(_, messages) => messages.len() as u64,
            };
            self.counts.received += messages;
            match client.queue(Queued { what, bytes: std::mem::take(&mut size), _permit: permit.clone() }) {
                Taken::Queued => {}
                Taken::Overtook => self.counts.overtaken += messages,
                Taken::Lost => self.counts.dropped += messages,
            }
        }
    }

    /// Whether anything waits that goes on by time.
    fn has_news(&self) -> bool {
        let waits = |client: &Client| !client.feed.is_empty() || client.outbox.is_busy() || client.waits();
        self.clients.values().any(waits)
    }

    /// Does what is due by time; whether there is more to come soon.
    fn look_around(&mut self, now: Instant) -> bool {
        for client in self.clients.values_mut() {
            if client.feed.expire(now) {
                tracing::debug!("the subscriptions of {} end: it was not heard for its lease", client.peer);
            }
            client.outbox.move_on(&self.udp, &mut self.counts);
            let share = if client.outbox.is_busy() { 0 } else { client.outbox.share() };
            let due = client.feed.due(now, share);
            client.outbox.tell(&self.udp, due, &mut self.counts);
        }
        self.clients.retain(|key, client| !client.is_forgettable(*key, false));
        self.has_news()
    }
}

/// What a packet is made of: messages, and what lies in bundles. A bundle of one message that is meant for now is that
/// message.
fn parts(packet: OscPacket) -> Vec<What> {
    let message =
        |message: OscMessage| What::Message(Asked { address: message.addr.clone(), id: None }, message);
    let mut parts: Vec<What> = Vec::new();
    let packet = match packet {
        OscPacket::Message(only) => return vec![message(only)],
        bundle @ OscPacket::Bundle(_) => bundle,
    };
    for (time, message) in packet::messages(packet) {
        match parts.last_mut() {
            Some(What::Bundle(before, messages)) if *before == time => messages.push(message),
            _ => parts.push(What::Bundle(time, vec![message])),
        }
    }
    let plain = |part| match part {
        What::Bundle(AT_ONCE, mut messages) if messages.len() == 1 => messages.pop().map(message),
        part => Some(part),
    };
    parts.into_iter().filter_map(plain).collect()
}
