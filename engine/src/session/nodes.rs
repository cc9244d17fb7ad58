//! Nodes under other names, their copies, and the order in which they are listed.

use std::sync::Arc;

use aulos_protocol::{ClipId, Error, ErrorCode, Link, LinkId, Node, NodeId, Place, Session, Slug};

use super::{
    Outcome,
    apply::take_id,
    groups,
    limits::{self, MAX_LINKS, MAX_NODES},
    names,
    validate::MAX_ID,
};

/// Gives a node another name.
pub(super) fn rename(session: &mut Session, name: &str, new: &str) -> Result<(), Error> {
    let node = names::node(session, name)?;
    if new == name {
        return Ok(());
    }
    let slug = names::new_slug(session, Some(new), node.kind)?;
    let renamed = Node { slug, ..(**node).clone() };
    session.nodes.insert(Arc::new(renamed));
    Ok(())
}

/// Adds a copy of a node, with clips and links of its own, and lists it behind the node.
pub(super) fn duplicate(
    session: &mut Session,
    name: &str,
    new: Option<&str>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    if session.nodes.len() >= MAX_NODES {
        return Err(limits::full("nodes", MAX_NODES));
    }
    let node = names::node(session, name)?.clone();
    let slug = match new {
        Some(_) => names::new_slug(session, new, node.kind)?,
        None => free_name(session, &node.slug)?,
    };
    let id = NodeId(take_id(session));
    // Two VCAs with the same members would make them louder or softer.
    let mut copy = Node { id, slug, members: Default::default(), ..(*node).clone() };
    for clip in &mut copy.clips {
        clip.id = ClipId(take_id(session));
        outcome.clips.push(clip.id);
    }
    outcome.nodes.push(copy.slug.to_string());
    session.nodes.insert(Arc::new(copy));
    groups::join(session, node.id, id);
    move_to(session, id, Neighbour::Behind(node.id));

    let leaving = session.links.leaving(node.id);
    // One from the node to itself leaves and enters; the copy's goes from the copy to itself.
    let entering = session.links.entering(node.id).filter(|link| link.from.node != node.id);
    let mut links: Vec<_> = leaving.chain(entering).cloned().collect();
    links.sort_by_key(|link| link.id);
    if session.links.len() + links.len() > MAX_LINKS {
        return Err(limits::full("links", MAX_LINKS));
    }
    outcome.links += links.len();
    for link in links {
        let mut link = Link { id: LinkId(take_id(session)), ..(*link).clone() };
        for end in [&mut link.from, &mut link.to] {
            if end.node == node.id {
                end.node = id;
            }
        }
        session.links.insert(Arc::new(link));
    }
    Ok(())
}

/// `drums-2` of `drums`, `drums-3` of that: the first name with a number that nobody has.
fn free_name(session: &Session, of: &Slug) -> Result<Slug, Error> {
    let base = match of.as_str().rsplit_once('-') {
        Some((base, number)) if !base.is_empty() && number.parse::<u32>().is_ok() => base,
        _ => of.as_str(),
    };
    let numbered = |number: usize| {
        let ending = format!("-{number}");
        // Slugs are ASCII: any byte is a place to cut.
        let room = Slug::MAX_LEN - ending.len();
        Slug::new(format!("{}{ending}", &base[..base.len().min(room)]))
    };
    (2..=MAX_NODES + 2)
        .filter_map(numbered)
        .find(|name| session.node(name.as_str()).is_none())
        .ok_or_else(|| Error::new(ErrorCode::Internal, "no name is free"))
}

/// Where a node goes, by the one beside it.
enum Neighbour {
    First,
    Last,
    Before(NodeId),
    Behind(NodeId),
}

/// Moves a node in the list.
pub(super) fn reorder(session: &mut Session, name: &str, to: &Place) -> Result<(), Error> {
    let id = names::node(session, name)?.id;
    let other = |other: &str| -> Result<NodeId, Error> {
        let other = names::node(session, other)?.id;
        if other != id {
            return Ok(other);
        }
        Err(Error::new(ErrorCode::InvalidArgument, format!("{name} cannot stand beside itself"))
            .expected("the name of another node"))
    };
    let to = match to {
        Place::First => Neighbour::First,
        Place::Last => Neighbour::Last,
        Place::Before(name) => Neighbour::Before(other(name)?),
        Place::After(name) => Neighbour::Behind(other(name)?),
    };
    move_to(session, id, to);
    Ok(())
}

fn move_to(session: &mut Session, id: NodeId, to: Neighbour) {
    let order: Vec<(NodeId, f64)> =
        session.nodes.in_order().into_iter().map(|node| (node.id, node.place())).collect();
    let others: Vec<_> = order.iter().copied().filter(|(other, _)| *other != id).collect();
    let at = |other: NodeId| others.iter().position(|(id, _)| *id == other).unwrap_or(others.len());
    let at = match to {
        Neighbour::First => 0,
        Neighbour::Last => others.len(),
        Neighbour::Before(other) => at(other),
        Neighbour::Behind(other) => (at(other) + 1).min(others.len()),
    };
    if order.get(at).is_some_and(|(there, _)| *there == id) {
        return;
    }
    let before = at.checked_sub(1).map_or(-(MAX_ID as f64), |before| others[before].1);
    // Below the number of the next node, which so comes last by itself.
    let behind = others.get(at).map_or(session.next_id as f64, |(_, place)| *place);
    let middle = if at == 0 { (behind - 1.0).floor() } else { before / 2.0 + behind / 2.0 };
    if before < middle && middle < behind {
        return put(session, id, middle);
    }
    // No number lies between them: the nodes get the places that their numbers would be, in the new order.
    let mut places: Vec<_> = order.iter().map(|(id, _)| id.0).collect();
    places.sort_unstable();
    let mut ids: Vec<_> = others.iter().map(|(id, _)| *id).collect();
    ids.insert(at, id);
    for (id, place) in ids.into_iter().zip(places) {
        put(session, id, place as f64);
    }
}

fn put(session: &mut Session, id: NodeId, place: f64) {
    let Some(node) = session.nodes.get(&id) else { return };
    let rank = (place != id.0 as f64).then_some(place);
    if node.rank != rank {
        let moved = Node { rank, ..(**node).clone() };
        session.nodes.insert(Arc::new(moved));
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
