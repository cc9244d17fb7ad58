//! The command line: what can be written, and the help that tells it.

mod desk;
mod groups;
mod nouns;
mod tools;

use std::{path::PathBuf, time::Duration};

use aulos_protocol::{Rate, Signature};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use desk::{Duplicate, Mute, Rename, Reorder, Solo};
pub use groups::{ClickVerb, GroupVerb, Members, VcaVerb};
pub use nouns::{
    BusVerb, ClipAdd, ClipSet, ClipVerb, ConfigVerb, DriverSet, DriverVerb, NodeVerb, OperationVerb,
    SendVerb, SessionVerb, SetParam, StripVerb, TrackVerb,
};

pub use tools::{Completions, Doctor, Man};

use crate::{failure::EXIT_CODES, position, position::Position, values};

const EXAMPLES: &str = "\
Examples:
  aulosctl track add drums --gain -3dB
  aulosctl link drums master
  aulosctl clip add drums loop.wav --at '5|1'
  aulosctl set drums gain +1.5dB
  aulosctl set drums/pan L30
  aulosctl loop '5|1' '9|1' && aulosctl play
  aulosctl render mix.flac --tail 2s
  aulosctl status --json | jq .transport.position";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{EXIT_CODES}")
}

/// Controls an Aulos audio server.
///
/// Answers go to stdout, everything else to stderr. What a command does is one step of the server's undo
/// history, unless its help says otherwise.
#[derive(Debug, Parser)]
#[command(
    name = "aulosctl",
    version,
    after_long_help = after_help(),
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options that every command has.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server's socket [default: $AULOS_SOCKET, else aulos/control.sock in $XDG_RUNTIME_DIR].
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print answers as one JSON document, and errors as {"error": ...} on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for an answer; 0 waits for ever [default: 30].
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value = "30",
        hide_default_value = true,
        value_parser = timeout
    )]
    pub timeout: Timeout,
    /// Print what a command would change, and change nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Have a parameter, solo, the gain of a link or the transport change at this frame of the engine.
    // `clip add` has an option of the same name, and of the same type, which is what keeps them apart: see
    // `can_be_timed`.
    #[arg(long, global = true, value_name = "FRAME", allow_negative_numbers = true)]
    pub at: Option<Position>,
    /// Print only errors and answers to questions.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// How long an answer is waited for; for ever if `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeout(pub Option<Duration>);

