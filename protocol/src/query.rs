//! Everything that can be asked, and the answers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Analysis, Change, ClipId, Clock, Decibels, DriverInfo, DriverStatus, Frames, LoopRange, MeterReading,
    Node, OperationState, OscStatus, Range, Rate, Session, Signature, TransportState, Value,
};

/// A question. It changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "method", content = "params", deny_unknown_fields)]
pub enum Query {
    /// Says which protocol the client speaks; refused if the server speaks another.
    Hello {
        /// The client's [`crate::PROTOCOL`].
        protocol: u32,
    },
    /// The server, its driver, transport, load and faults at a glance.
    Status,
    /// The whole session.
    Session,
    /// One node.
    Node {
        /// The node's name.
        node: String,
    },
    /// A parameter of a node, or all of them.
    Get {
        /// The node's name.
        node: String,
        /// The parameter's name; all unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        param: Option<String>,
    },
    /// Arrival and latency of every stage, and the delay of every link.
    Latency,
    /// How the clock on the wall and the engine's frames go together.
    Clock,
    /// The peaks since the last time that this was asked, by anybody.
    Meters,
    /// How an operation is getting on.
    Operation {
        /// The number of the operation.
        operation: u64,
    },
    /// Listens to what leaves a strip or send now, for so long, and tells its levels, loudness and spectrum. Other
    /// requests of the connection wait as long.
    Analyze {
        /// The name of a track, bus, send or master.
        node: String,
        /// How many seconds, 0.2 to 60.
        seconds: f64,
    },
    /// The drivers and devices that there are. Takes a while, as devices are opened to ask them.
    Drivers,
    /// The JSON Schemas of all messages.
    Schema,
    /// From now on this connection gets the full state, then every change, and telemetry if asked for.
    Subscribe {
        /// How many times a second telemetry is sent, 0 (none) to 60.
        #[serde(default)]
        telemetry_hz: f64,
    },
    /// Ends the subscription of this connection.
    Unsubscribe,
}

/// The answer to a [`crate::Command`] or a [`Query`] that succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "reply", content = "data")]
pub enum Reply {
    /// To a command.
    Applied(Applied),
    /// To a dry run: what the command would change.
    WouldChange {
        /// The changes in order.
        changes: Vec<Change>,
    },
    /// To a command that began an operation.
    Started {
        /// The number of the operation.
        operation: u64,
    },
    /// To [`Query::Hello`].
    Hello(Hello),
    /// To [`Query::Status`].
    Status(Box<Status>),
    /// To [`Query::Session`].
    Session(Box<Session>),
    /// To [`Query::Node`].
    Node(Arc<Node>),
    /// To [`Query::Get`].
    Params {
        /// The parameters in the order of the kind's table.
        params: Vec<ParamReading>,
    },
    /// To [`Query::Latency`].
    Latency(LatencyReport),
    /// To [`Query::Clock`].
    Clock(Clock),
    /// To [`Query::Meters`].
    Meters {
        /// One for each node that has a meter, in the order in which the nodes are listed.
        meters: Vec<MeterReading>,
    },
    /// To [`Query::Operation`].
    Operation(OperationState),
    /// To [`Query::Analyze`].
    Analysis(Box<Analysis>),
    /// To [`Query::Drivers`].
    Drivers {
        /// The drivers.
        drivers: Vec<DriverInfo>,
    },
    /// To [`Query::Schema`].
    Schema(serde_json::Value),
    /// To [`Query::Subscribe`]: the full state; changes follow as notifications.
    Subscribed(Box<State>),
    /// To [`Query::Unsubscribe`] and to commands without anything to tell.
    Done,
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The session's revision after it.
    pub revision: u64,
    /// The engine's frame from which it is heard; of a change that is not heard, the frame it was noted at.
    pub frame: Frames,
    /// Where the command moved delays: the frame from which everything that meets, meets aligned again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aligned: Option<Frames>,
    /// The name of the node that was added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The number of the clip that was added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clips: Vec<ClipId>,
    /// How many links were made or removed.
    #[serde(default)]
    pub links: usize,
    /// What undo or redo moved through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What succeeded but should be known, such as a clip whose file is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Who the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The server's [`crate::PROTOCOL`].
    pub protocol: u32,
    /// The server's version.
    pub version: String,
}

