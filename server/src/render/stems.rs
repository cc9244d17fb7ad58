//! Stems: what a mix is made of, each part on channels of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aulos_engine::{
    compile::{self, Observed},
    graph::{self, EdgeId, Graph},
};
use aulos_nodes::Stage;
use aulos_protocol::{
    Clip, ClipId, Decibels, Error, ErrorCode, Link, LinkId, Node, NodeId, NodeKind, PortRef, Session, Slug,
    Value, params,
    ports::{self, Signal},
};

/// The most channels of all stems together.
const MOST_CHANNELS: usize = 1024;

/// The lowest gain of a link that is not silent, in dB.
const LEAST_DB: f64 = -144.0;

/// A session that was taken apart.
#[derive(Clone, Debug)]
pub struct Apart {
    /// What plays the stems, beside each other on the driver's channels.
    pub session: Session,
    /// The nodes that they come from, in the order of their channels.
    pub stems: Vec<Slug>,
    /// How many channels each of them has: those of the mix.
    pub channels: usize,
    /// The nodes that turn the mix down by how loud it is, and the stems not: where one of them does so, the stems sum
    /// to something louder.
    pub levellers: BTreeSet<Slug>,
}

/// Takes a session apart: a stem is the mix as it would be if only one of the nodes were heard that go into a master,
/// into what lies behind one, or into an output.
///
/// All that lies behind is there once for each stem, with the links that bring what belongs to it, and silent ones that
/// make it as late as it is in the mix. So the stems sum to the mix, as gains, delays and filters make the same of a sum
/// as of its parts. What does not (limiters, gates, compressors) is at rest in them.
///
/// # Errors
/// `Unavailable` if there is no output, nothing is heard, or there are too many stems; `NotFound` or `InvalidArgument`
/// for a wanted node that has no stem.
pub fn take_apart(session: &Session, wanted: &[String]) -> Result<Apart, Error> {
    let channels = super::output_channels(session)?;
    let session = &without_solo(session);
    let behind = behind_masters(session);
    let links: Vec<&Arc<Link>> = behind
        .iter()
        .flat_map(|node| session.links.entering(*node))
        .filter(|link| is_audio(session, link))
        .collect();
    let sources = chosen(session, sources(session, &behind, &links), wanted)?;
    // A single one is no more than the mix.
    if sources.len() > 1 && sources.len() * channels > MOST_CHANNELS {
        let message = format!("{} stems of {channels} channels", sources.len());
        return Err(Error::new(ErrorCode::Unavailable, message)
            .expected(format!("at most {MOST_CHANNELS} channels in all"))
            .remedy("name the nodes that you want, some at a time"));
    }

    let mut apart = session.clone();
    // What lies behind stays there once more for the whole mix, so that it shows what turns that down.
    for output in session.nodes.values().filter(|node| node.kind == NodeKind::Output) {
        session.links.entering(output.id).for_each(|link| drop(apart.links.remove(link.id)));
        apart.nodes.remove(output.id);
    }
    let latest = latest(session);
    for (nth, source) in sources.iter().enumerate() {
        let (source, first) = (source.id, nth * channels);
        let mut stem = Stem { session, latest: &latest, apart: &mut apart, source, first };
        let places = behind
            .iter()
            .filter_map(|id| session.nodes.get(id))
            .map(|node| Ok((node.id, stem.place(node)?)))
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        links.iter().for_each(|link| stem.link(link, &places));
    }
    let levellers = behind.iter().filter_map(|id| session.nodes.get(id)).filter(|node| is_leveller(node));
    Ok(Apart {
        levellers: levellers.map(|node| node.slug.clone()).collect(),
        session: apart,
        stems: sources.iter().map(|node| node.slug.clone()).collect(),
        channels,
    })
}

/// The session with every link silent that solo shuts, and nothing soloed: in what it is taken apart to, solo would
/// shut others.
fn without_solo(session: &Session) -> Session {
    let mut open = session.clone();
    for id in graph::shut_links(session) {
        if let Some(link) = session.links.get(&id) {
            open.links.insert(Arc::new(Link { gain: Decibels::SILENCE, ..(**link).clone() }));
        }
    }
    for node in session.nodes.values().filter(|node| node.params.contains_key("solo")) {
        let mut node = (**node).clone();
        node.params.remove("solo");
        open.nodes.insert(Arc::new(node));
    }
    open
}

