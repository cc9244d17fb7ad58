//! Which properties there are beside the parameters of nodes: a table for each object, and one of what all nodes have.

use std::sync::{LazyLock, atomic::Ordering::Relaxed};

use aulos_protocol::{LoopRange, Node, Status, ports};
use serde_json::{Value as Json, json};
use zbus::zvariant::{Array, Signature, Value};

use super::{
    members,
    properties::{Emits, Property, Set, Source, View},
    replies,
};

/// Name, type, whether changes are told, what it is, where it is read, how it is set.
type Row = (&'static str, &'static str, Emits, &'static str, Source, Option<Set>);

fn rows(rows: &[Row]) -> Vec<Property> {
    let property = |(name, signature, emits, text, source, set): &Row| Property {
        name: (*name).to_owned(),
        signature,
        emits: *emits,
        text: (*text).to_owned(),
        source: *source,
        set: *set,
    };
    rows.iter().map(property).collect()
}

/// The properties of the object of this word.
pub fn of_object(word: &str) -> Vec<Property> {
    rows(match word {
        members::MANAGER => MANAGER,
        "graph" => GRAPH,
        "engine" => ENGINE,
        "driver" => DRIVER,
        "session" => SESSION,
        "transport" => TRANSPORT,
        "node" => NODES,
        _ => &[],
    })
}

/// The properties that every node has.
pub fn of_node() -> &'static [Property] {
    static PROPERTIES: LazyLock<Vec<Property>> = LazyLock::new(|| rows(NODE));
    &PROPERTIES
}

const MANAGER: &[Row] = &[
    ("Version", "s", Emits::Const, "The server's version.", view(|_| text(env!("CARGO_PKG_VERSION"))), None),
    ("Pid", "u", Emits::Const, "The server's process.", view(|_| Value::from(std::process::id())), None),
    (
        "Rate",
        "u",
        Emits::True,
        "The engine's rate in Hz.",
        view(|view| Value::from(view.state.session.rate.hz())),
        None,
    ),
    ("Quantum", "u", Emits::True, "Frames in a cycle.", view(|view| Value::from(view.driver.block)), None),
    (
        "Load",
        "d",
        Emits::False,
        "Time spent in cycles divided by the time that they stand for, over the last second.",
        status(|status| Value::from(status.driver.load)),
        None,
    ),
    (
        "Xruns",
        "t",
        Emits::False,
        "How often the device had to go without samples, or lost some.",
        status(|status| Value::from(status.driver.xruns)),
        None,
    ),
    (
        "Warnings",
        "as",
        Emits::False,
        "What is wrong and should be known.",
        status(|status| texts(status.warnings.iter().map(String::as_str))),
        None,
    ),
    (
        "Refused",
        "t",
        Emits::False,
        "Calls over the bus that were refused, being too many at once or too large.",
        view(|view| Value::from(view.counts.refused.load(Relaxed))),
        None,
    ),
    (
        "SignalsDropped",
        "t",
        Emits::False,
        "Signals that found no room.",
        view(|view| Value::from(view.counts.signals_dropped.load(Relaxed))),
        None,
    ),
];

const GRAPH: &[Row] = &[(
    "Revision",
    "t",
    Emits::True,
    "The session's revision, which every change raises.",
    view(|view| Value::from(view.state.revision)),
    None,
)];

const ENGINE: &[Row] = &[
    (
        "Frame",
        "t",
        Emits::False,
        "The engine's frame.",
        status(|status| Value::from(status.driver.frame.0)),
        None,
    ),
    ("Cycles", "t", Emits::False, "Cycles so far.", status(|status| Value::from(status.driver.cycles)), None),
    (
        "Late",
        "t",
        Emits::False,
        "Cycles that ended after their deadline.",
        status(|status| Value::from(status.driver.late)),
        None,
    ),
    (
        "Underruns",
        "t",
        Emits::False,
        "Blocks that were played silent because the disk was late.",
        status(|status| Value::from(status.streams.underruns)),
        None,
    ),
    (
        "WorstLoad",
        "d",
        Emits::False,
        "The highest load of a second within the last minute.",
        status(|status| Value::from(status.worst_load)),
        None,
    ),
    (
        "TotalLatency",
        "t",
        Emits::False,
        "Latency of the outputs, in frames.",
        status(|status| Value::from(status.latency.0)),
        None,
    ),
    (
        "MetersDropped",
        "t",
        Emits::False,
        "Readings of meters that nobody read in time.",
        view(|view| Value::from(view.counts.meters_dropped.load(Relaxed))),
        None,
    ),
];

