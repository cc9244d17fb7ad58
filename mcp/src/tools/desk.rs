//! Tools of the desk: the transport, and silence at once.

use std::collections::BTreeSet;

use aulos_protocol::{
    Bpm, Command, Decibels, Endpoint, Error, ErrorCode, NodeKind, Query, Reply, Session, Signature, Value,
    client::unexpected, params,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Nothing, Tool};
use crate::{
    call::{Call, Changed},
    inputs::Time,
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "transport",
            "Transport",
            Effect::Adds,
            &["play", "pause", "stop", "locate", "loop", "schedule_clear", "session_set", "step", "clock"],
            "Plays, pauses, stops, moves the transport, sets the loop, tempo and time signature. Stop goes back to where
             it was started; pause stays. Tempo and time signature are edits that undo takes back, the rest is not.
             Forgets the timed changes to come that others have sent (clear_schedule). Answers with where the transport
             is; tell also with how the engine's frames go with the clock on the wall.",
            transport,
        )
        .answers::<Where>(),
        Tool::new(
            "panic_mute",
            "Panic: mute everything",
            Effect::Sets,
            &["set", "link", "batch"],
            "Silences everything that reaches an output, within the session's fade and so without a click: mutes masters and strips that are
             linked to outputs, and closes other links to outputs. One undo brings all of it back. For feedback, noise,
             or whenever something is too loud.",
            panic_mute,
        )
        .answers::<Changed>(),
    ]
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Starts it.
    Play,
    /// Stops it and keeps the position.
    Pause,
    /// Stops it and goes back to where it was started.
    Stop,
    /// Moves it to the position.
    Locate,
    /// Plays the stretch from start to end over and over.
    Loop,
    /// Ends the loop.
    LoopOff,
    /// Sets tempo or signature.
    Set,
    /// Moves the clock of the stepped driver by the lengths in blocks.
    Step,
    /// Forgets every timed change to come, of parameters and of the transport, whoever has sent it.
    ClearSchedule,
    /// Only tells where it is.
    Tell,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What it is to do.
    action: Action,
    /// Where to locate to; with play, where to begin.
    position: Option<Time>,
    /// Where the loop begins.
    start: Option<Time>,
    /// Where the loop ends.
    end: Option<Time>,
    /// The tempo in beats a minute.
    tempo: Option<f64>,
    /// The time signature, such as "7/8".
    signature: Option<String>,
    /// The lengths of the cycles to step, in frames.
    #[serde(default)]
    blocks: Vec<u32>,
}

/// Where the transport is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Where {
    /// Whether time passes.
    rolling: bool,
    /// Whether a start waits for audio files to be read.
    waiting: bool,
    /// The position in frames.
    position: u64,
    /// The position in minutes and seconds.
    time: String,
    /// The position as bar|beat.
    bar: String,
    /// The loop.
    #[serde(rename = "loop")]
    looped: String,
    /// The tempo in beats a minute.
    tempo: f64,
    /// The time signature.
    signature: String,
    /// The engine's frame.
    frame: u64,
    /// How the engine's frames go with the clock on the wall; told by tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<aulos_protocol::Clock>,
}

fn missing(what: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("no {what} is given")).expected(format!("\"{what}\""))
}

fn transport(call: &mut Call<'_>, asked: Asked) -> Result<Where, Error> {
    let clock = call.clock()?;
    let frames = |time: &Option<Time>, what| time.as_ref().ok_or_else(|| missing(what))?.frames(clock);
    let commands = match asked.action {
        Action::Tell => Vec::new(),
        Action::Play => match &asked.position {
            Some(position) => vec![Command::Locate { position: position.frames(clock)? }, Command::Play],
            None => vec![Command::Play],
        },
        Action::Pause => vec![Command::Pause],
        Action::Stop => vec![Command::Stop],
        Action::Locate => vec![Command::Locate { position: frames(&asked.position, "position")? }],
        Action::Loop => vec![Command::Loop {
            start: Some(frames(&asked.start, "start")?),
            end: Some(frames(&asked.end, "end")?),
        }],
        Action::LoopOff => vec![Command::Loop { start: None, end: None }],
        Action::ClearSchedule => vec![Command::ClearSchedule],
        Action::Step => vec![Command::Step { blocks: asked.blocks.clone() }],
        Action::Set => {
            set_tempo(call, &asked)?;
            Vec::new()
        }
    };
    for command in commands {
        match call.command(command)? {
            Reply::Applied(_) | Reply::Done => {}
            _ => return Err(unexpected("what the transport did")),
        }
    }
    let wall = match asked.action {
        Action::Tell => match call.query(Query::Clock)? {
            Reply::Clock(clock) => Some(clock),
            _ => return Err(unexpected("the clock")),
        },
        _ => None,
    };
    let status = call.status()?;
    let clock = call.clock()?;
    let position = status.transport.position;
    Ok(Where {
        rolling: status.transport.rolling,
        waiting: status.transport.waiting,
        position: position.0,
        time: clock.time(position),
        bar: clock.bar(position),
        looped: clock.range(status.loop_range),
        tempo: status.tempo,
        signature: status.signature.to_string(),
        frame: status.driver.frame.0,
        clock: wall,
    })
}