/// The outputs, the masters, and all that sound reaches from these.
fn behind_masters(session: &Session) -> BTreeSet<NodeId> {
    let ends = session.nodes.values().filter(|n| matches!(n.kind, NodeKind::Master | NodeKind::Output));
    let mut next: Vec<NodeId> = ends.map(|node| node.id).collect();
    let mut behind: BTreeSet<NodeId> = next.iter().copied().collect();
    while let Some(node) = next.pop() {
        for link in session.links.leaving(node).filter(|link| is_audio(session, link)) {
            if behind.insert(link.to.node) {
                next.push(link.to.node);
            }
        }
    }
    behind
}

fn is_audio(session: &Session, link: &Link) -> bool {
    let to = session.nodes.get(&link.to.node).and_then(|node| ports::find(node, &link.to.port));
    to.is_some_and(|(group, _)| group.signal == Signal::Audio)
}

/// Of the links that enter a stage, the one that it waits for, if it waits for one.
fn latest(session: &Session) -> BTreeSet<LinkId> {
    let graph = Graph::of(session);
    let arrivals = compile::arrivals(&graph, session, &Observed::default());
    let mut latest = BTreeMap::new();
    for edge in graph.graph.raw_edges() {
        let EdgeId::Link(link) = edge.weight.id else { continue };
        let from = arrivals.of(&graph.graph[edge.source()]);
        // What is exempt is waited for only where nothing else enters.
        let place = (!edge.weight.exempt, from.arrival + from.latency, link);
        let last = latest.entry(edge.target()).or_insert(place);
        *last = place.max(*last);
    }
    latest.into_values().map(|(.., link)| link).collect()
}

/// The nodes of which there are stems, as they are listed: what is linked to something behind a master without being
/// there itself, and the tracks there that have clips.
fn sources<'a>(session: &'a Session, behind: &BTreeSet<NodeId>, links: &[&Arc<Link>]) -> Vec<&'a Arc<Node>> {
    let linked: BTreeSet<NodeId> = links.iter().map(|link| link.from.node).collect();
    let sounds = |node: &&Arc<Node>| match behind.contains(&node.id) {
        true => !node.clips.is_empty(),
        false => linked.contains(&node.id),
    };
    session.nodes.in_order().into_iter().filter(sounds).collect()
}

/// Those of the nodes that are wanted: all of them if none is named.
fn chosen<'a>(
    session: &Session,
    mut sources: Vec<&'a Arc<Node>>,
    wanted: &[String],
) -> Result<Vec<&'a Arc<Node>>, Error> {
    if sources.is_empty() {
        return Err(Error::new(ErrorCode::Unavailable, "nothing goes into a master or an output")
            .remedy("link what is to be heard, such as: aulosctl link drums master"));
    }
    let names: Vec<&str> = sources.iter().map(|node| node.slug.as_str()).collect();
    if let Some(name) = wanted.iter().map(String::as_str).find(|name| !names.contains(name)) {
        if session.node(name).is_none() {
            let all = session.nodes.values().map(|node| node.slug.as_str());
            return Err(Error::not_found("node", name, all));
        }
        let message = format!("{name} does not go into a master or an output by itself");
        return Err(Error::new(ErrorCode::InvalidArgument, message)
            .expected(format!("nodes that do: {}", names.join(", "))));
    }
    if !wanted.is_empty() {
        sources.retain(|node| wanted.iter().any(|name| name == node.slug.as_str()));
    }
    Ok(sources)
}

/// Whether a node turns down what comes in by how loud it is.
fn is_leveller(node: &Node) -> bool {
    let is_on = |name| params::number(node, name).is_some_and(|on| on != 0.0);
    match node.kind {
        NodeKind::Master => is_on("limiter"),
        NodeKind::Dynamics => !is_on("bypass"),
        _ => false,
    }
}

/// What a stem has in the place of a node.
struct Place {
    node: NodeId,
    /// What the links from it are louder than those from the node.
    gain: Decibels,
}

/// A stem that is being made.
struct Stem<'a> {
    /// The session without solo.
    session: &'a Session,
    latest: &'a BTreeSet<LinkId>,
    apart: &'a mut Session,
    source: NodeId,
    /// The first of its channels among those of the driver, from 0.
    first: usize,
}

