//! Everything that can be told to the server to change something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bpm, ClipId, Decibels, DriverKind, Endpoint, Frames, NodeKind, Rate, Signature, Value};

/// A command. One variant is one undo step, a [`Command::Batch`] is one step too. Commands set, they do not
/// nudge, so that saying one again is harmless.
///
/// On the wire the variant is the method and its fields are the parameters; see [`crate::wire`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "method", content = "params", deny_unknown_fields)]
pub enum Command {
    /// Adds a node; answers with its name.
    #[serde(rename = "node_add")]
    AddNode(NewNode),
    /// Removes a node, its links (which fade out first) and its clips.
    #[serde(rename = "node_remove")]
    RemoveNode {
        /// The node's name.
        node: String,
    },
    /// Gives a node another name. Links, clips and sound stay as they are.
    #[serde(rename = "node_rename")]
    RenameNode {
        /// The node's name.
        node: String,
        /// Its new name.
        name: String,
    },
    /// Adds a copy of a node, listed behind it: its parameters, its clips under numbers of their own, its links in and
    /// out, and its membership in VCAs and groups. The copy of a VCA or group has no members, so that it changes no
    /// sound. Answers with the copy's name.
    #[serde(rename = "node_duplicate")]
    DuplicateNode {
        /// The node's name.
        node: String,
        /// The name of the copy; made from the node's unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Moves a node in the order in which nodes are listed. It changes no sound.
    #[serde(rename = "node_move")]
    MoveNode {
        /// The node's name.
        node: String,
        /// Where it goes.
        to: Place,
    },
    /// Sets a parameter of a node. Where the node is in a group with `mix` on, its gain takes those of the other
    /// members along by as many dB, and mute and solo are theirs too.
    #[serde(rename = "set")]
    SetParam {
        /// The node's name.
        node: String,
        /// The parameter's name.
        param: String,
        /// The new value, in the parameter's unit.
        value: Value,
    },
    /// Sets properties of the session; what is not named stays.
    #[serde(rename = "session_set")]
    SetSession {
        /// The session's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The tempo.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tempo: Option<Bpm>,
        /// The time signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<Signature>,
        /// The length of fades in ms, 0 to 1,000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edit_fade_ms: Option<f64>,
        /// The longest latency that a node may report in ms, 0 to 60,000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_latency_ms: Option<f64>,
    },
    /// Links two ports, or two groups of ports by their channel map. Links that exist already are kept and
    /// get the gain, if one is given.
    Link {
        /// The source.
        from: Endpoint,
        /// The destination.
        to: Endpoint,
        /// The gain of the links, on top of the channel map's; 0 dB unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gain: Option<Decibels>,
    },
    /// Removes the link between two ports, or all links between two groups or nodes.
    Unlink {
        /// The source.
        from: Endpoint,
        /// The destination.
        to: Endpoint,
    },
    /// Puts a stretch of an audio file on a track; answers with the clip's number.
    #[serde(rename = "clip_add")]
    AddClip {
        /// The track's name.
        track: String,
        /// The audio file: an absolute path, or one relative to the session's folder.
        file: String,
        /// Where on the timeline it begins.
        #[serde(default)]
        at: Frames,
        /// How many frames of the file are left out at its beginning.
        #[serde(default)]
        offset: Frames,
        /// How long it sounds at most; to the end of the file if not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<Frames>,
    },
    /// Takes a clip off its track, and where the track is in a group with `edit` on, the same clips off the other
    /// members.
    #[serde(rename = "clip_remove")]
    RemoveClip {
        /// The track's name.
        track: String,
        /// The clip's number.
        clip: ClipId,
    },
    /// Moves a clip along its track, or changes which part of the file it plays; what is not named stays. Where the
    /// track is in a group with `edit` on, the same clips of the other members change with it.
    #[serde(rename = "clip_set")]
    SetClip {
        /// The track's name.
        track: String,
        /// The clip's number.
        clip: ClipId,
        /// Where on the timeline it begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Frames>,
        /// How many frames of the file are left out at its beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<Frames>,
        /// How long it sounds at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<Frames>,
        /// Has it sound to the end of its file, however long it was.
        #[serde(default)]
        whole: bool,
    },
    /// Makes strips members of a `vca` or `group`; those that are already stay.
    #[serde(rename = "members_add")]
    AddMembers {
        /// The name of the `vca` or `group`.
        group: String,
        /// The names of the strips: tracks, buses, sends or the master.
        nodes: Vec<String>,
    },
    /// Takes members out of a `vca` or `group`.
    #[serde(rename = "members_remove")]
    RemoveMembers {
        /// The name of the `vca` or `group`.
        group: String,
        /// The names of the members.
        nodes: Vec<String>,
    },
    /// Several commands that change the session, as one: all of them apply at one frame, or none.
    Batch {
        /// The commands in order. No batches, and nothing that is not undoable.
        commands: Vec<Command>,
    },
    /// Goes back one step.
    Undo,
    /// Goes forward one step that was undone.
    Redo,
    /// Starts the transport, as soon as the audio files are read ahead.
    Play,
    /// Stops the transport and keeps the position.
    Pause,
    /// Stops the transport and returns to where it was last started or located.
    Stop,
    /// Moves the transport.
    Locate {
        /// The new position on the timeline.
        position: Frames,
    },
    /// Sets or clears the loop. The seam is on the exact frame: `end` is not played, `start` follows. The loop is
    /// saved with the session, and told as a change of it; but it is no undo step, and undo leaves it as it is.
    Loop {
        /// The first frame of the loop; no loop if not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Frames>,
        /// The frame after the last of the loop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<Frames>,
    },
    /// Forgets every timed change that is to come, of parameters and of the transport, whoever has sent it.
    #[serde(rename = "schedule_clear")]
    ClearSchedule,
    /// Closes the session and begins an empty one (a master and an output) in a new folder.
    #[serde(rename = "session_new")]
    NewSession {
        /// The session's folder; must not hold a session yet.
        path: String,
        /// The rate; that of the open session unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
        /// The longest block that is rendered at once, in frames, 1 to 8,192; 1,024 unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_block: Option<u32>,
        /// Begins it even though the session that is open has changes that are not saved; they are lost.
        #[serde(default)]
        discard: bool,
    },
    /// Closes the session and opens another.
    #[serde(rename = "session_open")]
    OpenSession {
        /// The session's folder.
        path: String,
        /// Opens it even though the session that is open has changes that are not saved; they are lost.
        #[serde(default)]
        discard: bool,
    },
    /// Saves the session.
    #[serde(rename = "session_save")]
    SaveSession {
        /// Another folder, into which the session moves; must not hold a session yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Renders the session to a file, on a second engine; answers with the number of the operation.
    Render(Render),
    /// Stops an operation, such as a render.
    #[serde(rename = "operation_cancel")]
    CancelOperation {
        /// The number of the operation.
        operation: u64,
    },
    /// Changes the driver while the engine goes on; what is not named stays. If the new one cannot be opened, the
    /// one before is taken up again.
    #[serde(rename = "driver_set")]
    SetDriver {
        /// Another driver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        driver: Option<DriverKind>,
        /// The ALSA device.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// Frames in a cycle, 1 to 8,192; of JACK, those of the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<u32>,
    },
    /// Lets integrated loudness, loudness range and true peak begin anew.
    #[serde(rename = "loudness_reset")]
    ResetLoudness {
        /// The master; every one unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Moves the clock of the `stepped` driver.
    Step {
        /// The lengths of the cycles to run, in frames, each 1 to the driver's largest block.
        blocks: Vec<u32>,
    },
    /// Saves the session, if it has a folder and changes, and ends the server. If it cannot be saved, the server goes
    /// on.
    Shutdown {
        /// Ends it without saving; changes that are not saved are lost.
        #[serde(default)]
        discard: bool,
    },
}

/// A node to be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNode {
    /// What it is.
    pub kind: NodeKind,
    /// Its name; made from the kind unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many channels it has, 1 to 64; 2 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// Parameters that differ from their defaults.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub params: std::collections::BTreeMap<String, Value>,
}

/// A place in the order in which nodes are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Before the node of this name.
    Before(String),
    /// Behind the node of this name.
    After(String),
}

/// What to render, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Render {
    /// The file to write; replaced when the render is complete. Of stems the folder, which is made if it is not
    /// there.
    pub path: String,
    /// Renders stems instead of the mix: one file for each of these nodes, which go into the master or past it into an
    /// output, or for all that do if the list is empty. They sum to the mix, but for limiters, gates and compressors
    /// from the master on, which are at rest in them; what these have done is told at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stems: Option<Vec<String>>,
    /// WAV or FLAC; by the file's ending unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<AudioFormat>,
    /// Depth of the samples; 32-bit float for WAV and 24 bit for FLAC unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<SampleDepth>,
    /// Noise that keeps the error of rounding from following the sound; TPDF for 16 bit and none for others unless
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dither: Option<Dither>,
    /// The file's rate; the session's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// First frame of the timeline.
    #[serde(default)]
    pub start: Frames,
    /// The frame after the last; the end of the last clip unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Frames>,
    /// How many frames are added after the end for what still sounds.
    #[serde(default)]
    pub tail: Frames,
    /// Keeps the latency of the outputs at the beginning instead of trimming it.
    #[serde(default)]
    pub raw: bool,
    /// Frames in a cycle; the result does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
}

