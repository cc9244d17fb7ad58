//! Large sessions, for what must not depend on how large they are.
//!
//! A desk of any size: tones, tracks with a clip, inputs, delays that mostly report, sends, a tree of buses, and
//! outputs, with as many links as are asked for. The same size is the same desk, for ever. It is said in commands,
//! as a user would make it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aulos_engine::session::{self, MAX_BATCH};
use aulos_nodes::Pcm;
use aulos_protocol::{Command, Endpoint, Frames, NewNode, NodeKind, Rate, Session, Value, ports};

use crate::{
    oracle::Start,
    random::{Rng, Scene},
};

/// The only audio file.
const FILE: &str = "noise.wav";
/// How many buses go into one.
const FAN_IN: usize = 8;
/// Delays and sends go only to those of a higher rank, so that there is no cycle and no long chain.
const RANKS: u64 = 3;

/// A node that is to be linked.
struct Place {
    name: String,
    kind: NodeKind,
    channels: u16,
    /// Links lead to a higher rank.
    rank: u64,
}

impl Place {
    fn group(&self, name: &str) -> Option<ports::Group> {
        ports::groups(self.kind, self.channels).into_iter().find(|group| group.name == name)
    }
}

struct Desk {
    rng: Rng,
    places: Vec<Place>,
    commands: Vec<Command>,
    /// Pairs of ports that are linked.
    linked: BTreeSet<(String, String)>,
}

/// The commands that make a desk of so many nodes and links.
///
/// # Panics
/// If there are fewer than 10 nodes, or more links than they have room for: twice as many as there are nodes fit.
pub fn commands(nodes: usize, links: usize) -> Vec<Command> {
    assert!(nodes >= 10, "a desk has at least 10 nodes");
    let rng = Rng::new(nodes as u64);
    let mut desk = Desk { rng, places: Vec::new(), commands: Vec::new(), linked: BTreeSet::new() };
    desk.nodes(nodes);
    desk.tree();
    desk.patch(links);
    desk.commands
}

/// Commands in batches of at most so many.
pub fn batches(commands: &[Command], most: usize) -> impl Iterator<Item = Command> {
    commands.chunks(most).map(|batch| Command::Batch { commands: batch.to_vec() })
}

/// A scene without nodes, in which the commands can be carried out.
pub fn empty() -> Scene {
    let mut rng = Rng::new(1);
    let mut noise = |frames| -> Vec<f32> {
        (0..frames).map(|_| rng.below(1 << 24) as f32 / (1 << 24) as f32 - 0.5).collect()
    };
    let pcm = Pcm::new(vec![noise(4800)]).expect("one channel");
    Scene {
        session: Session::new("large", Rate::default()),
        files: BTreeMap::from([(FILE.to_owned(), Arc::new(pcm))]),
        start: Start { position: 0, rolling: true, loop_range: None },
        capture: vec![noise(4800), noise(4800)],
        playback_channels: 2,
    }
}

/// The desk of so many nodes, and twice as many links.
///
/// # Panics
/// As [`commands`].
pub fn scene(nodes: usize) -> Scene {
    let mut scene = empty();
    for batch in batches(&commands(nodes, 2 * nodes), MAX_BATCH) {
        let applied = session::apply(&scene.session, &batch);
        scene.session = applied.unwrap_or_else(|error| panic!("a batch is refused: {error:?}")).0;
    }
    scene
}

/// What is done to a desk, whatever its size: the nodes that are named are in each.
pub mod edits {
    use super::{NewNode, NodeKind, Value, end};
    use aulos_protocol::{Command, Decibels};

    /// A tone that goes to a bus all the same.
    pub fn link() -> Command {
        Command::Link { from: end("tone-1", None), to: end("output-1", None), gain: Decibels::new(-20.0) }
    }

    /// Takes off what [`link`] has made.
    pub fn unlink() -> Command {
        Command::Unlink { from: end("tone-1", None), to: end("output-1", None) }
    }

    /// A fader that moves, by which of two ways.
    pub fn param(up: bool) -> Command {
        let value = Value::Number(if up { -3.0 } else { -9.0 });
        Command::SetParam { node: "bus-1".into(), param: "gain".into(), value }
    }

    /// A latency that grows, which moves everything that meets what is delayed by it.
    pub fn latency() -> Command {
        let value = Value::Number(1000.0);
        Command::SetParam { node: "delay-1".into(), param: "frames".into(), value }
    }

    /// A node more.
    pub fn add() -> Command {
        Command::AddNode(NewNode {
            kind: NodeKind::Bus,
            name: Some("new".into()),
            channels: Some(2),
            params: Default::default(),
        })
    }

    /// Removes what [`add`] has made.
    pub fn remove() -> Command {
        Command::RemoveNode { node: "new".into() }
    }
}

