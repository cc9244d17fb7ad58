//! Our JACK ports, off the audio thread: made, renamed and removed as the session changes, and connected.

use std::collections::{BTreeMap, BTreeSet};

use jack::{AudioIn, AudioOut, Client, Port, PortFlags, Unowned};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    super::{
        device::{Channel, Wanted},
        edge::Crossing,
        seat::MOST_CHANNELS,
    },
    calls::Table,
    links::Remembered,
};

/// A port of ours: the direction is that of JACK, so that an output of the session is [`Way::Out`].
pub type Key = (Way, usize);

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From us to the server.
    Out,
    /// From the server to us.
    In,
}

/// What the audio thread is told, and gives back.
pub enum Turn {
    /// A port that plays a channel.
    Out(usize, Option<Port<AudioOut>>),
    /// A port that records a channel.
    In(usize, Option<Port<AudioIn>>),
}

/// The audio thread's ends of the rings.
pub struct Ends {
    /// What it is told.
    pub turns: Consumer<Turn>,
    /// What it gives back.
    pub home: Producer<Turn>,
}

/// A port as it is known here.
struct Own {
    port: Port<Unowned>,
    name: String,
    /// The frame from which it may go, once the session does not use it any more.
    goes: Option<u64>,
    /// Whether the audio thread was told to give it back.
    called: bool,
    /// Foreign ports to which it is to be connected when they are there, and how often that has failed.
    pending: BTreeMap<String, u32>,
    /// Foreign ports to which it was connected, and how often in a row it was seen that it is not.
    seen: BTreeMap<String, u32>,
}

/// How often a connection must be seen to be gone, the foreign port still being there, until it is taken as
/// disconnected by hand: a server that ends takes connections away before it says so.
const GONE: u32 = 10;
/// How often a connection may fail until it is given up: a port that goes can be seen for some time.
const FAILURES: u32 = 10;
/// How many foreign ports that are not there are remembered for a port.
const MOST_PENDING: usize = 64;

impl Own {
    /// Looks at the connections as they are. What leads to a port that is not there any more waits for it.
    /// So does what led to one that has gone: if one of its name is there, that is another. Whether a connection is
    /// missed that was there the last time.
    fn look(&mut self, client: &Client, gone: &BTreeMap<String, u32>) -> bool {
        let now: BTreeSet<String> = self.port.get_connections().into_iter().collect();
        let mut news = false;
        self.seen.retain(|foreign, missed| {
            if now.contains(foreign) {
                return true;
            }
            if gone.contains_key(foreign) || client.port_by_name(foreign).is_none() {
                if self.pending.len() < MOST_PENDING {
                    self.pending.insert(foreign.clone(), 0);
                }
                return false;
            }
            *missed += 1;
            news |= *missed == 1;
            *missed < GONE
        });
        self.seen.extend(now.into_iter().map(|foreign| (foreign, 0)));
        news
    }

    /// All that it is, or is to be, connected to.
    fn links(&self) -> BTreeSet<String> {
        self.seen.keys().chain(self.pending.keys()).cloned().collect()
    }
}

/// How the names begin that ports have until they go, or for a moment while names are exchanged.
const GOING: &str = "~";

/// How many turns are on their way at once: every port can come and go.
const TURNS: usize = MOST_CHANNELS * 4;

/// The ports of a client.
pub struct Ports {
    own: BTreeMap<Key, Own>,
    turns: Producer<Turn>,
    home: Consumer<Turn>,
    remembered: Remembered,
    /// Whether new outputs are connected to the hardware.
    connect: bool,
    /// What the session wanted last.
    wanted: Option<Wanted>,
    /// The engine's frame, as it was last.
    frame: u64,
    /// The frame at which connections were looked at last.
    looked: Option<u64>,
    /// Ports that have gone lately, and for how many looks they count as gone.
    gone: BTreeMap<String, u32>,
    refused: BTreeSet<Key>,
}

impl Ports {
    /// No ports yet, and the audio thread's ends.
    pub fn new(remembered: Remembered, connect: bool) -> (Self, Ends) {
        let (turns, incoming) = RingBuffer::new(TURNS);
        let (outgoing, home) = RingBuffer::new(TURNS);
        let ports = Self {
            own: BTreeMap::new(),
            turns,
            home,
            remembered,
            connect,
            wanted: None,
            frame: 0,
            looked: None,
            gone: BTreeMap::new(),
            refused: BTreeSet::new(),
        };
        (ports, Ends { turns: incoming, home: outgoing })
    }

