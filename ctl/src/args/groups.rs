//! `vca`, `group` and `click`.

use clap::{Args, Subcommand};

use super::nouns::{Name, Names, SetParam};
use crate::values;

/// What can be done with VCAs.
#[derive(Debug, Subcommand)]
pub enum VcaVerb {
    /// Add a VCA: a fader that scales those of its members, and mutes and solos them
    #[command(after_long_help = values::HELP_NEW)]
    Add(VcaAdd),
    /// Remove VCAs; their members are as loud as their own faders say
    Rm(Names),
    /// Make strips members
    Assign(Members),
    /// Take members out
    Release(Members),
    /// Set a parameter of a VCA
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a VCA with its parameters and members
    Show(Name),
}

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub enum GroupVerb {
    /// Add a group: strips that are muted, mixed or edited together
    ///
    /// A mute group is one that is muted by `aulosctl group set NAME mute on`. With --mix, gains of members move by
    /// the same amount, and mute and solo are the same for all. With --edit, what is done to a clip of one member is
    /// done to the same clips of the others: those at the same place with the same offset and length.
    #[command(after_long_help = values::HELP_NEW)]
    Add(GroupAdd),
    /// Remove groups; their members stay
    Rm(Names),
    /// Make strips members
    Assign(Members),
    /// Take members out
    Release(Members),
    /// Set a parameter of a group
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a group with its parameters and members
    Show(Name),
}

/// What can be done with the click.
#[derive(Debug, Subcommand)]
pub enum ClickVerb {
    /// Add a click, which follows tempo and time signature; it is heard where its output is linked to
    #[command(after_long_help = values::HELP_NEW)]
    Add(ClickAdd),
    /// Remove clicks
    Rm(Names),
    /// Set a parameter of a click, such as its level or pattern
    #[command(after_long_help = values::HELP)]
    Set(SetParam),
    /// Show a click with its parameters and links
    Show(Name),
}

/// Arguments of `vca add`.
#[derive(Debug, Args)]
pub struct VcaAdd {
    /// Its name: a-z, 0-9, _ and -.
    pub name: String,
    /// The members: tracks, buses, sends, the master.
    pub members: Vec<String>,
    /// What is added to the gain of every member, such as -3dB [default: 0 dB].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub gain: Option<String>,
}

/// Arguments of `group add`.
#[derive(Debug, Args)]
pub struct GroupAdd {
    /// Its name: a-z, 0-9, _ and -.
    pub name: String,
    /// The members: tracks, buses, sends, the master.
    pub members: Vec<String>,
    /// Move their faders, mutes and solos together.
    #[arg(long)]
    pub mix: bool,
    /// Edit their clips together.
    #[arg(long)]
    pub edit: bool,
}

/// A group and its members.
#[derive(Debug, Args)]
pub struct Members {
    /// The name of the VCA or group.
    pub name: String,
    /// The names of the strips.
    #[arg(required = true)]
    pub members: Vec<String>,
}

/// Arguments of `click add`.
#[derive(Debug, Args)]
pub struct ClickAdd {
    /// Its name: a-z, 0-9, _ and - [default: click].
    pub name: Option<String>,
    /// Where it is heard: a node or a group of ports.
    #[arg(long, value_name = "DESTINATION")]
    pub to: Vec<String>,
    /// Peak level of an accent, such as -12dB [default: -12 dB].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub level: Option<String>,
    /// What sounds in a bar: X accent, x beat, o soft, . nothing, such as X.x. [default: by the time signature].
    #[arg(long)]
    pub pattern: Option<String>,
    /// How many channels it has, 1 to 64 [default: 2].
    #[arg(long, value_name = "N")]
    pub channels: Option<u16>,
}
