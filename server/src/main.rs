//! `aulosd`, the audio server.

mod args;
mod audiofile;
mod control;
mod disk;
mod drivers;
mod hub;
mod library;
mod render;
mod socket;
mod store;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, sync::mpsc::SyncSender};

use aulos_protocol::{Error, client::default_socket};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use control::{Control, ToControl};
use socket::Socket;

/// Aborts the process when the audio thread allocates or frees.
#[cfg(feature = "guard")]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// How many messages wait for the control thread.
const INBOX: usize = 1024;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log).unwrap_or_else(|error| {
        tracing_subscriber::EnvFilter::new(
            format!("info,bad_filter={error}").split(',').next().unwrap_or("info"),
        )
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match serve(&args) {
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

fn serve(args: &args::Args) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the runtime", &error))?;
    let path = args.socket.clone().unwrap_or_else(|| {
        default_socket(|name| std::env::var(name).ok(), rustix::process::getuid().as_raw())
    });
    runtime.block_on(async {
        let socket = Arc::new(Socket::bind(&path)?);
        let (own, inbox) = std::sync::mpsc::sync_channel(INBOX);
        let control = Control::start(args.setup()?, inbox, own.clone())?;
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("aulos-control".into())
            .spawn(move || {
                if ended.send(control.run()).is_err() {
                    tracing::error!("the main thread ended before the control thread");
                }
            })
            .map_err(|error| Error::io("start the control thread", &error))?;
        tokio::spawn(shut_down_on_signals(own.clone())?);
        tracing::info!("serving {}", path.display());
        let server = tokio::spawn(socket.clone().serve(own));
        let result = end.await.unwrap_or_else(|_| {
            Err(Error::new(aulos_protocol::ErrorCode::Internal, "the control thread panicked"))
        });
        // The answer to the command that ended the server is still on its way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        server.abort();
        result
    })
}

/// Ends the server in order when it is told to.
fn shut_down_on_signals(control: SyncSender<ToControl>) -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| signal(kind).map_err(|error| Error::io("listen for signals", &error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!("ending on {name}");
            if control.try_send(ToControl::Shutdown).is_ok() {
                return;
            }
            tracing::warn!("the control thread is busy; say it again");
        }
    })
}
