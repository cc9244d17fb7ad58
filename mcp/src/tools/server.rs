//! Tools of the server itself: what is wrong with it, its driver, its words, its end.

use std::collections::{BTreeSet, VecDeque};

use aulos_protocol::{
    Command, DriverKind, Error, ErrorCode, Node, NodeId, NodeKind, PROTOCOL, Query, Reply, Session, Status,
    client::unexpected, params, registry, wire,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Effect, Tool};
use crate::{
    call::{Call, node},
    overview::rounded,
    schema, words,
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "diagnose",
            "Diagnose",
            Effect::Looks,
            &["status", "session", "latency", "hello"],
            "Looks for what is wrong: a lost driver, late cycles, missing files, nodes that put out no sound, and, for
             one node or all, why it is not heard: a mute, a solo elsewhere, a gain at silence, no way to an output, a
             transport that stands.",
            diagnose,
        )
        .answers::<Findings>(),
        Tool::new(
            "driver",
            "Driver",
            Effect::Destroys,
            &["driver_set", "drivers", "status"],
            "Tells the driver that runs and lists those that there are (list), or changes to another driver, device or
             block while the engine goes on (set). If the new one cannot be opened, the one before is taken up again.",
            driver,
        ),
        Tool::new(
            "reset_loudness",
            "Reset loudness",
            Effect::Sets,
            &["loudness_reset"],
            "Lets integrated loudness, loudness range and true peak of the masters begin anew, so that get_meters
             measures what is played from now on.",
            reset_loudness,
        ),
        Tool::new(
            "describe",
            "Describe the server's words",
            Effect::Looks,
            &["schema"],
            "What the server itself understands: all commands and queries with what they do, or the JSON Schema of one.
             The operations of apply are among them.",
            describe,
        ),
        Tool::new(
            "shutdown",
            "End the server",
            Effect::Destroys,
            &["shutdown"],
            "Saves the session, if it has a folder, and ends the server: everything falls silent for everybody. The
             first call is answered with what is lost and with what confirms it; a person is asked where that is
             possible.",
            shutdown,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfNode {
    /// Only why this node is not heard.
    node: Option<String>,
}

/// What is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Findings {
    /// Whether nothing was found.
    ok: bool,
    /// What was found, and what can be done, a sentence each.
    findings: Vec<String>,
    /// The server's version.
    version: String,
    /// The driver.
    driver: String,
    /// Time spent in cycles divided by the time that they stand for, over the last second.
    load: f64,
    /// How many frames the whole graph takes.
    latency_frames: u64,
    /// Calls of tools that were refused because too many ran at once.
    refused_calls: u64,
}

fn diagnose(call: &mut Call<'_>, asked: OfNode) -> Result<Findings, Error> {
    let version = match call.query(Query::Hello { protocol: PROTOCOL })? {
        Reply::Hello(hello) => hello.version,
        _ => return Err(unexpected("hello")),
    };
    let status = call.status()?;
    let session = call.session()?;
    let report = match call.query(Query::Latency)? {
        Reply::Latency(report) => report,
        _ => return Err(unexpected("latencies")),
    };
    let mut findings = Vec::new();
    match &asked.node {
        Some(name) => findings.extend(unheard(&session, &status, node(&session, name)?)),
        None => {
            findings.extend(of_server(&status));
            findings.extend(report.unaligned.iter().map(|link| {
                format!(
                    "{} → {} is {} frames early: low_latency_monitor is on",
                    link.from, link.to, link.early
                )
            }));
            let sources = session.nodes.in_order().into_iter().filter(|node| is_source(node));
            findings.extend(sources.flat_map(|node| unheard(&session, &status, node)));
            if !session.nodes.in_order().iter().any(|node| node.kind == NodeKind::Output) {
                findings.push(
                    "there is no output: add one with node_add of apply and link the master to it".into(),
                );
            }
        }
    }
    let mut seen = BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.clone()));
    const MOST: usize = 100;
    if findings.len() > MOST {
        let more = findings.len() - MOST;
        findings.truncate(MOST);
        findings.push(format!("and {more} more"));
    }
    Ok(Findings {
        ok: findings.is_empty(),
        findings,
        version,
        driver: status.driver.name.clone(),
        load: rounded(status.driver.load),
        latency_frames: report.total.0,
        refused_calls: call.door.crowded.load(std::sync::atomic::Ordering::Relaxed),
    })
}