/// The server at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// The server's process.
    pub pid: u32,
    /// The session's name.
    pub session: String,
    /// The session's folder; none while it is only in memory.
    pub path: Option<String>,
    /// Whether the session has changes that are not saved.
    pub unsaved: bool,
    /// The session's revision.
    pub revision: u64,
    /// The engine's rate.
    pub rate: Rate,
    /// The tempo in bpm.
    pub tempo: f64,
    /// The time signature.
    #[serde(default)]
    pub signature: Signature,
    /// The driver.
    pub driver: DriverStatus,
    /// The highest load of a second within the last minute.
    #[serde(default)]
    pub worst_load: f64,
    /// The transport.
    pub transport: TransportState,
    /// First and one-after-last frame of the loop, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_range: Option<LoopRange>,
    /// The nodes that are soloed, as they are listed; while there are any, only what lies on a path through them is
    /// heard.
    #[serde(default)]
    pub soloed: Vec<String>,
    /// Nodes in the session.
    pub nodes: usize,
    /// Links in the session.
    pub links: usize,
    /// Tasks in the plan that is running.
    pub tasks: usize,
    /// Latency of the outputs, in frames.
    pub latency: Frames,
    /// Audio files.
    pub streams: StreamStatus,
    /// What undo would take back, if anything.
    pub undo: Option<String>,
    /// What redo would do again, if anything.
    pub redo: Option<String>,
    /// The operations that run, such as renders, by their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationState>,
    /// OSC.
    #[serde(default)]
    pub osc: OscStatus,
    /// What is wrong and should be known, such as missing audio files; the latest 100, the latest last.
    pub warnings: Vec<String>,
    /// How many earlier warnings are no longer among them.
    #[serde(default)]
    pub warnings_left_out: u64,
    /// The nodes that have put out what is no sound, or were late.
    #[serde(default)]
    pub faults: Vec<NodeFaults>,
}

/// What a node did wrong since it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFaults {
    /// The node's name.
    pub node: String,
    /// Samples that were infinite or not a number; they were replaced by silence.
    pub not_finite: u64,
    /// Samples that were denormal; they were replaced by silence.
    pub denormal: u64,
    /// Blocks that were not ready in time.
    pub late: u64,
    /// MIDI messages that found no room.
    pub midi_dropped: u64,
    /// Timed changes that found no room and were carried out at once.
    #[serde(default)]
    pub hurried: u64,
}

/// The audio files at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamStatus {
    /// Files that are open.
    pub open: usize,
    /// Blocks that were played silent, in part or whole, because the disk was late.
    pub underruns: u64,
}

/// A parameter and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParamReading {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Its range and unit.
    pub range: Range,
    /// The names of its values, if it is a choice of some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What it does.
    pub text: String,
}

/// When everything is heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyReport {
    /// The rate that the frames are of.
    pub rate: Rate,
    /// Arrival of the outputs: how long the whole graph takes.
    pub total: Frames,
    /// One row a stage, in the order of the plan.
    pub stages: Vec<LatencyRow>,
    /// One row a link, in the order of the links' numbers.
    pub links: Vec<LinkLatency>,
    /// What does not arrive together with the rest, because a track asks for low latency.
    #[serde(default)]
    pub unaligned: Vec<Unaligned>,
}

/// A connection that does not arrive when the others do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unaligned {
    /// The source, as `node:port`.
    pub from: String,
    /// The destination, as `node:port`.
    pub to: String,
    /// By how many frames it is early; negative if it is late.
    pub early: i64,
}

/// When a stage is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyRow {
    /// The node's name.
    pub node: String,
    /// The stage within the node.
    pub stage: String,
    /// How many frames after its sources' time the stage hears them.
    pub arrival: Frames,
    /// How many frames the stage itself adds.
    pub latency: Frames,
}

/// The delay that aligns a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkLatency {
    /// The source, as `node:port`.
    pub from: String,
    /// The destination, as `node:port`.
    pub to: String,
    /// The compensation, in frames.
    pub delay: Frames,
    /// The link's gain.
    pub gain: Decibels,
}

/// Everything that a subscriber starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// The session's revision.
    pub revision: u64,
    /// The session.
    pub session: Session,
    /// The session's folder.
    pub path: Option<String>,
    /// The transport.
    pub transport: TransportState,
}
