//! Scenes with a node that may be late: where it can be, what it can touch, and what is to be heard then.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use aulos_protocol::{
    Decibels, Link, LinkId, Node, NodeId, NodeKind, PortRef, Session, Slug, Value, params,
    ports::{self, Direction, Group, Signal},
};

use crate::{
    oracle::{Outcome, first_channel, wiring},
    random::{Rng, Scene},
};

/// A new node with the next number.
fn add(session: &mut Session, kind: NodeKind, channels: u16, params: &[(&str, Value)]) -> NodeId {
    let id = NodeId(session.next_id);
    session.next_id += 1;
    let slug = Slug::new(format!("late-{id}")).expect("a valid name");
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (clips, unknown) = (Vec::new(), BTreeMap::new());
    session.nodes.insert(Arc::new(Node { id, slug, kind, channels, rank: None, params, clips, unknown }));
    id
}

fn link(session: &mut Session, from: PortRef, to: PortRef, gain: Decibels) {
    let id = LinkId(session.next_id);
    session.next_id += 1;
    session.links.insert(Arc::new(Link { id, from, to, gain, unknown: BTreeMap::new() }));
}

fn group(node: &Node, name: &str) -> Option<Group> {
    ports::groups(node.kind, node.channels).into_iter().find(|group| group.name == name)
}

/// The numbers of the delays of a session.
pub fn delays(session: &Session) -> Vec<NodeId> {
    let delays = session.nodes.values().filter(|node| node.kind == NodeKind::Delay);
    delays.map(|node| node.id).collect()
}

/// Puts a delay into a link that is drawn; none if there is no link for it.
pub fn spliced(session: &Session, rng: &mut Rng) -> Option<(Session, NodeId)> {
    let is_audio = |link: &&Arc<Link>| {
        let found = ports::find(&session.nodes[&link.from.node], &link.from.port);
        found.is_some_and(|(group, _)| group.signal == Signal::Audio)
    };
    let links: Vec<_> = session.links.values().filter(is_audio).collect();
    let old = rng.pick(&links);
    let frames = Value::Number(rng.range(0, 300) as f64);
    let report = rng.percent(50);
    // The loop of a feedback may have no room for another latency.
    [report, false].into_iter().find_map(|report| {
        let mut session = session.clone();
        let params = [("frames", frames), ("report", Value::Switch(report))];
        let node = add(&mut session, NodeKind::Delay, 1, &params);
        let port = |port: &str| PortRef { node, port: port.to_owned() };
        session.links.remove(old.id);
        link(&mut session, old.from.clone(), port("in_1"), old.gain);
        link(&mut session, port("out_1"), old.to.clone(), Decibels::UNITY);
        wiring::try_wire(&session).is_some().then_some((session, node))
    })
}

/// What was tapped: the driver's channels at which the outputs of nodes can be heard as they are.
pub type Taps = BTreeMap<NodeId, Range<usize>>;

/// A scene in which the `out` of each node can be heard by itself.
pub fn tapped(scene: &Scene) -> (Scene, Taps) {
    let mut scene = scene.clone();
    let mut taps = Taps::new();
    let session = &mut scene.session;
    let nodes: Vec<Arc<Node>> = session.nodes.values().cloned().collect();
    // Behind all that goes to the driver already, whether or not it has the channels.
    let outputs = nodes.iter().filter(|node| node.kind == NodeKind::Output);
    let used = outputs.map(|node| first_channel(node) + usize::from(node.channels)).max().unwrap_or(0);
    scene.playback_channels = scene.playback_channels.max(used);
    for node in nodes {
        let Some(out) = group(&node, "out") else { continue };
        let first = scene.playback_channels;
        // In no group: it is not to wait for others.
        let params = [("first_channel", (first + 1) as f64), ("align_group", 0.0)];
        let params = params.map(|(name, value)| (name, Value::Number(value)));
        let tap = add(session, NodeKind::Output, out.channels, &params);
        let channels = group(&session.nodes[&tap], "in").expect("inputs");
        for (from, to) in out.port_names().into_iter().zip(channels.port_names()) {
            let (from, to) = (PortRef { node: node.id, port: from }, PortRef { node: tap, port: to });
            link(session, from, to, Decibels::UNITY);
        }
        scene.playback_channels += usize::from(out.channels);
        taps.insert(node.id, first..scene.playback_channels);
    }
    (scene, taps)
}

