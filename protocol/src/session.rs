//! The desired state as plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Bpm, ClipId, Decibels, Frames, LinkId, Links, NodeId, Nodes, Rate, Signature, Slug, Value};

/// The version of the session's format on disk.
pub const FORMAT: u32 = 1;

/// What a newer version wrote and this one does not know; kept as it is.
type Unknown = BTreeMap<String, serde_json::Value>;

/// The desired state: nodes, links, clips, parameters, tempo, loop.
///
/// Copies share their structure: a clone costs a few pointers, an edit copies only what lies on its path.
/// [`Session::new`] makes an empty one; everything that changes it goes through the engine's `session::apply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The format version; [`FORMAT`] in memory.
    pub format: u32,
    /// The session's name.
    pub name: String,
    /// The engine's rate.
    pub rate: Rate,
    /// The tempo, constant over the timeline.
    #[serde(default)]
    pub tempo: Bpm,
    /// The time signature, constant over the timeline.
    #[serde(default)]
    pub signature: Signature,
    /// First and one-after-last frame of the loop that the transport plays; none if it plays straight on. The loop
    /// is at least 480 frames long.
    #[serde(default, deserialize_with = "read_loop", skip_serializing_if = "Option::is_none")]
    pub loop_range: Option<LoopRange>,
    /// How long links, parameters and transport take to fade, in ms; 0 to 1,000.
    #[serde(default = "default_edit_fade_ms")]
    pub edit_fade_ms: f64,
    /// The longest block that is rendered at once, in frames, 1 to 8,192; longer cycles of a driver are rendered
    /// in parts, so that what a `feedback` gives back does not depend on the driver.
    #[serde(default = "default_max_block")]
    pub max_block: u32,
    /// The longest latency that a node may report, in ms; 0 to 60,000.
    #[serde(default = "default_max_latency_ms")]
    pub max_latency_ms: f64,
    /// The number that the next node, link or clip gets; greater than every number in use.
    pub next_id: u64,
    /// The nodes by number.
    #[schemars(with = "Vec<Node>")]
    pub nodes: Nodes,
    /// The links by number.
    #[schemars(with = "Vec<Link>")]
    pub links: Links,
    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

/// First and one-after-last frame of a loop.
pub type LoopRange = (Frames, Frames);

/// Errors of a session do not say in which field they are.
fn read_loop<'de, D: Deserializer<'de>>(d: D) -> Result<Option<LoopRange>, D::Error> {
    Option::deserialize(d).map_err(|error| de::Error::custom(format!("loop_range: {error}")))
}

fn default_edit_fade_ms() -> f64 {
    5.0
}

fn default_max_block() -> u32 {
    1024
}

fn default_max_latency_ms() -> f64 {
    10_000.0
}

impl Session {
    /// The longest block that a session can ask for, in frames.
    pub const MOST_BLOCK: u32 = 8192;
    /// The longest latency that a session can allow, in ms.
    pub const MOST_LATENCY_MS: f64 = 60_000.0;
    /// The longest name, in characters.
    pub const MAX_NAME: usize = 255;
    /// The longest edit fade, in ms.
    pub const MAX_FADE_MS: f64 = 1000.0;

    /// An empty session.
    pub fn new(name: impl Into<String>, rate: Rate) -> Self {
        Self {
            format: FORMAT,
            name: name.into(),
            rate,
            tempo: Bpm::default(),
            signature: Signature::default(),
            loop_range: None,
            edit_fade_ms: default_edit_fade_ms(),
            max_block: default_max_block(),
            max_latency_ms: default_max_latency_ms(),
            next_id: 1,
            nodes: Nodes::default(),
            links: Links::default(),
            unknown: Unknown::new(),
        }
    }

    /// The node named `slug`.
    pub fn node(&self, slug: &str) -> Option<&Arc<Node>> {
        self.nodes.named(slug)
    }

    /// The length of an edit fade, in frames.
    pub fn fade_frames(&self) -> u64 {
        self.rate.frames_in_ms(self.edit_fade_ms)
    }

    /// First and one-after-last frame of the loop, as numbers.
    pub fn loop_frames(&self) -> Option<(u64, u64)> {
        self.loop_range.map(|(start, end)| (start.0, end.0))
    }

    /// The longest latency that a node may report, in frames.
    pub fn max_latency(&self) -> u64 {
        self.rate.frames_in_ms(self.max_latency_ms)
    }

