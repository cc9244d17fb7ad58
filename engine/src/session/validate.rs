//! What makes a session valid, for sessions that come from a file.

use std::collections::{BTreeMap, BTreeSet};

use aulos_protocol::{
    Decibels, Error, ErrorCode, FORMAT, Frames, Link, LoopRange, Node, NodeKind, Range, Session, params,
    ports::{self, Direction, Signal},
};

use super::{groups, limits};
use crate::{audio::MIN_LOOP, graph::Graph};

/// Checks everything that [`super::apply`] would have refused to make.
///
/// # Errors
/// The first thing that is wrong, with what was expected.
pub fn validate(session: &Session) -> Result<(), Error> {
    let wrong = |message: String| Error::new(ErrorCode::InvalidArgument, message);
    if session.format != FORMAT {
        return Err(wrong(format!("the session has the format {}", session.format))
            .expected(format!("format {FORMAT}"))
            .remedy("open it with a server of the version that wrote it"));
    }
    limits::check_counts(session)?;
    name(&session.name)?;
    fade_ms(session.edit_fade_ms)?;
    max_block(session.max_block)?;
    latency_ms(session.max_latency_ms)?;
    let (start, end) = session.loop_range.unzip();
    loop_range(start, end)?;
    let mut slugs = BTreeSet::new();
    let mut clips = BTreeSet::new();
    let mut highest = 0;
    for node in session.nodes.values() {
        if !slugs.insert(&node.slug) {
            return Err(wrong(format!("two nodes have the name \"{}\"", node.slug)));
        }
        check_node(node).map_err(|mut error| {
            error.message = format!("the {} {}: {}", node.kind, node.slug, error.message);
            error
        })?;
        check_members(session, node)?;
        highest = highest.max(node.id.0);
        for clip in &node.clips {
            if !clips.insert(clip.id) {
                return Err(wrong(format!("two clips have the number {}", clip.id)));
            }
            highest = highest.max(clip.id.0);
        }
    }
    let mut pairs = BTreeMap::new();
    for link in session.links.values() {
        check_link(session, link)?;
        if pairs.insert((&link.from, &link.to), link.id).is_some() {
            return Err(wrong(format!(
                "{} and {} are linked twice",
                session.port_text(&link.from),
                session.port_text(&link.to)
            )));
        }
        highest = highest.max(link.id.0);
    }
    if session.next_id <= highest || session.next_id > MAX_ID {
        return Err(wrong(format!("next_id is {}", session.next_id))
            .expected(format!("a number above {highest}, the highest in use, and at most {MAX_ID}")));
    }
    let graph = Graph::of(session);
    graph.find_cycle(session).map_or(Ok(()), Err)?;
    limits::check_delays(session, &graph)
}

/// Numbers stay below 2^53, which every JSON reader can hold.
pub const MAX_ID: u64 = 1 << 53;

/// Checks the name of a session.
pub fn name(name: &str) -> Result<(), Error> {
    if name.chars().count() <= Session::MAX_NAME {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidArgument, "the name of the session is too long")
        .expected(format!("at most {} characters", Session::MAX_NAME)))
}

/// Checks a name that the session is to get; older ones may be empty.
pub fn new_name(new: &str) -> Result<(), Error> {
    if new.trim().is_empty() {
        return Err(Error::new(ErrorCode::InvalidArgument, "the name of the session is empty")
            .expected("a name of at least one letter"));
    }
    name(new)
}

/// Checks the length of edit fades.
pub fn fade_ms(ms: f64) -> Result<(), Error> {
    if (0.0..=Session::MAX_FADE_MS).contains(&ms) {
        return Ok(());
    }
    let range = Range { min: 0.0, max: Session::MAX_FADE_MS, unit: "ms".into() };
    Err(Error::out_of_range("edit_fade_ms", ms, range))
}

/// Checks the longest latency that a session allows.
pub fn latency_ms(ms: f64) -> Result<(), Error> {
    if (0.0..=Session::MOST_LATENCY_MS).contains(&ms) {
        return Ok(());
    }
    let range = Range { min: 0.0, max: Session::MOST_LATENCY_MS, unit: "ms".into() };
    Err(Error::out_of_range("max_latency_ms", ms, range))
}

/// Checks the longest block of a session.
///
/// # Errors
/// `OutOfRange` with the range.
pub fn max_block(frames: u32) -> Result<(), Error> {
    if (1..=Session::MOST_BLOCK).contains(&frames) {
        return Ok(());
    }
    let range = Range { min: 1.0, max: f64::from(Session::MOST_BLOCK), unit: "frames".into() };
    Err(Error::out_of_range("max_block", f64::from(frames), range))
}

/// The loop between two frames, if there are any.
///
/// # Errors
/// `OutOfRange` for frames beyond the timeline, `InvalidArgument` for one end alone or a loop that is too short.
pub fn loop_range(start: Option<Frames>, end: Option<Frames>) -> Result<Option<LoopRange>, Error> {
    let (start, end) = match (start, end) {
        (None, None) => return Ok(None),
        (Some(start), Some(end)) => (start, end),
        _ => {
            return Err(Error::new(ErrorCode::InvalidArgument, "the loop has only one end")
                .expected("both start and end, or neither to clear the loop"));
        }
    };
    for (what, frames) in [("start", start), ("end", end)] {
        if frames.0 > MAX_POSITION {
            let range = Range { min: 0.0, max: MAX_POSITION as f64, unit: "frames".into() };
            return Err(Error::out_of_range(&format!("the loop's {what}"), frames.0 as f64, range));
        }
    }
    if end.0 < start.0 + MIN_LOOP {
        let message = format!("a loop from {start} to {end} is too short");
        return Err(Error::new(ErrorCode::InvalidArgument, message)
            .expected(format!("an end at least {MIN_LOOP} frames after the start")));
    }
    Ok(Some((start, end)))
}

