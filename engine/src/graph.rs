//! The topology that a session describes: a DAG over stages.

mod solo;

pub use solo::shut_links;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use aulos_nodes::Stage;
use aulos_protocol::{
    Error, ErrorCode, LinkId, Node, NodeId, NodeKind, PortRef, Rate, Session, params,
    ports::{self, Signal},
};
use petgraph::{
    algo::{kosaraju_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

/// A stage of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId {
    /// The node.
    pub node: NodeId,
    /// Which of its stages.
    pub stage: Stage,
}

/// What an edge of the graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeId {
    /// A link of the session.
    Link(LinkId),
    /// What the player of a track gives to its source stage, by channel.
    Player(NodeId, u16),
    /// The normalled connection from `insert_out` to `insert_in` of a track, by channel.
    Normal(NodeId, u16),
}

impl Rank {
    /// The rank of what a track's player adds.
    pub fn of_player(track: NodeId, channel: u16) -> Self {
        Self { internal: true, node: track, port: channel, link: 0 }
    }
}

/// A connection of two stages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// What it is.
    pub id: EdgeId,
    /// What travels on it.
    pub signal: Signal,
    /// Whether it is passed on at once instead of being aligned with the others.
    pub exempt: bool,
    /// How many frames later than aligned it is heard, as an output asks for.
    pub postponed: u64,
    /// The output channel of the source stage.
    pub output: usize,
    /// The input channel of the destination stage.
    pub input: usize,
    /// Its gain, linear; 0 while others are soloed.
    pub gain: f32,
    /// Where it stands in the sum that it is part of.
    pub rank: Rank,
}

/// The order of summing: by the source node's number, then by its port, then by the link; a track's player
/// comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    internal: bool,
    node: NodeId,
    /// The port's place among the node's port names in the order of the alphabet.
    port: u16,
    link: u64,
}

/// The stages of a session and how they are connected. Links into one input are edges of their own.
#[derive(Debug)]
pub struct Graph {
    /// The stages in the order of their numbers, with edges from source to destination.
    pub graph: DiGraph<StageId, Edge>,
}

/// Where a port is: the stage that it belongs to (which of the node's it is), its channel there, and its place
/// in the alphabet.
struct Place {
    stage: Stage,
    nth: usize,
    signal: Signal,
    channel: usize,
    order: u16,
}

fn places(node: &Node) -> BTreeMap<String, Place> {
    let groups = ports::groups(node.kind, node.channels);
    let mut places = BTreeMap::new();
    for (nth, stage) in Stage::of(node.kind).iter().enumerate() {
        let mut counts = BTreeMap::new();
        for group in groups.iter().filter(|group| stage.has(group)) {
            let channel: &mut usize = counts.entry((group.direction, group.signal)).or_default();
            for port in group.port_names() {
                let place = Place { stage: *stage, nth, signal: group.signal, channel: *channel, order: 0 };
                places.insert(port, place);
                *channel += 1;
            }
        }
    }
    for (order, place) in places.values_mut().enumerate() {
        place.order = order as u16;
    }
    places
}

/// How many frames later than aligned a node hears what enters it: the delay of an output.
pub fn postponed(node: &Node, rate: Rate) -> u64 {
    let ms = if node.kind == NodeKind::Output { params::number(node, "delay") } else { None };
    ms.map_or(0, |ms| rate.frames_in_ms(ms))
}

/// A node while the graph is built: its first stage, and where its ports are.
struct Built {
    first: usize,
    /// Whether nothing that enters or leaves it is delayed for the sake of others.
    exempt: bool,
    postponed: u64,
    ports: Rc<BTreeMap<String, Place>>,
}

