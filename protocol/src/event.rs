//! What the server tells by itself.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bpm, Frames, Link, LinkId, LoopRange, Node, NodeId, Signature};

/// One change of the session. Setting is absolute, so that applying a change twice is harmless.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A node is new or changed.
    Node(Arc<Node>),
    /// A node is gone.
    NodeGone(NodeId),
    /// A link is new or changed.
    Link(Arc<Link>),
    /// A link is gone.
    LinkGone(LinkId),
    /// A property of the session changed.
    Session {
        /// The name.
        name: String,
        /// The tempo.
        tempo: Bpm,
        /// The time signature.
        #[serde(default)]
        signature: Signature,
        /// First and one-after-last frame of the loop, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loop_range: Option<LoopRange>,
        /// The length of fades, in ms.
        edit_fade_ms: f64,
        /// The longest latency that a node may report, in ms.
        max_latency_ms: f64,
        /// The number that the next node, link or clip gets.
        next_id: u64,
    },
}

/// Something happened. Events are reliable and in order: a subscriber that cannot keep up is dropped with a
/// reason, never skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "event", content = "data")]
pub enum Event {
    /// The session changed.
    Changed {
        /// The revision after it.
        revision: u64,
        /// The engine's frame from which it is heard.
        frame: Frames,
        /// The changes in order.
        changes: Vec<Change>,
    },
    /// A change moved delays: from this frame on everything that meets, meets aligned again.
    Aligned {
        /// The revision of the session that is aligned.
        revision: u64,
        /// The engine's frame from which it is.
        frame: Frames,
    },
    /// Another session was opened; what was known of the old one is void.
    Opened(Box<crate::State>),
    /// The session was saved.
    Saved {
        /// The session's folder.
        path: String,
    },
    /// The transport was started, stopped or moved by a command. A loop is one of the session, and told by
    /// [`Event::Changed`].
    Transport {
        /// The engine's frame from which it holds.
        frame: Frames,
        /// The transport at that frame.
        transport: TransportState,
    },
    /// The driver is another, its device was lost, or it is back.
    Driver(Box<crate::DriverStatus>),
    /// An operation moved on or ended.
    Operation(OperationState),
    /// Something is wrong that a person should know.
    Warning {
        /// What, as a sentence.
        message: String,
    },
    /// The connection is closed by the server.
    Dropped {
        /// Why.
        reason: String,
    },
}

/// Where the transport is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransportState {
    /// Whether time passes.
    pub rolling: bool,
    /// Whether a start is waiting for the audio files to be read ahead.
    #[serde(default)]
    pub waiting: bool,
    /// The position on the timeline.
    pub position: Frames,
}

/// How a long piece of work is getting on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationState {
    /// Its number.
    pub operation: u64,
    /// What it is, such as `render /tmp/mix.wav`.
    pub title: String,
    /// How much is done, 0 to 1.
    pub progress: f64,
    /// Whether it has ended.
    pub ended: bool,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::Error>,
    /// What it has to say when it has ended well, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report: Vec<String>,
}

/// The levels of a node's meter, by channel; linear, 1 is full scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeterReading {
    /// The node's name.
    pub node: String,
    /// The highest absolute sample since the last reading.
    pub peaks: Vec<f32>,
    /// The root of the mean square of the last 300 ms.
    #[serde(default)]
    pub rms: Vec<f32>,
    /// The highest absolute sample of the last 2 s; it falls when nothing higher came for 2 s.
    #[serde(default)]
    pub hold: Vec<f32>,
    /// By how many dB gate, compressor or limiter turned it down at most since the last reading, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<f32>,
    /// Its loudness, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness: Option<Loudness>,
}

/// Loudness as EBU R 128 measures it. What is silent, or has not been measured for long enough, has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loudness {
    /// Of the last 0.4 s, in LUFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentary: Option<f32>,
    /// Of the last 3 s, in LUFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_term: Option<f32>,
    /// Of everything since the last reset, gated, in LUFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrated: Option<f32>,
    /// The loudness range since the last reset, in LU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<f32>,
    /// The highest true peak since the last reset, linear: 1 is 0 dBTP.
    pub true_peak: f32,
}

/// What moves all the time. Lossy: the newest wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// The engine's frame.
    pub frame: Frames,
    /// The transport.
    pub transport: TransportState,
    /// Load, as in [`crate::DriverStatus`].
    pub load: f64,
    /// Late cycles so far.
    pub late: u64,
    /// Underruns so far.
    pub underruns: u64,
    /// The meters.
    pub meters: Vec<MeterReading>,
}
