//! What each stage hears.
//!
//! A link whose ends are both there becomes a term of the stage that it leads to. How late each term comes is
//! said by `arrival`, and which of them are shut while strips are soloed by `solo`.

use std::collections::BTreeMap;

use aulos_protocol::{
    Decibels, Link, LinkId, Node, NodeId, NodeKind, Rate, Session, params,
    ports::{self, Direction, Group, Signal},
};

use super::{arrival, control::Control, solo};

/// The stage of a track that plays its clips. Its signals have no ports.
pub(crate) const PLAYER: &str = "player";
const SOURCE: &str = "source";
pub(crate) const STRIP: &str = "strip";
/// What a feedback hears,
pub(crate) const IN: &str = "in";
/// and what it gives back.
pub(crate) const OUT: &str = "out";

/// A part of a node that hears and says something by itself.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub node: &'a Node,
    /// `player`, `source` or `strip` of a track, `in` or `out` of a feedback, else the node's kind.
    pub name: &'static str,
    /// What is summed, in this order, by input channel.
    pub inputs: Vec<Vec<Term>>,
    /// What is merged, in this order.
    pub midi: Vec<Term>,
    /// The names of the output ports for audio,
    pub outputs: Vec<String>,
    /// and of the one for MIDI.
    pub midi_output: Option<String>,
    pub latency: u64,
    pub arrival: u64,
    /// What a feedback gives back: what this stage heard so many frames ago.
    pub echo: Option<(usize, u64)>,
    pub control: Control,
    /// How many frames later than aligned it hears everything, if it is an output with a delay.
    pub postponed: u64,
}

impl Stage<'_> {
    /// Everything that enters it.
    pub(crate) fn terms(&self) -> impl Iterator<Item = &Term> {
        self.inputs.iter().flatten().chain(&self.midi)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        is_on(self.node, name)
    }
}

/// A connection as its destination sees it.
#[derive(Debug)]
pub(crate) struct Term {
    /// Where it comes from: the number of a stage in [`Wiring::stages`],
    pub stage: usize,
    /// and of one of its outputs; 0 for MIDI.
    pub output: usize,
    pub gain: f32,
    pub delay: u64,
    /// The link that it is; `None` inside of a track.
    pub link: Option<LinkId>,
    /// Whether it is never delayed, because a track at one of its ends asks for low latency.
    pub is_exempt: bool,
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
type Origins = BTreeMap<(NodeId, String, Signal), (usize, usize)>;

/// The stages of `session` and what connects them.
pub(crate) fn wire(session: &Session) -> Wiring<'_> {
    try_wire(session).expect("the latency of a loop is no longer than its feedback")
}

/// The stages of `session` and what connects them; `None` if the latency of a loop is longer than its feedback.
pub(crate) fn try_wire(session: &Session) -> Option<Wiring<'_>> {
    let mut stages: Vec<_> = session.nodes.values().flat_map(|node| stages_of(session, node)).collect();

    let mut origins = Origins::new();
    for (number, stage) in stages.iter().enumerate() {
        for (output, port) in stage.outputs.iter().enumerate() {
            origins.insert((stage.node.id, port.clone(), Signal::Audio), (number, output));
        }
        if let Some(port) = &stage.midi_output {
            origins.insert((stage.node.id, port.clone(), Signal::Midi), (number, 0));
        }
    }

    let mut connected = 0;
    for stage in &mut stages {
        for group in groups(stage.node, stage.name, Direction::In) {
            for channel in 0..group.channels {
                let links = links_into(session, stage.node, &group.port_name(channel));
                connected += links.len();
                let mut terms: Vec<_> =
                    links.iter().map(|link| term(session, link, group.signal, &origins)).collect();
                match group.signal {
                    Signal::Audio => {
                        terms.extend(within(stage, channel, terms.is_empty(), &origins));
                        stage.inputs.push(terms);
                    }
                    Signal::Midi => stage.midi = terms,
                }
            }
        }
    }
    assert_eq!(connected, session.links.len(), "a link leads to a port that does not exist");

    let order = order(&stages);
    solo::shut(&mut stages);
    arrival::align(&mut stages, &order, u64::from(session.max_block))?;
    Some(Wiring { stages, order })
}

