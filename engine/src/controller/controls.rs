//! What VCAs and groups do to strips, at present and from frames to come on.
//!
//! A strip hears one gain and one mute of all whose member it is. While changes of them are to come, each at a frame of
//! its own, what the strip hears from a frame on follows from all that hold there, in whatever order they were said.

use std::collections::BTreeSet;

use aulos_protocol::{Change, Control, Node, NodeId, Session, mirror, params};

use super::Moved;

/// The session as far as VCAs and groups go.
#[derive(Clone)]
pub struct Controls {
    present: Session,
    /// What it is from frames of stage time on, in their order.
    later: Vec<(u64, Session)>,
}

/// One of the values that a strip hears.
type Value = fn(Control) -> f64;

/// What a strip hears of its VCAs and groups: the names of settings, and what they are.
const HEARD: [(&str, Value); 2] =
    [("vca", |control| control.gain_db), ("group_mute", |control| f64::from(u8::from(control.mute)))];

/// A value of a strip, at present or from a frame on.
type Step = (Option<u64>, f64);

impl Controls {
    /// Of a session of which nothing else is to come.
    pub fn new(session: Session) -> Self {
        Self { present: session, later: Vec::new() }
    }

    /// What was to come until `frame` is by now.
    pub fn pass(&mut self, frame: u64) {
        let passed = self.later.partition_point(|(from, _)| *from <= frame);
        if let Some((_, last)) = self.later.drain(..passed).next_back() {
            self.present = last;
        }
    }

    /// Takes in what is new, at present or from a frame on: what was to come of the same values gives way. Answers with
    /// what the strips that are in both sessions must be told, so that they hear this and all that is still to come.
    pub fn change(&mut self, old: &Session, new: &Session, at: Option<u64>) -> Vec<Moved> {
        let is_group = |id: &NodeId| {
            [old, new].iter().filter_map(|session| session.nodes.get(id)).any(|node| node.kind.has_members())
        };
        let changes: Vec<Change> = mirror::difference(old, new)
            .into_iter()
            .filter(|change| match change {
                Change::Node(node) => is_group(&node.id),
                Change::NodeGone(id) => is_group(id),
                _ => false,
            })
            .collect();
        if changes.is_empty() {
            return Vec::new();
        }
        let before = self.clone();
        match at {
            Some(at) => self.change_from(at, old, &changes),
            None => self.sessions().for_each(|session| edit(session, old, &changes)),
        }
        let mut members = BTreeSet::new();
        for id in changes.iter().filter_map(subject) {
            members.extend(before.members(id).chain(self.members(id)));
        }
        let mut moved = Vec::new();
        for member in members.into_iter().filter(|member| old.nodes.contains_key(member)) {
            let Some(node) = new.nodes.get(&member) else { continue };
            for (param, of) in HEARD {
                let steps = parting(&before.steps(member, of), self.steps(member, of));
                let say = |(at, value)| Moved { node: node.clone(), param, value, at };
                moved.extend(steps.into_iter().map(say));
            }
        }
        moved
    }

    /// How many settings of a strip are to come.
    pub fn to_come(&self, member: NodeId) -> usize {
        HEARD.iter().map(|(_, of)| self.steps(member, *of).len() - 1).sum()
    }

    fn change_from(&mut self, at: u64, old: &Session, changes: &[Change]) {
        let place = self.later.partition_point(|(from, _)| *from < at);
        if self.later.get(place).is_none_or(|(from, _)| *from != at) {
            let before = place.checked_sub(1).map_or(&self.present, |before| &self.later[before].1);
            self.later.insert(place, (at, before.clone()));
        }
        self.later[place..].iter_mut().for_each(|(_, session)| edit(session, old, changes));
    }

    fn sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        std::iter::once(&mut self.present).chain(self.later.iter_mut().map(|(_, session)| session))
    }

    /// All that are a member of a group at any time.
    fn members(&self, group: NodeId) -> impl Iterator<Item = NodeId> {
        let sessions = std::iter::once(&self.present).chain(self.later.iter().map(|(_, session)| session));
        sessions.filter_map(move |session| session.nodes.get(&group)).flat_map(|node| &node.members).copied()
    }

    /// What a strip hears, from the present on, without what changes nothing.
    fn steps(&self, member: NodeId, of: Value) -> Vec<Step> {
        let mut steps = vec![(None, of(self.present.control(member)))];
        let mut last = steps[0].1;
        for (from, session) in &self.later {
            let value = of(session.control(member));
            if value != last {
                steps.push((Some(*from), value));
                last = value;
            }
        }
        steps
    }
}

/// The node that a change is about.
fn subject(change: &Change) -> Option<NodeId> {
    match change {
        Change::Node(node) => Some(node.id),
        Change::NodeGone(id) => Some(*id),
        _ => None,
    }
}

/// Carries changes of groups over to a session in which other values of them may be different.
fn edit(session: &mut Session, old: &Session, changes: &[Change]) {
    for change in changes {
        let edited = match change {
            Change::Node(new) => match (old.nodes.get(&new.id), session.nodes.get(&new.id)) {
                (Some(old), Some(present)) => Change::Node(edited(present, old, new).into()),
                _ => change.clone(),
            },
            _ => change.clone(),
        };
        mirror::apply(session, &edited);
    }
}

/// A group, with what has changed from `old` to `new`.
fn edited(present: &Node, old: &Node, new: &Node) -> Node {
    let mut edited = present.clone();
    for param in params::changed(old, new) {
        edited.params.insert(param.name.to_owned(), params::get(new, param));
    }
    edited.members.retain(|member| new.members.contains(member) || !old.members.contains(member));
    edited.members.extend(new.members.difference(&old.members));
    edited
}

/// What must be said of `now` to somebody who knows `before`: all from where they part. What is said of a frame takes
/// the place of all that was to come then or later, and what is said of the present, of all.
fn parting(before: &[Step], mut now: Vec<Step>) -> Vec<Step> {
    if before == now {
        return Vec::new();
    }
    let same = before.iter().zip(&now).take_while(|(before, now)| before == now).count();
    let is_covered = |before: &Step| now.get(same).is_some_and(|now| now.0 <= before.0);
    // What is not to come any more is taken back with the step before it.
    let first = if before.get(same).is_none_or(is_covered) { same } else { same.saturating_sub(1) };
    now.split_off(first)
}
