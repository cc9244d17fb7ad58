//! Tools that make what belongs together: tracks with clips and sends, sends with their returns, the click.

use aulos_protocol::{
    Command, Decibels, Endpoint, Error, ErrorCode, Frames, NewNode, NodeKind, Session, Value, position::Clock,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Effect, Tool};
use crate::{
    call::{Call, Changed},
    inputs::Time,
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "add_tracks",
            "Add tracks",
            Effect::Adds,
            &["node_add", "link", "clip_add", "batch"],
            "Adds tracks, several as one step, each with gain, pan, clips of audio files, and sends to buses, linked to
             the master unless said otherwise. A bus that a send goes to and that is not there is made and linked to
             the master.",
            add_tracks,
        )
        .answers::<Changed>(),
        Tool::new(
            "add_send",
            "Add a send",
            Effect::Adds,
            &["node_add", "link", "batch"],
            "Adds a send from tracks or buses to a bus, as one step: a node with a level and a pan of its own for each
             source, named SOURCE-BUS. The bus is made and linked to the master if it is not there. Before the fader
             (pre) for monitors, behind it for effects.",
            add_send,
        )
        .answers::<Changed>(),
        Tool::new(
            "set_click",
            "Set the click",
            Effect::Sets,
            &["node_add", "link", "set", "batch"],
            "Sets the metronome: makes one if there is none, sets its level and its pattern, and switches it on or off.
             It is heard while the transport rolls, by the session's tempo and time signature.",
            set_click,
        )
        .answers::<Changed>(),
    ]
}

/// Several edits that belong together, as an operation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Composite {
    /// Adds a track with clips and sends, as add_tracks does.
    AddTrack(Track),
    /// Adds sends to a bus, as add_send does.
    AddSend(SendTo),
    /// Sets the click, as set_click does.
    Click(Click),
}

impl Composite {
    /// Whether an operation of this name is one.
    pub(super) fn is_one(op: &str) -> bool {
        matches!(op, "add_track" | "add_send" | "click")
    }

    /// The edits that it stands for, behind those that come before it.
    pub(super) fn expand(&self, session: &Session, commands: &mut Vec<Command>) -> Result<(), Error> {
        match self {
            Self::AddTrack(track) => track.expand(session, commands),
            Self::AddSend(send) => send.expand(session, commands),
            Self::Click(click) => click.expand(session, commands),
        }
    }
}

/// A track.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    /// Its name: 1 to 48 of a-z, 0-9, _ and -, beginning with a letter or digit.
    name: String,
    /// How many channels it has: 1 for mono, 2 unless said.
    channels: Option<u16>,
    /// Its gain in dB; 0 unless said.
    gain_db: Option<Decibels>,
    /// Its pan, -1 (left) to 1 (right).
    pan: Option<f64>,
    /// Whether it is muted.
    #[serde(default)]
    mute: bool,
    /// What it plays.
    #[serde(default)]
    clips: Vec<NewClip>,
    /// Where it is sent to beside its output.
    #[serde(default)]
    sends: Vec<TrackSend>,
    /// Where its output goes: a node; the master unless said, nowhere if "none".
    to: Option<String>,
}

/// A stretch of an audio file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewClip {
    /// The audio file: a whole path, or one in the session's folder.
    file: String,
    /// Where it begins; at the start unless said.
    at: Option<Time>,
    /// How much of the file is left out at its beginning.
    offset: Option<Time>,
    /// How long it sounds; to the end of the file unless said.
    length: Option<Time>,
}

/// A send of a track.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrackSend {
    /// The bus.
    to: String,
    /// The level in dB; 0 unless said.
    level_db: Option<Decibels>,
    /// Takes the sound before the fader.
    #[serde(default)]
    pre: bool,
}

/// Sends to a bus.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendTo {
    /// The names of the tracks or buses that are sent.
    from: Vec<String>,
    /// The bus.
    to: String,
    /// The level in dB; 0 unless said.
    level_db: Option<Decibels>,
    /// Takes the sound before the fader.
    #[serde(default)]
    pre: bool,
}