fn end(node: &str, port: Option<&str>) -> Endpoint {
    let text = port.map_or(node.to_owned(), |port| format!("{node}:{port}"));
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

impl Desk {
    fn nodes(&mut self, count: usize) {
        // Of each kind at least one, and of a hundred nodes about so many.
        let share = |percent: usize| (count * percent / 100).max(1);
        let fixed = [
            (NodeKind::Output, share(1)),
            (NodeKind::Input, share(2)),
            (NodeKind::Bus, share(12)),
            (NodeKind::Track, share(15)),
            (NodeKind::Send, share(20)),
            (NodeKind::Delay, share(20)),
        ];
        let tones = count - fixed.iter().map(|(_, count)| count).sum::<usize>();
        for (kind, count) in fixed.into_iter().chain([(NodeKind::Tone, tones)]) {
            for nth in 0..count {
                self.node(kind, nth, count);
            }
        }
    }

    fn node(&mut self, kind: NodeKind, nth: usize, of_kind: usize) {
        let channels = match kind {
            NodeKind::Output => 2,
            // The first of each kind is the same in all desks, so that the same edit is.
            _ if nth == 0 => 1,
            NodeKind::Bus => 1 + self.rng.below(2) as u16,
            _ => 1 + u16::from(self.rng.percent(20)),
        };
        let level = |rng: &mut Rng, name: &str| (name.to_owned(), Value::Number(rng.tenths(-200, 0)));
        let params = match kind {
            NodeKind::Delay if nth == 0 => {
                vec![("frames".to_owned(), Value::Number(100.0)), ("report".to_owned(), Value::Switch(true))]
            }
            _ if nth == 0 => Vec::new(),
            NodeKind::Tone => vec![
                level(&mut self.rng, "level"),
                ("frequency".to_owned(), Value::Number(self.rng.range(20, 8000) as f64)),
            ],
            NodeKind::Delay => vec![
                ("frames".to_owned(), Value::Number(self.rng.range(1, 200) as f64)),
                ("report".to_owned(), Value::Switch(self.rng.percent(80))),
            ],
            NodeKind::Send => vec![level(&mut self.rng, "level")],
            NodeKind::Track | NodeKind::Bus => vec![
                level(&mut self.rng, "gain"),
                ("pan".to_owned(), Value::Number(self.rng.tenths(-10, 10))),
            ],
            _ => Vec::new(),
        };
        let rank = match kind {
            NodeKind::Delay | NodeKind::Send => 1 + self.rng.below(RANKS),
            // By the height in the tree: the later ones lead to the earlier ones.
            NodeKind::Bus => RANKS + 1 + (height(of_kind - 1) - height(nth)),
            NodeKind::Output => u64::MAX,
            _ => 0,
        };
        let name = format!("{kind}-{}", nth + 1);
        self.commands.push(Command::AddNode(NewNode {
            kind,
            name: Some(name.clone()),
            channels: Some(channels),
            params: params.into_iter().collect(),
        }));
        if kind == NodeKind::Track {
            self.commands.push(Command::AddClip {
                track: name.clone(),
                file: FILE.to_owned(),
                at: Frames(self.rng.below(200)),
                offset: Frames(self.rng.below(100)),
                length: None,
            });
        }
        self.places.push(Place { name, kind, channels, rank });
    }

    /// Links everything onwards: buses to the next, the last to the outputs, all else to a bus or by way of a send
    /// or delay.
    fn tree(&mut self) {
        let of = |kind| -> Vec<usize> {
            (0..self.places.len()).filter(|place| self.places[*place].kind == kind).collect()
        };
        let (outputs, buses) = (of(NodeKind::Output), of(NodeKind::Bus));
        for output in outputs {
            self.link(buses[0], output, "out");
        }
        for (nth, bus) in buses.iter().enumerate().skip(1) {
            self.link(*bus, buses[(nth - 1) / FAN_IN], "out");
        }
        for place in 0..self.places.len() {
            if self.places[place].rank <= RANKS {
                let bus = *self.rng.pick(&buses);
                self.link(place, bus, "out");
            }
        }
    }

    /// Links ports until there are `links` of them: mostly something to a delay or a send, and what is behind those
    /// to a bus.
    fn patch(&mut self, links: usize) {
        let mut tries = 0;
        while self.linked.len() < links {
            tries += 1;
            assert!(tries < 1000 * links, "{links} links do not fit");
            let [from, to] = [(); 2].map(|()| self.rng.below(self.places.len() as u64) as usize);
            if self.places[from].rank >= self.places[to].rank {
                continue;
            }
            let pre = self.places[from].group("pre").is_some() && self.rng.percent(50);
            let group = if pre { "pre" } else { "out" };
            if links - self.linked.len() >= 4 {
                self.link(from, to, group);
                continue;
            }
            let Some((from_group, to_group)) =
                self.places[from].group(group).zip(self.places[to].group("in"))
            else {
                continue;
            };
            self.wire((from, from_group.port_name(0)), (to, to_group.port_name(0)));
        }
        assert_eq!(self.linked.len(), links);
    }

    /// Links all channels of two nodes, unless one of them is linked already.
    fn link(&mut self, from: usize, to: usize, group: &str) {
        let (source, destination) = (&self.places[from], &self.places[to]);
        let (Some(a), Some(b)) = (source.group(group), destination.group("in")) else { return };
        let port = |place: &Place, group: ports::Group, channel| {
            format!("{}:{}", place.name, group.port_name(channel))
        };
        let pairs: Vec<_> = ports::channel_map(a.channels, b.channels)
            .into_iter()
            .map(|(from, to, _)| (port(source, a, from), port(destination, b, to)))
            .collect();
        if pairs.iter().any(|pair| self.linked.contains(pair)) {
            return;
        }
        let (from, to) = (end(&source.name, Some(group)), end(&destination.name, None));
        self.linked.extend(pairs);
        self.commands.push(Command::Link { from, to, gain: None });
    }

    /// Links two ports.
    fn wire(&mut self, from: (usize, String), to: (usize, String)) {
        let text = |(place, port): (usize, String)| format!("{}:{port}", self.places[place].name);
        let pair = (text(from), text(to));
        if self.linked.insert(pair.clone()) {
            let [from, to] = [&pair.0, &pair.1].map(|text| end(text, None));
            self.commands.push(Command::Link { from, to, gain: None });
        }
    }
}

/// How far a bus is from the first, of which all others are behind.
fn height(nth: usize) -> u64 {
    let mut height = 0;
    let mut nth = nth;
    while nth > 0 {
        nth = (nth - 1) / FAN_IN;
        height += 1;
    }
    height
}
