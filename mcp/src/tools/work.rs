//! Tools that make files, and sessions.

use std::path::Path;

use aulos_protocol::{
    AudioFormat, Command, Dither, Error, ErrorCode, Frames, Rate, Render, Reply, SampleDepth,
    client::unexpected,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Tool};
use crate::{call::Call, inputs::Time};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            "render",
            "Render to a file",
            Effect::Destroys,
            &["render", "operation", "operation_cancel"],
            "Renders the session, or stems of it, to a WAV or FLAC file, faster than it plays, while playing goes on.
             Answers when the file is complete, with a report; it is a task with progress for clients that have tasks,
             and can be cancelled. A file that is there is replaced only when that is confirmed.",
            render,
        )
        .answers::<Rendered>()
        .long(),
        Tool::new(
            "cancel_operation",
            "Cancel an operation",
            Effect::Destroys,
            &["operation_cancel", "operation"],
            "Stops an operation by its number, such as a render that somebody else began: get_overview lists those that
             run. What was written is taken away.",
            cancel,
        ),
        Tool::new(
            "session",
            "Sessions",
            Effect::Destroys,
            &["session_new", "session_open", "session_save", "status"],
            "Saves the session, opens one, begins a new one, or lists those in a folder. Opening and beginning are
             refused while there are changes that are not saved, unless discard is true and that is confirmed; undo
             does not reach beyond them.",
            session,
        )
        .answers::<Session>(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The file, as a whole path that ends in .wav or .flac; of stems the folder.
    path: String,
    /// Where it begins; at the start unless said.
    start: Option<Time>,
    /// Where it ends; behind the last clip unless said.
    end: Option<Time>,
    /// How long it goes on after the end, for what still sounds.
    tail: Option<Time>,
    /// Renders a file for each of these nodes, or for all that go into the master if the list is empty.
    stems: Option<Vec<String>>,
    /// WAV or FLAC; by the file's ending unless said.
    format: Option<AudioFormat>,
    /// Depth of the samples; 32f for WAV and 24 for FLAC unless said.
    depth: Option<SampleDepth>,
    /// Noise under the error of rounding.
    dither: Option<Dither>,
    /// The file's rate in Hz; the session's unless said.
    rate: Option<Rate>,
    /// Keeps the latency of the outputs at the beginning.
    #[serde(default)]
    raw: bool,
    /// What a refusal says that names what is replaced.
    confirm: Option<String>,
}

/// What was rendered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Rendered {
    /// The file or folder.
    path: String,
    /// What is to be said of it: length, peak, what was silent.
    report: Vec<String>,
}

fn render(call: &mut Call<'_>, asked: Asked) -> Result<Rendered, Error> {
    call.door.policy.may_change()?;
    call.door.policy.may_write(&asked.path)?;
    if let Some(what) = replaced(Path::new(&asked.path)) {
        let act = format!("render {} {:?}", asked.path, asked.stems);
        call.sure(&act, &what, asked.confirm.as_deref())?;
    }
    let clock = call.clock()?;
    let frames = |time: &Option<Time>| time.as_ref().map(|time| time.frames(clock)).transpose();
    let command = Command::Render(Render {
        path: asked.path.clone(),
        stems: asked.stems,
        format: asked.format,
        depth: asked.depth,
        dither: asked.dither,
        rate: asked.rate,
        start: frames(&asked.start)?.unwrap_or(Frames(0)),
        end: frames(&asked.end)?,
        tail: frames(&asked.tail)?.unwrap_or(Frames(0)),
        raw: asked.raw,
        block: None,
    });
    let operation = match call.command(command)? {
        Reply::Started { operation } => operation,
        _ => return Err(unexpected("an operation")),
    };
    let report = call.finish(operation)?.report;
    Ok(Rendered { path: asked.path, report })
}

