//! (session, command) → session, or a refusal. Pure.

use std::sync::Arc;

use aulos_protocol::{
    Change, Clip, ClipId, Command, Decibels, Endpoint, Error, ErrorCode, Link, LinkId, NewNode, Node, NodeId,
    NodeKind, PortRef, Session, Undo, Value, mirror,
    params::{self, Effect},
    ports::{self, Direction, Signal},
};

use super::{
    clips, groups,
    limits::{self, MAX_BATCH, MAX_LINKS, MAX_NODES},
    names, nodes, validate,
};
use crate::graph::Graph;

/// What a command did to a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Names of the nodes that were added.
    pub nodes: Vec<String>,
    /// Numbers of the clips that were added.
    pub clips: Vec<ClipId>,
    /// How many links were made, changed or removed.
    pub links: usize,
}

/// Applies a command that is an undo step. The session that is given stays as it is.
///
/// # Errors
/// Why the command is refused; of a batch, with the index of the command that is. `Unavailable` for commands
/// that are not undo steps.
pub fn apply(session: &Session, command: &Command) -> Result<(Session, Outcome), Error> {
    let mut new = session.clone();
    let mut outcome = Outcome::default();
    match command {
        Command::Batch { commands } => batch(&mut new, commands, &mut outcome)?,
        command => one(&mut new, command, &mut outcome)?,
    }
    if new.next_id > validate::MAX_ID {
        return Err(Error::new(ErrorCode::Unavailable, "the session has no numbers left for what is new"));
    }
    if let Err(mut error) = check_patch(session, &new) {
        if let Command::Batch { commands } = command
            && error.code == ErrorCode::Cycle
        {
            error.index = Some(culprit(session, commands));
        }
        return Err(error);
    }
    Ok((new, outcome))
}

/// What only the whole patch can tell: cycles, latencies, and the memory that delays take. Not looked at while
/// nothing of it can have changed since `old`.
fn check_patch(old: &Session, new: &Session) -> Result<(), Error> {
    let asks_again = |change: &Change| match change {
        Change::Node(node) => match old.nodes.get(&node.id) {
            None => matches!(node.kind, NodeKind::Delay | NodeKind::Feedback | NodeKind::Master),
            Some(before) => params::changed(before, node)
                .any(|param| matches!(param.effect, Effect::Routes | Effect::Rebuilds)),
        },
        Change::Link(_) | Change::LinkGone(_) => true,
        Change::Session { max_latency_ms, .. } => *max_latency_ms != old.max_latency_ms,
        Change::NodeGone(_) => false,
    };
    if !mirror::difference(old, new).iter().any(asks_again) {
        return Ok(());
    }
    let graph = Graph::of(new);
    graph.find_cycle(new).map_or(Ok(()), Err)?;
    limits::check_delays(new, &graph)
}

fn batch(session: &mut Session, commands: &[Command], outcome: &mut Outcome) -> Result<(), Error> {
    if commands.len() > MAX_BATCH {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("a batch of {} commands", commands.len()),
        )
        .expected(format!("at most {MAX_BATCH}"))
        .remedy("split it"));
    }
    for (index, command) in commands.iter().enumerate() {
        let done = match command {
            Command::Batch { .. } => {
                Err(Error::new(ErrorCode::InvalidArgument, "a batch cannot hold a batch"))
            }
            command => one(session, command, outcome),
        };
        done.map_err(|mut error| {
            error.index = Some(index);
            error
        })?;
    }
    Ok(())
}

/// Which command of a batch closes a cycle: the end of the shortest prefix that has one.
fn culprit(session: &Session, commands: &[Command]) -> usize {
    let closes = |len: usize| {
        let mut new = session.clone();
        let applied = commands[..len].iter().try_for_each(|c| one(&mut new, c, &mut Outcome::default()));
        applied.is_ok() && Graph::of(&new).find_cycle(&new).is_some()
    };
    let lengths: Vec<usize> = (1..=commands.len()).collect();
    lengths.partition_point(|len| !closes(*len)).min(commands.len().saturating_sub(1))
}

