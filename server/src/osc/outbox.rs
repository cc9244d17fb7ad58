//! What is on its way to a client, and how fast it may go there.

use std::{collections::VecDeque, net::SocketAddr, time::Instant};

use aulos_osc::{
    framing::Framing,
    packet::{self, AT_ONCE},
};
use aulos_protocol::OscStatus;
use rosc::{OscBundle, OscMessage, OscPacket};
use tokio::{net::UdpSocket, sync::mpsc};

/// The largest datagram that is sent, in bytes: one that no network takes apart.
pub const MOST_DATAGRAM: usize = 1400;
/// How many messages a second go to a client by UDP, and how many at once after a pause.
const RATE: f64 = 1000.0;
const BURST: f64 = 256.0;
/// How many answers a second go to it without waiting for their turn.
const ANSWERS: f64 = 4000.0;
/// How many parts of answers can wait for a client.
pub const MOST_PARTS: usize = 8192;
/// The same by TCP, which paces itself.
pub const MOST_PARTS_TCP: usize = 65_536;
/// Behind how many other messages an answer by UDP can wait.
const MOST_LATE: usize = 256;

/// How a client is reached.
pub enum Way {
    /// By datagrams to this address.
    Udp(SocketAddr),
    /// By a connection, whose writer takes packets as they travel.
    Tcp(mpsc::Sender<Vec<u8>>, Framing),
    /// By a WebSocket.
    Web(mpsc::Sender<Out>),
}

/// What goes out by a WebSocket.
#[derive(Debug, PartialEq)]
pub enum Out {
    /// An OSC packet.
    Packet(Vec<u8>),
    /// A message of OSCQuery.
    Text(String),
}

/// Whether a queue to a connection is not filling up. To one that is closed everything goes, as nothing arrives.
fn has_room<T>(queue: &mpsc::Sender<T>) -> bool {
    queue.capacity() > queue.max_capacity() / 2 || queue.is_closed()
}

/// Lets so many through a second.
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, tokens: BURST, filled: Instant::now() }
    }

    fn fill(&mut self) {
        self.tokens = BURST.min(self.tokens + self.filled.elapsed().as_secs_f64() * self.rate);
        self.filled = Instant::now();
    }

    fn take(&mut self) -> bool {
        self.fill();
        let there = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(there));
        there
    }
}

/// What is on its way to a client.
pub struct Outbox {
    way: Way,
    /// Of what is told without being asked, and of answers in parts.
    told: Bucket,
    /// Of answers.
    answered: Bucket,
    parts: VecDeque<OscMessage>,
}

impl Outbox {
    pub fn new(way: Way) -> Self {
        let (told, answered) = (Bucket::new(RATE), Bucket::new(ANSWERS));
        Self { way, told, answered, parts: VecDeque::new() }
    }

    /// Whether the client reads what it is sent, as far as that can be known.
    pub fn has_room(&self) -> bool {
        match &self.way {
            Way::Udp(_) => true,
            Way::Tcp(packets, _) => has_room(packets),
            Way::Web(out) => has_room(out),
        }
    }

    /// Sends an answer: by UDP at once, or behind the parts of others where there are too many; by TCP in its order.
    pub fn answer(&mut self, udp: &UdpSocket, message: OscMessage, counts: &mut OscStatus) {
        let at_once = match self.way {
            Way::Udp(_) => self.answered.take(),
            Way::Tcp(..) | Way::Web(_) => self.parts.is_empty(),
        };
        if at_once {
            self.send(udp, &OscPacket::Message(message), counts);
        } else if self.parts.len() < MOST_LATE || !matches!(self.way, Way::Udp(_)) {
            self.parts.push_back(message);
        } else {
            counts.unsent += 1;
        }
    }

    /// Whether the client speaks OSCQuery.
    pub fn is_web(&self) -> bool {
        matches!(self.way, Way::Web(_))
    }

    /// Tells a client by WebSocket that paths have changed; nothing to others. Whether it had room for it.
    pub fn say(&self, text: &str) -> bool {
        match &self.way {
            Way::Web(out) => out.try_send(Out::Text(text.to_owned())).is_ok() || out.is_closed(),
            Way::Udp(_) | Way::Tcp(..) => true,
        }
    }