impl Stem<'_> {
    /// Puts another node in the place of one that lies behind a master: the same, but for what it turns down by level
    /// and what it plays.
    fn place(&mut self, node: &Arc<Node>) -> Result<Place, Error> {
        let mut copy = Node { clips: Vec::new(), ..(**node).clone() };
        let mut gain = Decibels::UNITY;
        match node.kind {
            // Much cheaper than another master, which measures loudness.
            NodeKind::Master => {
                gain = level(self.session, node);
                let late = Stage::Whole(node.kind).latency(node, self.session.rate);
                let params = [("frames", Value::Number(late as f64)), ("report", Value::Switch(true))];
                copy.kind = NodeKind::Delay;
                copy.params = params.map(|(name, value)| (name.to_owned(), value)).into();
            }
            NodeKind::Output => {
                let first = params::number(node, "first_channel").unwrap_or(1.0) + self.first as f64;
                copy.params.insert("first_channel".into(), Value::Number(first));
            }
            NodeKind::Track if node.id == self.source => {
                copy.clips = node.clips.iter().map(|clip| self.clip(clip)).collect();
            }
            NodeKind::Dynamics => {
                copy.params.insert("ratio".into(), Value::Number(1.0));
                copy.params.insert("gate".into(), Value::Switch(false));
            }
            _ => {}
        }
        let id = self.add(copy)?;
        if node.kind != NodeKind::Master {
            self.join(node.id, id);
        }
        Ok(Place { node: id, gain })
    }

    /// Makes a node a member of all whose member another is.
    fn join(&mut self, as_is: NodeId, node: NodeId) {
        let groups: Vec<_> = self.apart.nodes.controlling(as_is).cloned().collect();
        for group in groups {
            let mut group = (*group).clone();
            group.members.insert(node);
            self.apart.nodes.insert(Arc::new(group));
        }
    }

    fn clip(&mut self, clip: &Clip) -> Clip {
        Clip { id: ClipId(next(self.apart)), ..clip.clone() }
    }

    /// Adds a node with a number and a name that are free.
    fn add(&mut self, node: Node) -> Result<NodeId, Error> {
        let id = NodeId(next(self.apart));
        let free = (0..).map(|n| format!("stem-{id}-{n}")).find(|name| self.apart.node(name).is_none());
        let slug = free
            .and_then(Slug::new)
            .ok_or_else(|| Error::new(ErrorCode::Internal, "no name is free for a part of a stem"))?;
        self.apart.nodes.insert(Arc::new(Node { id, slug, ..node }));
        Ok(id)
    }

    /// Puts a link in the place of one that enters a node behind a master.
    fn link(&mut self, link: &Link, places: &BTreeMap<NodeId, Place>) {
        let Some(to) = places.get(&link.to.node) else { return };
        let (node, gain) = match places.get(&link.from.node) {
            Some(place) => (place.node, sum(link.gain, place.gain)),
            None if link.from.node == self.source => (link.from.node, link.gain),
            // It is waited for, or says that an insert is patched.
            None if self.latest.contains(&link.id) || self.is_insert(&link.to) => {
                (link.from.node, Decibels::SILENCE)
            }
            None => return,
        };
        let from = PortRef { node, port: link.from.port.clone() };
        let to = PortRef { node: to.node, port: link.to.port.clone() };
        let id = LinkId(next(self.apart));
        self.apart.links.insert(Arc::new(Link { id, from, to, gain, unknown: Default::default() }));
    }

    fn is_insert(&self, port: &PortRef) -> bool {
        let node = self.session.nodes.get(&port.node);
        let found = node.and_then(|node| ports::find(node, &port.port));
        found.is_some_and(|(group, _)| group.name == "insert_in")
    }
}

/// The level of a master but for its limiter: its gain, what its VCAs add, and its output; nothing if it is muted.
fn level(session: &Session, master: &Node) -> Decibels {
    let control = session.control(master.id);
    if control.mute || params::number(master, "mute").is_some_and(|on| on != 0.0) {
        return Decibels::SILENCE;
    }
    let gain = |name| params::number(master, name).unwrap_or(0.0);
    decibels(gain("gain") + gain("output") + control.gain_db)
}

/// A gain of a link; what no link can be as soft as, nobody could hear.
fn decibels(db: f64) -> Decibels {
    if db < LEAST_DB { Decibels::SILENCE } else { Decibels::new(db).unwrap_or(Decibels::SILENCE) }
}

fn sum(a: Decibels, b: Decibels) -> Decibels {
    decibels(a.get() + b.get())
}

fn next(session: &mut Session) -> u64 {
    let id = session.next_id;
    session.next_id += 1;
    id
}
