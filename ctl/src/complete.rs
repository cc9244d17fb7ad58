//! Completion of command lines: what the command line itself knows, and names from the running server.
//!
//! The script that a shell loads calls this program with `$COMPLETE` set. A server that does not answer at once, or
//! is not there, completes nothing and is not complained of.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io::Write,
    path::PathBuf,
    time::Duration,
};

use aulos_protocol::{
    NodeKind, Query, Reply, Session,
    client::{Client, default_socket},
    config::Config,
    params, ports, recent,
};
use clap::{Arg, Command, CommandFactory};
use clap_complete::{
    CompletionCandidate as Candidate,
    engine::{ArgValueCompleter, PathCompleter, ValueCompleter},
    env::{CompleteEnv, Shells},
};

use crate::args::Cli;

/// The environment variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";
/// How long the server is waited for: a key was pressed.
const PATIENCE: Duration = Duration::from_millis(300);

/// Answers a shell that asks for completions, and ends the process then.
pub fn answer_a_shell() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The names of the shells for which there is a script.
pub fn shells() -> Vec<&'static str> {
    Shells::builtins().names().collect()
}

/// Writes the script that a shell loads.
///
/// # Errors
/// Writing fails; there is no such shell.
pub fn script(shell: &str, to: &mut dyn Write) -> std::io::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or(std::io::ErrorKind::NotFound)?;
    if shell.name() == "bash" {
        // Ports are written NODE:PORT, and a word that ends at the colon cannot be completed.
        writeln!(to, "COMP_WORDBREAKS=${{COMP_WORDBREAKS//:}}")?;
    }
    shell.write_registration(VARIABLE, "aulosctl", "aulosctl", "aulosctl", to)
}

/// The command line, with what completes its values.
fn command() -> Command {
    with_completers(Cli::command(), "")
}

/// Values are completed by the names of arguments, so that new commands need nothing.
fn with_completers(command: Command, parent: &str) -> Command {
    let verb = command.get_name().to_owned();
    let is_new = verb == "add";
    let parent = parent.to_owned();
    command
        .mut_args(|arg| {
            let completer = match arg.get_id().as_str() {
                "node" if verb == "get" || verb == "set" => ArgValueCompleter::new(node_or_param),
                "node" | "nodes" | "name" | "before" | "after" | "track" | "stems" | "members"
                    if !is_new || arg.get_id() != "name" =>
                {
                    ArgValueCompleter::new(nodes)
                }
                "from" | "to" if verb == "link" || verb == "unlink" => ArgValueCompleter::new(ends),
                "param" | "second" => ArgValueCompleter::new(parameters),
                "third" => ArgValueCompleter::new(values),
                "to" if parent == "click" => ArgValueCompleter::new(nodes),
                "path" if parent == "session" => ArgValueCompleter::new(sessions),
                "id" if parent == "clip" => ArgValueCompleter::new(clips),
                _ => return arg,
            };
            // The name of a session is no node's.
            if parent == "session" && arg.get_id() == "name" { arg } else { add(arg, completer) }
        })
        .mut_subcommands(|sub| with_completers(sub, &verb))
}

fn add(arg: Arg, completer: ArgValueCompleter) -> Arg {
    arg.add(completer)
}

/// The session of the running server, if there is one that answers in time.
fn session() -> Option<Session> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let said = words.iter().position(|word| word == "--socket").and_then(|at| words.get(at + 1));
    let env = |name: &str| std::env::var(name).ok();
    let configured = || match env("AULOS_SOCKET") {
        Some(path) if !path.is_empty() => None,
        _ => Config::load(None, env).ok()?.get("server.socket").map(|entry| PathBuf::from(&entry.value)),
    };
    let usual = || default_socket(env, rustix::process::getuid().as_raw());
    let socket = said.map(PathBuf::from).or_else(configured).unwrap_or_else(usual);
    let (mut client, _) = Client::connect_within(&socket, Some(PATIENCE)).ok()?;
    match client.query(Query::Session).ok()? {
        Reply::Session(session) => Some(*session),
        _ => None,
    }
}

/// Those candidates that begin with what is there.
fn beginning(current: &OsStr, candidates: impl IntoIterator<Item = (String, String)>) -> Vec<Candidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fits = candidates.into_iter().filter(|(text, _)| text.starts_with(current));
    fits.map(|(text, help)| Candidate::new(text).help((!help.is_empty()).then(|| help.into()))).collect()
}