const DRIVER: &[Row] = &[
    (
        "Name",
        "s",
        Emits::True,
        "The driver that is used, also while its device is lost.",
        view(|view| text(view.driver.name.as_str())),
        None,
    ),
    (
        "Running",
        "b",
        Emits::True,
        "Whether it calls the engine; if not, the dummy clock does.",
        view(|view| Value::from(view.driver.running)),
        None,
    ),
    (
        "Device",
        "s",
        Emits::True,
        "The device that runs; empty if none does.",
        view(|view| text(view.driver.device.clone().unwrap_or_default())),
        None,
    ),
    (
        "Reason",
        "s",
        Emits::True,
        "Why this driver is used, where that was left to the server.",
        view(|view| text(view.driver.reason.clone().unwrap_or_default())),
        None,
    ),
    (
        "Lost",
        "s",
        Emits::True,
        "Why the device does not run; empty if it does.",
        view(|view| text(view.driver.lost.clone().unwrap_or_default())),
        None,
    ),
    (
        "Losses",
        "t",
        Emits::True,
        "How often the device was lost.",
        view(|view| Value::from(view.driver.losses)),
        None,
    ),
];

const SESSION: &[Row] = &[
    (
        "Name",
        "s",
        Emits::True,
        "The session's name.",
        view(|view| text(view.state.session.name.as_str())),
        Some(|_, name| ("session_set", json!({ "name": name }))),
    ),
    (
        "Path",
        "s",
        Emits::True,
        "The session's folder; empty while it is only in memory.",
        view(|view| text(view.state.path.clone().unwrap_or_default())),
        None,
    ),
    (
        "EditFadeMs",
        "d",
        Emits::True,
        "The length of fades in ms.",
        view(|view| Value::from(view.state.session.edit_fade_ms)),
        Some(|_, ms| ("session_set", json!({ "edit_fade_ms": ms }))),
    ),
    (
        "MaxLatencyMs",
        "d",
        Emits::True,
        "The longest latency that a node may report in ms.",
        view(|view| Value::from(view.state.session.max_latency_ms)),
        Some(|_, ms| ("session_set", json!({ "max_latency_ms": ms }))),
    ),
    (
        "MaxBlock",
        "u",
        Emits::True,
        "The longest block that is rendered at once, in frames.",
        view(|view| Value::from(view.state.session.max_block)),
        None,
    ),
    (
        "Unsaved",
        "b",
        Emits::Invalidates,
        "Whether the session has changes that are not saved.",
        status(|status| Value::from(status.unsaved)),
        None,
    ),
    (
        "UndoTitle",
        "s",
        Emits::Invalidates,
        "What undo would take back; empty if nothing.",
        status(|status| text(status.undo.clone().unwrap_or_default())),
        None,
    ),
    (
        "RedoTitle",
        "s",
        Emits::Invalidates,
        "What redo would do again; empty if nothing.",
        status(|status| text(status.redo.clone().unwrap_or_default())),
        None,
    ),
];

const TRANSPORT: &[Row] = &[
    (
        "Rolling",
        "b",
        Emits::True,
        "Whether time passes.",
        view(|view| Value::from(view.state.transport.rolling)),
        None,
    ),
    (
        "Waiting",
        "b",
        Emits::True,
        "Whether a start is waiting for the audio files to be read ahead.",
        view(|view| Value::from(view.state.transport.waiting)),
        None,
    ),
    (
        "Position",
        "t",
        Emits::False,
        "The position on the timeline, in frames.",
        status(|status| Value::from(status.transport.position.0)),
        None,
    ),
    (
        "Tempo",
        "d",
        Emits::True,
        "The tempo in quarter notes a minute.",
        view(|view| Value::from(view.state.session.tempo.get())),
        Some(|_, bpm| ("session_set", json!({ "tempo": bpm }))),
    ),
    (
        "Signature",
        "s",
        Emits::True,
        "The time signature, such as 4/4.",
        view(|view| text(view.state.session.signature.to_string())),
        Some(|_, signature| ("session_set", json!({ "signature": signature }))),
    ),
    (
        "LoopRange",
        "(tt)",
        Emits::True,
        "First and one-after-last frame of the loop; both 0 if there is none.",
        view(|view| loop_range(view.state.session.loop_range)),
        Some(set_loop),
    ),
];

