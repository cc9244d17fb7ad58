//! Stems: what a mix is made of, each part on channels of its own.

use std::{collections::BTreeMap, sync::Arc};

use aulos_engine::graph;
use aulos_protocol::{
    Decibels, Error, ErrorCode, Link, LinkId, Node, NodeId, NodeKind, Session, Slug, Value, params,
};

/// The most channels of all stems together.
const MOST_CHANNELS: usize = 1024;

/// The lowest gain of a link that is not silent, in dB.
const LEAST_DB: f64 = -144.0;

/// One stem of a session that was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stem {
    /// The node that it comes from.
    pub node: Slug,
    /// The first of its channels among those of the driver, from 0.
    pub first: usize,
    /// How many channels it has: those of the master.
    pub channels: usize,
}

/// Takes a session apart: instead of its outputs, the session that is returned has one for each node that goes into
/// the master, which gets what the master gets of it, times the master's gain. So the stems sum to what leaves the
/// master, but for its limiter. All of them are aligned with each other.
///
/// # Errors
/// `Unavailable` if there is not one master, or nothing goes into it; `NotFound` or `InvalidArgument` for a wanted
/// node that does not.
pub fn take_apart(session: &Session, wanted: &[String]) -> Result<(Session, Vec<Stem>), Error> {
    let master = the_master(session)?;
    let mut parts: BTreeMap<NodeId, Vec<Arc<Link>>> = BTreeMap::new();
    for link in session.links.entering(master.id) {
        parts.entry(link.from.node).or_default().push(link.clone());
    }
    let mut feeding: Vec<&Arc<Node>> =
        session.nodes.in_order().into_iter().filter(|node| parts.contains_key(&node.id)).collect();
    if feeding.is_empty() {
        return Err(Error::new(ErrorCode::Unavailable, format!("nothing goes into {}", master.slug))
            .remedy(format!("link what is to be heard, such as: aulosctl link drums {}", master.slug)));
    }
    let names: Vec<&str> = feeding.iter().map(|node| node.slug.as_str()).collect();
    if let Some(name) = wanted.iter().map(String::as_str).find(|name| !names.contains(name)) {
        if session.node(name).is_none() {
            return Err(Error::not_found(
                "node",
                name,
                session.nodes.values().map(|node| node.slug.as_str()),
            ));
        }
        let message = format!("{name} does not go into {} by itself", master.slug);
        return Err(Error::new(ErrorCode::InvalidArgument, message)
            .expected(format!("nodes that do: {}", names.join(", "))));
    }
    if !wanted.is_empty() {
        feeding.retain(|node| wanted.iter().any(|name| name == node.slug.as_str()));
    }
    let width = usize::from(master.channels);
    if feeding.len() * width > MOST_CHANNELS {
        let message = format!("{} stems of {width} channels", feeding.len());
        return Err(Error::new(ErrorCode::Unavailable, message)
            .expected(format!("at most {MOST_CHANNELS} channels in all"))
            .remedy("name the nodes that you want, some at a time"));
    }

    let mut apart = without_solo(session);
    let outputs: Vec<NodeId> =
        session.nodes.values().filter(|node| node.kind == NodeKind::Output).map(|node| node.id).collect();
    for output in outputs {
        let links: Vec<LinkId> = apart.links.entering(output).map(|link| link.id).collect();
        links.into_iter().for_each(|link| drop(apart.links.remove(link)));
        apart.nodes.remove(output);
    }
    let gain = level(session, master);
    let mut stems = Vec::new();
    for node in feeding {
        let first = stems.len() * width;
        let output = add_output(&mut apart, first, master.channels)?;
        for link in &parts[&node.id] {
            // As it is after what solo shuts.
            let link = apart.links.get(&link.id).unwrap_or(link).clone();
            let id = LinkId(next(&mut apart));
            let to = aulos_protocol::PortRef { node: output, port: link.to.port.clone() };
            apart.links.insert(Arc::new(Link { id, to, gain: sum(link.gain, gain), ..(*link).clone() }));
        }
        stems.push(Stem { node: node.slug.clone(), first, channels: width });
    }
    Ok((apart, stems))
}

fn the_master(session: &Session) -> Result<&Arc<Node>, Error> {
    let mut masters = session.nodes.values().filter(|node| node.kind == NodeKind::Master);
    match (masters.next(), masters.next()) {
        (Some(master), None) => Ok(master),
        (None, _) => Err(Error::new(ErrorCode::Unavailable, "the session has no master to make stems of")
            .remedy("add one with: aulosctl node add master, and link what is to be heard to it")),
        (Some(one), Some(other)) => Err(Error::new(
            ErrorCode::Unavailable,
            format!("the session has several masters, such as {} and {}", one.slug, other.slug),
        )
        .expected("one master, whose inputs are the stems")),
    }
}

/// The session with every link silent that solo shuts, and nothing soloed: with other outputs, solo would shut others.
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

fn add_output(session: &mut Session, first: usize, channels: u16) -> Result<NodeId, Error> {
    let id = NodeId(next(session));
    let free = (0..).map(|n| format!("stem-{id}-{n}")).find(|name| session.node(name).is_none());
    let slug = free
        .and_then(Slug::new)
        .ok_or_else(|| Error::new(ErrorCode::Internal, "no name is free for the output of a stem"))?;
    let params = BTreeMap::from([("first_channel".to_owned(), Value::Number(first as f64 + 1.0))]);
    let params = if first == 0 { BTreeMap::new() } else { params };
    let node = Node { params, ..Node::new(id, slug, NodeKind::Output, channels) };
    session.nodes.insert(Arc::new(node));
    Ok(id)
}