fn stages_of<'a>(session: &Session, node: &'a Node) -> Vec<Stage<'a>> {
    let names = match node.kind {
        NodeKind::Track => vec![PLAYER, SOURCE, STRIP],
        NodeKind::Feedback => vec![IN, OUT],
        NodeKind::Vca | NodeKind::Group => Vec::new(),
        kind => vec![kind.name()],
    };
    let stage = |name| {
        let (midi, audio): (Vec<_>, Vec<_>) =
            output_groups(node, name).into_iter().partition(|group| group.signal == Signal::Midi);
        Stage {
            node,
            name,
            inputs: Vec::new(),
            midi: Vec::new(),
            outputs: audio.iter().flat_map(Group::port_names).collect(),
            midi_output: midi.first().map(|group| group.port_name(0)),
            latency: latency(node, session.rate),
            arrival: 0,
            echo: None,
            control: Control::of(session, node),
            postponed: postponed(session, node),
        }
    };
    names.into_iter().map(stage).collect()
}

fn is_on(node: &Node, name: &str) -> bool {
    params::number(node, name).is_some_and(|value| value != 0.0)
}

fn latency(node: &Node, rate: Rate) -> u64 {
    if node.kind == NodeKind::Master && is_on(node, "limiter") {
        // Half the filter that finds peaks, some frames around each, and the time to turn down.
        let attack = (0.0015 * f64::from(rate.hz())).round().max(8.0) as u64;
        return 64 + 8 + attack - 2;
    }
    let is_latent = node.kind == NodeKind::Delay && is_on(node, "report");
    if is_latent { params::number(node, "frames").unwrap_or(0.0) as u64 } else { 0 }
}

fn postponed(session: &Session, node: &Node) -> u64 {
    let ms = if node.kind == NodeKind::Output { params::number(node, "delay") } else { None };
    ms.map_or(0, |ms| (ms / 1000.0 * f64::from(session.rate.hz())).round() as u64)
}

/// The stage that a group of ports belongs to.
fn stage_of(kind: NodeKind, group: &str) -> &'static str {
    match (kind, group) {
        (NodeKind::Track, "in" | "insert_out") => SOURCE,
        (NodeKind::Track, _) => STRIP,
        (NodeKind::Feedback, "in") => IN,
        (NodeKind::Feedback, _) => OUT,
        _ => kind.name(),
    }
}

fn groups(node: &Node, stage: &str, direction: Direction) -> Vec<Group> {
    let all = ports::groups(node.kind, node.channels).into_iter();
    all.filter(|g| g.direction == direction && stage_of(node.kind, g.name) == stage).collect()
}

fn output_groups(node: &Node, stage: &str) -> Vec<Group> {
    if stage == PLAYER {
        // No port is named so: only the source of the same track hears it.
        return vec![group_of(node, PLAYER)];
    }
    groups(node, stage, Direction::Out)
}

/// Audio that leaves `node`.
fn group_of(node: &Node, name: &'static str) -> Group {
    Group { name, direction: Direction::Out, signal: Signal::Audio, channels: node.channels }
}

/// The links into a port in the order in which they are summed.
fn links_into<'a>(session: &'a Session, node: &Node, port: &str) -> Vec<&'a Link> {
    let into = session.links.values().filter(|link| link.to.node == node.id && link.to.port == port);
    let mut links: Vec<&Link> = into.map(|link| &**link).collect();
    links.sort_by_key(|link| (link.from.node, &link.from.port, link.id));
    links
}

fn term(session: &Session, link: &Link, signal: Signal, origins: &Origins) -> Term {
    let Some(&(stage, output)) = origins.get(&(link.from.node, link.from.port.clone(), signal)) else {
        panic!("a link comes from #{}:{}, which does not exist", link.from.node, link.from.port);
    };
    assert!(
        signal == Signal::Audio || link.gain == Decibels::UNITY || link.gain.is_silence(),
        "the gain of a MIDI link is neither unity nor silence"
    );
    let is_exempt =
        [&link.from, &link.to].iter().any(|end| is_on(&session.nodes[&end.node], "low_latency_monitor"));
    Term { stage, output, gain: link.gain.factor(), delay: 0, link: Some(link.id), is_exempt }
}

/// What enters one channel of a stage from another of the same node.
fn within(stage: &Stage, channel: u16, is_unpatched: bool, origins: &Origins) -> Option<Term> {
    let from = match stage.name {
        // The clips are summed last.
        SOURCE => group_of(stage.node, PLAYER),
        // The insert is normalled, port by port: what is patched in takes the place of the connection inside.
        STRIP if is_unpatched => group_of(stage.node, "insert_out"),
        _ => return None,
    };
    let (number, output) = origins[&(stage.node.id, from.port_name(channel), Signal::Audio)];
    let is_exempt = stage.is_on("low_latency_monitor");
    Some(Term { stage: number, output, gain: 1.0, delay: 0, link: None, is_exempt })
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
        for term in stages[number].terms() {
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