const NODES: &[Row] = &[(
    "Soloed",
    "as",
    Emits::False,
    "The nodes that are soloed, as they are listed.",
    status(|status| texts(status.soloed.iter().map(String::as_str))),
    None,
)];

const NODE: &[Row] = &[
    (
        "Name",
        "s",
        Emits::True,
        "The node's name. A node that is renamed has another object.",
        Source::Node(|_, node| text(node.slug.as_str())),
        Some(|node, name| ("node_rename", json!({ "node": node, "name": name }))),
    ),
    (
        "Id",
        "t",
        Emits::Const,
        "The node's number, which it keeps when it is renamed.",
        Source::Node(|_, node| Value::from(node.id.0)),
        None,
    ),
    ("Kind", "s", Emits::Const, "What the node is.", Source::Node(|_, node| text(node.kind.name())), None),
    (
        "Channels",
        "q",
        Emits::Const,
        "How many channels it has.",
        Source::Node(|_, node| Value::from(node.channels)),
        None,
    ),
    (
        "Ports",
        "a(sss)",
        Emits::Const,
        "Name, group, and direction (in or out) of each port.",
        Source::Node(node_ports),
        None,
    ),
    (
        "Place",
        "d",
        Emits::True,
        "Where it is listed: nodes are listed by rising place, then by number.",
        Source::Node(|_, node| Value::from(node.place())),
        None,
    ),
    (
        "Members",
        "as",
        Emits::True,
        "The names of the members of a vca or group.",
        Source::Node(names_of_members),
        None,
    ),
    ("Clips", "aa{sv}", Emits::True, "The clips of a track.", Source::Node(clips), None),
];

const fn view(read: fn(&View) -> Value<'static>) -> Source {
    Source::View(read)
}

const fn status(read: fn(&Status) -> Value<'static>) -> Source {
    Source::Status(read)
}

fn node_ports(_: &View, node: &Node) -> Value<'static> {
    let mut all = Vec::new();
    for group in ports::groups(node.kind, node.channels) {
        let direction = match group.direction {
            ports::Direction::In => "in",
            ports::Direction::Out => "out",
        };
        for name in group.port_names() {
            all.push((name, group.name.to_owned(), direction.to_owned()));
        }
    }
    Value::from(all)
}

fn names_of_members(view: &View, node: &Node) -> Value<'static> {
    let nodes = &view.state.session.nodes;
    texts(node.members.iter().filter_map(|id| nodes.get(id)).map(|member| member.slug.as_str()))
}

fn clips(_: &View, node: &Node) -> Value<'static> {
    let mut clips =
        Array::new(&Signature::Dict { key: Signature::Str.into(), value: Signature::Variant.into() });
    for clip in &node.clips {
        let mut fields = replies::named();
        replies::put(&mut fields, "clip", Value::U64(clip.id.0));
        replies::put(&mut fields, "file", text(clip.file.as_str()));
        replies::put(&mut fields, "at", Value::U64(clip.at.0));
        replies::put(&mut fields, "offset", Value::U64(clip.offset.0));
        if let Some(length) = clip.length {
            replies::put(&mut fields, "length", Value::U64(length.0));
        }
        if let Err(error) = clips.append(Value::Dict(fields)) {
            tracing::error!("a clip cannot be told over the bus: {error}");
        }
    }
    Value::Array(clips)
}

fn text(text: impl Into<String>) -> Value<'static> {
    Value::from(text.into())
}

fn texts<'a>(all: impl IntoIterator<Item = &'a str>) -> Value<'static> {
    Value::from(all.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// A loop as two numbers, which are both 0 if there is none.
fn loop_range(range: Option<LoopRange>) -> Value<'static> {
    Value::from(range.map_or((0_u64, 0_u64), |(start, end)| (start.0, end.0)))
}

fn set_loop(_: &str, pair: Json) -> (&'static str, Json) {
    let is_none = pair == json!([0, 0]);
    ("loop", if is_none { json!({}) } else { json!({ "start": pair[0], "end": pair[1] }) })
}
