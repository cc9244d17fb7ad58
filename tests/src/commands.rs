//! Commands in few words, for tests.

use aulos_protocol::{Command, Decibels, NewNode, NodeKind, Rate, Session, Value};

/// Adds a node with these parameters; 0 and 1 also set switches.
pub fn add(kind: NodeKind, name: &str, channels: u16, set: &[(&str, f64)]) -> Command {
    let params = set.iter().map(|(name, value)| ((*name).to_owned(), Value::Number(*value))).collect();
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(channels), params })
}

/// Links two ends, such as `drums` and `master:in_L`.
///
/// # Panics
/// If an end is none.
pub fn link(from: &str, to: &str) -> Command {
    Command::Link { from: end(from), to: end(to), gain: None }
}

/// Links two ends at a gain in dB; −∞ for silence.
///
/// # Panics
/// If an end is none.
pub fn link_at(from: &str, to: &str, gain: f64) -> Command {
    Command::Link { from: end(from), to: end(to), gain: Decibels::new(gain) }
}

/// Unlinks two ends.
///
/// # Panics
/// If an end is none.
pub fn unlink(from: &str, to: &str) -> Command {
    Command::Unlink { from: end(from), to: end(to) }
}

/// Sets a parameter to a number; 0 and 1 also set switches.
pub fn set(node: &str, param: &str, value: f64) -> Command {
    Command::SetParam { node: node.into(), param: param.into(), value: Value::Number(value) }
}

/// What commands make of an empty session.
///
/// # Panics
/// If one of them is refused.
pub fn session(commands: Vec<Command>) -> Session {
    let empty = Session::new("test", Rate::default());
    let made = aulos_engine::session::apply(&empty, &Command::Batch { commands });
    made.unwrap_or_else(|error| panic!("{error:?}")).0
}

fn end(text: &str) -> aulos_protocol::Endpoint {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Makes strips members of a group.
pub fn members(group: &str, nodes: &[&str]) -> Command {
    Command::AddMembers { group: group.into(), nodes: nodes.iter().map(|node| (*node).to_owned()).collect() }
}
