//! One client: what it has sent and is still to be carried out, and what it is told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rosc::{OscMessage, OscTime};
use tokio::sync::OwnedSemaphorePermit;

use super::{answers::Asked, feed::Feed, outbox::Outbox};

/// How many messages of a client wait at most.
pub const MOST_QUEUED: usize = 512;
/// How many bytes of packets of a client wait at most.
pub const MOST_BYTES: usize = 256 << 10;
/// How many requests of a client are on their way to the control thread at most.
pub const MOST_ASKED: usize = 32;
/// How long a client is remembered that is subscribed to nothing.
const REMEMBERED: Duration = Duration::from_secs(60);

/// By what clients are told apart: those by UDP by address and port, as two programs of a machine are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The address that datagrams come from.
    Udp(SocketAddr),
    /// The number of a connection.
    Tcp(u64),
}

/// What waits to be carried out. A packet by TCP holds its place in the connection for as long.
pub struct Queued {
    pub what: What,
    /// How large it came.
    pub bytes: usize,
    pub _permit: Option<std::sync::Arc<OwnedSemaphorePermit>>,
}

/// What a client has sent.
pub enum What {
    /// A message.
    Message(Asked, OscMessage),
    /// What came in a bundle.
    Bundle(OscTime, Vec<OscMessage>),
}

/// A client.
pub struct Client {
    pub peer: SocketAddr,
    /// Whether it may ask for everything.
    pub trusted: bool,
    queue: VecDeque<Queued>,
    /// Of all that waits.
    bytes: usize,
    /// Requests that are on their way.
    pub asked: usize,
    /// Of those, the ones after which an address may mean something else.
    pub changing: usize,
    pub feed: Feed,
    pub outbox: Outbox,
    /// Whether its connection has ended.
    pub ended: bool,
    heard: Instant,
}

impl Client {
    pub fn new(peer: SocketAddr, trusted: bool, outbox: Outbox) -> Self {
        Self {
            peer,
            trusted,
            queue: VecDeque::new(),
            bytes: 0,
            asked: 0,
            changing: 0,
            feed: Feed::default(),
            outbox,
            ended: false,
            heard: Instant::now(),
        }
    }

    /// Something came from it.
    pub fn hears(&mut self) {
        self.heard = Instant::now();
        self.feed.renew();
    }

    /// Whether nothing of it is left to be done.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.asked == 0
    }

    /// Whether it can be forgotten without anybody missing it; `soon` if its place is wanted.
    pub fn is_forgettable(&self, key: Key, soon: bool) -> bool {
        match key {
            Key::Tcp(_) => self.ended && self.is_idle(),
            Key::Udp(_) => {
                let idle = self.is_idle() && self.feed.is_empty() && !self.outbox.is_busy();
                idle && (soon || self.heard.elapsed() >= REMEMBERED)
            }
        }
    }

    /// Whether anything waits.
    pub fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What is next.
    pub fn next(&mut self) -> Option<Queued> {
        let next = self.queue.pop_front()?;
        self.bytes -= next.bytes;
        Some(next)
    }

    /// Puts something in front of the queue: what cannot be done yet, or is part of what was next.
    pub fn put_back(&mut self, queued: Queued) {
        self.bytes += queued.bytes;
        self.queue.push_front(queued);
    }

    /// Takes a message to the queue. A setting that waits is overtaken by a newer one of the same address, as long as
    /// only settings lie between the two. Answers what became of it.
    pub fn queue(&mut self, queued: Queued) -> Taken {
        let room = self.bytes + queued.bytes <= MOST_BYTES || self.queue.is_empty();
        if let (What::Message(asked, message), true) = (&queued.what, room)
            && is_setting(asked, message)
        {
            let is_other = |other: &&mut Queued| matches!(&other.what, What::Message(asked, message) if is_setting(asked, message));
            for other in self.queue.iter_mut().rev().take_while(is_other) {
                let What::Message(_, older) = &mut other.what else { break };
                if older.addr == message.addr {
                    older.args.clone_from(&message.args);
                    self.bytes = self.bytes - other.bytes + queued.bytes;
                    other.bytes = queued.bytes;
                    return Taken::Overtook;
                }
            }
        }
        if self.queue.len() >= MOST_QUEUED || !room {
            return Taken::Lost;
        }
        self.bytes += queued.bytes;
        self.queue.push_back(queued);
        Taken::Queued
    }
}