/// The container and coding of an audio file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// RIFF WAVE.
    Wav,
    /// FLAC.
    Flac,
}

/// The form of the samples in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SampleDepth {
    /// 16-bit integers.
    #[serde(rename = "16")]
    Int16,
    /// 24-bit integers.
    #[serde(rename = "24")]
    Int24,
    /// 32-bit floating point; the samples as the engine has them. WAV only.
    #[serde(rename = "32f")]
    Float32,
}

/// What is added before samples are rounded to integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dither {
    /// Nothing.
    None,
    /// Triangular noise of ±1 step, the same each time; silence stays silent.
    Tpdf,
}

/// Whether a command can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It is one step.
    Step,
    /// It is not undoable, for this reason.
    Never(&'static str),
}

impl Command {
    /// What the command does, in a few words: the name of its undo step.
    pub fn title(&self) -> String {
        match self {
            Self::AddNode(new) => match &new.name {
                Some(name) => format!("add {} {name}", new.kind),
                None => format!("add {}", new.kind),
            },
            Self::RemoveNode { node } => format!("remove {node}"),
            Self::RenameNode { node, name } => format!("rename {node} to {name}"),
            Self::DuplicateNode { node, .. } => format!("duplicate {node}"),
            Self::MoveNode { node, to } => match to {
                Place::First => format!("move {node} to the front"),
                Place::Last => format!("move {node} to the end"),
                Place::Before(other) => format!("move {node} before {other}"),
                Place::After(other) => format!("move {node} behind {other}"),
            },
            Self::SetParam { node, param, value } => format!("set {node}/{param} to {value}"),
            Self::SetSession { .. } => "set the session's properties".into(),
            Self::Link { from, to, .. } => format!("link {from} -> {to}"),
            Self::Unlink { from, to } => format!("unlink {from} -> {to}"),
            Self::AddClip { track, file, .. } => format!("add {file} to {track}"),
            Self::RemoveClip { track, clip } => format!("remove clip {clip} of {track}"),
            Self::SetClip { track, clip, .. } => format!("change clip {clip} of {track}"),
            Self::AddMembers { group, nodes } => format!("add {} to {group}", few(nodes)),
            Self::RemoveMembers { group, nodes } => format!("take {} out of {group}", few(nodes)),
            Self::Batch { commands } => match commands.as_slice() {
                [only] => only.title(),
                [first, rest @ ..] => format!("{} and {} more", first.title(), rest.len()),
                [] => "nothing".into(),
            },
            Self::Undo => "undo".into(),
            Self::Redo => "redo".into(),
            Self::Play => "play".into(),
            Self::Pause => "pause".into(),
            Self::Stop => "stop".into(),
            Self::Locate { position } => format!("locate {position}"),
            Self::Loop { start: Some(start), end: Some(end) } => format!("loop {start} to {end}"),
            Self::Loop { .. } => "loop off".into(),
            Self::ClearSchedule => "forget what is to come".into(),
            Self::NewSession { path, .. } => format!("new session {path}"),
            Self::OpenSession { path, .. } => format!("open session {path}"),
            Self::SaveSession { .. } => "save the session".into(),
            Self::Render(render) => format!("render {}", render.path),
            Self::CancelOperation { operation } => format!("cancel operation {operation}"),
            Self::SetDriver { .. } => "set the driver".into(),
            Self::ResetLoudness { node: Some(node) } => format!("reset the loudness of {node}"),
            Self::ResetLoudness { node: None } => "reset loudness".into(),
            Self::Step { .. } => "step".into(),
            Self::Shutdown { .. } => "shut down".into(),
        }
    }

