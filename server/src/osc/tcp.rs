//! Connections by TCP: what they send, packet by packet, and what is sent to them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use aulos_osc::framing::{Deframer, Framing};
use aulos_protocol::State;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};

use super::outbox::Out;

/// How many connections there can be at once.
pub const MOST_CONNECTIONS: usize = 64;
/// How many packets of a connection can be in work. What is sent beyond waits in the network.
pub const MOST_PACKETS: usize = 16;
/// How many packets can wait to be written to a connection.
pub const MOST_WRITTEN: usize = 256;
/// How long a connection may take to take what is written to it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What comes from a connection.
pub enum FromTcp {
    /// A WebSocket is there.
    Joined { connection: u64, peer: SocketAddr, line: Connection },
    /// A packet. While it is in work, the permit is held. A WebSocket needs no framing.
    Packet {
        connection: u64,
        peer: SocketAddr,
        framing: Option<Framing>,
        bytes: Vec<u8>,
        permit: OwnedSemaphorePermit,
    },
    /// An address is listened to from now on, or no more.
    Listen { connection: u64, address: String, listens: bool },
    /// The state is asked for.
    State { answer: oneshot::Sender<State> },
    /// Somebody was sent away.
    Refused,
    /// The connection has ended.
    Closed { connection: u64, reason: Option<String> },
}

/// Where packets of a connection go.
#[derive(Clone)]
pub enum Line {
    /// As they travel.
    Packets(mpsc::Sender<Vec<u8>>),
    /// To a WebSocket.
    Web(mpsc::Sender<Out>),
}

/// A connection that is open.
pub struct Connection {
    /// Where packets go.
    pub line: Line,
    /// What reads from it; ended with the connection.
    pub reads: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reads.abort();
    }
}

/// Counts the connections that are open, until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Serves a connection; `open` counts it until both of its ends have ended.
pub fn serve(
    connection: u64,
    stream: TcpStream,
    peer: SocketAddr,
    open: &Arc<AtomicUsize>,
    out: mpsc::Sender<FromTcp>,
) -> Connection {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("OSC by TCP of {peer} is not sent at once: {error}");
    }
    open.fetch_add(1, Relaxed);
    let count = Arc::new(Open(open.clone()));
    let (read, write) = stream.into_split();
    let (packets, outgoing) = mpsc::channel(MOST_WRITTEN);
    let theirs = count.clone();
    let writer = tokio::spawn(async move {
        let _count = theirs;
        write_packets(write, outgoing).await
    });
    let reads = tokio::spawn(async move {
        let _count = count;
        let reason = tokio::select! {
            reason = read_packets(connection, read, peer, &out) => reason,
            reason = writer => reason.unwrap_or_else(|_| Some("its writer panicked".into())),
        };
        if out.send(FromTcp::Closed { connection, reason }).await.is_err() {
            tracing::debug!("OSC has ended before a connection");
        }
    });
    Connection { line: Line::Packets(packets), reads: reads.abort_handle() }
}

/// Reads until the end; answers with what was wrong, if anything.
async fn read_packets(
    connection: u64,
    mut read: OwnedReadHalf,
    peer: SocketAddr,
    out: &mpsc::Sender<FromTcp>,
) -> Option<String> {
    let room = Arc::new(Semaphore::new(MOST_PACKETS));
    let mut deframer = Deframer::default();
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = match read.read(&mut bytes).await {
            Ok(0) => return None,
            Ok(count) => count,
            Err(error) => {
                tracing::debug!("OSC by TCP of {peer} broke: {error}");
                return None;
            }
        };
        // As many bytes as a read has hold so many packets at most, and the one that was begun before.
        let mut found = Vec::new();
        let broken = deframer.push(&bytes[..count], |packet| found.push(packet.to_vec())).err();
        let framing = Some(deframer.framing().unwrap_or(Framing::Sized));
        for bytes in found {
            let permit = room.clone().acquire_owned().await.ok()?;
            let packet = FromTcp::Packet { connection, peer, framing, bytes, permit };
            out.send(packet).await.ok()?;
        }
        if let Some(broken) = broken {
            return Some(broken.to_string());
        }
    }
}

/// Writes until nobody sends any more; answers with what was wrong.
async fn write_packets(mut write: OwnedWriteHalf, mut packets: mpsc::Receiver<Vec<u8>>) -> Option<String> {
    while let Some(packet) = packets.recv().await {
        match tokio::time::timeout(PATIENCE, write.write_all(&packet)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some(format!("it has read nothing for {} s", PATIENCE.as_secs())),
        }
    }
    None
}
