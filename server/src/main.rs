//! `aulosd`, the audio server.

use std::{io::IsTerminal, process::ExitCode};

use aulos_server::Args;
use clap::Parser;

/// Aborts the process when the audio thread allocates or frees.
#[cfg(feature = "guard")]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = match tracing_subscriber::EnvFilter::try_new(&args.log) {
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
            tracing::error!("{error}");
            if let Some(expected) = &error.expected {
                tracing::error!("expected {expected}");
            }
            if let Some(remedy) = &error.remedy {
                tracing::error!("{remedy}");
            }
            ExitCode::FAILURE
        }
    }
}