    /// Whether the command is an undo step, or why it is not.
    pub fn undo(&self) -> Undo {
        const MOVES: &str = "it moves through the undo history itself";
        const TRANSPORT: &str = "undo must not move the transport on stage";
        const FOLDER: &str = "it exchanges or writes the session that the history belongs to";
        const OPERATION: &str = "it makes a file and does not change the session";
        const DEVICE: &str = "it is about the machine and does not change the session";
        const MEASURED: &str = "it begins a measurement and does not change the session";
        const TO_COME: &str = "it forgets what has not changed the session yet";
        const CLOCK: &str = "time that has passed cannot be taken back";
        match self {
            Self::AddNode(_)
            | Self::RemoveNode { .. }
            | Self::RenameNode { .. }
            | Self::DuplicateNode { .. }
            | Self::MoveNode { .. }
            | Self::SetParam { .. }
            | Self::SetSession { .. }
            | Self::Link { .. }
            | Self::Unlink { .. }
            | Self::AddClip { .. }
            | Self::RemoveClip { .. }
            | Self::SetClip { .. }
            | Self::AddMembers { .. }
            | Self::RemoveMembers { .. }
            | Self::Batch { .. } => Undo::Step,
            Self::Undo | Self::Redo => Undo::Never(MOVES),
            Self::Play | Self::Pause | Self::Stop | Self::Locate { .. } | Self::Loop { .. } => {
                Undo::Never(TRANSPORT)
            }
            Self::ClearSchedule => Undo::Never(TO_COME),
            Self::NewSession { .. } | Self::OpenSession { .. } | Self::SaveSession { .. } => {
                Undo::Never(FOLDER)
            }
            Self::Render(_) | Self::CancelOperation { .. } => Undo::Never(OPERATION),
            Self::SetDriver { .. } => Undo::Never(DEVICE),
            Self::ResetLoudness { .. } => Undo::Never(MEASURED),
            Self::Step { .. } | Self::Shutdown { .. } => Undo::Never(CLOCK),
        }
    }
}

/// Names for a title, which is short.
fn few(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