/// The click.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Click {
    /// Whether it is heard; it is unless said.
    on: Option<bool>,
    /// The level of its accents in dB, up to 0; -12 unless said.
    level_db: Option<Decibels>,
    /// What sounds in a bar: X accent, x beat, o soft, . nothing, such as "Xxxx"; or "auto".
    pattern: Option<String>,
    /// Where a click that is made is heard: the first output unless said, which leaves the master alone.
    to: Option<String>,
}

fn add(kind: NodeKind, name: &str, channels: Option<u16>, params: Vec<(&str, Value)>) -> Command {
    let params = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Command::AddNode(NewNode { kind, name: Some(name.to_owned()), channels, params })
}

fn end(node: &str, port: Option<&str>) -> Endpoint {
    Endpoint { node: node.to_owned(), port: port.map(str::to_owned) }
}

fn link(from: Endpoint, to: &str) -> Command {
    Command::Link { from, to: end(to, None), gain: None }
}

fn gain(db: Decibels) -> Value {
    if db.is_silence() { Value::Silence } else { Value::Number(db.get()) }
}

/// The first node of a kind, as they are listed.
fn first(session: &Session, kind: NodeKind) -> Result<String, Error> {
    let found = session.nodes.in_order().into_iter().find(|node| node.kind == kind);
    found.map(|node| node.slug.to_string()).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("the session has no {kind}"))
            .expected(format!("a {kind}, or a node that is named as \"to\""))
            .remedy(format!("add one with node_add of apply and kind \"{kind}\""))
    })
}

/// Whether a node of this name will be there after the commands.
fn will_be(session: &Session, commands: &[Command], name: &str) -> bool {
    session.node(name).is_some() || adds(commands, name)
}

fn adds(commands: &[Command], name: &str) -> bool {
    commands.iter().any(|command| match command {
        Command::AddNode(new) => new.name.as_deref() == Some(name),
        _ => false,
    })
}

/// Makes a bus and links it to the master, if it is not there.
fn need_bus(session: &Session, commands: &mut Vec<Command>, bus: &str) -> Result<(), Error> {
    if !will_be(session, commands, bus) {
        let master = first(session, NodeKind::Master)?;
        commands.push(add(NodeKind::Bus, bus, None, Vec::new()));
        commands.push(link(end(bus, None), &master));
    }
    Ok(())
}

/// Makes the send from a node to a bus that is there.
fn send(
    commands: &mut Vec<Command>,
    (from, channels): (&str, Option<u16>),
    to: &str,
    level_db: Option<Decibels>,
    pre: bool,
) {
    let name = format!("{from}-{to}");
    let level = level_db.map(|db| ("level", gain(db)));
    // What leaves a mono track behind its fader is panned to two channels.
    let channels = if pre { channels } else { channels.map(aulos_protocol::ports::panned) };
    commands.push(add(NodeKind::Send, &name, channels, level.into_iter().collect()));
    commands.push(link(end(from, pre.then_some("pre")), &name));
    commands.push(link(end(&name, None), to));
}

impl Track {
    fn expand(&self, session: &Session, commands: &mut Vec<Command>) -> Result<(), Error> {
        let clock = Clock::of(session);
        let mut params = Vec::new();
        params.extend(self.gain_db.map(|db| ("gain", gain(db))));
        params.extend(self.pan.map(|pan| ("pan", Value::Number(pan))));
        params.extend(self.mute.then_some(("mute", Value::Switch(true))));
        commands.push(add(NodeKind::Track, &self.name, self.channels, params));
        match self.to.as_deref() {
            Some("none") => {}
            Some(to) => commands.push(link(end(&self.name, None), to)),
            None => commands.push(link(end(&self.name, None), &first(session, NodeKind::Master)?)),
        }
        for clip in &self.clips {
            let frames = |time: &Option<Time>| time.as_ref().map(|time| time.frames(clock)).transpose();
            commands.push(Command::AddClip {
                track: self.name.clone(),
                file: clip.file.clone(),
                at: frames(&clip.at)?.unwrap_or(Frames(0)),
                offset: frames(&clip.offset)?.unwrap_or(Frames(0)),
                length: frames(&clip.length)?,
            });
        }
        for TrackSend { to, level_db, pre } in &self.sends {
            need_bus(session, commands, to)?;
            send(commands, (&self.name, self.channels), to, *level_db, *pre);
        }
        Ok(())
    }
}