    /// Takes an answer in parts, which go as fast as they may, in order. Whether there was room for it.
    pub fn answer_in_parts(&mut self, parts: Vec<OscMessage>) -> bool {
        let most = match self.way {
            Way::Udp(_) => MOST_PARTS,
            Way::Tcp(..) | Way::Web(_) => MOST_PARTS_TCP,
        };
        let fits = self.parts.len() + parts.len() <= most;
        if fits {
            self.parts.extend(parts);
        }
        fits
    }

    /// Whether parts of answers wait.
    pub fn is_busy(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Sends the parts of answers that may go now.
    pub fn move_on(&mut self, udp: &UdpSocket, counts: &mut OscStatus) {
        while !self.parts.is_empty() && self.has_room() {
            let share = self.share();
            if share == 0 {
                return;
            }
            let now: Vec<_> = self.parts.drain(..share.min(self.parts.len())).collect();
            self.tell(udp, now, counts);
        }
    }

    /// How many messages may be told now.
    pub fn share(&mut self) -> usize {
        self.told.fill();
        match self.way {
            _ if !self.has_room() => 0,
            Way::Udp(_) => self.told.tokens as usize,
            Way::Tcp(..) | Way::Web(_) => BURST as usize,
        }
    }

    /// Tells messages, at most [`Outbox::share`], in as few packets as hold them.
    pub fn tell(&mut self, udp: &UdpSocket, messages: Vec<OscMessage>, counts: &mut OscStatus) {
        self.told.tokens -= messages.len() as f64;
        for packet in packed(messages) {
            self.send(udp, &packet, counts);
        }
    }

    fn send(&mut self, udp: &UdpSocket, packet: &OscPacket, counts: &mut OscStatus) {
        let sent = packet::write(packet).is_ok_and(|bytes| match &self.way {
            Way::Udp(peer) => udp.try_send_to(&bytes, *peer).is_ok(),
            Way::Tcp(packets, framing) => packets.try_send(framing.wrap(&bytes)).is_ok(),
            Way::Web(out) => out.try_send(Out::Packet(bytes)).is_ok(),
        });
        counts.sent += u64::from(sent);
        counts.unsent += u64::from(!sent);
    }
}

/// Messages in bundles, each of which fits into a datagram; one alone needs none.
fn packed(messages: Vec<OscMessage>) -> Vec<OscPacket> {
    let (mut packets, mut size, mut content) = (Vec::new(), 0, Vec::new());
    let mut close = |content: &mut Vec<OscPacket>| match content.len() {
        0 => {}
        1 => packets.extend(content.pop()),
        _ => {
            let content = std::mem::take(content);
            packets.push(OscPacket::Bundle(OscBundle { timetag: AT_ONCE, content }));
        }
    };
    for message in messages {
        let message = OscPacket::Message(message);
        let own = 4 + packet::write(&message).map_or(0, |bytes| bytes.len());
        if 16 + size + own > MOST_DATAGRAM {
            close(&mut content);
            size = 0;
        }
        size += own;
        content.push(message);
    }
    close(&mut content);
    packets
}

#[cfg(test)]
mod tests {
    use rosc::OscType;

    use super::*;

    fn message(number: usize) -> OscMessage {
        let addr = format!("/track/{}/gain", "x".repeat(number % 90));
        OscMessage { addr, args: vec![OscType::Int(number as i32)] }
    }

    #[test]
    fn messages_are_packed_in_order_into_datagrams() {
        let messages: Vec<_> = (0..500).map(message).collect();
        let packets = packed(messages.clone());
        assert!(packets.len() < 60, "{}", packets.len());
        let mut read = Vec::new();
        for packet in packets {
            assert!(packet::write(&packet).unwrap().len() <= MOST_DATAGRAM);
            read.extend(packet::messages(packet).into_iter().map(|(_, message)| message));
        }
        assert_eq!(read, messages);
        assert_eq!(packed(vec![message(1)]), [OscPacket::Message(message(1))]);
        assert!(packed(Vec::new()).is_empty());
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_so_many_a_second() {
        let mut bucket = Bucket::new(RATE);
        let begun = Instant::now();
        let taken = (0..10_000).filter(|_| bucket.take()).count() as f64;
        let most = BURST + begun.elapsed().as_secs_f64() * RATE;
        assert!((BURST..=most + 1.0).contains(&taken), "{taken} of {most}");
    }
}
