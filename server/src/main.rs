//! `aulosd`, the audio server.

use std::{io::IsTerminal, process::ExitCode};

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
            // There is no log yet.
            sentences(&error).for_each(|sentence| eprintln!("aulosd: {sentence}"));
            return ExitCode::from(2);
        }
    };
    if args.manual {
        return match clap_mangen::Man::new(Args::command()).render(&mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if let Some(path) = &args.inspect {
        return inspect(path);
    }
    // What decoders say names no file, and they warn of good ones, too. What is damaged is told by us; who wants
    // more asks for it, and what comes later in a filter holds.
    let filter = match tracing_subscriber::EnvFilter::try_new(format!("symphonia=off,{}", args.log)) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("aulosd: {:?} is no filter for the log: {error}", args.log);
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    #[cfg(feature = "guard")]
    tracing::info!("the allocation guard watches the audio thread");
    match aulos_server::serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sentences(&error).for_each(|sentence| tracing::error!("{sentence}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints what a session holds, or {"error": ...}, as one line of JSON.
#[allow(clippy::print_stdout, reason = "it is the answer, and there is no log")]
fn inspect(path: &std::path::Path) -> ExitCode {
    match aulos_server::inspect(path) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", serde_json::json!({ "error": error }));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, what was expected, and what to do.
fn sentences(error: &Error) -> impl Iterator<Item = String> {
    let expected = error.expected.as_ref().map(|expected| format!("expected {expected}"));
    [Some(error.to_string()), expected, error.remedy.clone()].into_iter().flatten()
}
