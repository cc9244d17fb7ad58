//! `aulos-mcp`: lets agents use an Aulos server by the Model Context Protocol.
//!
//! It only translates: tools into commands and questions of the control socket, answers into results. What it adds is
//! what agents need: few words, pages, errors that name what would be right, a ceiling for gains. It is a process of
//! its own, so that an agent that misbehaves cannot touch the sound.

mod args;
mod call;
mod confirm;
#[cfg(feature = "conformance-fixtures")]
mod fixtures;
mod follow;
mod http;
mod inputs;
mod link;
mod overview;
mod policy;
mod prompts;
mod reference;
mod resources;
mod running;
mod schema;
mod stdio;
mod subscriptions;
mod surface;
mod token;
mod tools;
mod words;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use aulos_protocol::{Error, client::default_socket, config::Config, text};
use clap::Parser;
use rmcp::{ServiceExt, transport::async_rw::AsyncRwTransport};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    call::Door,
    follow::Follower,
    link::Link,
    policy::Policy,
    stdio::Patient,
    surface::Surface,
    token::{Token, default_file},
};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell that stderr is closed.
            let _ = write!(io::stderr(), "aulos-mcp: {}", text::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Error> {
    if args.reference {
        return io::stdout()
            .write_all(reference::markdown().as_bytes())
            .map_err(|error| Error::io("write the reference", &error));
    }
    // Standard output belongs to the protocol.
    let filter = tracing_subscriber::EnvFilter::try_from_env("AULOS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,aulos_mcp=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    let env = |name: &str| std::env::var(name).ok();
    let uid = rustix::process::getuid().as_raw();
    let socket = match args.socket {
        Some(socket) => socket,
        None => configured_socket(env, uid)?,
    };
    let policy = Policy {
        read_only: args.read_only,
        ceiling_db: args.gain_ceiling,
        ramp_ms: args.ramp,
        write_under: args.write_under,
    };
    let follower = Follower::default();
    let theirs = Link::new(socket.clone(), args.timeout);
    follower
        .start(move || theirs.connect())
        .map_err(|error| Error::io("start the thread that follows the server", &error))?;
    let link = Link::new(socket, args.timeout);
    let door = Door { link, policy, follower, crowded: Default::default(), codes: Default::default() };
    let surface = Surface::new(Arc::new(door));
    let token = match args.http {
        Some(_) => Some(Token::of_file(&args.token_file.unwrap_or_else(|| default_file(env, uid)))?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the runtime", &error))?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_at_a_signal(stop.clone())?;
        let result = match (args.http, token) {
            (Some(address), Some(token)) => {
                let ready = |address| tracing::info!("serving http://{address}/mcp");
                http::serve(surface.clone(), address, args.allow_origin, token, stop, ready).await
            }
            _ => stdio(surface.clone(), stop).await,
        };
        surface.end().await;
        result
    });
    // A call that waits for a server that hangs is not waited for.
    runtime.shutdown_background();
    result
}

/// Serves on standard input and output until the client closes them.
async fn stdio(surface: Surface, stop: CancellationToken) -> Result<(), Error> {
    let (input, output) = rmcp::transport::stdio();
    let transport = AsyncRwTransport::new_server(input, output).with_max_line_length(http::MOST_BODY);
    match surface.serve_with_ct(Patient::new(transport), stop).await {
        Ok(service) => {
            if let Err(error) = service.waiting().await {
                tracing::error!("the service panicked: {error}");
            }
            Ok(())
        }
        // Whoever starts it and closes it again without a word has done no harm.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(Error::io("begin to serve", &io::Error::other(error.to_string()))),
    }
}

fn stop_at_a_signal(stop: CancellationToken) -> Result<(), Error> {
    let of = |kind| signal(kind).map_err(|error| Error::io("wait for signals", &error));
    let (mut terminate, mut interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

/// The socket that the environment says, else the configuration, else the usual one.
fn configured_socket(env: impl Fn(&str) -> Option<String>, uid: u32) -> Result<PathBuf, Error> {
    if env("AULOS_SOCKET").is_none_or(|path| path.is_empty()) {
        let config = Config::load(None, &env)?;
        if let Some(entry) = config.get("server.socket") {
            return Ok(PathBuf::from(&entry.value));
        }
    }
    Ok(default_socket(env, uid))
}
