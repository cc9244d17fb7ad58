//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;

/// Lets agents use an Aulos server by the Model Context Protocol.
///
/// Speaks on standard input and output, or with --http by Streamable HTTP on this machine. It is a client of the
/// server's control socket and may be started before it.
#[derive(Debug, Parser)]
#[command(name = "aulos-mcp", version)]
pub struct Args {
    /// The server's socket; $AULOS_SOCKET, the configuration, or the usual one unless said
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Serves Streamable HTTP at http://ADDRESS:PORT/mcp; the address is one of this machine alone
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,
    /// The file with the bearer token of --http; made, with mode 0600, if it is not there
    #[arg(long, value_name = "FILE", requires = "http")]
    pub token_file: Option<PathBuf>,
    /// A web page that may use --http, such as http://localhost:8080; none may unless said
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub allow_origin: Vec<String>,
    /// Refuses everything that changes something
    #[arg(long)]
    pub read_only: bool,
    /// The highest gain that agents may set, in dB
    #[arg(long, value_name = "DB", default_value_t = 6.0, allow_negative_numbers = true)]
    pub gain_ceiling: f64,
    /// How many ms what agents change takes to fade, 0 to 1000; no less than the session's fade
    #[arg(long, value_name = "MS", default_value = "100", value_parser = fade)]
    pub ramp: f64,
    /// A folder that agents may write to: files of renders and folders of sessions lie in it; anywhere unless said
    #[arg(long, value_name = "FOLDER")]
    pub write_under: Vec<PathBuf>,
    /// How many seconds the server may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Prints the tools, resources and prompts as Markdown and ends
    #[arg(long)]
    pub reference: bool,
}

fn fade(text: &str) -> Result<f64, String> {
    let most = aulos_protocol::Session::MAX_FADE_MS;
    let ms = text.parse().ok().filter(|ms| (0.0..=most).contains(ms));
    ms.ok_or_else(|| format!("0 to {most} ms are possible"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("0.1 to 3600 seconds are possible".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}
