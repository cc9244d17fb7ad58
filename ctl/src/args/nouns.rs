//! The commands that are a noun and a verb.

use aulos_protocol::{DriverKind, NodeKind, Rate};
use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};

use crate::{position, position::Position, values};

/// What can be done with nodes of any kind.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// Add a node
    #[command(after_long_help = values::HELP_NEW)]
    Add(NodeAdd),
    /// Remove nodes with their links and clips, as one step
    Rm(Names),
    /// Set a parameter of a node
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a node with its parameters, links and clips
    Show(Name),
}

/// What can be done with strips: the same words for tracks and buses, with the noun in the help.
macro_rules! strip_verb {
    ($name:ident, $one:literal, $many:literal, $with:literal) => {
        #[doc = concat!("What can be done with ", $many, ".")]
        #[derive(Debug, Subcommand)]
        pub enum $name {
            #[doc = "Adds one."]
            #[command(about = concat!("Add a ", $one), after_long_help = values::HELP_NEW)]
            Add(StripAdd),
            #[doc = "Removes some."]
            #[command(about = concat!("Remove ", $many, " with their ", $with, ", as one step"))]
            Rm(Names),
            #[doc = "Sets a parameter."]
            #[command(about = concat!("Set a parameter of a ", $one), after_long_help = values::HELP)]
            Set(SetParam),
            #[doc = "Shows one."]
            #[command(about = concat!("Show a ", $one, " with its parameters, ", $with))]
            Show(Name),
        }
    };
}

strip_verb!(TrackVerb, "track", "tracks", "links and clips");
strip_verb!(BusVerb, "bus", "buses", "links");

/// What can be done with tracks and buses alike.
#[derive(Debug)]
pub enum StripVerb {
    /// Adds one.
    Add(StripAdd),
    /// Removes some.
    Rm(Names),
    /// Sets a parameter.
    Set(SetParam),
    /// Shows one.
    Show(Name),
}

impl From<TrackVerb> for StripVerb {
    fn from(verb: TrackVerb) -> Self {
        match verb {
            TrackVerb::Add(args) => Self::Add(args),
            TrackVerb::Rm(args) => Self::Rm(args),
            TrackVerb::Set(args) => Self::Set(args),
            TrackVerb::Show(args) => Self::Show(args),
        }
    }
}

impl From<BusVerb> for StripVerb {
    fn from(verb: BusVerb) -> Self {
        match verb {
            BusVerb::Add(args) => Self::Add(args),
            BusVerb::Rm(args) => Self::Rm(args),
            BusVerb::Set(args) => Self::Set(args),
            BusVerb::Show(args) => Self::Show(args),
        }
    }
}

/// What can be done with sends.
#[derive(Debug, Subcommand)]
pub enum SendVerb {
    /// Add a send; it is pre or post by where it is linked from (`pre` or `out` of a strip)
    #[command(after_long_help = values::HELP_NEW)]
    Add(SendAdd),
    /// Remove sends with their links, as one step
    Rm(Names),
    /// Set a parameter of a send
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a send with its parameters and links
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
    /// Move a clip, or change which part of its file it plays
    #[command(after_long_help = position::HELP)]
    Set(ClipSet),
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
        /// The rate, such as 48000 or 44.1k [default: that of the open session].
        #[arg(long, value_name = "HZ", value_parser = super::rate)]
        rate: Option<Rate>,
        /// The longest block that is rendered at once, 1 to 8192; no feedback can be shorter [default: 1024].
        #[arg(long, value_name = "FRAMES")]
        max_block: Option<u32>,
        /// Lose the changes of the open session that are not saved.
        #[arg(long)]
        discard: bool,
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
        /// The longest latency that a node may report, 0 to 60000 ms, such as 10s.
        #[arg(long, value_name = "TIME")]
        max_latency: Option<Position>,
    },
    /// Show the session; with --json the whole of it
    Show,
    /// List the sessions in a folder and up to four below; needs no server
    Ls {
        /// The folder [default: that of the configuration, else the current one].
        folder: Option<std::path::PathBuf>,
    },
    /// List the sessions that were opened lately, the last first; needs no server
    Recent,
    /// Tell what a session on disk holds and which of its files are missing; needs no server
    Info {
        /// The folder of the session.
        path: std::path::PathBuf,
    },
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the configuration as it holds, with what each setting does and where it comes from
    ///
    /// What is printed is a configuration file itself: settings that hold by default are comments in it. Put it
    /// where `aulosctl config path` says and change what you like. The command line comes before the environment,
    /// then your file, the system's file, and the defaults.
    Show,
    /// Print where configuration files are looked for, the one that comes first at the top
    Path,
}

/// What can be done with operations.
#[derive(Debug, Subcommand)]
pub enum OperationVerb {
    /// Show how an operation is getting on
    Show {
        /// The number of the operation, as `aulosctl status` lists it while it runs.
        operation: u64,
    },
    /// Stop an operation
    Cancel {
        /// The number of the operation, as `aulosctl status` lists it while it runs.
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
    /// The value; --help tells the forms.
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
    /// Where on the timeline it begins [default: 0].
    #[arg(
        long,
        value_name = "POS",
        allow_negative_numbers = true,
        default_value = "0",
        hide_default_value = true
    )]
    pub at: Position,
    /// How much is left out at the file's beginning [default: 0].
    #[arg(
        long,
        value_name = "POS",
        allow_negative_numbers = true,
        default_value = "0",
        hide_default_value = true
    )]
    pub offset: Position,
    /// How long it sounds at most [default: to the end of the file].
    #[arg(long, value_name = "POS", allow_negative_numbers = true)]
    pub length: Option<Position>,
}

/// Arguments of `clip set`.
#[derive(Debug, Args)]
pub struct ClipSet {
    /// The track.
    pub track: String,
    /// The clip's number, as `aulosctl ls clips` tells it.
    pub id: u64,
    /// Where on the timeline it begins [default: as it is].
    #[arg(long, value_name = "POS")]
    pub at: Option<Position>,
    /// How much is left out at the file's beginning [default: as it is].
    #[arg(long, value_name = "POS")]
    pub offset: Option<Position>,
    /// How long it sounds at most [default: as it is].
    #[arg(long, value_name = "POS")]
    pub length: Option<Position>,
    /// Have it sound to the end of its file.
    #[arg(long, conflicts_with = "length")]
    pub whole: bool,
}

/// What can be done with drivers.
#[derive(Debug, Subcommand)]
pub enum DriverVerb {
    /// List the drivers and devices that there are, and what they can do
    ///
    /// Takes a while: devices are opened to ask them.
    Ls,
    /// Show the driver that is used, its device and its latency
    Show,
    /// Print how the clock on the wall and the engine's frames go together
    Clock,
    /// Change the driver, its device or its block while the engine goes on
    ///
    /// If the new one cannot be opened, the one before is taken up again. With jack, --block is that of the server.
    Set(DriverSet),
}

/// Arguments of `driver set`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct DriverSet {
    /// auto, jack, alsa or dummy; the one that is used unless said.
    #[arg(value_parser = PossibleValuesParser::new(DriverKind::ALL.map(DriverKind::name))
        .try_map(|name| name.parse::<DriverKind>()))]
    pub driver: Option<DriverKind>,
    /// The ALSA device, as `driver ls` names it.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Frames in a cycle, 1 to 8192.
    #[arg(long, value_name = "FRAMES")]
    pub block: Option<u32>,
}
