//! The commands that are a noun and a verb.

use aulos_protocol::{NodeKind, Rate};
use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};

use crate::{position, position::Position, values};

/// What can be done with nodes of any kind.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// Add a node
    #[command(after_long_help = values::HELP)]
    Add(NodeAdd),
    /// Remove nodes with their links and clips, as one step
    Rm(Names),
    /// Set a parameter
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a node with its parameters, links and clips
    Show(Name),
}

/// What can be done with tracks and buses.
#[derive(Debug, Subcommand)]
pub enum StripVerb {
    /// Add one
    #[command(after_long_help = values::HELP)]
    Add(StripAdd),
    /// Remove some with their links and clips, as one step
    Rm(Names),
    /// Set a parameter
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show one with its parameters, links and clips
    Show(Name),
}

/// What can be done with sends.
#[derive(Debug, Subcommand)]
pub enum SendVerb {
    /// Add one; it is pre or post by where it is linked from (`pre` or `out` of a strip)
    #[command(after_long_help = values::HELP)]
    Add(SendAdd),
    /// Remove some with their links, as one step
    Rm(Names),
    /// Set a parameter
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show one with its parameters and links
    Show(Name),
}

/// What can be done with clips.
#[derive(Debug, Subcommand)]
pub enum ClipVerb {
    /// Put a stretch of an audio file on a track
    ///
    /// A relative FILE is looked for in the current folder and passed on as an absolute path. Only if it begins
    /// with `audio/` and there is no such file here, it is meant relative to the session's folder.
    #[command(after_long_help = position::HELP)]
    Add(ClipAdd),
    /// Take a clip off its track
    Rm {
        /// The track.
        track: String,
        /// The clip's number, as `aulosctl ls clips` tells it.
        id: u64,
    },
}

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionVerb {
    /// Close the session and begin an empty one in a new folder; not undoable
    New {
        /// The folder; must not hold a session yet.
        path: std::path::PathBuf,
        /// The rate, such as 48000 or 44.1k [default: the driver's].
        #[arg(long, value_name = "HZ", value_parser = super::rate)]
        rate: Option<Rate>,
    },
    /// Close the session and open another; not undoable
    Open {
        /// The folder of the session.
        path: std::path::PathBuf,
        /// Lose the changes of the open session that are not saved.
        #[arg(long)]
        discard: bool,
    },
    /// Save the session, or move it into another folder; not undoable
    Save {
        /// Another folder; must not hold a session yet.
        path: Option<std::path::PathBuf>,
    },
    /// Change properties of the session
    Set {
        /// The name.
        #[arg(long)]
        name: Option<String>,
        /// The length of fades, 0 to 1000 ms, such as 5ms.
        #[arg(long, value_name = "TIME")]
        fade: Option<Position>,
    },
    /// Show the session; with --json the whole of it
    Show,
}

/// What can be done with operations.
#[derive(Debug, Subcommand)]
pub enum OperationVerb {
    /// Show how an operation is getting on
    Show {
        /// The number of the operation.
        operation: u64,
    },
    /// Stop an operation
    Cancel {
        /// The number of the operation.
        operation: u64,
    },
}

/// Arguments of `node add`.
#[derive(Debug, Args)]
pub struct NodeAdd {
    /// What it is.
    #[arg(value_parser = kind())]
    pub kind: NodeKind,
    /// Its name: a-z, 0-9, _ and - [default: made from the kind].
    pub name: Option<String>,
    /// Parameters, such as gain=-3dB; see `aulosctl get` for those of a node.
    #[arg(value_name = "PARAM=VALUE")]
    pub params: Vec<String>,
    /// How many channels it has, 1 to 64 [default: 2].
    #[arg(long, value_name = "N")]
    pub channels: Option<u16>,
}

fn kind() -> impl TypedValueParser<Value = NodeKind> {
    PossibleValuesParser::new(NodeKind::ALL.map(NodeKind::name)).try_map(|name| {
        NodeKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("there is no such kind of node")
    })
}

/// Arguments of `track add` and `bus add`.
#[derive(Debug, Args)]
pub struct StripAdd {
    /// Its name: a-z, 0-9, _ and -.
    pub name: String,
    /// More parameters, such as mute=on.
    #[arg(value_name = "PARAM=VALUE")]
    pub params: Vec<String>,
    /// How many channels it has, 1 to 64 [default: 2].
    #[arg(long, value_name = "N")]
    pub channels: Option<u16>,
    /// Level of the strip's output, such as -3dB [default: 0 dB].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub gain: Option<String>,
    /// Position, such as -0.3 or L30 [default: C].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub pan: Option<String>,
    /// Add it muted.
    #[arg(long)]
    pub mute: bool,
}

/// Arguments of `send add`.
#[derive(Debug, Args)]
pub struct SendAdd {
    /// Its name: a-z, 0-9, _ and -.
    pub name: String,
    /// More parameters.
    #[arg(value_name = "PARAM=VALUE")]
    pub params: Vec<String>,
    /// How many channels it has, 1 to 64 [default: 2].
    #[arg(long, value_name = "N")]
    pub channels: Option<u16>,
    /// Level of the send, such as -12dB [default: 0 dB].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub level: Option<String>,
    /// Position, such as -0.3 or L30 [default: C].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub pan: Option<String>,
}

/// The name of a node.
#[derive(Debug, Args)]
pub struct Name {
    /// Its name.
    pub name: String,
}

/// The names of nodes.
#[derive(Debug, Args)]
pub struct Names {
    /// Their names.
    #[arg(required = true)]
    pub name: Vec<String>,
}

/// Arguments of `node set` and its like.
#[derive(Debug, Args)]
pub struct SetParam {
    /// Its name.
    pub name: String,
    /// The parameter.
    pub param: String,
    /// The value; see below.
    #[arg(allow_hyphen_values = true)]
    pub value: String,
}

/// Arguments of `clip add`.
#[derive(Debug, Args)]
pub struct ClipAdd {
    /// The track.
    pub track: String,
    /// The audio file.
    pub file: std::path::PathBuf,
    /// Where on the timeline it begins.
    #[arg(long, value_name = "POS", default_value = "0")]
    pub at: Position,
    /// How much is left out at the file's beginning.
    #[arg(long, value_name = "POS", default_value = "0")]
    pub offset: Position,
    /// How long it sounds at most [default: to the end of the file].
    #[arg(long, value_name = "POS")]
    pub length: Option<Position>,
}
