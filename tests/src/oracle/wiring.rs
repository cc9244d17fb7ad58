//! What each stage hears, and how late.
//!
//! The arrival of a stage is the latest that any of its connections brings: the arrival of where it comes from
//! plus the latency there. Every connection that would be earlier is delayed by what it lacks. All outputs
//! arrive together, with the latest of them.

use std::collections::BTreeMap;

use aulos_protocol::{
    Link, Node, NodeId, NodeKind, Session, params,
    ports::{self, Direction, Group},
};

/// The stage of a track that plays its clips. Its signals have no ports.
pub(crate) const PLAYER: &str = "player";
const SOURCE: &str = "source";
const STRIP: &str = "strip";

/// A part of a node that hears and says something by itself.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub node: &'a Node,
    /// `player`, `source` or `strip` of a track, or the node's kind.
    pub name: &'static str,
    /// What is summed, in this order, by input channel.
    pub inputs: Vec<Vec<Term>>,
    /// The names of the output ports.
    pub outputs: Vec<String>,
    pub latency: u64,
    pub arrival: u64,
}

/// A connection as its destination sees it.
#[derive(Debug)]
pub(crate) struct Term {
    /// Where it comes from: the number of a stage in [`Wiring::stages`],
    pub stage: usize,
    /// and of one of its outputs.
    pub output: usize,
    pub gain: f32,
    pub delay: u64,
}

/// Everything that sounds in a session.
#[derive(Debug)]
pub(crate) struct Wiring<'a> {
    /// In the order of the nodes' numbers, and within a node along the signal.
    pub stages: Vec<Stage<'a>>,
    /// The numbers of the stages, each after all that it hears.
    pub order: Vec<usize>,
}

/// Where signals come from: the stage and its output, by node and port.
type Origins = BTreeMap<(NodeId, String), (usize, usize)>;

/// The stages of `session` and what connects them.
pub(crate) fn wire(session: &Session) -> Wiring<'_> {
    let mut stages: Vec<_> = session.nodes.values().flat_map(|node| stages_of(node)).collect();

    let mut origins = Origins::new();
    for (number, stage) in stages.iter().enumerate() {
        for (output, port) in stage.outputs.iter().enumerate() {
            origins.insert((stage.node.id, port.clone()), (number, output));
        }
    }

    let mut connected = 0;
    for stage in &mut stages {
        for group in input_groups(stage.node, stage.name) {
            for channel in 0..group.channels {
                let links = links_into(session, stage.node, &group.port_name(channel));
                connected += links.len();
                stage.inputs.push(terms(stage.node, stage.name, channel, &links, &origins));
            }
        }
    }
    assert_eq!(connected, session.links.len(), "a link leads to a port that does not exist");

    let order = order(&stages);
    set_arrivals(&mut stages, &order);
    set_delays(&mut stages);
    Wiring { stages, order }
}

fn stages_of(node: &Node) -> Vec<Stage<'_>> {
    let names = match node.kind {
        NodeKind::Track => vec![PLAYER, SOURCE, STRIP],
        kind => vec![kind.name()],
    };
    let stage = |name| Stage {
        node,
        name,
        inputs: Vec::new(),
        outputs: output_groups(node, name).iter().flat_map(Group::port_names).collect(),
        latency: latency(node),
        arrival: 0,
    };
    names.into_iter().map(stage).collect()
}

fn latency(node: &Node) -> u64 {
    let number = |name| params::number(node, name).unwrap_or(0.0);
    if node.kind == NodeKind::Delay && number("report") != 0.0 { number("frames") as u64 } else { 0 }
}

/// The stage that a group of ports belongs to.
fn stage_of(kind: NodeKind, group: &str) -> &'static str {
    match (kind, group) {
        (NodeKind::Track, "in" | "insert_out") => SOURCE,
        (NodeKind::Track, _) => STRIP,
        _ => kind.name(),
    }
}