/// What is wrong with the server as a whole.
fn of_server(status: &Status) -> Vec<String> {
    let mut findings: Vec<_> = status.warnings.iter().map(|warning| words::of_tools(warning)).collect();
    let driver = &status.driver;
    if let Some(why) = &driver.lost {
        findings.push(format!("the device of {} is lost: {why}; the dummy clock stands in", driver.name));
    }
    for (count, what) in [
        (driver.late, "late cycles: use a larger block, or fewer nodes, if that goes on"),
        (driver.xruns, "times that the device had to go without samples"),
        (status.streams.underruns, "silent blocks of audio files because the disk was late"),
    ] {
        if count > 0 {
            findings.push(format!("{count} {what}"));
        }
    }
    if let Err(why) = &driver.realtime {
        findings.push(format!("the audio thread has no real-time priority: {why}"));
    }
    for fault in &status.faults {
        findings.push(format!("{} has put out what is no sound, or was late: {}", fault.node, json!(fault)));
    }
    findings
}

/// Whether sound begins at a node.
fn is_source(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Track | NodeKind::Input | NodeKind::Tone | NodeKind::Click)
}

/// Why a node is not heard; nothing if it should be.
fn unheard(session: &Session, status: &Status, node: &Node) -> Vec<String> {
    let mut findings = Vec::new();
    let name = &node.slug;
    if node.kind.has_members() {
        return vec![format!("{name} is a {}: nothing passes through it", node.kind)];
    }
    if node.kind == NodeKind::Track
        && node.clips.is_empty()
        && session.links.entering(node.id).next().is_none()
    {
        findings.push(format!("{name} has neither clips nor anything linked to its input"));
    }
    let needs_transport = node.kind == NodeKind::Click || !node.clips.is_empty();
    if needs_transport && !status.transport.rolling {
        findings.push(format!("{name} is heard only while the transport rolls, and it stands: play"));
    }
    let end = node.clips.iter().filter_map(|clip| Some(clip.at.0 + clip.length?.0)).max();
    let all_end = node.clips.iter().all(|clip| clip.length.is_some());
    if let Some(end) = end
        && all_end
        && end <= status.transport.position.0
        && status.loop_range.is_none()
    {
        findings.push(format!("the clips of {name} end at {end}, before the transport's position"));
    }
    let (reaches, stopped) = way_out(session, node.id);
    if !reaches {
        match stopped.as_slice() {
            [] => findings
                .push(format!("{name} is not linked on to an output: connect it, to the master as a rule")),
            _ => findings
                .extend(stopped.into_iter().map(|why| format!("{name} does not reach an output: {why}"))),
        }
    }
    if !status.soloed.is_empty() && params::number(node, "solo").is_some_and(|solo| solo == 0.0) {
        findings.push(format!(
            "{} soloed: what does not pass there is not heard; set solo to false on them",
            match status.soloed.as_slice() {
                [only] => format!("{only} is"),
                several => format!("{} are", several.join(", ")),
            }
        ));
    }
    findings
}

