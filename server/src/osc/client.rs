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
    pub queue: VecDeque<Queued>,
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

    /// Takes a message to the queue. A setting that waits is overtaken by a newer one of the same address, as long as
    /// only settings lie between the two. Answers how many messages were overtaken, or lost as there was no room.
    pub fn queue(&mut self, queued: Queued) -> Taken {
        if let What::Message(asked, message) = &queued.what
            && is_setting(asked, message)
        {
            let waiting = self.queue.iter_mut().rev().map_while(|other| match &mut other.what {
                What::Message(asked, message) if is_setting(asked, message) => Some(message),
                _ => None,
            });
            for other in waiting {
                if other.addr == message.addr {
                    other.args.clone_from(&message.args);
                    return Taken::Overtook;
                }
            }
        }
        if self.queue.len() >= MOST_QUEUED {
            return Taken::Lost;
        }
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
        message.addr.starts_with("/sys/")
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
        client.queue(Queued { what: What::Message(asked, message), _permit: None })
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
    }
}