fn named(session: &Session) -> Vec<(String, String)> {
    let nodes = session.nodes.in_order();
    nodes.into_iter().map(|node| (node.slug.to_string(), node.kind.to_string())).collect()
}

fn nodes(current: &OsStr) -> Vec<Candidate> {
    session().map(|session| beginning(current, named(&session))).unwrap_or_default()
}

/// `drums`, or after a slash `drums/gain`.
fn node_or_param(current: &OsStr) -> Vec<Candidate> {
    let Some(session) = session() else { return Vec::new() };
    let node = current.to_str().and_then(|text| session.node(text.split_once('/')?.0));
    match node {
        None => beginning(current, named(&session)),
        Some(node) => {
            let params = params::of(node.kind, node.channels).iter();
            beginning(current, params.map(|p| (format!("{}/{}", node.slug, p.name), p.text.to_owned())))
        }
    }
}

/// `drums`, or after a colon its groups and ports.
fn ends(current: &OsStr) -> Vec<Candidate> {
    let Some(session) = session() else { return Vec::new() };
    let node = current.to_str().and_then(|text| session.node(text.split_once(':')?.0));
    match node {
        None => beginning(current, named(&session)),
        Some(node) => {
            let groups = ports::groups(node.kind, node.channels);
            let names: BTreeSet<String> = groups
                .iter()
                .flat_map(|group| std::iter::once(group.name.to_owned()).chain(group.port_names()))
                .collect();
            beginning(current, names.into_iter().map(|port| (format!("{}:{port}", node.slug), String::new())))
        }
    }
}

/// The values of the parameter that was written before, where they are words.
fn values(current: &OsStr) -> Vec<Candidate> {
    let words: Vec<String> = std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let Some(session) = session() else { return Vec::new() };
    let whole = words.iter().rev().filter_map(|word| word.split_once('/'));
    let apart = words.windows(2).rev().map(|pair| (pair[0].as_str(), pair[1].as_str()));
    let found = whole.chain(apart).find_map(|(node, param)| {
        let node = session.node(node)?;
        params::of(node.kind, node.channels).iter().find(|known| known.name == param)
    });
    let Some(param) = found else { return Vec::new() };
    let words = match param.unit {
        params::Unit::Switch => vec!["on".to_owned(), "off".to_owned()],
        _ => param.choices(),
    };
    beginning(current, words.into_iter().map(|word| (word, String::new())))
}

/// The parameters of the node that was written before, or the values of the parameter if that was; of any kind if there is no server to tell what it is.
fn parameters(current: &OsStr) -> Vec<Candidate> {
    let values = values(current);
    if !values.is_empty() {
        return values;
    }
    let session = session();
    let node = std::env::args_os().rev().find_map(|word| session.as_ref()?.node(word.to_str()?).cloned());
    let kinds = match &node {
        Some(node) => vec![(node.kind, node.channels)],
        None => NodeKind::ALL.into_iter().map(|kind| (kind, 2)).collect(),
    };
    let all = kinds.into_iter().flat_map(|(kind, channels)| params::of(kind, channels));
    let names: BTreeSet<(String, String)> = all.map(|p| (p.name.to_owned(), p.text.to_owned())).collect();
    beginning(current, names)
}

/// The clips of the track that was written before.
fn clips(current: &OsStr) -> Vec<Candidate> {
    let Some(session) = session() else { return Vec::new() };
    let track = std::env::args_os().rev().find_map(|word| session.node(word.to_str()?).cloned());
    let clips = track.iter().flat_map(|track| &track.clips);
    beginning(current, clips.map(|clip| (clip.id.to_string(), clip.file.clone())))
}

/// Sessions that were opened lately, and folders.
fn sessions(current: &OsStr) -> Vec<Candidate> {
    let file = recent::place(|name| std::env::var(name).ok());
    let list = file.and_then(|file| recent::read(&file).ok()).unwrap_or_default();
    let mut found = beginning(current, list.into_iter().map(|one| (one.path, one.name)));
    found.extend(PathCompleter::dir().complete(current));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_calls_this_program() {
        assert!(shells().contains(&"bash") && shells().contains(&"fish"));
        for shell in shells() {
            let mut text = Vec::new();
            script(shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("aulosctl") && text.contains(VARIABLE), "{shell}: {text}");
        }
        assert!(script("cmd", &mut Vec::new()).is_err());
    }

    #[test]
    fn the_command_line_stays_consistent() {
        command().debug_assert();
    }
}
