//! `aulosctl`, the command line of an Aulos server.
//!
//! It only translates: words into commands and questions of the protocol, answers into text or JSON. What it adds
//! is what belongs to people: units, positions in bars, relative values, paths as seen from here.

mod args;
mod changes;
mod commands;
mod complete;
mod context;
mod describe;
mod doctor;
mod failure;
mod files;
mod meters;
mod paint;
mod position;
mod print;
mod programs;
#[cfg(test)]
mod samples;
mod signals;
mod text;
mod values;
mod wires;

use std::{path::PathBuf, process::ExitCode};

use aulos_protocol::{Error, client::default_socket, config::Config};
use clap::{Parser, error::ErrorKind};

use crate::{
    args::{Cli, Verb},
    context::Context,
    failure::Failure,
    print::Out,
};

fn main() -> ExitCode {
    complete::answer_a_shell();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let global = cli.global;
    let socket = match global.socket {
        Some(socket) => socket,
        None => match configured_socket(&cli.verb) {
            Ok(socket) => socket,
            Err(error) => return Failure::from(error).tell(global.json),
        },
    };
    let out = Out::new(global.json, global.quiet);
    let mut context = Context::new(out, socket, global.timeout.0, global.dry_run, global.at);
    let result = commands::run(&mut context, cli.verb);
    // What was answered before something failed is still an answer.
    match result.and(context.out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(global.json),
    }
}

/// The socket that the environment says, else the configuration, else the usual one.
fn configured_socket(verb: &Verb) -> Result<PathBuf, Error> {
    let env = |name: &str| std::env::var(name).ok();
    let is_said = env("AULOS_SOCKET").is_some_and(|path| !path.is_empty());
    // What looks at the configuration says itself what is wrong with it.
    if !is_said && !matches!(verb, Verb::Config(_) | Verb::Doctor(_) | Verb::Completions(_) | Verb::Man(_)) {
        let config = Config::load(None, env)?;
        if let Some(entry) = config.get("server.socket") {
            return Ok(PathBuf::from(&entry.value));
        }
    }
    Ok(default_socket(env, rustix::process::getuid().as_raw()))
}

/// Help and version are answers; everything else is a command line that cannot be understood.
fn refuse(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if error.use_stderr() && wants_json && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        let text = error.render().to_string();
        return Failure::usage(text.trim_start_matches("error: ").trim_end()).tell(true);
    }
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
        Err(error) => Failure::Output(error).tell(wants_json),
    }
}