fn timeout(text: &str) -> Result<Timeout, String> {
    let seconds = values::number(text).ok_or("a number of seconds, 0 or more, is wanted")?;
    if seconds == 0.0 {
        return Ok(Timeout(None));
    }
    match Duration::try_from_secs_f64(seconds) {
        // Sockets wait in microseconds, and a wait of none of them would be for ever.
        Ok(time) => Ok(Timeout(Some(time.max(Duration::from_micros(1))))),
        Err(error) => Err(error.to_string()),
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the server at a glance: session, driver, transport, load, latency, warnings
    Status,
    /// List nodes, ports, links or clips; without a word, all of it as a tree
    ///
    /// The tree shows where the output of each node goes. Where all channels of a group of ports go to another
    /// group, that is one line: `out → master:in`.
    Ls(Ls),
    /// Link two ports, or two groups of ports channel by channel
    ///
    /// A bare node means its group `out` as the source and `in` as the destination. Mono goes to both sides of
    /// stereo, stereo is summed to mono at -3 dB each, anything else goes by number. Links that exist are kept,
    /// and get the gain if one is given.
    Link(Link),
    /// Remove the link between two ports, or all links between two groups or nodes
    Unlink(Unlink),
    /// Add, remove, change and show nodes of any kind
    #[command(subcommand)]
    Node(NodeVerb),
    /// Add, remove, change and show tracks
    #[command(subcommand)]
    Track(TrackVerb),
    /// Add, remove, change and show buses
    #[command(subcommand)]
    Bus(BusVerb),
    /// Add, remove, change and show sends
    #[command(subcommand)]
    Send(SendVerb),
    /// Faders that scale those of other strips
    #[command(subcommand)]
    Vca(VcaVerb),
    /// Strips that are muted, mixed or edited together
    #[command(subcommand)]
    Group(GroupVerb),
    /// Add, remove, change and show metronomes
    #[command(subcommand)]
    Click(ClickVerb),
    /// Give a node another name; links, clips and sound stay as they are
    Rename(Rename),
    /// Add a copy of a node: parameters, clips, and links in and out
    Duplicate(Duplicate),
    /// Move a node in the order in which nodes are listed; it changes no sound
    Reorder(Reorder),
    /// Mute nodes as one step, or list what is muted
    Mute(Mute),
    /// Solo nodes as one step, or list what is soloed
    ///
    /// While anything is soloed, only what lies on a path through it is heard. This adds to what is soloed
    /// already; --clear ends it all.
    Solo(Solo),
    /// Put stretches of audio files on tracks, move them, and take them off
    #[command(subcommand)]
    Clip(ClipVerb),
    /// Print a parameter, or all parameters of a node
    Get(Get),
    /// Set a parameter
    #[command(after_long_help = values::HELP)]
    Set(Set),
    /// Start the transport, as soon as the audio files are read ahead
    Play,
    /// Stop the transport and keep the position
    Pause,
    /// Stop the transport and return to where it was last started or located
    Stop,
    /// Move the transport
    #[command(after_long_help = position::HELP)]
    Locate(Locate),
    /// Forget all changes that are to come at a frame, whoever has sent them
    Forget,
    /// Set the loop, clear it with `off`, or print it
    ///
    /// The loop is saved with the session. It is no undo step, and renders are straight.
    #[command(after_long_help = position::HELP)]
    Loop(Loop),
    /// Print tempo and time signature, or set them
    Tempo(Tempo),
    /// Print when every stage is heard and how every link is delayed to match
    Latency,
    /// Watch levels, transport and load until q, Esc or Ctrl-C
    ///
    /// Elsewhere than on a terminal, or with --once, prints a single reading: the peaks since the meters were
    /// last read by anybody, or with --for, the highest peaks of so many seconds from now.
    Meters(Meters),
    /// Listen to what leaves a strip or send now, and print its levels, loudness and spectrum
    Analyze(Analyze),
    /// Take back the last step
    Undo,
    /// Do again what was taken back
    Redo,
    /// Begin, open, save, change and find sessions
    #[command(subcommand)]
    Session(SessionVerb),
    /// Render the session to a file while the server goes on playing, or a session on disk without a server
    ///
    /// Waits until the file is complete, however long that takes; Ctrl-C cancels the render. Not undoable.
    ///
    /// With the folder of a session before OUT, that session is rendered as it was saved last, by an aulosd that
    /// is started for it and ends with it; a server that has the session open is not disturbed.
    #[command(after_long_help = position::HELP)]
    Render(Render),
    /// List, show and change what calls the engine: JACK, a sound device, or the dummy clock
    #[command(subcommand)]
    Driver(DriverVerb),
    /// Print the configuration, or where it is looked for
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Show and cancel long pieces of work, such as renders
    #[command(subcommand)]
    Operation(OperationVerb),
    /// Run a JSON list of commands as one: all of them apply at the same frame, or none
    ///
    /// Each is an object with `method` and `params`, as on the control socket:
    /// [{"method": "node_add", "params": {"kind": "track", "name": "drums"}},
    /// {"method": "link", "params": {"from": "drums", "to": "master"}}].
    /// Audio files with relative paths are looked for in the session's folder.
    #[command(verbatim_doc_comment)]
    Batch(Batch),
    /// Call a method of the control socket as it is, or pass JSON-RPC lines through
    ///
    /// With a method, prints the result as JSON. With `-`, sends each line of stdin and prints every line that
    /// the server sends, events too; ends when stdin has ended and everything is answered, with exit code 1 if
    /// any answer was an error.
    Raw(Raw),
    /// Print the JSON Schemas of all messages of the control socket
    Schema,
    /// Move the clock of the stepped driver
    Step(Step),
    /// Print events as they come: text, or JSON lines with --json
    ///
    /// The first line of JSON is an `opened` event with the full state; everything after it is a change.
    Watch(Watch),
    /// Save the session, if it has a folder, end the server, and wait until it has hung up
    ///
    /// If the session cannot be saved, the server goes on.
    Shutdown {
        /// End it without saving; changes that are not saved are lost.
        #[arg(long)]
        discard: bool,
    },
    /// Tell what keeps this machine from working well in real time, and the line that mends it
    ///
    /// Ends with exit code 6 if something is missing, with 0 if there are only warnings. Needs no server.
    Doctor(Doctor),
    /// Print the script by which a shell completes command lines, names of nodes included
    ///
    /// For bash: source <(aulosctl completions bash), in ~/.bashrc. For zsh the same in ~/.zshrc; for fish:
    /// aulosctl completions fish | source, in ~/.config/fish/config.fish. Names come from the running server; without
    /// one, only words are completed.
    Completions(Completions),
    /// Write the manual's pages into a folder, or print that of aulosctl
    Man(Man),
}

/// What to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Kind, channels and level of each node.
    Nodes,
    /// Every port.
    Ports,
    /// Every link, with its number and gain.
    Links,
    /// Every clip.
    Clips,
}

