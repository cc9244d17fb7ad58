//! VCAs and groups: their members, and commands that apply to all of them.

use std::{collections::BTreeSet, sync::Arc};

use aulos_protocol::{Error, ErrorCode, Node, NodeId, NodeKind, Session, Value, params};

use super::{apply::store, names};

/// Makes strips members.
///
/// # Errors
/// No such group or strip, or one that cannot be a member.
pub fn add_members(session: &mut Session, group: &str, nodes: &[String]) -> Result<(), Error> {
    edit(session, group, |session, group| {
        for name in nodes {
            let node = names::node(session, name)?;
            check_member(node)?;
            group.members.insert(node.id);
        }
        Ok(())
    })
}

/// Takes members out.
///
/// # Errors
/// No such group, or one of them is no member.
pub fn remove_members(session: &mut Session, group: &str, nodes: &[String]) -> Result<(), Error> {
    edit(session, group, |session, group| {
        for name in nodes {
            let is_member = session.node(name).is_some_and(|node| group.members.remove(&node.id));
            if !is_member {
                let members = group.members.iter().filter_map(|id| session.nodes.get(id));
                let members: Vec<_> = members.map(|node| node.slug.to_string()).collect();
                let what = format!("member of {}", group.slug);
                return Err(Error::not_found(&what, name, members.iter().map(String::as_str)));
            }
        }
        Ok(())
    })
}

fn edit(
    session: &mut Session,
    group: &str,
    edit: impl FnOnce(&Session, &mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let group = names::node(session, group)?;
    if !group.kind.has_members() {
        let message = format!("{} is a {}, which has no members", group.slug, group.kind);
        return Err(Error::new(ErrorCode::InvalidArgument, message).expected("the name of a vca or group"));
    }
    let mut changed = (**group).clone();
    edit(session, &mut changed)?;
    if changed != **group {
        session.nodes.insert(Arc::new(changed));
    }
    Ok(())
}

/// Whether a node can be a member.
///
/// # Errors
/// Why not.
pub fn check_member(node: &Node) -> Result<(), Error> {
    if node.kind.is_strip() {
        return Ok(());
    }
    let message = format!("{} is a {}, which cannot be a member", node.slug, node.kind);
    Err(Error::new(ErrorCode::InvalidArgument, message).expected("a track, bus, send or the master"))
}

/// Takes a node out of all whose member it is.
pub fn forget(session: &mut Session, node: NodeId) {
    let groups: Vec<_> = session.nodes.controlling(node).cloned().collect();
    for group in groups {
        let mut changed = (*group).clone();
        changed.members.remove(&node);
        session.nodes.insert(Arc::new(changed));
    }
}

/// The node and all that are in a group with it whose switch `how` is on.
pub fn together(session: &Session, node: NodeId, how: &str) -> BTreeSet<NodeId> {
    let groups = session.nodes.controlling(node).filter(|group| group.kind == NodeKind::Group);
    let on = groups.filter(|group| params::number(group, how).is_some_and(|on| on != 0.0));
    on.flat_map(|group| group.members.iter().copied()).chain([node]).collect()
}

/// What all members of a mix group do with one: the fader by as many dB, and the switches of the mixer.
const FADERS: [&str; 2] = ["gain", "level"];
const SWITCHES: [&str; 2] = ["mute", "solo"];

/// Sets a parameter of a node, and of those that are mixed together with it.
///
/// # Errors
/// No such node or parameter, or a value that it cannot have.
pub fn set_param(session: &mut Session, name: &str, param: &str, value: Value) -> Result<(), Error> {
    let named = names::node(session, name)?.clone();
    let param = params::find(&named, param)?;
    let value = param.accept(value)?;
    let (was, is) = (params::get(&named, param), value);
    set(session, named.id, |node| store(node, param.name, is))?;
    let (is_fader, is_switch) = (FADERS.contains(&param.name), SWITCHES.contains(&param.name));
    if was == is || !(is_fader || is_switch) {
        return Ok(());
    }
    // From or to silence is not so many dB: such a move is one of this node alone.
    if is_fader && [was, is].contains(&Value::Silence) {
        return Ok(());
    }
    for other in together(session, named.id, "mix").into_iter().filter(|other| *other != named.id) {
        set(session, other, |node| {
            let same =
                |p: &&params::Param| if is_fader { FADERS.contains(&p.name) } else { p.name == param.name };
            let Some(other) = params::of(node.kind, node.channels).iter().find(same) else { return Ok(()) };
            let value = match params::get(node, other) {
                Value::Number(number) if is_fader => {
                    Value::Number((number + is.as_f64() - was.as_f64()).clamp(other.min, other.max))
                }
                Value::Silence => Value::Silence,
                _ => is,
            };
            store(node, other.name, value)
        })?;
    }
    Ok(())
}

fn set(
    session: &mut Session,
    node: NodeId,
    edit: impl FnOnce(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(node) = session.nodes.get(&node) else { return Ok(()) };
    let mut changed = (**node).clone();
    edit(&mut changed)?;
    if changed != **node {
        session.nodes.insert(Arc::new(changed));
    }
    Ok(())
}