impl Graph {
    /// The graph of a session whose links name ports that exist.
    pub fn of(session: &Session) -> Self {
        let mut graph = DiGraph::new();
        let mut nodes: Vec<(NodeId, Built)> = Vec::with_capacity(session.nodes.len());
        // Most nodes are of a few kinds and widths.
        let mut ports_of: BTreeMap<(NodeKind, u16), Rc<BTreeMap<String, Place>>> = BTreeMap::new();
        for node in session.nodes.values() {
            let first = graph.node_count();
            for stage in Stage::of(node.kind) {
                graph.add_node(StageId { node: node.id, stage: *stage });
            }
            let ports = ports_of.entry((node.kind, node.channels)).or_insert_with(|| Rc::new(places(node)));
            let exempt = params::number(node, "low_latency_monitor").is_some_and(|on| on != 0.0);
            let postponed = postponed(node, session.rate);
            nodes.push((node.id, Built { first, exempt, postponed, ports: ports.clone() }));
        }
        let place = |port: &PortRef| {
            let found = nodes.binary_search_by_key(&port.node, |(id, _)| *id).ok()?;
            let built = &nodes[found].1;
            let place = built.ports.get(&port.port)?;
            Some((NodeIndex::new(built.first + place.nth), built, place))
        };
        let mut patched = BTreeSet::new();
        for link in session.links.values() {
            let (Some((source, from_node, from)), Some((destination, to_node, to))) =
                (place(&link.from), place(&link.to))
            else {
                continue;
            };
            if to.stage == Stage::Strip {
                patched.insert((link.to.node, to.channel));
            }
            let rank = Rank { internal: false, node: link.from.node, port: from.order, link: link.id.0 };
            let edge = Edge {
                id: EdgeId::Link(link.id),
                signal: from.signal,
                exempt: from_node.exempt || to_node.exempt,
                postponed: to_node.postponed,
                output: from.channel,
                input: to.channel,
                gain: link.gain.factor(),
                rank,
            };
            graph.add_edge(source, destination, edge);
        }
        let tracks = session.nodes.values().zip(&nodes).filter(|(node, _)| node.kind == NodeKind::Track);
        for (track, (_, Built { first, exempt, .. })) in tracks {
            let [player, source, strip] = [0, 1, 2].map(|nth| NodeIndex::new(first + nth));
            for channel in 0..track.channels {
                let edge = |id| {
                    let rank = Rank::of_player(track.id, channel);
                    let channel = usize::from(channel);
                    let (signal, exempt) = (Signal::Audio, *exempt);
                    let (output, input) = (channel, channel);
                    Edge { id, signal, exempt, postponed: 0, output, input, gain: 1.0, rank }
                };
                graph.add_edge(player, source, edge(EdgeId::Player(track.id, channel)));
                if !patched.contains(&(track.id, usize::from(channel))) {
                    graph.add_edge(source, strip, edge(EdgeId::Normal(track.id, channel)));
                }
            }
        }
        solo::shut(&mut graph, session);
        Self { graph }
    }

    /// The stages, each after all that enters it. Only for graphs in which [`Graph::find_cycle`] finds none.
    pub fn order(&self) -> Vec<NodeIndex> {
        match toposort(&self.graph, None) {
            Ok(order) => order,
            Err(_) => unreachable!("sessions with a cycle are refused"),
        }
    }

    /// Where a stage is in the graph.
    pub fn find(&self, stage: &StageId) -> Option<NodeIndex> {
        let found = self.graph.raw_nodes().binary_search_by_key(stage, |node| node.weight);
        found.ok().map(NodeIndex::new)
    }

    /// The refusal that names a cycle, if there is one.
    pub fn find_cycle(&self, session: &Session) -> Option<Error> {
        if toposort(&self.graph, None).is_ok() {
            return None;
        }
        // Not Tarjan's: petgraph's calls itself for every node on a path.
        let knot = kosaraju_scc(&self.graph)
            .into_iter()
            .find(|scc| scc.len() > 1 || self.graph.contains_edge(scc[0], scc[0]))?;
        let name = |at: NodeIndex| match session.nodes.get(&self.graph[at].node) {
            Some(node) => node.slug.to_string(),
            None => format!("#{}", self.graph[at].node),
        };
        let mut path: Vec<String> = self.way_round(&knot).into_iter().map(name).collect();
        path.dedup();
        if path.len() == 1 {
            path.push(path[0].clone());
        }
        let mut error =
            Error::new(ErrorCode::Cycle, format!("this would close a cycle: {}", path.join(" -> ")))
                .expected("a graph without cycles")
                .remedy("unlink one of the connections on the cycle first");
        error.path = path;
        Some(error)
    }

    /// A shortest cycle through the first stage of a strongly connected part, its first stage repeated at the
    /// end.
    fn way_round(&self, knot: &[NodeIndex]) -> Vec<NodeIndex> {
        let inside: BTreeSet<_> = knot.iter().copied().collect();
        let Some(start) = knot.iter().copied().min() else { return Vec::new() };
        let mut came_from = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for edge in self.graph.edges(at) {
                let next = edge.target();
                if next == start {
                    let mut way = vec![start, at];
                    let mut back = at;
                    while let Some(before) = came_from.get(&back) {
                        way.push(*before);
                        back = *before;
                    }
                    way.reverse();
                    return way;
                }
                if inside.contains(&next) && !came_from.contains_key(&next) {
                    came_from.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        vec![start]
    }
}