/// Arguments of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// What to list.
    #[arg(value_enum)]
    pub what: Option<Listing>,
    /// Show every link by itself, port by port.
    #[arg(long, short)]
    pub links: bool,
}

/// Arguments of `link`.
#[derive(Debug, Args)]
pub struct Link {
    /// The source: NODE, NODE:GROUP or NODE:PORT.
    pub from: String,
    /// The destination: NODE, NODE:GROUP or NODE:PORT.
    pub to: String,
    /// The gain of the links, such as -6dB, 50% or -inf; 0 dB unless said.
    #[arg(long, value_name = "GAIN", allow_hyphen_values = true)]
    pub gain: Option<String>,
}

/// Arguments of `unlink`.
#[derive(Debug, Args)]
pub struct Unlink {
    /// The source: NODE, NODE:GROUP or NODE:PORT.
    pub from: String,
    /// The destination: NODE, NODE:GROUP or NODE:PORT.
    pub to: String,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The node, or NODE/PARAM.
    #[arg(value_name = "NODE[/PARAM]")]
    pub node: String,
    /// The parameter; all of them unless said.
    pub param: Option<String>,
}

/// Arguments of `set`.
#[derive(Debug, Args)]
#[command(
    override_usage = "aulosctl set [OPTIONS] NODE/PARAM VALUE\n       aulosctl set [OPTIONS] NODE PARAM VALUE"
)]
pub struct Set {
    /// The node, or NODE/PARAM.
    #[arg(value_name = "NODE[/PARAM]")]
    pub node: String,
    /// The parameter, or the value if the first word names the parameter already.
    #[arg(value_name = "PARAM|VALUE", allow_hyphen_values = true)]
    pub second: String,
    /// The value; --help tells the forms.
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub third: Option<String>,
}

/// Arguments of `locate`.
#[derive(Debug, Args)]
pub struct Locate {
    /// The new position.
    #[arg(value_name = "POS", allow_negative_numbers = true)]
    pub position: Position,
}

/// Arguments of `loop`.
#[derive(Debug, Args)]
#[command(override_usage = "aulosctl loop [OPTIONS] [START END | off]")]
pub struct Loop {
    /// The first frame of the loop, or `off`.
    pub start: Option<String>,
    /// The frame after the last of the loop.
    pub end: Option<Position>,
}

/// Arguments of `tempo`.
#[derive(Debug, Args)]
pub struct Tempo {
    /// The tempo in beats a minute, 10 to 1000; +5 and 5- change it.
    #[arg(allow_hyphen_values = true)]
    pub bpm: Option<String>,
    /// The time signature, such as 4/4 or 7/8; bars and the click follow it.
    #[arg(long, short)]
    pub signature: Option<Signature>,
}

/// Arguments of `meters`.
#[derive(Debug, Args)]
pub struct Meters {
    /// Print a single reading.
    #[arg(long)]
    pub once: bool,
    /// Let integrated loudness, loudness range and true peak begin anew, of this master or of all, and show
    /// nothing.
    #[arg(long, value_name = "NODE", num_args = 0..=1, conflicts_with_all = ["once", "time", "hz"])]
    pub reset: Option<Option<String>>,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<Duration>,
    /// How many readings a second, 1 to 60 [default: 30].
    #[arg(
        long,
        value_name = "HZ",
        default_value_t = 30,
        hide_default_value = true,
        value_parser = clap::value_parser!(u8).range(1..=60)
    )]
    pub hz: u8,
}

/// Arguments of `analyze`.
#[derive(Debug, Args)]
pub struct Analyze {
    /// A track, bus, send or master.
    #[arg(default_value = "master")]
    pub node: String,
    /// How long to listen, 0.2 to 60 s.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 3.0)]
    pub seconds: f64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = values::number(text).filter(|s| *s > 0.0).ok_or("a number of seconds above 0 is wanted")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The container and coding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// RIFF WAVE.
    Wav,
    /// FLAC.
    Flac,
}

