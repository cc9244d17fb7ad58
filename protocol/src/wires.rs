//! Links as people think of them: where all channels of a group go to another by the channel map, that is one
//! wire, `drums:out → master:in`.

use std::collections::BTreeMap;

use crate::{
    Decibels, Link, NodeId, PortRef, Session,
    ports::{self, Group},
};

/// One or several links that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Wire {
    /// The source's node.
    pub from_node: NodeId,
    /// The source within the node: a group or a port.
    pub from: String,
    /// The destination's node.
    pub to_node: NodeId,
    /// The destination within the node: a group or a port.
    pub to: String,
    /// The gain, on top of the channel map's where it is a group.
    pub gain: Decibels,
    /// How many links it stands for.
    pub links: usize,
}

/// One end of a link: which group of the node, and which channel of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    node: NodeId,
    group: usize,
    channel: u16,
}

/// All wires, in the order of the sources' nodes and ports.
pub fn wires(session: &Session) -> Vec<Wire> {
    let mut bundles: BTreeMap<_, Vec<(End, End, &Link)>> = BTreeMap::new();
    let mut wires = Vec::new();
    for link in session.links.values() {
        match (end(session, &link.from), end(session, &link.to)) {
            (Some(from), Some(to)) => {
                let key = (from.node, from.group, to.node, to.group);
                bundles.entry(key).or_default().push((from, to, link));
            }
            _ => wires.push(single(link)),
        }
    }
    for (key, mut links) in bundles {
        match bundle(session, key, &links) {
            Some(wire) => wires.push(wire),
            None => {
                links.sort_by_key(|(from, to, _)| (*from, *to));
                wires.extend(links.into_iter().map(|(_, _, link)| single(link)));
            }
        }
    }
    wires
}

/// Every link by itself.
pub fn singles(session: &Session) -> Vec<Wire> {
    session.links.values().map(|link| single(link)).collect()
}

fn single(link: &Link) -> Wire {
    Wire {
        from_node: link.from.node,
        from: link.from.port.clone(),
        to_node: link.to.node,
        to: link.to.port.clone(),
        gain: link.gain,
        links: 1,
    }
}

fn groups(session: &Session, node: NodeId) -> Vec<Group> {
    session.nodes.get(&node).map(|node| ports::groups(node.kind, node.channels)).unwrap_or_default()
}

fn end(session: &Session, port: &PortRef) -> Option<End> {
    groups(session, port.node).iter().enumerate().find_map(|(group, g)| {
        let channel = (0..g.channels).find(|channel| g.port_name(*channel) == port.port)?;
        Some(End { node: port.node, group, channel })
    })
}

/// The links as one wire, if they are exactly the channel map with one gain on top.
fn bundle(
    session: &Session,
    (from_node, from_group, to_node, to_group): (NodeId, usize, NodeId, usize),
    links: &[(End, End, &Link)],
) -> Option<Wire> {
    let from = *groups(session, from_node).get(from_group)?;
    let to = *groups(session, to_node).get(to_group)?;
    let map = ports::channel_map(from.channels, to.channels);
    if links.len() != map.len() {
        return None;
    }
    let mut gain = None;
    for (from_channel, to_channel, mapped) in map {
        let (_, _, link) =
            links.iter().find(|(f, t, _)| (f.channel, t.channel) == (from_channel, to_channel))?;
        let on_top = Decibels::new(link.gain.get() - mapped.get())?;
        if gain.is_some_and(|gain| !alike(gain, on_top)) {
            return None;
        }
        gain.get_or_insert(on_top);
    }
    Some(Wire {
        from_node,
        from: from.name.to_owned(),
        to_node,
        to: to.name.to_owned(),
        gain: gain?,
        links: links.len(),
    })
}

fn alike(a: Decibels, b: Decibels) -> bool {
    a == b || (a.get() - b.get()).abs() < 1e-6
}
