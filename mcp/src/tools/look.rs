//! Tools that tell what there is.

use std::collections::BTreeSet;

use aulos_protocol::{
    Error, ErrorCode, Node, NodeKind, Query, Reply, Value, client::unexpected, params, ports,
    ports::Direction, position::Clock, show::show, wires::wires,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{Effect, Tool};
use crate::{
    call::{Call, node},
    overview::{Detail, Patch, head},
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "get_overview",
            "Overview",
            Effect::Looks,
            &["status", "session"],
            "The whole session in few words: session, transport, driver, nodes with the parameters that differ from
             their defaults and with where they go, what is soloed or wrong, what undo would take back. Begin with
             this: nodes are addressed by their names. With since_revision only what changed since then.",
            overview,
        ),
        Tool::new(
            "query",
            "Query the session",
            Effect::Looks,
            &["session", "node", "latency", "operation"],
            "Lists nodes, links, clips, ports or latencies, filtered and in pages: pass the cursor of one answer to
             get the next. Clips are told with their numbers, which clip_set and clip_remove of apply take; an
             operation, such as a render, is told by its number.",
            query,
        ),
        Tool::new(
            "get_params",
            "Parameters",
            Effect::Looks,
            &["get"],
            "The parameters of a node: value, unit, range, choices, default and what each does. Ask before setting
             one that you do not know.",
            get_params,
        )
        .answers::<Params>(),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Overview {
    /// Tells all parameters and all clips of each node, instead of what is unusual.
    #[serde(default)]
    full: bool,
    /// Only these parts: session, transport, driver, nodes, soloed, warnings, faults, operations, undo, redo, agent.
    #[serde(default)]
    fields: Vec<String>,
    /// Only the nodes that changed since this revision of the session, and the names of those that are gone.
    since_revision: Option<u64>,
    /// The most nodes that are told, 1 to 1000; 200 unless said.
    limit: Option<usize>,
}

const PARTS: [&str; 12] = [
    "revision",
    "session",
    "transport",
    "driver",
    "nodes",
    "soloed",
    "warnings",
    "faults",
    "operations",
    "undo",
    "redo",
    "agent",
];

fn overview(call: &mut Call<'_>, asked: Overview) -> Result<Json, Error> {
    if let Some(wrong) = asked.fields.iter().find(|field| !PARTS.contains(&field.as_str())) {
        let error = Error::not_found("part of the overview", wrong, PARTS);
        return Err(error.expected(format!("some of {}", PARTS.join(", "))));
    }
    let limit = limit(asked.limit, 200, 1000)?;
    let status = call.status()?;
    let session = call.session()?;
    let mut json = head(&session, &status);
    json.insert("revision".into(), json!(status.revision));
    let policy = &call.door.policy;
    json.insert(
        "agent".into(),
        json!({
            "read_only": policy.read_only,
            "gain_ceiling_db": policy.ceiling_db,
            "ramp_ms": policy.ramp_ms,
        }),
    );
    let patch = Patch::new(&session);
    let detail = if asked.full { Detail::Full } else { Detail::Compact };
    let mut nodes: Vec<&Node> = session.nodes.in_order().into_iter().map(AsRef::as_ref).collect();
    if let Some(revision) = asked.since_revision {
        match call.door.follower.since(revision, status.revision) {
            Some(since) => {
                nodes.retain(|node| since.nodes.contains(&node.id));
                json.insert("gone".into(), json!(since.gone));
                json.insert("since_revision".into(), json!(revision));
            }
            None => {
                json.insert(
                    "note".into(),
                    json!(format!("what changed since revision {revision} is not known: this is everything")),
                );
            }
        }
    }
    if nodes.len() > limit {
        let left = nodes.len() - limit;
        nodes.truncate(limit);
        json.insert("more".into(), json!(format!("{left} more nodes: use query with \"what\": \"nodes\"")));
    }
    let nodes: Vec<_> = nodes.into_iter().map(|node| patch.node(node, detail)).collect();
    json.insert("nodes".into(), json!(nodes));
    if !asked.fields.is_empty() {
        let kept: BTreeSet<&str> = asked.fields.iter().map(String::as_str).collect();
        json.retain(|name, _| {
            kept.contains(name.as_str())
                || matches!(name.as_str(), "revision" | "gone" | "since_revision" | "note")
                || (name == "more" && kept.contains("nodes"))
        });
    }
    Ok(Json::Object(json))
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Nodes with their parameters.
    Nodes,
    /// Links with their gains.
    Links,
    /// Clips with their numbers, files and places.
    Clips,
    /// Ports by which nodes are connected.
    Ports,
    /// When each stage is heard, and how links are delayed to match.
    Latency,
    /// One operation by its number.
    Operation,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is listed.
    what: What,
    /// Only of this node: it, what it is linked to, its clips, its ports.
    node: Option<String>,
    /// Only nodes of this kind, and what belongs to such.
    kind: Option<NodeKind>,
    /// Only where the name of the node has this text in it.
    name_contains: Option<String>,
    /// The number of the operation.
    operation: Option<u64>,
    /// Tells all parameters and clips of nodes.
    #[serde(default)]
    full: bool,
    /// Where the page begins: the cursor of the answer before.
    cursor: Option<String>,
    /// The most that is told at once, 1 to 500; 50 unless said.
    limit: Option<usize>,
}

fn query(call: &mut Call<'_>, asked: Asked) -> Result<Json, Error> {
    let limit = limit(asked.limit, 50, 500)?;
    if asked.what == What::Operation {
        let operation = asked.operation.ok_or_else(|| {
            Error::new(ErrorCode::InvalidArgument, "no operation is named")
                .expected("its number, as \"operation\"")
        })?;
        return match call.query(Query::Operation { operation })? {
            Reply::Operation(state) => Ok(json!({ "items": [state], "total": 1 })),
            _ => Err(unexpected("an operation")),
        };
    }
    let session = call.session()?;
    if let Some(name) = &asked.node {
        node(&session, name)?;
    }
    let wanted = |node: &Node| {
        asked.node.as_ref().is_none_or(|name| node.slug.as_str() == name)
            && asked.kind.is_none_or(|kind| node.kind == kind)
            && asked.name_contains.as_ref().is_none_or(|text| node.slug.as_str().contains(text.as_str()))
    };
    let by_name = |name: &str| session.node(name).is_some_and(|node| wanted(node));
    let nodes = session.nodes.in_order().into_iter().filter(|node| wanted(node));
    let items: Vec<Json> = match asked.what {
        What::Nodes => match &asked.node {
            // Asked for by itself: it may be gone by now, and then the server says so.
            Some(name) => match call.query(Query::Node { node: name.clone() })? {
                Reply::Node(found) => {
                    let detail = if asked.full { Detail::Full } else { Detail::Compact };
                    vec![Patch::new(&session).node(&found, detail)]
                        .into_iter()
                        .filter(|_| wanted(&found))
                        .collect()
                }
                _ => return Err(unexpected("the node")),
            },
            None => {
                let patch = Patch::new(&session);
                let detail = if asked.full { Detail::Full } else { Detail::Compact };
                nodes.map(|node| patch.node(node, detail)).collect()
            }
        },
        What::Links => wires(&session)
            .into_iter()
            .filter_map(|wire| {
                let from = session.nodes.get(&wire.from_node)?;
                let to = session.nodes.get(&wire.to_node)?;
                (wanted(from) || wanted(to)).then(|| {
                    json!({
                        "from": format!("{}:{}", from.slug, wire.from),
                        "to": format!("{}:{}", to.slug, wire.to),
                        "gain": wire.gain,
                        "links": wire.links,
                    })
                })
            })
            .collect(),
        What::Clips => {
            let clock = Clock::of(&session);
            nodes
                .flat_map(|node| {
                    node.clips.iter().map(|clip| {
                        json!({
                            "track": node.slug,
                            "clip": clip.id,
                            "file": clip.file,
                            "at": clip.at,
                            "time": clock.time(clip.at),
                            "bar": clock.bar(clip.at),
                            "offset": clip.offset,
                            "length": clip.length.map_or(json!("to the end of the file"), |length| json!(length)),
                        })
                    })
                })
                .collect()
        }
        What::Ports => nodes
            .flat_map(|node| {
                ports::groups(node.kind, node.channels).into_iter().map(|group| {
                    json!({
                        "port": format!("{}:{}", node.slug, group.name),
                        "direction": if group.direction == Direction::In { "in" } else { "out" },
                        "signal": group.signal.name(),
                        "each": group.port_names(),
                    })
                })
            })
            .collect(),
        What::Latency => match call.query(Query::Latency)? {
            Reply::Latency(report) => report
                .stages
                .iter()
                .filter(|row| by_name(&row.node))
                .map(|row| json!(row))
                .chain(report.links.iter().filter(|link| link.delay.0 > 0).map(|link| json!(link)))
                .chain(report.unaligned.iter().map(|link| json!(link)))
                .collect(),
            _ => return Err(unexpected("latencies")),
        },
        What::Operation => Vec::new(),
    };
    page(items, asked.cursor.as_deref(), limit)
}

/// A page of a list.
fn page(items: Vec<Json>, cursor: Option<&str>, limit: usize) -> Result<Json, Error> {
    let from = match cursor {
        None => 0,
        Some(cursor) => {
            cursor.parse::<usize>().ok().filter(|from| *from <= items.len()).ok_or_else(|| {
                Error::new(ErrorCode::InvalidArgument, format!("\"{cursor}\" is no cursor of this list"))
                    .expected("the cursor of the page before, or none for the first page")
            })?
        }
    };
    let total = items.len();
    let items: Vec<_> = items.into_iter().skip(from).take(limit).collect();
    let mut json = Map::new();
    if from + items.len() < total {
        json.insert("cursor".into(), json!((from + items.len()).to_string()));
    }
    json.insert("total".into(), json!(total));
    json.insert("items".into(), Json::Array(items));
    Ok(Json::Object(json))
}

fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Error> {
    let limit = asked.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return Err(Error::new(ErrorCode::OutOfRange, format!("the limit cannot be {limit}"))
            .expected(format!("1 to {most}")));
    }
    Ok(limit)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfNode {
    /// The node's name.
    node: String,
    /// Only this parameter.
    param: Option<String>,
}

/// The parameters of a node.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Params {
    /// The node's name.
    node: String,
    /// The parameters.
    params: Vec<Param>,
}

/// A parameter.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Param {
    /// Its name.
    name: String,
    /// Its value.
    value: Value,
    /// Its value as people read it.
    shown: String,
    /// Its unit, where it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    /// The lowest value.
    min: f64,
    /// The highest value.
    max: f64,
    /// The values that have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<String>,
    /// The value that it has unless another is set.
    default: Value,
    /// What it does.
    text: String,
}

fn get_params(call: &mut Call<'_>, asked: OfNode) -> Result<Params, Error> {
    let session = call.session()?;
    let node = node(&session, &asked.node)?;
    let readings = match call.query(Query::Get { node: asked.node.clone(), param: asked.param })? {
        Reply::Params { params } => params,
        _ => return Err(unexpected("parameters")),
    };
    let params = readings.into_iter().map(|reading| {
        let known = params::find(node, &reading.name)?;
        Ok(Param {
            shown: show(known.unit, reading.value),
            name: reading.name,
            value: reading.value,
            unit: reading.range.unit,
            min: reading.range.min,
            max: reading.range.max,
            choices: reading.choices,
            default: known.default,
            text: reading.text,
        })
    });
    Ok(Params { node: asked.node.clone(), params: params.collect::<Result<_, Error>>()? })
}
