//! Clips, and those that are edited with them.

use std::sync::Arc;

use aulos_protocol::{Clip, ClipId, Error, ErrorCode, Node, NodeKind, Session};

use super::{
    groups,
    limits::{self, MAX_CLIPS},
    names,
};

/// Puts a clip on a track.
///
/// # Errors
/// No such track, or it has as many clips as it can have.
pub fn add(session: &mut Session, track: &str, clip: Clip) -> Result<(), Error> {
    let mut changed = self::track(session, track)?;
    if changed.clips.len() >= MAX_CLIPS {
        return Err(limits::full("clips on a track", MAX_CLIPS));
    }
    changed.clips.push(clip);
    session.nodes.insert(Arc::new(changed));
    Ok(())
}

/// The session with other names for the files of its clips, where `name` has one.
pub fn name_files(session: &Session, mut name: impl FnMut(&Clip) -> Option<String>) -> Session {
    let mut named = session.clone();
    for node in session.nodes.values() {
        if let Some(node) = name_files_of(node, &mut name) {
            named.nodes.insert(Arc::new(node));
        }
    }
    named
}

/// The node with other names for the files of its clips, if `name` has one for any.
pub(super) fn name_files_of(node: &Node, name: impl FnMut(&Clip) -> Option<String>) -> Option<Node> {
    let names: Vec<_> = node.clips.iter().map(name).collect();
    if names.iter().all(Option::is_none) {
        return None;
    }
    let mut named = node.clone();
    for (clip, name) in named.clips.iter_mut().zip(names) {
        clip.file = name.unwrap_or_else(|| std::mem::take(&mut clip.file));
    }
    Some(named)
}

/// Puts what `change` makes of a clip in its place, or takes it off; so with the same clips of the tracks that are
/// edited together with this one: those that begin at the same place and play the same stretch of their files.
///
/// # Errors
/// No such track or clip, and those of `change`.
pub fn change(
    session: &mut Session,
    track: &str,
    clip: ClipId,
    change: impl Fn(&Clip) -> Result<Option<Clip>, Error>,
) -> Result<(), Error> {
    let named = self::track(session, track)?;
    let Some(wanted) = named.clips.iter().find(|c| c.id == clip).cloned() else {
        let known: Vec<String> = named.clips.iter().map(|c| c.id.to_string()).collect();
        let what = format!("clip on {}", named.slug);
        return Err(Error::not_found(&what, &clip.to_string(), known.iter().map(String::as_str)));
    };
    let place = |clip: &Clip| (clip.at, clip.offset, clip.length);
    let id = named.id;
    for member in groups::together(session, id, "edit") {
        let Some(node) = session.nodes.get(&member) else { continue };
        let is_meant = |c: &Clip| {
            if member == id { c.id == clip } else { place(c) == place(&wanted) }
        };
        if !node.clips.iter().any(is_meant) {
            continue;
        }
        let mut changed = (**node).clone();
        let mut clips = Vec::with_capacity(changed.clips.len());
        for clip in changed.clips {
            if is_meant(&clip) { clips.extend(change(&clip)?) } else { clips.push(clip) }
        }
        changed.clips = clips;
        if changed != **node {
            session.nodes.insert(Arc::new(changed));
        }
    }
    Ok(())
}

/// A copy of the track named so.
fn track(session: &Session, name: &str) -> Result<Node, Error> {
    let node = names::node(session, name)?;
    if node.kind == NodeKind::Track {
        return Ok((**node).clone());
    }
    let message = format!("{name} is a {}, and only tracks have clips", node.kind);
    Err(Error::new(ErrorCode::InvalidArgument, message).expected("the name of a track"))
}