fn one(session: &mut Session, command: &Command, outcome: &mut Outcome) -> Result<(), Error> {
    match command {
        Command::AddNode(new) => add_node(session, new, outcome),
        Command::RemoveNode { node } => remove_node(session, node, outcome),
        Command::RenameNode { node, name } => nodes::rename(session, node, name),
        Command::DuplicateNode { node, name } => nodes::duplicate(session, node, name.as_deref(), outcome),
        Command::MoveNode { node, to } => nodes::reorder(session, node, to),
        Command::SetParam { node, param, value } => groups::set_param(session, node, param, *value),
        Command::SetSession { name, tempo, signature, edit_fade_ms, max_latency_ms } => {
            if let Some(ms) = max_latency_ms {
                validate::latency_ms(*ms)?;
                session.max_latency_ms = *ms;
            }
            if let Some(ms) = edit_fade_ms {
                validate::fade_ms(*ms)?;
                session.edit_fade_ms = *ms;
            }
            if let Some(name) = name {
                validate::new_name(name)?;
                session.name.clone_from(name);
            }
            if let Some(tempo) = tempo {
                session.tempo = *tempo;
            }
            if let Some(signature) = signature {
                session.signature = *signature;
            }
            Ok(())
        }
        Command::Link { from, to, gain } => link(session, from, to, *gain, outcome),
        Command::Unlink { from, to } => unlink(session, from, to, outcome),
        Command::AddClip { track, file, at, offset, length } => {
            validate::clip_times(at.0, offset.0, length.map(|l| l.0))?;
            validate::clip_file(file)?;
            let id = ClipId(take_id(session));
            let clip = Clip { id, file: file.clone(), at: *at, offset: *offset, length: *length };
            clips::add(session, track, clip)?;
            outcome.clips.push(id);
            Ok(())
        }
        Command::RemoveClip { track, clip } => clips::change(session, track, *clip, |_| Ok(None)),
        Command::SetClip { length: Some(_), whole: true, .. } => {
            Err(Error::new(ErrorCode::InvalidArgument, "a clip cannot have a length and be whole")
                .expected("length or whole"))
        }
        Command::SetClip { track, clip, at, offset, length, whole } => {
            clips::change(session, track, *clip, |clip| {
                let new = Clip {
                    at: at.unwrap_or(clip.at),
                    offset: offset.unwrap_or(clip.offset),
                    length: if *whole { None } else { length.or(clip.length) },
                    ..clip.clone()
                };
                validate::clip_times(new.at.0, new.offset.0, new.length.map(|l| l.0))?;
                Ok(Some(new))
            })
        }
        Command::AddMembers { group, nodes } => groups::add_members(session, group, nodes),
        Command::RemoveMembers { group, nodes } => groups::remove_members(session, group, nodes),
        other => {
            let why = match other.undo() {
                Undo::Never(why) => why,
                Undo::Step => "it cannot be nested",
            };
            Err(Error::new(ErrorCode::Unavailable, format!("this command cannot be part of an edit: {why}")))
        }
    }
}

/// A number that nothing has had yet.
pub(super) fn take_id(session: &mut Session) -> u64 {
    let id = session.next_id;
    session.next_id += 1;
    id
}

fn add_node(session: &mut Session, new: &NewNode, outcome: &mut Outcome) -> Result<(), Error> {
    if session.nodes.len() >= MAX_NODES {
        return Err(limits::full("nodes", MAX_NODES));
    }
    let channels = new.channels.unwrap_or(2);
    validate::channels(channels)?;
    let slug = names::new_slug(session, new.name.as_deref(), new.kind)?;
    let mut node = Node::new(NodeId(session.next_id), slug, new.kind, channels);
    for (name, value) in &new.params {
        store(&mut node, name, *value)?;
    }
    take_id(session);
    outcome.nodes.push(node.slug.to_string());
    session.nodes.insert(Arc::new(node));
    Ok(())
}

fn remove_node(session: &mut Session, name: &str, outcome: &mut Outcome) -> Result<(), Error> {
    let id = names::node(session, name)?.id;
    let gone: Vec<LinkId> =
        session.links.entering(id).chain(session.links.leaving(id)).map(|link| link.id).collect();
    for link in gone {
        // One from the node to itself is in both lists.
        outcome.links += usize::from(session.links.remove(link).is_some());
    }
    groups::forget(session, id);
    session.nodes.remove(id);
    Ok(())
}

/// Stores a value, or nothing if it is the default.
pub(super) fn store(node: &mut Node, name: &str, value: Value) -> Result<(), Error> {
    let param = params::find(node, name)?;
    let value = param.accept(value)?;
    if value == param.default {
        node.params.remove(name);
    } else {
        node.params.insert(name.to_owned(), value);
    }
    Ok(())
}