/// Whether sound of a node gets to an output, and what stops it.
fn way_out(session: &Session, from: NodeId) -> (bool, Vec<String>) {
    let mut seen = BTreeSet::from([from]);
    let mut next = VecDeque::from([from]);
    let mut stopped = Vec::new();
    while let Some(id) = next.pop_front() {
        let Some(node) = session.nodes.get(&id) else { continue };
        if node.kind == NodeKind::Output {
            return (true, stopped);
        }
        let control = session.control(id);
        let is_muted = control.mute || params::number(node, "mute").is_some_and(|mute| mute != 0.0);
        let silent = ["gain", "level", "trim", "output"]
            .into_iter()
            .find(|name| params::number(node, name).is_some_and(|db| db == f64::NEG_INFINITY));
        if is_muted {
            stopped.push(format!(
                "{} is muted{}",
                node.slug,
                if control.mute { " by a vca or group" } else { "" }
            ));
            continue;
        }
        if let Some(param) = silent {
            stopped.push(format!("{}/{param} is at silence", node.slug));
            continue;
        }
        for link in session.links.leaving(id) {
            if link.gain.is_silence() {
                stopped.push(format!(
                    "the link {} → {} is at silence",
                    session.port_text(&link.from),
                    session.port_text(&link.to)
                ));
            } else if seen.insert(link.to.node) {
                next.push_back(link.to.node);
            }
        }
    }
    (false, stopped)
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DriverAction {
    /// Tells the one that runs, and lists those that there are.
    List,
    /// Changes it.
    Set,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Driver {
    /// What is to be done.
    action: DriverAction,
    /// Another driver.
    driver: Option<DriverKind>,
    /// The ALSA device.
    device: Option<String>,
    /// Frames in a cycle, 1 to 8192.
    block: Option<u32>,
}

fn driver(call: &mut Call<'_>, asked: Driver) -> Result<Json, Error> {
    match asked.action {
        DriverAction::List => {
            let drivers = match call.query(Query::Drivers)? {
                Reply::Drivers { drivers } => drivers,
                _ => return Err(unexpected("the drivers")),
            };
            Ok(json!({ "running": call.status()?.driver, "drivers": drivers }))
        }
        DriverAction::Set => {
            let Driver { driver, device, block, .. } = asked;
            if driver.is_none() && device.is_none() && block.is_none() {
                return Err(Error::new(ErrorCode::InvalidArgument, "nothing is to be set")
                    .expected("\"driver\", \"device\" or \"block\""));
            }
            call.command(Command::SetDriver { driver, device, block })?;
            Ok(json!({ "running": call.status()?.driver }))
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfMaster {
    /// The master; all unless said.
    node: Option<String>,
}

fn reset_loudness(call: &mut Call<'_>, asked: OfMaster) -> Result<Json, Error> {
    call.command(Command::ResetLoudness { node: asked.node })?;
    Ok(json!({ "reset": true }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfMethod {
    /// The command or query whose schema is told; a list of all unless said.
    method: Option<String>,
}

fn describe(call: &mut Call<'_>, asked: OfMethod) -> Result<Json, Error> {
    let Some(name) = asked.method else {
        let methods = registry::methods().iter();
        let line = |method: &registry::Method| json!({ "name": method.name, "changes": method.is_command, "text": method.text.lines().next() });
        return Ok(json!({ "methods": methods.map(line).collect::<Vec<_>>() }));
    };
    let method = registry::method(&name)?;
    let schemas = match call.query(Query::Schema)? {
        Reply::Schema(schemas) => schemas,
        _ => return Err(unexpected("the schemas")),
    };
    let mut whole = schemas[if method.is_command { "command" } else { "query" }].clone();
    let variants = whole["oneOf"].take();
    let is_it = |variant: &&Json| variant.pointer("/properties/method/const").is_some_and(|it| *it == name);
    let mut found = variants.as_array().into_iter().flatten().find(is_it).cloned().ok_or_else(|| {
        Error::new(ErrorCode::Version, format!("the server does not know {name}"))
            .expected(format!("a server of protocol {}", wire::schemas()["protocol"]))
    })?;
    let mut definitions = json!({});
    schema::refer(&found, &whole["$defs"], &mut definitions);
    found["$defs"] = definitions;
    schema::tidy(&mut found);
    Ok(json!({ "name": name, "changes": method.is_command, "text": method.text, "schema": found }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shutdown {
    /// What the refusal of the first call says.
    confirm: Option<String>,
    /// Ends it without saving; changes are lost.
    #[serde(default)]
    discard: bool,
}

fn shutdown(call: &mut Call<'_>, asked: Shutdown) -> Result<Json, Error> {
    call.door.policy.may_change()?;
    let status = call.status()?;
    let is_lost = status.unsaved && (asked.discard || status.path.is_none());
    let mut what = "the server is ended, and everything falls silent for everybody".to_owned();
    if is_lost {
        what.push_str(&format!(", and the changes of the session \"{}\" are lost", status.session));
    }
    let revision = if is_lost { status.revision } else { 0 };
    let act = format!("shutdown {} {} {revision}", asked.discard, status.path.unwrap_or_default());
    call.sure(&act, &what, asked.confirm.as_deref())?;
    call.command(Command::Shutdown { discard: asked.discard })?;
    Ok(json!({ "ended": true }))
}