impl SendTo {
    fn expand(&self, session: &Session, commands: &mut Vec<Command>) -> Result<(), Error> {
        need_bus(session, commands, &self.to)?;
        for from in &self.from {
            let made = commands.iter().find_map(|command| match command {
                Command::AddNode(new) if new.name.as_deref() == Some(from) => Some(new.channels),
                _ => None,
            });
            let channels = match made {
                Some(channels) => channels,
                None => Some(crate::call::node(session, from)?.channels),
            };
            send(commands, (from, channels), &self.to, self.level_db, self.pre);
        }
        Ok(())
    }
}

impl Click {
    fn expand(&self, session: &Session, commands: &mut Vec<Command>) -> Result<(), Error> {
        const NAME: &str = "click";
        const USUAL_DB: f64 = -12.0;
        let is_on = self.on.unwrap_or(true);
        let level = match (is_on, self.level_db) {
            (false, _) => Some(Value::Silence),
            (true, Some(db)) => Some(gain(db)),
            (true, None) => None,
        };
        let pattern = match &self.pattern {
            Some(pattern) => {
                let name = aulos_protocol::Name::new(pattern).ok_or_else(|| {
                    Error::new(ErrorCode::InvalidArgument, format!("\"{pattern}\" is no pattern"))
                        .expected(aulos_protocol::params::PATTERN)
                })?;
                Some(Value::Name(name))
            }
            None => None,
        };
        let name = match first(session, NodeKind::Click) {
            Ok(name) => name,
            Err(_) if adds(commands, NAME) => NAME.to_owned(),
            Err(_) => {
                let to = match &self.to {
                    Some(to) => to.clone(),
                    None => first(session, NodeKind::Output)?,
                };
                commands.push(add(NodeKind::Click, NAME, None, Vec::new()));
                commands.push(link(end(NAME, None), &to));
                NAME.to_owned()
            }
        };
        let is_silent = session
            .node(&name)
            .and_then(|click| aulos_protocol::params::number(click, "level"))
            .is_some_and(|db| db == f64::NEG_INFINITY);
        // Switched on again without a level, it is as loud as a new one.
        let level = level.or((is_on && is_silent).then_some(Value::Number(USUAL_DB)));
        for (param, value) in [("level", level), ("pattern", pattern)] {
            if let Some(value) = value {
                commands.push(Command::SetParam { node: name.clone(), param: param.to_owned(), value });
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddTracks {
    /// The tracks.
    tracks: Vec<Track>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
}

fn add_tracks(call: &mut Call<'_>, asked: AddTracks) -> Result<Changed, Error> {
    call.edit(asked.dry_run, |session| {
        let mut commands = Vec::new();
        asked.tracks.iter().try_for_each(|track| track.expand(session, &mut commands))?;
        Ok(Command::Batch { commands })
    })
}

fn add_send(call: &mut Call<'_>, asked: SendTo) -> Result<Changed, Error> {
    call.edit(false, |session| {
        let mut commands = Vec::new();
        asked.expand(session, &mut commands)?;
        Ok(Command::Batch { commands })
    })
}

fn set_click(call: &mut Call<'_>, asked: Click) -> Result<Changed, Error> {
    call.edit(false, |session| {
        let mut commands = Vec::new();
        asked.expand(session, &mut commands)?;
        Ok(Command::Batch { commands })
    })
}