/// What a render to `path` replaces: the file, or what is in the folder of stems.
fn replaced(path: &Path) -> Option<String> {
    let found = path.symlink_metadata().ok()?;
    if !found.is_dir() {
        return Some(format!("the file {} is replaced", path.display()));
    }
    // A folder that cannot be read is the server's to refuse.
    let is_audio = |path: &Path| path.extension().is_some_and(|kind| kind == "wav" || kind == "flac");
    let mut there = path.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    there
        .any(|path| is_audio(&path))
        .then(|| format!("files in {} are replaced by stems of the same names", path.display()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Operation {
    /// Its number.
    operation: u64,
}

fn cancel(call: &mut Call<'_>, asked: Operation) -> Result<serde_json::Value, Error> {
    call.command(Command::CancelOperation { operation: asked.operation })?;
    Ok(serde_json::json!({ "cancelled": asked.operation }))
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Saves it; with a path, into another folder.
    Save,
    /// Opens the session in the folder at the path.
    Open,
    /// Begins an empty session in a new folder at the path.
    New,
    /// Lists the sessions in the folder at the path, or beside the open one.
    List,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What is to be done.
    action: Action,
    /// A folder, as a whole path.
    path: Option<String>,
    /// The rate of a new session in Hz.
    rate: Option<Rate>,
    /// Opens or begins another even though changes are not saved; they are lost.
    #[serde(default)]
    discard: bool,
    /// What the refusal of the first call with discard says.
    confirm: Option<String>,
}

/// The session that is open, and those that were found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Session {
    /// The name of the session that is open.
    name: String,
    /// Its folder; none while it is only in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Whether it has changes that are not saved.
    unsaved: bool,
    /// Its revision.
    revision: u64,
    /// The folders of the sessions that were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Vec<String>>,
}

fn session(call: &mut Call<'_>, asked: Wanted) -> Result<Session, Error> {
    let path = || {
        asked.path.clone().ok_or_else(|| {
            Error::new(ErrorCode::InvalidArgument, "no folder is named").expected("\"path\": a whole path")
        })
    };
    let policy = call.door.policy.clone();
    let found = match asked.action {
        Action::List => Some(list(call, asked.path.as_deref())?),
        Action::Save => {
            asked.path.as_deref().map_or(Ok(()), |path| policy.may_write(path))?;
            call.command(Command::SaveSession { path: asked.path.clone() })?;
            None
        }
        Action::Open => {
            let path = path()?;
            // It is saved there later.
            policy.may_write(&path)?;
            may_discard(call, &asked, "open", &path)?;
            call.command(Command::OpenSession { path, discard: asked.discard })?;
            None
        }
        Action::New => {
            let path = path()?;
            policy.may_write(&path)?;
            may_discard(call, &asked, "new", &path)?;
            let (rate, discard) = (asked.rate, asked.discard);
            call.command(Command::NewSession { path, rate, max_block: None, discard })?;
            None
        }
    };
    let status = call.status()?;
    Ok(Session {
        name: status.session,
        path: status.path,
        unsaved: status.unsaved,
        revision: status.revision,
        found,
    })
}

/// Makes sure that changes which are not saved may be lost, if any would be.
fn may_discard(call: &mut Call<'_>, asked: &Wanted, action: &str, path: &str) -> Result<(), Error> {
    call.door.policy.may_change()?;
    let status = call.status()?;
    if !(asked.discard && status.unsaved) {
        return Ok(());
    }
    let act = format!("{action} {path} {:?} {:?} {}", asked.rate, status.path, status.revision);
    let what = format!("the changes of the session \"{}\" that are not saved are lost", status.session);
    call.sure(&act, &what, asked.confirm.as_deref())
}

/// The folders with a session in them.
fn list(call: &mut Call<'_>, path: Option<&str>) -> Result<Vec<String>, Error> {
    const MOST: usize = 500;
    let folder = match path {
        Some(path) => std::path::PathBuf::from(path),
        None => {
            let open = call.status()?.path.ok_or_else(|| {
                Error::new(ErrorCode::InvalidArgument, "the session that is open has no folder")
                    .expected("\"path\": the folder to look in")
            })?;
            let open = std::path::PathBuf::from(open);
            open.parent().unwrap_or(&open).to_owned()
        }
    };
    let read = |error: std::io::Error| Error::io(&format!("read the folder {}", folder.display()), &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.join("session.json").is_file() {
            found.push(path.display().to_string());
        }
        if found.len() == MOST {
            break;
        }
    }
    found.sort();
    Ok(found)
}
