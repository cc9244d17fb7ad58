//! A replica of the session, kept by applying the server's events.

use crate::{Change, Event, Session, State};

/// Applies one change to `session`.
pub fn apply(session: &mut Session, change: &Change) {
    match change {
        Change::Node(node) => {
            session.nodes.insert(node.clone());
        }
        Change::NodeGone(id) => {
            session.nodes.remove(*id);
        }
        Change::Link(link) => {
            session.links.insert(link.clone());
        }
        Change::LinkGone(id) => {
            session.links.remove(*id);
        }
        Change::Session { name, tempo, signature, loop_range, edit_fade_ms, max_latency_ms, next_id } => {
            session.name.clone_from(name);
            session.tempo = *tempo;
            session.signature = *signature;
            session.loop_range = *loop_range;
            session.edit_fade_ms = *edit_fade_ms;
            session.max_latency_ms = *max_latency_ms;
            session.next_id = *next_id;
        }
    }
}

/// Applies an event to the state that a subscription began with.
pub fn follow(state: &mut State, event: &Event) {
    match event {
        Event::Changed { revision, changes, .. } => {
            changes.iter().for_each(|change| apply(&mut state.session, change));
            state.revision = *revision;
        }
        Event::Opened(new) => *state = (**new).clone(),
        Event::Saved { path } => state.path = Some(path.clone()),
        Event::Transport { transport, .. } => state.transport = *transport,
        Event::Aligned { .. }
        | Event::Driver(_)
        | Event::Operation(_)
        | Event::Warning { .. }
        | Event::Dropped { .. } => {}
    }
}

/// The changes that make `new` of `old`, in an order that never leaves a link without its nodes.
///
/// Cost: the nodes and links that are shared between the two are compared by address.
pub fn difference(old: &Session, new: &Session) -> Vec<Change> {
    use imbl::ordmap::DiffItem;
    let mut changes = Vec::new();
    let mut gone = Vec::new();
    let mut links = Vec::new();
    for item in old.links.diff(&new.links) {
        match item {
            DiffItem::Add(_, link) | DiffItem::Update { new: (_, link), .. } => {
                links.push(Change::Link(link.clone()));
            }
            DiffItem::Remove(id, _) => changes.push(Change::LinkGone(*id)),
        }
    }
    for item in old.nodes.diff(&new.nodes) {
        match item {
            DiffItem::Add(_, node) | DiffItem::Update { new: (_, node), .. } => {
                changes.push(Change::Node(node.clone()));
            }
            DiffItem::Remove(id, _) => gone.push(Change::NodeGone(*id)),
        }
    }
    changes.append(&mut links);
    changes.append(&mut gone);
    let properties = |session: &Session| Change::Session {
        name: session.name.clone(),
        tempo: session.tempo,
        signature: session.signature,
        loop_range: session.loop_range,
        edit_fade_ms: session.edit_fade_ms,
        max_latency_ms: session.max_latency_ms,
        next_id: session.next_id,
    };
    if properties(old) != properties(new) {
        changes.push(properties(new));
    }
    changes
}
