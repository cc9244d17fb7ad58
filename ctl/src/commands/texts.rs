//! `completions`, `man` and `schema`: texts about the programs, for shells, readers and other programs.

use std::path::Path;

use aulos_protocol::{Error, Query, Reply, client::unexpected};
use clap::CommandFactory;

use crate::{args::Cli, complete, context::Context, failure::Failure};

/// Prints the script by which a shell completes command lines.
///
/// # Errors
/// [`Failure::Output`].
pub fn completions(cx: &mut Context, shell: &str) -> Result<(), Failure> {
    let mut script = Vec::new();
    complete::script(shell, &mut script).map_err(Failure::Output)?;
    cx.out.raw(&script)
}

/// Prints the JSON Schemas of the control socket's messages.
///
/// # Errors
/// That the server cannot be reached.
pub fn schema(cx: &mut Context) -> Result<(), Failure> {
    match cx.query(Query::Schema)? {
        Reply::Schema(schema) => cx.out.json(&schema),
        _ => Err(unexpected("the schemas").into()),
    }
}

/// Writes the manual's pages into a folder, or prints that of the whole program.
///
/// # Errors
/// A page cannot be written.
pub fn man(cx: &mut Context, folder: Option<&Path>) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Failure::Output)?;
        return cx.out.raw(&page);
    };
    let doing = format!("write the manual to {}", folder.display());
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder))
        .map_err(|error| Error::io(&doing, &error))?;
    cx.out.did(format_args!("wrote the manual to {}", folder.display()))
}
