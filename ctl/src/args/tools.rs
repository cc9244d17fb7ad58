//! The arguments of what needs no server.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};

use crate::complete;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at the files below this folder instead of those of the system.
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub root: Option<PathBuf>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_parser = PossibleValuesParser::new(complete::shells()))]
    pub shell: String,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder; it is made if it is not there.
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}