    /// Makes the ports what the session wants; whether latencies may be others. `news` says that something has
    /// changed at the server.
    pub fn tend(&mut self, client: &Client, wanted: &Wanted, frame: u64, news: bool) -> bool {
        let mut changed = self.collect(client);
        self.keep_time(frame);
        if self.wanted.as_ref() != Some(wanted) {
            changed = true;
            self.refused.clear();
            self.want(client, wanted, frame);
            self.wanted = Some(wanted.clone());
        }
        self.call_back(frame);
        let again = self.own.values().any(|own| own.pending.values().any(|failures| *failures > 0));
        if news || changed || again {
            self.connect(client);
        }
        changed
    }

    /// Frames begin anew with another engine: what is to go waits for what was left.
    fn keep_time(&mut self, frame: u64) {
        let back = self.frame.saturating_sub(frame);
        self.own.values_mut().filter_map(|own| own.goes.as_mut()).for_each(|goes| *goes -= back.min(*goes));
        self.frame = frame;
    }

    fn want(&mut self, client: &Client, wanted: &Wanted, frame: u64) {
        let outs = wanted.playback.iter().map(|(at, channel)| ((Way::Out, *at), channel));
        let ins = wanted.capture.iter().map(|(at, channel)| ((Way::In, *at), channel));
        let all: BTreeMap<Key, &Channel> = outs.chain(ins).collect();
        for (key, own) in &mut self.own {
            if !all.contains_key(key) && own.goes.is_none() {
                own.goes = Some(frame + wanted.settles);
            }
        }
        self.rename(&all);
        for (key, channel) in all {
            match self.own.get_mut(&key) {
                // It has gone as far as the audio thread is concerned: it comes anew when it is home.
                Some(own) if own.called => {}
                Some(own) => own.goes = None,
                None => self.add(client, key, &channel.name),
            }
        }
    }

    /// Gives the ports their names; what is connected stays so.
    fn rename(&mut self, all: &BTreeMap<Key, &Channel>) {
        let wrong = |key: &Key, own: &Own| match all.get(key) {
            Some(channel) => own.name != channel.name,
            // One that goes must not keep a name that another is to have.
            None => !own.name.starts_with(GOING) && all.values().any(|channel| channel.name == own.name),
        };
        let keys: Vec<Key> =
            self.own.iter().filter(|(key, own)| wrong(key, own)).map(|(key, _)| *key).collect();
        let free = keys.iter().map(|key| (*key, format!("{GOING}{key:?}"))).collect::<Vec<_>>();
        let named = keys.iter().filter_map(|key| Some((*key, all.get(key)?.name.clone())));
        // Two steps, as names can be exchanged.
        let free = if keys.len() > 1 || named.clone().count() < keys.len() { free } else { Vec::new() };
        for (key, name) in free.into_iter().chain(named) {
            let Some(own) = self.own.get_mut(&key) else { continue };
            match own.port.set_name(&name) {
                Ok(()) => own.name = name,
                Err(error) => tracing::warn!("the JACK port {} cannot be renamed: {error}", own.name),
            }
        }
    }