/// Checks the gain of a MIDI link: it passes notes, or it does not.
pub fn midi_gain(gain: Decibels) -> Result<(), Error> {
    if gain == Decibels::UNITY || gain.is_silence() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidArgument, "a MIDI link cannot be louder or softer")
        .expected("0 dB, or -inf to let nothing pass"))
}

/// Checks how many channels a node has.
pub fn channels(channels: u16) -> Result<(), Error> {
    if (1..=Node::MAX_CHANNELS).contains(&channels) {
        return Ok(());
    }
    let range = Range { min: 1.0, max: f64::from(Node::MAX_CHANNELS), unit: "channels".into() };
    Err(Error::out_of_range("a node", f64::from(channels), range))
}

fn check_node(node: &Node) -> Result<(), Error> {
    channels(node.channels)?;
    if let Some(rank) = node.rank {
        let most = MAX_ID as f64;
        if !(-most..=most).contains(&rank) {
            let range = Range { min: -most, max: most, unit: String::new() };
            return Err(Error::out_of_range("its rank", rank, range));
        }
    }
    for (name, value) in &node.params {
        let param = params::find(node, name)?;
        if param.accept(*value)? != *value {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("{name} cannot be {value}"))
                .expected(format!("a value in the form of {}", param.default)));
        }
    }
    if node.kind != NodeKind::Track && !node.clips.is_empty() {
        return Err(Error::new(ErrorCode::InvalidArgument, "it has clips, which only tracks can have"));
    }
    let mut ids = BTreeSet::new();
    for clip in &node.clips {
        if ids.last().is_some_and(|last| *last >= clip.id) || !ids.insert(clip.id) {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "the clips are not in the order of their numbers",
            ));
        }
        clip_file(&clip.file)?;
        clip_times(clip.at.0, clip.offset.0, clip.length.map(|l| l.0))?;
    }
    Ok(())
}

fn check_members(session: &Session, node: &Node) -> Result<(), Error> {
    let wrong = |message: String| Error::new(ErrorCode::InvalidArgument, message);
    if !node.kind.has_members() && !node.members.is_empty() {
        return Err(wrong(format!(
            "the {} {} has members, which only a vca or group can have",
            node.kind, node.slug
        )));
    }
    for member in &node.members {
        let Some(found) = session.nodes.get(member) else {
            return Err(wrong(format!(
                "the {} {} has the member #{member}, which does not exist",
                node.kind, node.slug
            )));
        };
        groups::check_member(found)?;
    }
    Ok(())
}

/// Checks that a clip names a file.
pub fn clip_file(file: &str) -> Result<(), Error> {
    if !file.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidArgument, "the clip names no file")
        .expected("the path of an audio file"))
}

/// Checks the times of a clip: sums of them must not overflow, now or with any file.
pub fn clip_times(at: u64, offset: u64, length: Option<u64>) -> Result<(), Error> {
    for (what, frames) in [("at", at), ("offset", offset), ("length", length.unwrap_or(1))] {
        let least = if what == "length" { 1.0 } else { 0.0 };
        if frames > MAX_POSITION || (frames as f64) < least {
            let range = Range { min: least, max: MAX_POSITION as f64, unit: "frames".into() };
            return Err(Error::out_of_range(&format!("a clip's {what}"), frames as f64, range));
        }
    }
    Ok(())
}

/// The last frame of the timeline: 2^40 frames are 265 days at 48 kHz.
pub const MAX_POSITION: u64 = 1 << 40;

/// The highest gain of a link, in dB; as low as its negative, it is no sound for any ear.
pub const MAX_LINK_DB: f64 = 144.0;

fn check_link(session: &Session, link: &Link) -> Result<(), Error> {
    // The channel map may have taken some off the lowest.
    let range = Range { min: -MAX_LINK_DB - 3.0, max: MAX_LINK_DB, unit: "dB".into() };
    let db = link.gain.get();
    if !link.gain.is_silence() && !(range.min..=range.max).contains(&db) {
        return Err(Error::out_of_range(&format!("the gain of link {}", link.id), db, range));
    }
    let place = || {
        let (from, to) = (session.port_text(&link.from), session.port_text(&link.to));
        format!("link {}, {from} to {to}", link.id)
    };
    let mut signals = BTreeSet::new();
    for (port, direction, role) in
        [(&link.from, Direction::Out, "source"), (&link.to, Direction::In, "destination")]
    {
        let found = session.nodes.get(&port.node).and_then(|node| ports::find(node, &port.port));
        let Some((group, _)) = found.filter(|(group, _)| group.direction == direction) else {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("link {} has the {role} {}, which is no such port", link.id, session.port_text(port)),
            ));
        };
        signals.insert(group.signal);
    }
    if signals.len() > 1 {
        let message = format!("{} leads from audio to MIDI or back", place());
        return Err(
            Error::new(ErrorCode::InvalidArgument, message).expected("two audio ports or two MIDI ports")
        );
    }
    if signals.contains(&Signal::Midi) {
        midi_gain(link.gain).map_err(|mut error| {
            error.message = format!("{}: {}", place(), error.message);
            error
        })?;
    }
    Ok(())
}