type Stage = (NodeId, &'static str);

/// Where a stage leads to: others, and channels of the driver.
#[derive(Default)]
struct Behind {
    stages: BTreeSet<Stage>,
    channels: BTreeSet<usize>,
}

/// What is behind each stage of some sessions, and of what is between them.
fn behind(sessions: &[Session]) -> BTreeMap<Stage, Behind> {
    let mut behind: BTreeMap<Stage, Behind> = BTreeMap::new();
    for session in sessions {
        let stages = wiring::wire(session).stages;
        let name = |number: usize| (stages[number].node.id, stages[number].name);
        for (number, stage) in stages.iter().enumerate() {
            let heard = stage
                .inputs
                .iter()
                .enumerate()
                .flat_map(|(n, terms)| terms.iter().map(move |t| (t.stage, n)));
            for (from, channel) in heard {
                let behind = behind.entry(name(from)).or_default();
                behind.stages.insert(name(number));
                if stage.node.kind == NodeKind::Output {
                    behind.channels.insert(first_channel(stage.node) + channel);
                }
            }
            for from in stage.midi.iter().map(|term| term.stage).chain(stage.echo.map(|(hears, _)| hears)) {
                behind.entry(name(from)).or_default().stages.insert(name(number));
            }
        }
    }
    behind
}

/// Which stages some nodes can touch, and which of the driver's channels.
fn touched(sessions: &[Session], nodes: &[NodeId]) -> Behind {
    let behind = behind(sessions);
    let mut touched = Behind::default();
    let mut open: Vec<Stage> = behind.keys().filter(|(node, _)| nodes.contains(node)).copied().collect();
    while let Some(stage) = open.pop() {
        let Some(behind) = behind.get(&stage) else { continue };
        touched.channels.extend(&behind.channels);
        open.extend(behind.stages.iter().filter(|stage| touched.stages.insert(**stage)));
    }
    touched
}

/// Which of the first `channels` channels of the driver some nodes cannot touch in any of some sessions.
pub fn untouched(sessions: &[Session], nodes: &[NodeId], channels: usize) -> Vec<usize> {
    let touched = touched(sessions, nodes);
    (0..channels).filter(|channel| !touched.channels.contains(channel)).collect()
}

/// Whether a node hears itself.
pub fn hears_itself(session: &Session, node: NodeId) -> bool {
    touched(std::slice::from_ref(session), &[node]).stages.iter().any(|(touched, _)| *touched == node)
}

/// A scene with another delay beside one, like it, that hears the same and that nobody hears.
pub fn shadowed(scene: &Scene, node: NodeId) -> (Scene, NodeId) {
    let mut scene = scene.clone();
    let session = &mut scene.session;
    let old = session.nodes[&node].clone();
    let shadow = add(session, NodeKind::Delay, old.channels, &[]);
    let params = old.params.clone();
    session.nodes.insert(Arc::new(Node { params, ..Node::clone(&session.nodes[&shadow]) }));
    let entering: Vec<Arc<Link>> = session.links.entering(node).cloned().collect();
    for old in entering {
        link(session, old.from.clone(), PortRef { node: shadow, ..old.to.clone() }, old.gain);
    }
    (scene, shadow)
}

/// How many frames later a delay lets out what goes in.
pub fn length(session: &Session, node: NodeId) -> usize {
    params::number(&session.nodes[&node], "frames").unwrap_or(0.0) as usize
}

/// What each channel of a node puts out.
pub fn outputs(session: &Session, node: NodeId, outcome: &Outcome) -> Vec<Vec<f32>> {
    let names = group(&session.nodes[&node], "out").map(|group| group.port_names()).unwrap_or_default();
    names.into_iter().map(|port| outcome.ports[&(node, port)].clone()).collect()
}

/// What goes into a delay that puts out `own`, as late as the delay reports to be; for as many frames less as it is
/// long.
pub fn dry(session: &Session, node: NodeId, own: &[f32]) -> Vec<f32> {
    let length = length(session, node);
    let reports = params::number(&session.nodes[&node], "report") == Some(1.0);
    // What comes out later went in before.
    if reports { own[..own.len() - length].to_vec() } else { own[length..].to_vec() }
}

/// A scene in which the output of a delay is `heard`, whatever goes in; `None` if that cannot be said in a session:
/// messages leave the delay, what enters it is not aligned, or links are shut for the sake of what is soloed.
pub fn replaced(scene: &Scene, node: NodeId, heard: &[Vec<f32>]) -> Option<Scene> {
    let mut scene = scene.clone();
    let session = &mut scene.session;
    let sends_messages = |link: &Arc<Link>| link.from.port == "midi_out";
    let is_soloed = |node: &Arc<Node>| params::number(node, "solo") == Some(1.0);
    if session.links.leaving(node).any(sends_messages) || session.nodes.values().any(is_soloed) {
        return None;
    }
    let wiring = wiring::try_wire(session)?;
    let stage = wiring.stages.iter().find(|stage| stage.node.id == node)?;
    let (latency, late) = (stage.latency, (stage.arrival + stage.latency) as usize);
    if stage.terms().any(|term| term.is_exempt) {
        return None;
    }
    if heard.iter().flat_map(|channel| channel.iter().take(late)).any(|x| x.to_bits() != 0) {
        return None;
    }
    // What entered stays linked without being heard, so that everything is heard when it was.
    let entering: Vec<Arc<Link>> = session.links.entering(node).cloned().collect();
    for old in entering {
        session.links.insert(Arc::new(Link { gain: Decibels::SILENCE, ..Link::clone(&old) }));
    }
    let mut delay = Node::clone(&session.nodes[&node]);
    delay.params.insert("frames".to_owned(), Value::Number(latency as f64));
    // Behind all that is taken from the driver already, whether or not it has the channels.
    let inputs = session.nodes.values().filter(|node| node.kind == NodeKind::Input);
    let used = inputs.map(|node| first_channel(node) + usize::from(node.channels)).max().unwrap_or(0);
    scene.capture.resize(used.max(scene.capture.len()), Vec::new());
    let first = Value::Number((scene.capture.len() + 1) as f64);
    let from = add(session, NodeKind::Input, delay.channels, &[("first_channel", first)]);
    let (outs, ins) = (group(&session.nodes[&from], "out")?, group(&delay, "in")?);
    session.nodes.insert(Arc::new(delay));
    for (out, into) in outs.port_names().into_iter().zip(ins.port_names()) {
        let (from, to) = (PortRef { node: from, port: out }, PortRef { node, port: into });
        link(session, from, to, Decibels::UNITY);
    }
    scene.capture.extend(heard.iter().map(|channel| channel[late.min(channel.len())..].to_vec()));
    Some(scene)
}

/// A session in which a delay lets everything out `frames` frames later and reports that; `None` if a feedback's loop
/// has no room for it.
pub fn later(session: &Session, node: NodeId, frames: u64) -> Option<Session> {
    let mut session = session.clone();
    let old = session.nodes[&node].clone();
    // What is behind it gets its number, by which others sum.
    let params = [("frames", Value::Number(frames as f64)), ("report", Value::Switch(true))];
    let first = add(&mut session, NodeKind::Delay, old.channels, &params);
    let added = Node::clone(&session.nodes[&first]);
    session.nodes.insert(Arc::new(Node { id: first, ..Node::clone(&old) }));
    session.nodes.insert(Arc::new(Node { id: node, ..added }));
    let entering: Vec<Arc<Link>> = session.links.entering(node).cloned().collect();
    for old in entering {
        let to = PortRef { node: first, ..old.to.clone() };
        session.links.insert(Arc::new(Link { to, ..Link::clone(&old) }));
    }
    let groups = ports::groups(NodeKind::Delay, old.channels);
    let names =
        |direction| groups.iter().filter(move |g| g.direction == direction).flat_map(Group::port_names);
    for (from, to) in names(Direction::Out).zip(names(Direction::In)) {
        link(&mut session, PortRef { node: first, port: from }, PortRef { node, port: to }, Decibels::UNITY);
    }
    wiring::try_wire(&session).is_some().then_some(session)
}
