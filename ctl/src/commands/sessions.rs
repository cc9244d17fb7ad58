//! `session`, `undo`, `redo` and `shutdown`.

use aulos_protocol::{Command, Error, ErrorCode, Query, Reply, client::timed_out, client::unexpected};

use super::clock;
use crate::{
    args::SessionVerb,
    context::Context,
    failure::Failure,
    files::absolute_path,
    position::Position,
    text::{count, plain},
};

/// Begins, opens, saves, changes or shows the session.
///
/// # Errors
/// A path that cannot be said, or the server's refusal.
pub fn run(cx: &mut Context, verb: SessionVerb) -> Result<(), Failure> {
    match verb {
        SessionVerb::New { path, rate, max_block, discard } => {
            let path = absolute_path(&path)?;
            let text = format!("new session {}", plain(&path));
            cx.change(Command::NewSession { path, rate, max_block, discard }, |_, _| Ok(text))
        }
        SessionVerb::Open { path, discard } => {
            let path = absolute_path(&path)?;
            let text = format!("opened {}", plain(&path));
            cx.change(Command::OpenSession { path, discard }, |_, _| Ok(text))
        }
        SessionVerb::Save { path } => {
            let path = path.as_deref().map(absolute_path).transpose()?;
            let text = match &path {
                Some(path) => format!("saved as {}", plain(path)),
                None => "saved".into(),
            };
            cx.change(Command::SaveSession { path }, |_, _| Ok(text))
        }
        SessionVerb::Set { name, fade, max_latency } => set(cx, name, fade, max_latency),
        SessionVerb::Show => show(cx),
        SessionVerb::Ls { folder } => super::folders::list(cx, folder),
        SessionVerb::Recent => super::folders::recent(cx),
        SessionVerb::Info { path } => super::folders::info(cx, &path),
    }
}

fn set(
    cx: &mut Context,
    name: Option<String>,
    fade: Option<Position>,
    max_latency: Option<Position>,
) -> Result<(), Failure> {
    if name.is_none() && fade.is_none() && max_latency.is_none() {
        return Err(Failure::usage("session set wants --name, --fade or --max-latency"));
    }
    let edit_fade_ms = fade.map(|fade| milliseconds(cx, fade)).transpose()?;
    let max_latency_ms = max_latency.map(|most| milliseconds(cx, most)).transpose()?;
    let mut done = Vec::new();
    done.extend(name.as_deref().map(|name| format!("name {}", plain(name))));
    done.extend(edit_fade_ms.map(|ms| format!("fades {ms} ms")));
    done.extend(max_latency_ms.map(|ms| format!("latencies up to {ms} ms")));
    let command = Command::SetSession { name, tempo: None, signature: None, edit_fade_ms, max_latency_ms };
    cx.change(command, |_, _| Ok(done.join(", ")))
}

fn milliseconds(cx: &mut Context, length: Position) -> Result<f64, Failure> {
    let seconds = match length {
        Position::Seconds(seconds) => seconds,
        position => {
            let frames = cx.frames(position)?;
            cx.clock()?.rate.seconds(frames)
        }
    };
    // To a nanosecond, or 5.1ms would come back as 5.1000000000000005.
    Ok((seconds * 1e9).round() / 1e6)
}

fn show(cx: &mut Context) -> Result<(), Failure> {
    match cx.query_or_print(Query::Session)? {
        None => Ok(()),
        Some(Reply::Session(session)) => {
            let clips = session.nodes.values().map(|node| node.clips.len()).sum();
            cx.out.line(format_args!("name         {}", plain(&session.name)))?;
            cx.out.line(format_args!("rate         {} Hz", session.rate.hz()))?;
            cx.out.line(format_args!("tempo        {} bpm in {}", session.tempo.get(), session.signature))?;
            let range = clock(&session).range(session.loop_range);
            cx.out.line(format_args!("loop         {range}"))?;
            cx.out.line(format_args!("fades        {} ms", session.edit_fade_ms))?;
            cx.out.line(format_args!("max block    {} frames", session.max_block))?;
            cx.out.line(format_args!("max latency  {} ms", session.max_latency_ms))?;
            cx.out.line(format_args!(
                "holds        {}, {}, {}",
                count(session.nodes.len(), "node"),
                count(session.links.len(), "link"),
                count(clips, "clip"),
            ))
        }
        Some(_) => Err(unexpected("the session").into()),
    }
}

/// Takes back the last step.
///
/// # Errors
/// The server's refusal, such as that there is nothing to undo.
pub fn undo(cx: &mut Context) -> Result<(), Failure> {
    cx.change(Command::Undo, |applied, _| Ok(step("undone", applied.step.as_deref())))
}

/// Does again what was taken back.
///
/// # Errors
/// The server's refusal, such as that there is nothing to redo.
pub fn redo(cx: &mut Context) -> Result<(), Failure> {
    cx.change(Command::Redo, |applied, _| Ok(step("done again", applied.step.as_deref())))
}

fn step(what: &str, step: Option<&str>) -> String {
    match step {
        Some(step) => format!("{what}: {}", plain(step)),
        None => what.to_owned(),
    }
}

/// Ends the server and waits until it hangs up.
///
/// # Errors
/// The server's refusal, such as that the session cannot be saved, or that it takes longer than the time-out.
pub fn shutdown(cx: &mut Context, discard: bool) -> Result<(), Failure> {
    cx.refuse_dry_run("a shutdown")?;
    cx.client()?;
    cx.change(Command::Shutdown { discard }, |_, _| Ok("the server is ending".into()))?;
    cx.out.flush()?;
    let client = cx.client()?;
    loop {
        match client.read_line() {
            // Events may still come.
            Ok(_) => {}
            Err(error) if timed_out(&error) => return Err(error.into()),
            Err(error) if error.code == ErrorCode::Unreachable => return Ok(()),
            Err(error) => return Err(still_there(error).into()),
        }
    }
}

fn still_there(error: Error) -> Error {
    error.remedy("the server took the command; see whether its process is still there")
}