fn set_tempo(call: &mut Call<'_>, asked: &Asked) -> Result<(), Error> {
    let tempo = match asked.tempo {
        Some(bpm) => Some(Bpm::new(bpm).ok_or_else(|| {
            Error::new(ErrorCode::OutOfRange, format!("the tempo cannot be {bpm}")).expected(format!(
                "{} to {} bpm",
                Bpm::MIN,
                Bpm::MAX
            ))
        })?),
        None => None,
    };
    let signature: Option<Signature> = match &asked.signature {
        Some(text) => Some(text.parse().map_err(|_| {
            Error::new(ErrorCode::InvalidArgument, format!("\"{text}\" is no time signature"))
                .expected(Signature::EXPECTED)
        })?),
        None => None,
    };
    if tempo.is_none() && signature.is_none() {
        return Err(missing("tempo").expected("\"tempo\", \"signature\", or both"));
    }
    call.edit(false, |_| {
        Ok(Command::SetSession { name: None, tempo, signature, edit_fade_ms: None, max_latency_ms: None })
    })?;
    Ok(())
}

fn panic_mute(call: &mut Call<'_>, _: Nothing) -> Result<Changed, Error> {
    call.edit_fast(|session| {
        let commands = silence(session);
        if commands.is_empty() {
            return Err(Error::new(
                ErrorCode::Unavailable,
                "nothing reaches an output: it is silent already",
            ));
        }
        Ok(Command::Batch { commands })
    })
}

/// What silences everything that reaches an output.
fn silence(session: &Session) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut muted = BTreeSet::new();
    let outputs = session.nodes.in_order().into_iter().filter(|node| node.kind == NodeKind::Output);
    for link in outputs.flat_map(|output| session.links.entering(output.id)) {
        let Some(source) = session.nodes.get(&link.from.node) else { continue };
        let has_mute = params::of(source.kind, source.channels).iter().any(|param| param.name == "mute");
        // What is muted by itself passes its pre-fader tap still, if it is told to.
        if has_mute && !link.from.port.starts_with("pre") {
            if muted.insert(source.id) {
                commands.push(Command::SetParam {
                    node: source.slug.to_string(),
                    param: "mute".into(),
                    value: Value::Switch(true),
                });
            }
        } else if !link.gain.is_silence() {
            let end = |port: &aulos_protocol::PortRef| {
                let node =
                    session.nodes.get(&port.node).map(|node| node.slug.to_string()).unwrap_or_default();
                Endpoint { node, port: Some(port.port.clone()) }
            };
            commands.push(Command::Link {
                from: end(&link.from),
                to: end(&link.to),
                gain: Some(Decibels::SILENCE),
            });
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aulos_protocol::{Link, LinkId, Node, NodeId, PortRef, Rate, Slug, position::Clock};

    use super::*;

    #[test]
    fn whatever_reaches_an_output_is_silenced() {
        let mut session = Session::new("s", Rate::default());
        let kinds = [("out", NodeKind::Output), ("master", NodeKind::Master), ("beep", NodeKind::Tone)];
        for (id, (name, kind)) in (1..).zip(kinds) {
            session.nodes.insert(Arc::new(Node::new(NodeId(id), Slug::new(name).unwrap(), kind, 2)));
        }
        for (id, from, port) in [(1, 2, "out_L"), (2, 2, "out_R"), (3, 3, "out_L")] {
            let port_ref = |node, port: &str| PortRef { node: NodeId(node), port: port.into() };
            session.links.insert(Arc::new(Link {
                id: LinkId(id),
                from: port_ref(from, port),
                to: port_ref(1, "in_L"),
                gain: Decibels::UNITY,
                unknown: Default::default(),
            }));
        }
        let commands = silence(&session);
        assert_eq!(commands.len(), 2, "{commands:?}");
        assert!(matches!(&commands[0], Command::SetParam { node, .. } if node == "master"));
        assert!(matches!(&commands[1], Command::Link { from, gain: Some(gain), .. }
            if from.node == "beep" && gain.is_silence()));
    }

    #[test]
    fn a_clock_is_of_its_session() {
        let session = Session::new("s", Rate::default());
        assert_eq!(Time::Text("1s".into()).frames(Clock::of(&session)).unwrap().0, 48_000);
    }
}