fn groups(node: &Node, stage: &str, direction: Direction) -> Vec<Group> {
    let all = ports::groups(node.kind, node.channels).into_iter();
    all.filter(|g| g.direction == direction && stage_of(node.kind, g.name) == stage).collect()
}

fn input_groups(node: &Node, stage: &str) -> Vec<Group> {
    groups(node, stage, Direction::In)
}

fn output_groups(node: &Node, stage: &str) -> Vec<Group> {
    if stage == PLAYER {
        // No port is named so: only the source of the same track hears it.
        return vec![player_group(node)];
    }
    groups(node, stage, Direction::Out)
}

fn player_group(node: &Node) -> Group {
    Group { name: PLAYER, direction: Direction::Out, channels: node.channels }
}

/// The links into a port in the order in which they are summed.
fn links_into<'a>(session: &'a Session, node: &Node, port: &str) -> Vec<&'a Link> {
    let into = session.links.values().filter(|link| link.to.node == node.id && link.to.port == port);
    let mut links: Vec<&Link> = into.map(|link| &**link).collect();
    links.sort_by_key(|link| (link.from.node, &link.from.port, link.id));
    links
}

/// Everything that enters one channel of a stage, in the order in which it is summed.
fn terms(node: &Node, stage: &str, channel: u16, links: &[&Link], origins: &Origins) -> Vec<Term> {
    let term = |node: NodeId, port: &str, gain| {
        let Some(&(stage, output)) = origins.get(&(node, port.to_owned())) else {
            panic!("a link comes from #{node}:{port}, which does not exist");
        };
        Term { stage, output, gain, delay: 0 }
    };
    let mut terms: Vec<_> =
        links.iter().map(|link| term(link.from.node, &link.from.port, link.gain.factor())).collect();
    if stage == SOURCE {
        terms.push(term(node.id, &player_group(node).port_name(channel), 1.0));
    }
    // The insert is normalled, port by port: what is patched in takes the place of the connection inside.
    if stage == STRIP && terms.is_empty() {
        let insert_out = Group { name: "insert_out", direction: Direction::Out, channels: node.channels };
        terms.push(term(node.id, &insert_out.port_name(channel), 1.0));
    }
    terms
}

/// The stages, each after all that it hears.
fn order(stages: &[Stage]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Above,
        Done,
    }

    fn visit(number: usize, stages: &[Stage], seen: &mut [Seen], order: &mut Vec<usize>) {
        assert!(seen[number] != Seen::Above, "a cycle goes through {}", stages[number].node.slug);
        if seen[number] == Seen::Done {
            return;
        }
        seen[number] = Seen::Above;
        for term in stages[number].inputs.iter().flatten() {
            visit(term.stage, stages, seen, order);
        }
        seen[number] = Seen::Done;
        order.push(number);
    }

    let mut seen = vec![Seen::No; stages.len()];
    let mut order = Vec::new();
    for number in 0..stages.len() {
        visit(number, stages, &mut seen, &mut order);
    }
    order
}

fn set_arrivals(stages: &mut [Stage], order: &[usize]) {
    for &number in order {
        let connections = stages[number].inputs.iter().flatten();
        let arrival = connections.map(|term| stages[term.stage].arrival + stages[term.stage].latency).max();
        stages[number].arrival = arrival.unwrap_or(0);
    }
    // Nothing hears an output, so moving it moves nothing else.
    let is_output = |stage: &Stage| stage.node.kind == NodeKind::Output;
    let latest = stages.iter().filter(|stage| is_output(stage)).map(|stage| stage.arrival).max();
    for stage in stages.iter_mut().filter(|stage| is_output(stage)) {
        stage.arrival = latest.unwrap_or(0);
    }
}

fn set_delays(stages: &mut [Stage]) {
    let leaves: Vec<_> = stages.iter().map(|stage| stage.arrival + stage.latency).collect();
    for stage in stages {
        for term in stage.inputs.iter_mut().flatten() {
            term.delay = stage.arrival - leaves[term.stage];
        }
    }
}
