//! The daemon: drivers, control socket, disk streaming, session store.
//!
//! [`serve`] is the whole of it; the program `aulosd` only reads its command line and sets up the log. What
//! reads files is public too, so that it can be tested and fuzzed by itself.

mod args;
pub mod audiofile;
mod control;
mod dbus;
pub mod disk;
mod drivers;
mod hub;
mod inner;
mod inspect;
mod library;
pub mod log;
mod memory;
mod moving;
mod osc;
mod played;
mod render;
mod socket;
mod store;
mod systemd;

use std::sync::{Arc, mpsc::SyncSender};

use aulos_protocol::{Error, client::default_socket};
use tokio::signal::unix::{SignalKind, signal};

pub use args::Args;
pub use dbus::reference as dbus_reference;
pub use inspect::inspect;
pub use store::parse as parse_session;

use control::{Control, ToControl};
use hub::Connections;
use inner::Inner;
use socket::Socket;
use systemd::Manager;

/// How many messages wait for the control thread.
const INBOX: usize = 1024;

/// Serves until told to end.
///
/// # Errors
/// If the server cannot be started, or something could not be completed at its end.
pub fn serve(args: &Args) -> Result<(), Error> {
    if let Some(parent) = args.with_parent {
        end_with(parent)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the runtime", &error))?;
    let path = args.socket.clone().unwrap_or_else(|| {
        default_socket(|name| std::env::var(name).ok(), rustix::process::getuid().as_raw())
    });
    runtime.block_on(async {
        // Who cannot be told is no reason to be silent.
        let manager = Manager::from_env(|name| std::env::var(name).ok()).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            None
        });
        let socket = Arc::new(match systemd::listener()? {
            Some(listener) => Socket::adopt(listener)?,
            None => Socket::bind(&path)?,
        });
        let (own, inbox) = std::sync::mpsc::sync_channel(INBOX);
        let (connections, board) = (Arc::<Connections>::default(), Arc::new(osc::Board::default()));
        let setup = args.setup(board.clone())?;
        let control = Control::start(setup, inbox, own.clone())?;
        let life = control.life().clone();
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
        tracing::info!("serving {}", socket.path().display());
        let osc = osc::start(args.osc(), &board, &connections, &own).await;
        let manager =
            manager.map(|manager| tokio::spawn(manager.follow(life, Inner::new(&connections, own.clone()))));
        if !args.no_dbus {
            tokio::spawn(dbus::serve(args.dbus_name.clone(), connections.clone(), own.clone()));
        }
        let server = tokio::spawn(socket.clone().serve(own, connections));
        let result = end.await.unwrap_or_else(|_| {
            Err(Error::new(aulos_protocol::ErrorCode::Internal, "the control thread panicked"))
        });
        if let Some(manager) = manager {
            // Told that the server ends, or it is not there to be told.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), manager).await;
        }
        // The answer to the command that ended the server is still on its way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        server.abort();
        osc.into_iter().for_each(|osc| osc.abort());
        result
    })
}

/// Has this process end when the one that started it does.
fn end_with(parent: i32) -> Result<(), Error> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| Error::io("ask to be ended with the parent process", &error.into()))?;
    // It may have ended before that was asked.
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
        return Err(Error::new(
            aulos_protocol::ErrorCode::Unavailable,
            format!("the process {parent}, with which to end, is not the one that started the server"),
        ));
    }
    Ok(())
}

/// Ends the server in order when it is told to.
fn shut_down_on_signals(control: SyncSender<ToControl>) -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| signal(kind).map_err(|error| Error::io("listen for signals", &error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = listen(SignalKind::hangup())?;
    // They would end the server at once, and lose what is not saved. The last would for a file that may not grow,
    // which is then an error of what writes it.
    let (mut first, mut second) =
        (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);
    let mut too_large = listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => "SIGHUP",
                _ = first.recv() => { tracing::warn!("SIGUSR1 means nothing here"); continue }
                _ = second.recv() => { tracing::warn!("SIGUSR2 means nothing here"); continue }
                _ = too_large.recv() => continue,
            };
            tracing::info!("ending on {name}");
            if control.try_send(ToControl::Shutdown).is_ok() {
                return;
            }
            tracing::warn!("the control thread is busy; say it again");
        }
    })
}