/// The links between two ends that exist already, by their ports.
fn existing(session: &Session, from: &PortRef, to: &PortRef) -> Option<LinkId> {
    let mut between = session.links.between(from.node, to.node);
    between.find(|link| link.from == *from && link.to == *to).map(|link| link.id)
}

fn link(
    session: &mut Session,
    from: &Endpoint,
    to: &Endpoint,
    gain: Option<Decibels>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let (source, destination) = names::ends(session, from, to)?;
    if source.signal == Signal::Midi {
        validate::midi_gain(gain.unwrap_or_default())?;
    }
    let map = ports::channel_map(source.ports.len() as u16, destination.ports.len() as u16);
    let wanted: Vec<(PortRef, PortRef, Decibels)> = map
        .into_iter()
        .map(|(a, b, mapped)| {
            let from = PortRef { node: source.node.id, port: source.ports[usize::from(a)].clone() };
            let to = PortRef { node: destination.node.id, port: destination.ports[usize::from(b)].clone() };
            (from, to, mapped)
        })
        .collect();
    for (from, to, mapped) in wanted {
        let total = gain.map(|gain| add_decibels(gain, mapped)).transpose()?;
        let link = match existing(session, &from, &to) {
            Some(id) => {
                let Some(mut link) = session.links.get(&id).map(|link| (**link).clone()) else { continue };
                link.gain = total.unwrap_or(link.gain);
                link
            }
            None => {
                if session.links.len() >= MAX_LINKS {
                    return Err(limits::full("links", MAX_LINKS));
                }
                let id = LinkId(take_id(session));
                Link { id, from, to, gain: total.unwrap_or(mapped), unknown: Default::default() }
            }
        };
        if session.links.get(&link.id).is_none_or(|old| **old != link) {
            outcome.links += 1;
            session.links.insert(Arc::new(link));
        }
    }
    Ok(())
}

/// The gain that was asked for on top of the channel map's.
fn add_decibels(gain: Decibels, mapped: Decibels) -> Result<Decibels, Error> {
    const MOST: f64 = validate::MAX_LINK_DB;
    if !gain.is_silence() && gain.get().abs() > MOST {
        let range = aulos_protocol::Range { min: -MOST, max: MOST, unit: "dB".into() };
        return Err(Error::out_of_range("the gain of a link", gain.get(), range));
    }
    Ok(Decibels::new(gain.get() + mapped.get()).unwrap_or(Decibels::SILENCE))
}

fn unlink(session: &mut Session, from: &Endpoint, to: &Endpoint, outcome: &mut Outcome) -> Result<(), Error> {
    // A bare node means all of its ports here: what was linked one by one is taken off at once.
    let side =
        |session: &Session, end: &Endpoint, direction| -> Result<(NodeId, Option<Vec<String>>), Error> {
            match end.port {
                None => Ok((names::node(session, &end.node)?.id, None)),
                Some(_) => names::end(session, end, direction, "").map(|e| (e.node.id, Some(e.ports))),
            }
        };
    let (source, sources) = side(session, from, Direction::Out)?;
    let (destination, destinations) = side(session, to, Direction::In)?;
    let fits = |port: &PortRef, ports: &Option<Vec<String>>| {
        ports.as_ref().is_none_or(|ports| ports.contains(&port.port))
    };
    let gone: Vec<LinkId> = session
        .links
        .between(source, destination)
        .filter(|l| fits(&l.from, &sources) && fits(&l.to, &destinations))
        .map(|link| link.id)
        .collect();
    if gone.is_empty() {
        let mut error = Error::new(ErrorCode::NotFound, format!("{from} and {to} are not linked"));
        let close = session.links.leaving(source).chain(session.links.entering(destination));
        let mut close: Vec<_> = close.collect();
        close.sort_by_key(|link| link.id);
        close.dedup_by_key(|link| link.id);
        let text = |l: &Link| format!("{} -> {}", session.port_text(&l.from), session.port_text(&l.to));
        error.close = close.into_iter().take(3).map(|link| text(link)).collect();
        return Err(error.remedy("see the links that exist with: aulosctl ls links"));
    }
    outcome.links += gone.len();
    for id in gone {
        session.links.remove(id);
    }
    Ok(())
}