    /// `node:port` as people write it; the number of a node that is gone.
    pub fn port_text(&self, port: &PortRef) -> String {
        match self.nodes.get(&port.node) {
            Some(node) => format!("{}:{}", node.slug, port.port),
            None => format!("#{}:{}", port.node, port.port),
        }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Channels that come from the driver.
    Input,
    /// Channels that go to the driver.
    Output,
    /// Clips and an input, an insert point and a strip.
    Track,
    /// A strip with summing inputs: groups and returns.
    Bus,
    /// A level on the way to a bus; pre or post by where it is patched.
    Send,
    /// The strip that the mix leaves by.
    Master,
    /// A sine.
    Tone,
    /// A delay, which reports its latency or keeps it to itself.
    Delay,
    /// A metronome that follows the transport.
    Click,
    /// Gives back what goes in some frames later, and may so close a loop.
    Feedback,
    /// A fader that scales those of its members. Nothing is patched into it.
    Vca,
    /// Strips that are muted, mixed or edited together. Nothing is patched into it.
    Group,
    /// An equalizer.
    Eq,
    /// A gate and a compressor, with a sidechain.
    Dynamics,
}

impl NodeKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Input,
        Self::Output,
        Self::Track,
        Self::Bus,
        Self::Send,
        Self::Master,
        Self::Tone,
        Self::Delay,
        Self::Click,
        Self::Feedback,
        Self::Vca,
        Self::Group,
        Self::Eq,
        Self::Dynamics,
    ];

    /// The kind's name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Track => "track",
            Self::Bus => "bus",
            Self::Send => "send",
            Self::Master => "master",
            Self::Tone => "tone",
            Self::Delay => "delay",
            Self::Click => "click",
            Self::Feedback => "feedback",
            Self::Vca => "vca",
            Self::Group => "group",
            Self::Eq => "eq",
            Self::Dynamics => "dynamics",
        }
    }

    /// Whether nodes of this kind have members, which they control.
    pub fn has_members(self) -> bool {
        matches!(self, Self::Vca | Self::Group)
    }

    /// Whether nodes of this kind have a fader, and so can be members.
    pub fn is_strip(self) -> bool {
        matches!(self, Self::Track | Self::Bus | Self::Send | Self::Master)
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A thing in the patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub slug: Slug,
    /// What it is.
    pub kind: NodeKind,
    /// How many channels it has, 1 to 64; see [`crate::ports`] for the ports that follow.
    pub channels: u16,
    /// Where it is listed among the nodes; by its number unless said. See [`Node::place`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<f64>,
    /// The parameters that differ from their defaults; see [`crate::params`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// The clips of a track, in the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clips: Vec<Clip>,
    /// The members of a `vca` or `group`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<NodeId>,
    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

impl Node {
    /// The most channels that a node can have.
    pub const MAX_CHANNELS: u16 = 64;

    /// A node without parameters, clips or members.
    pub fn new(id: NodeId, slug: Slug, kind: NodeKind, channels: u16) -> Self {
        let (rank, params, members, unknown) = Default::default();
        Self { id, slug, kind, channels, rank, params, clips: Vec::new(), members, unknown }
    }

    /// Where it is listed: nodes are listed by rising place, and by number where places are the same.
    pub fn place(&self) -> f64 {
        self.rank.unwrap_or(self.id.0 as f64)
    }
}

/// One port of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PortRef {
    /// The node.
    pub node: NodeId,
    /// The port's name, such as `out_L`.
    pub port: String,
}

/// A connection from an output port to an input port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Where it comes from.
    pub from: PortRef,
    /// Where it goes to.
    pub to: PortRef,
    /// Its gain.
    #[serde(default, skip_serializing_if = "is_unity")]
    pub gain: Decibels,
    /// Fields of a newer version.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

fn is_unity(gain: &Decibels) -> bool {
    *gain == Decibels::UNITY
}

/// A stretch of an audio file on a track's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clip {
    /// Its number.
    pub id: ClipId,
    /// The audio file: an absolute path, or one relative to the session's folder.
    pub file: String,
    /// Where on the timeline it begins.
    pub at: Frames,
    /// How many frames of the file are left out at its beginning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: Frames,
    /// How long it sounds at most; to the end of the file if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Frames>,
}

fn is_zero(frames: &Frames) -> bool {
    frames.0 == 0
}
