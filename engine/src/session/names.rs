//! Finding things by the names that people give.

use aulos_protocol::{
    Endpoint, Error, ErrorCode, Node, NodeKind, Session, Slug,
    ports::{self, Direction, Signal},
};
use std::sync::Arc;

/// The node named `name`.
///
/// # Errors
/// `NotFound` with the close names.
pub fn node<'a>(session: &'a Session, name: &str) -> Result<&'a Arc<Node>, Error> {
    session.node(name).ok_or_else(|| {
        let mut error = Error::not_found("node", name, session.nodes.values().map(|node| node.slug.as_str()));
        error.expected = Some("the name of a node".into());
        error
    })
}

/// A slug that nobody has: `wanted`, or one made from the kind.
///
/// # Errors
/// `InvalidArgument` if `wanted` is no slug, `Exists` if it is taken.
pub fn new_slug(session: &Session, wanted: Option<&str>, kind: NodeKind) -> Result<Slug, Error> {
    let Some(wanted) = wanted else {
        // As many as there are of the kind is where a free number is most often found.
        let first = session.nodes.of_kind(kind) + 1;
        let mut candidates = (first..).map(|n| if n == 1 { kind.to_string() } else { format!("{kind}-{n}") });
        let free = candidates.find(|name| session.node(name).is_none()).and_then(Slug::new);
        return free.ok_or_else(|| Error::new(ErrorCode::Internal, "no name is free"));
    };
    let slug = Slug::new(wanted).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, format!("{wanted:?} cannot be the name of a node"))
            .expected(Slug::EXPECTED)
    })?;
    match session.node(slug.as_str()) {
        None => Ok(slug),
        Some(_) => Err(Error::new(ErrorCode::Exists, format!("there is a node \"{slug}\" already"))
            .remedy("choose another name, or remove that node first")),
    }
}

/// What one end of a link means: the node and the names of its ports, in the order of the channels.
pub struct End<'a> {
    /// The node.
    pub node: &'a Arc<Node>,
    /// What travels there.
    pub signal: Signal,
    /// All ports of the group, or the one port.
    pub ports: Vec<String>,
}

/// The ports of both ends of a link. A bare node means its audio ports; its MIDI ports if the other end is, or
/// can only be, MIDI.
///
/// # Errors
/// As [`end`], and `InvalidArgument` if audio would meet MIDI.
pub fn ends<'a>(session: &'a Session, from: &Endpoint, to: &Endpoint) -> Result<(End<'a>, End<'a>), Error> {
    let has = |node: &Arc<Node>, name| {
        ports::groups(node.kind, node.channels).iter().any(|group| group.name == name)
    };
    let comes_as_midi = from.port.as_deref() == Some("midi_out");
    let takes_only_midi = node(session, &to.node).is_ok_and(|node| !has(node, "in") && has(node, "midi_in"));
    let to_midi = to.port.is_none() && (comes_as_midi || takes_only_midi);
    let no_midi = |what: &Endpoint, other: &Endpoint, wanted: &str| {
        let message = format!("{what} has no MIDI port to be linked with {other}");
        Error::new(ErrorCode::InvalidArgument, message).expected(format!("a node that has {wanted}"))
    };
    // Said of the node: the port was not named.
    if to_midi && node(session, &to.node).is_ok_and(|node| !has(node, "midi_in")) {
        return Err(no_midi(to, from, "midi_in"));
    }
    let destination = end(session, to, Direction::In, if to_midi { "midi_in" } else { "in" })?;
    let midi = destination.signal == Signal::Midi;
    if midi && from.port.is_none() && node(session, &from.node).is_ok_and(|node| !has(node, "midi_out")) {
        return Err(no_midi(from, to, "midi_out"));
    }
    let source = end(session, from, Direction::Out, if midi { "midi_out" } else { "out" })?;
    if source.signal != destination.signal {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!(
                "{from} is {} and {to} is {}: they cannot be linked",
                source.signal.name(),
                destination.signal.name()
            ),
        )
        .expected("two audio ports or two MIDI ports"));
    }
    Ok((source, destination))
}

/// The ports of one end of a link; of a bare node, those of the group `default`.
///
/// # Errors
/// `NotFound` for an unknown node or port, `InvalidArgument` for one of the other direction.
pub fn end<'a>(
    session: &'a Session,
    end: &Endpoint,
    direction: Direction,
    default: &str,
) -> Result<End<'a>, Error> {
    let node = node(session, &end.node)?;
    let groups = ports::groups(node.kind, node.channels);
    let role = match direction {
        Direction::Out => "source",
        Direction::In => "destination",
    };
    let name = end.port.as_deref().unwrap_or(default);
    if let Some(group) = groups.iter().find(|g| g.name == name && g.direction == direction) {
        return Ok(End { node, signal: group.signal, ports: group.port_names() });
    }
    if let Some((group, _)) = ports::find(node, name)
        && group.direction == direction
    {
        return Ok(End { node, signal: group.signal, ports: vec![name.to_owned()] });
    }
    let usable: Vec<String> = groups
        .iter()
        .filter(|g| g.direction == direction)
        .flat_map(|g| {
            std::iter::once(g.name.to_owned()).chain(g.port_names().into_iter().filter(|p| p != g.name))
        })
        .collect();
    let exists = groups.iter().any(|g| g.name == name || g.port_names().iter().any(|p| p == name));
    let mut error = if exists || usable.is_empty() {
        let what =
            if exists { format!("{}:{name}", node.slug) } else { format!("the {} {}", node.kind, node.slug) };
        Error::new(ErrorCode::InvalidArgument, format!("{what} cannot be the {role} of a link"))
    } else {
        Error::not_found(&format!("port of {}", node.slug), name, usable.iter().map(String::as_str))
    };
    error.expected = Some(if usable.is_empty() {
        format!("a node that has {}s", if direction == Direction::Out { "output" } else { "input" })
    } else {
        format!("one of {}", usable.join(", "))
    });
    Err(error)
}
