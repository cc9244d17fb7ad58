//! `aulosd`, the audio server.

use std::{io::Write, process::ExitCode};

use aulos_protocol::Error;
use aulos_server::Args;
use clap::CommandFactory;

/// Aborts the process when the audio thread allocates or frees.
#[cfg(feature = "guard")]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    if args.manual {
        return match clap_mangen::Man::new(Args::command()).render(&mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if args.dbus_reference {
        return match std::io::stdout().write_all(aulos_server::dbus_reference().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if let Some(path) = &args.inspect {
        return inspect(path);
    }
    if let Err(error) = aulos_server::log::start(&args.log) {
        complain(&error);
        return ExitCode::from(2);
    }
    #[cfg(feature = "guard")]
    tracing::info!("the allocation guard watches the audio thread");
    let code = match aulos_server::serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sentences(&error).for_each(|sentence| tracing::error!("{sentence}"));
            ExitCode::FAILURE
        }
    };
    aulos_server::log::finish();
    code
}

/// Prints what a session holds, or {"error": ...}, as one line of JSON.
fn inspect(path: &std::path::Path) -> ExitCode {
    let (told, is_whole) = match aulos_server::inspect(path) {
        Ok(told) => (told.to_string(), true),
        Err(error) => (serde_json::json!({ "error": error }).to_string(), false),
    };
    match writeln!(std::io::stdout(), "{told}") {
        Ok(()) if is_whole => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Says on stderr what went wrong before there is a log. Where that cannot be written, the exit code must do.
fn complain(error: &Error) {
    for sentence in sentences(error) {
        if writeln!(std::io::stderr(), "aulosd: {sentence}").is_err() {
            return;
        }
    }
}

/// What went wrong, what was expected, and what to do.
fn sentences(error: &Error) -> impl Iterator<Item = String> {
    let expected = error.expected.as_ref().map(|expected| format!("expected {expected}"));
    [Some(error.to_string()), expected, error.remedy.clone()].into_iter().flatten()
}