/// The form of the samples in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// 16-bit integers.
    #[value(name = "16")]
    Int16,
    /// 24-bit integers.
    #[value(name = "24")]
    Int24,
    /// 32-bit floating point, WAV only: the samples as the engine has them.
    #[value(name = "32f")]
    Float32,
}

/// What is added before samples are rounded to integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dither {
    /// Nothing.
    None,
    /// Triangular noise of ±1 step, the same each time; silence stays silent.
    Tpdf,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
#[command(override_usage = "aulosctl render [OPTIONS] [SESSION] OUT")]
pub struct Render {
    /// The folder of a session on disk, if it is not to be the server's, and the file to write, or with --stems the
    /// folder. Files are replaced when the render is complete.
    #[arg(value_name = "[SESSION] OUT", num_args = 1..=2, required = true)]
    pub paths: Vec<PathBuf>,
    /// Render stems: a file for each of these nodes, which go into the master or past it into an output [default: for all
    /// that do].
    #[arg(long, value_name = "NODE", num_args = 0..)]
    pub stems: Option<Vec<String>>,
    /// The file's format [default: by its ending].
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Depth of the samples [default: 32f for WAV, 24 for FLAC].
    #[arg(long, value_enum)]
    pub depth: Option<Depth>,
    /// Noise against the distortion of rounding [default: tpdf for 16 bit, else none].
    #[arg(long, value_enum)]
    pub dither: Option<Dither>,
    /// The file's rate [default: the session's].
    #[arg(long, value_name = "HZ", value_parser = rate)]
    pub rate: Option<Rate>,
    /// Where on the timeline to begin [default: 0].
    #[arg(
        long,
        value_name = "POS",
        allow_negative_numbers = true,
        default_value = "0",
        hide_default_value = true
    )]
    pub from: Position,
    /// Where to end [default: the end of the last clip].
    #[arg(long, value_name = "POS", allow_negative_numbers = true)]
    pub to: Option<Position>,
    /// How much to add after the end for what still sounds [default: 0].
    #[arg(
        long,
        value_name = "POS",
        allow_negative_numbers = true,
        default_value = "0",
        hide_default_value = true
    )]
    pub tail: Position,
    /// Keep the latency of the outputs at the beginning instead of trimming it.
    #[arg(long)]
    pub raw: bool,
    /// Frames in a cycle; the result does not depend on it.
    #[arg(long, value_name = "FRAMES")]
    pub block: Option<u32>,
    /// Print the number of the operation and do not wait.
    #[arg(long)]
    pub no_wait: bool,
}

/// A rate in Hz, also written as 48k or 44.1kHz.
pub fn rate(text: &str) -> Result<Rate, String> {
    let lower = text.trim().to_lowercase();
    let plain = lower.strip_suffix("hz").unwrap_or(&lower);
    let (digits, scale) = plain.strip_suffix('k').map_or((plain, 1.0), |digits| (digits, 1000.0));
    values::number(digits)
        .map(|number| (number * scale).round())
        .filter(|hz| *hz <= f64::from(u32::MAX))
        .and_then(|hz| Rate::new(hz as u32))
        .ok_or_else(|| format!("a rate is {} to {} Hz, such as 48000 or 44.1k", Rate::MIN, Rate::MAX))
}

/// Arguments of `batch`.
#[derive(Debug, Args)]
pub struct Batch {
    /// The file with the list, or - for stdin.
    pub file: PathBuf,
}

/// Arguments of `raw`.
#[derive(Debug, Args)]
pub struct Raw {
    /// The method, or - to pass lines of stdin through.
    #[arg(allow_hyphen_values = true)]
    pub method: String,
    /// The parameters, a JSON object.
    #[arg(value_name = "JSON-PARAMS")]
    pub params: Option<String>,
}

/// Arguments of `step`.
#[derive(Debug, Args)]
pub struct Step {
    /// The lengths of the cycles to run, in frames; 64x100 is a hundred cycles of 64.
    #[arg(value_name = "BLOCK", required = true)]
    pub blocks: Vec<String>,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Also print telemetry (transport, load, levels) so many times a second.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u8).range(1..=60))]
    pub telemetry: Option<u8>,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<Duration>,
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
