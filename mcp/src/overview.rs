//! The session in few words.

use std::collections::BTreeMap;

use aulos_protocol::{
    Decibels, Node, NodeId, Session, Status, params,
    position::Clock,
    show::show_gain,
    wires::{Wire, wires},
};
use serde_json::{Map, Value as Json, json};

use crate::words;

/// How much is told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What differs from what is usual.
    Compact,
    /// All parameters and clips.
    Full,
}

/// The nodes of a session with what leaves them.
pub struct Patch<'s> {
    session: &'s Session,
    leaving: BTreeMap<NodeId, Vec<Wire>>,
}

impl<'s> Patch<'s> {
    /// Looks through the links once.
    pub fn new(session: &'s Session) -> Self {
        let mut leaving: BTreeMap<NodeId, Vec<Wire>> = BTreeMap::new();
        for wire in wires(session) {
            leaving.entry(wire.from_node).or_default().push(wire);
        }
        Self { session, leaving }
    }

    /// A node as JSON.
    pub fn node(&self, node: &Node, detail: Detail) -> Json {
        let mut json = Map::new();
        json.insert("name".into(), json!(node.slug));
        json.insert("kind".into(), json!(node.kind));
        if node.channels != 2 || detail == Detail::Full {
            json.insert("channels".into(), json!(node.channels));
        }
        let mut set = Map::new();
        for param in params::of(node.kind, node.channels) {
            let value = params::get(node, param);
            if detail == Detail::Full || value != param.default {
                set.insert(param.name.into(), json!(value));
            }
        }
        if !set.is_empty() {
            json.insert("params".into(), Json::Object(set));
        }
        if detail == Detail::Full && !node.clips.is_empty() {
            json.insert("clips".into(), json!(node.clips));
        } else if !node.clips.is_empty() {
            json.insert("clips".into(), json!(node.clips.len()));
        }
        if !node.members.is_empty() {
            let name = |id| self.session.nodes.get(id).map(|node| node.slug.to_string());
            json.insert("members".into(), json!(node.members.iter().filter_map(name).collect::<Vec<_>>()));
        }
        let to: Vec<_> = self.leaving.get(&node.id).into_iter().flatten().map(|wire| self.to(wire)).collect();
        if !to.is_empty() {
            json.insert("to".into(), json!(to));
        }
        Json::Object(json)
    }

    /// Where a wire goes: `master`, `pre > room-send -6 dB`.
    fn to(&self, wire: &Wire) -> String {
        let name = self.session.nodes.get(&wire.to_node).map_or("", |node| node.slug.as_str());
        let mut text = if wire.from == "out" { String::new() } else { format!("{} > ", wire.from) };
        text.push_str(name);
        if wire.to != "in" {
            text.push_str(&format!(":{}", wire.to));
        }
        if wire.gain != Decibels::UNITY {
            text.push_str(&format!(" {}", show_gain(wire.gain)));
        }
        text
    }
}

/// What is above the nodes: session, transport, driver.
pub fn head(session: &Session, status: &Status) -> Map<String, Json> {
    let clock = Clock::of(session);
    let position = status.transport.position;
    let mut driver = json!({
        "name": status.driver.name,
        "load": rounded(status.driver.load),
        "xruns": status.driver.xruns,
        "late": status.driver.late,
        "latency_frames": status.latency,
    });
    if let Some(lost) = &status.driver.lost {
        driver["lost"] = json!(lost);
    }
    let mut json = Map::new();
    json.insert(
        "session".into(),
        json!({
            "name": session.name,
            "path": status.path.as_deref().unwrap_or("only in memory"),
            "unsaved": status.unsaved,
            "rate": session.rate,
            "tempo": session.tempo,
            "signature": session.signature,
            "fade_ms": session.edit_fade_ms,
        }),
    );
    json.insert(
        "transport".into(),
        json!({
            "rolling": status.transport.rolling,
            "position": position,
            "time": clock.time(position),
            "bar": clock.bar(position),
            "loop": clock.range(status.loop_range),
        }),
    );
    json.insert("driver".into(), driver);
    let warnings: Vec<_> = status.warnings.iter().map(|warning| words::of_tools(warning)).collect();
    for (name, list) in [("soloed", &status.soloed), ("warnings", &warnings)] {
        if !list.is_empty() {
            json.insert(name.into(), json!(list));
        }
    }
    if !status.faults.is_empty() {
        json.insert("faults".into(), json!(status.faults));
    }
    if !status.operations.is_empty() {
        json.insert("operations".into(), json!(status.operations));
    }
    for (name, step) in [("undo", &status.undo), ("redo", &status.redo)] {
        if let Some(step) = step {
            json.insert(name.into(), json!(step));
        }
    }
    json
}

/// Three digits are enough for a load.
pub fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// A linear level in dB to two digits; none for silence.
pub fn decibels(level: f64) -> Option<f64> {
    (level > 0.0).then(|| (2000.0 * level.log10()).round() / 100.0)
}