    fn add(&mut self, client: &Client, key: Key, name: &str) {
        if self.refused.contains(&key) || self.turns.slots() == 0 {
            return;
        }
        let (way, at) = key;
        let made = match way {
            Way::Out => client
                .register_port(name, AudioOut::default())
                .map(|port| (port.clone_unowned(), Turn::Out(at, Some(port)))),
            Way::In => client
                .register_port(name, AudioIn::default())
                .map(|port| (port.clone_unowned(), Turn::In(at, Some(port)))),
        };
        let (port, turn) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!("the JACK port {name} cannot be made: {error}");
                self.refused.insert(key);
                return;
            }
        };
        // There was room, and only this thread fills it.
        let _ = self.turns.push(turn);
        let links = self.remembered.of(key).unwrap_or_else(|| self.hardware(client, key));
        let pending = links.into_iter().map(|foreign| (foreign, 0)).collect();
        let own =
            Own { port, name: name.to_owned(), goes: None, called: false, pending, seen: BTreeMap::new() };
        self.own.insert(key, own);
    }

    /// What a port that was never there is connected to: outputs go to the hardware, channel by channel.
    fn hardware(&self, client: &Client, (way, at): Key) -> BTreeSet<String> {
        if !self.connect || way == Way::In {
            return BTreeSet::new();
        }
        let flags = PortFlags::IS_PHYSICAL | PortFlags::IS_INPUT;
        client.ports(None, Some("32 bit float mono audio"), flags).into_iter().nth(at).into_iter().collect()
    }

    /// Asks the audio thread for the ports that are silent by now.
    fn call_back(&mut self, frame: u64) {
        for ((way, at), own) in &mut self.own {
            if own.called || own.goes.is_none_or(|goes| frame < goes) {
                continue;
            }
            let turn = match way {
                Way::Out => Turn::Out(*at, None),
                Way::In => Turn::In(*at, None),
            };
            own.called = self.turns.push(turn).is_ok();
        }
    }

    /// Removes what the audio thread has given back.
    fn collect(&mut self, client: &Client) -> bool {
        let mut changed = false;
        while let Ok(turn) = self.home.pop() {
            changed = true;
            let (key, removed) = match turn {
                Turn::Out(at, port) => ((Way::Out, at), port.map(|port| client.unregister_port(port))),
                Turn::In(at, port) => ((Way::In, at), port.map(|port| client.unregister_port(port))),
            };
            if let Some(Err(error)) = removed {
                tracing::warn!("a JACK port cannot be removed: {error}");
            }
            self.own.remove(&key);
            // It may be wanted again meanwhile.
            self.wanted = None;
        }
        changed
    }

    /// Makes the connections that are to be, as far as the other side is there.
    fn connect(&mut self, client: &Client) {
        for ((way, _), own) in &mut self.own {
            let Ok(name) = own.port.name() else { continue };
            let Own { pending, seen, .. } = own;
            pending.retain(|foreign, failures| {
                if client.port_by_name(foreign).is_none() {
                    return true;
                }
                let (from, to) = match way {
                    Way::Out => (name.as_str(), foreign.as_str()),
                    Way::In => (foreign.as_str(), name.as_str()),
                };
                match client.connect_ports_by_name(from, to) {
                    // Not to be forgotten if the other side goes before it is looked at.
                    Ok(()) | Err(jack::Error::PortAlreadyConnected(..)) => {
                        seen.insert(foreign.clone(), 0);
                        return false;
                    }
                    Err(error) => {
                        *failures += 1;
                        if *failures == FAILURES {
                            tracing::warn!("{from} is not connected to {to}: {error}");
                        }
                    }
                }
                *failures < FAILURES
            });
        }
    }

    /// Looks at the connections as they are; `gone` are the ports that have gone since the last time. They count as gone
    /// for some looks, as the server may still tell of their connections. Whether a connection is missed that was there
    /// the last time.
    pub fn look(&mut self, client: &Client, gone: BTreeSet<String>) -> bool {
        self.gone.extend(gone.into_iter().map(|name| (name, GONE)));
        // The server tells of connections as they were when its last cycle began: before another one nothing is new,
        // however long it takes.
        if self.looked == Some(self.frame) {
            return false;
        }
        self.looked = Some(self.frame);
        let gone = &self.gone;
        let mut news = false;
        for own in self.own.values_mut().filter(|own| own.goes.is_none()) {
            news |= own.look(client, gone);
        }
        if !self.gone.is_empty() {
            self.connect(client);
        }
        self.gone.retain(|_, looks| {
            *looks -= 1;
            *looks > 0
        });
        news
    }

    /// Remembers the connections as they were seen.
    pub fn remember(&self) {
        for (key, own) in self.own.iter().filter(|(_, own)| own.goes.is_none()) {
            self.remembered.note(*key, own.links());
        }
    }

    /// What latencies are computed from, in frames of the server.
    pub fn latencies(&self, wanted: &Wanted, crossing: &Crossing) -> Table {
        let mut table = Table::default();
        for ((way, at), own) in &self.own {
            match way {
                Way::Out => {
                    let arrival = wanted.playback.get(at).map_or(0, |channel| channel.arrival);
                    let takes = crossing.round(arrival).min(u64::from(u32::MAX)) as u32;
                    table.playback.push((own.port.clone_unowned(), takes));
                }
                Way::In => table.capture.push(own.port.clone_unowned()),
            }
        }
        table
    }

    /// How many ports play and record.
    pub fn counts(&self) -> (usize, usize) {
        let out = self.own.keys().filter(|(way, _)| *way == Way::Out).count();
        (out, self.own.len() - out)
    }
}
