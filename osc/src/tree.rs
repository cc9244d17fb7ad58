//! The addresses as OSCQuery describes them: nodes of JSON, each with the attributes that fit it.
//!
//! Source: the OSCQuery proposal, whose words for attributes and units these are.

use aulos_protocol::{Node, NodeKind, Range, State, ports, registry};
use rosc::OscType;
use serde_json::{Map, Value as Json, json};

use crate::{
    args,
    own::DOORS,
    space::{self, Target},
};

/// The attributes that a node can have.
pub const ATTRIBUTES: [&str; 9] =
    ["FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "CLIPMODE"];

/// An address with what there is to know of it.
struct Leaf {
    address: String,
    attributes: Map<String, Json>,
}

/// What may be done with an address.
#[derive(Clone, Copy)]
enum Access {
    Read = 1,
    Write = 2,
    Both = 3,
}

impl Leaf {
    fn new(address: String, types: String, access: Access, text: &str) -> Self {
        let mut attributes = Map::new();
        // "N": it takes none.
        let types = if types.is_empty() { "N".into() } else { types };
        attributes.insert("TYPE".into(), types.into());
        attributes.insert("ACCESS".into(), (access as u8).into());
        attributes.insert("DESCRIPTION".into(), text.into());
        Self { address, attributes }
    }

    /// Of something that has a value.
    fn of(target: &Target, state: &State) -> Self {
        let value = target.value(state);
        let types = value.iter().map(args::type_tag).collect();
        let access = if target.is_writable() { Access::Both } else { Access::Read };
        let mut leaf = Self::new(target.to_string(), types, access, target.text());
        let (range, choices) = (target.range(), target.choices());
        let within = |number: f64| match &range {
            Some(Range { min, max, .. }) => number.clamp(*min, *max),
            None => number,
        };
        let values: Vec<_> = value.iter().map(|arg| plain(arg, within)).collect();
        let mut put = |name: &str, one: Json| {
            leaf.attributes.insert(name.into(), Json::Array(vec![one; values.len()]));
        };
        match &range {
            Some(Range { min, max, unit }) => {
                put("RANGE", json!({ "MIN": min, "MAX": max }));
                put("CLIPMODE", "both".into());
                if let Some(unit) = unit_name(unit) {
                    put("UNIT", unit.into());
                }
            }
            None if !choices.is_empty() => put("RANGE", json!({ "VALS": choices })),
            None => {}
        }
        leaf.attributes.insert("VALUE".into(), values.into());
        leaf
    }
}

/// A value as JSON, which has no infinity: silence is the end of the range.
fn plain(arg: &OscType, within: impl Fn(f64) -> f64) -> Json {
    match arg {
        OscType::Int(number) => (*number).into(),
        OscType::Long(number) => (*number).into(),
        OscType::String(text) => text.as_str().into(),
        arg => args::number(arg).map_or(Json::Null, |number| within(number).into()),
    }
}

fn unit_name(unit: &str) -> Option<&'static str> {
    match unit {
        "dB" => Some("gain.db"),
        "Hz" => Some("time.hz"),
        "ms" => Some("time.ms"),
        "bpm" => Some("time.bpm"),
        "frames" => Some("time.samples"),
        _ => None,
    }
}

/// How many channels the meter of a node shows; none if it has no meter.
fn metered(kind: NodeKind, channels: u16) -> Option<u16> {
    match kind {
        NodeKind::Track | NodeKind::Bus | NodeKind::Send => Some(ports::panned(channels)),
        NodeKind::Master | NodeKind::Dynamics => Some(channels),
        _ => None,
    }
}

/// Every address, those of a state first.
fn leaves(state: &State) -> impl Iterator<Item = Leaf> {
    let values = space::all(state).map(|target| Leaf::of(&target, state));
    let meters = state.session.nodes.in_order().into_iter().filter_map(|node| {
        let channels = metered(node.kind, node.channels)?;
        let address = format!("/meter/{}/{}", node.kind, node.slug);
        let text = "Peak and RMS of each channel, in dB of full scale; told to those who listen.";
        Some(Leaf::new(address, "ff".repeat(channels.into()), Access::Read, text))
    });
    let methods = registry::methods().iter().filter_map(|method| {
        let text = format!("{} {}", first(&method.text), args::usage(method));
        Some(Leaf::new(method.address?.to_owned(), args::type_tags(method), Access::Write, &text))
    });
    let doors = DOORS.iter().map(|door| {
        let text = format!("{} {} {}", door.text, door.address, door.usage);
        Leaf::new(door.address.to_owned(), types(door.usage), Access::Write, text.trim_end())
    });
    values.chain(meters).chain(methods).chain(doors)
}

/// The types of arguments that are said as `name:type`.
fn types(usage: &str) -> String {
    usage.split_whitespace().filter_map(|arg| arg.split_once(':')?.1.chars().next()).collect()
}

fn first(text: &str) -> &str {
    text.split("\n\n").next().unwrap_or_default()
}

/// The node of a path and all below it; none if there is none. A number in the place of a name leads to the named one.
///
/// It looks at every address of the state.
pub fn describe(state: &State, path: &str) -> Option<Json> {
    let path = path.trim_end_matches('/');
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    // Also the ways of naming it that are not listed.
    let found = space::find(state, path).ok().map(|target| target.to_string());
    let path = found.as_deref().unwrap_or(path);
    let below = |address: &str| {
        address.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut root = container(if path.is_empty() { "/" } else { path });
    let mut any = path.is_empty();
    for leaf in leaves(state).filter(|leaf| below(&leaf.address)) {
        any = true;
        put(&mut root, path.len(), leaf);
    }
    any.then_some(root)
}

/// The paths that come and go with a node: that of its values, then that of its meter, if it has one.
pub fn paths(node: &Node) -> Vec<String> {
    let values = format!("/{}/{}", node.kind, node.slug);
    let meter = metered(node.kind, node.channels).map(|_| format!("/meter{values}"));
    std::iter::once(values).chain(meter).collect()
}

fn container(path: &str) -> Json {
    json!({ "FULL_PATH": path, "ACCESS": 0 })
}

/// Puts a leaf where it belongs below `root`, whose own address has so many bytes.
fn put(root: &mut Json, length: usize, leaf: Leaf) {
    let mut node = root;
    let mut end = length;
    for part in leaf.address[length..].split('/').skip(1) {
        end += 1 + part.len();
        let path = &leaf.address[..end];
        node = &mut node["CONTENTS"][part];
        if node.is_null() {
            *node = container(path);
        }
    }
    if let Some(node) = node.as_object_mut() {
        node.extend(leaf.attributes);
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