/// What became of a message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It waits.
    Queued,
    /// It took the place of an older one.
    Overtook,
    /// There was no room.
    Lost,
}

/// Whether a message sets a value, for which only the newest counts: it has arguments, its address is none of a command,
/// and nobody waits for its answer.
fn is_setting(asked: &Asked, message: &OscMessage) -> bool {
    let is_command = || {
        aulos_osc::own::DOORS.iter().any(|door| door.address == message.addr)
            || aulos_protocol::registry::methods().iter().any(|method| method.address == Some(&message.addr))
    };
    asked.id.is_none() && !message.args.is_empty() && !is_command()
}

#[cfg(test)]
mod tests {
    use rosc::OscType;
    use tokio::sync::mpsc;

    use super::*;
    use crate::osc::outbox::Way;

    fn client() -> Client {
        let peer = "127.0.0.1:5".parse().unwrap();
        let (packets, _) = mpsc::channel(1);
        let outbox = Outbox::new(Way::Tcp(packets, aulos_osc::framing::Framing::Slip));
        Client::new(peer, true, outbox)
    }

    fn take(client: &mut Client, address: &str, value: Option<i32>) -> Taken {
        let message =
            OscMessage { addr: address.into(), args: value.into_iter().map(OscType::Int).collect() };
        let asked = Asked { address: address.into(), id: None };
        client.queue(Queued { what: What::Message(asked, message), bytes: 100, _permit: None })
    }

    #[test]
    fn only_the_newest_of_the_settings_between_two_other_messages_counts() {
        let mut client = client();
        for (address, value, taken) in [
            ("/track/a/gain", Some(1), Taken::Queued),
            ("/track/b/gain", Some(2), Taken::Queued),
            ("/track/a/gain", Some(3), Taken::Overtook),
            ("/track/a/gain", None, Taken::Queued),
            ("/track/a/gain", Some(4), Taken::Queued),
            ("/transport/locate", Some(5), Taken::Queued),
            ("/transport/locate", Some(6), Taken::Queued),
            ("/track/a/gain", Some(7), Taken::Queued),
            ("/track/a/gain", Some(8), Taken::Overtook),
        ] {
            assert_eq!(take(&mut client, address, value), taken, "{address} {value:?}");
        }
        let values: Vec<_> = client
            .queue
            .iter()
            .map(|queued| match &queued.what {
                What::Message(_, message) => message.args.first().cloned(),
                What::Bundle(..) => None,
            })
            .collect();
        let expected = [Some(3), Some(2), None, Some(4), Some(5), Some(6), Some(8)];
        assert_eq!(values, expected.map(|value| value.map(OscType::Int)));
        for at in client.queue.len()..MOST_QUEUED {
            assert_eq!(take(&mut client, &format!("/track/{at}/gain"), Some(0)), Taken::Queued);
        }
        assert_eq!(take(&mut client, "/track/more/gain", Some(0)), Taken::Lost);
        assert_eq!(take(&mut client, "/track/600/gain", None), Taken::Lost);
        while client.next().is_some() {}
        let large = |client: &mut Client, number: i32| {
            let message = OscMessage { addr: format!("/a/{number}"), args: vec![OscType::Int(number)] };
            let asked = Asked { address: message.addr.clone(), id: None };
            client.queue(Queued { what: What::Message(asked, message), bytes: 60_000, _permit: None })
        };
        let taken: Vec<_> = [1, 2, 3, 4, 5, 6].map(|number| large(&mut client, number)).into();
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::Queued).count(), 4, "{taken:?}");
    }
}
