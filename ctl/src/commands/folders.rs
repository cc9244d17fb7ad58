//! `session ls`, `session recent` and `session info`: sessions on disk, without a server.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aulos_protocol::{Bpm, Error, ErrorCode, Frames, LoopRange, Rate, Signature, config::Config, recent};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{
    context::Context,
    failure::Failure,
    files::absolute_path,
    paint::Style,
    position::Clock,
    programs,
    text::{Side, Table, count, minutes, plain},
};

/// How many folders below the one that is listed are looked into.
const DEPTH: usize = 4;
/// How many folders are looked into at all.
const MOST_FOLDERS: usize = 20_000;

/// What a list needs of a session; the rest is skipped.
#[derive(Deserialize)]
struct Head {
    name: String,
    rate: Rate,
    nodes: Vec<serde::de::IgnoredAny>,
}

/// What `aulosd` tells of the time of a session.
#[derive(Deserialize)]
struct Timing {
    rate: Rate,
    tempo: Bpm,
    signature: Signature,
    loop_range: Option<LoopRange>,
}

/// A session that was found.
struct Found {
    path: PathBuf,
    changed: Option<SystemTime>,
    head: Result<Head, String>,
}

/// Lists the sessions in a folder and below.
///
/// # Errors
/// The folder cannot be read.
pub fn list(cx: &mut Context, folder: Option<PathBuf>) -> Result<(), Failure> {
    let folder = match folder {
        Some(folder) => folder,
        None => {
            let config = Config::load(None, |name| std::env::var(name).ok())?;
            config
                .get("sessions.folder")
                .map_or_else(|| PathBuf::from("."), |entry| PathBuf::from(&entry.value))
        }
    };
    let (found, complete) = find(&folder)?;
    if !complete {
        cx.out.note(&format!(
            "{} has more than {MOST_FOLDERS} folders; the rest was left out",
            folder.display()
        ));
    }
    if cx.out.is_json() {
        let found: Result<Vec<Json>, Failure> = found.iter().map(json_of).collect();
        return cx.out.json(&found?);
    }
    if found.is_empty() {
        return cx.out.line(format_args!("no session in {}", plain(&folder.display().to_string())));
    }
    let mut table = Table::new(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Left]);
    for session in &found {
        let path = plain(&session.path.display().to_string()).into_owned();
        let saved = session.changed.map_or_else(String::new, |time| format!("saved {}", ago(time)));
        match &session.head {
            Ok(head) => table.row([
                (path, Style::Bold),
                (plain(&head.name).into_owned(), Style::Plain),
                (format!("{} Hz", head.rate.hz()), Style::Plain),
                (count(head.nodes.len(), "node"), Style::Plain),
                (saved, Style::Dim),
            ]),
            Err(_) => table.row([(path, Style::Bold), ("damaged".to_owned(), Style::Bad)]),
        }
    }
    let paint = cx.out.paint();
    cx.out.lines(table.lines(paint))
}

fn json_of(found: &Found) -> Result<Json, Failure> {
    let path = absolute_path(&found.path)?;
    let saved =
        found.changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_secs());
    Ok(match &found.head {
        Ok(head) => json!({
            "path": path, "name": head.name, "rate": head.rate, "nodes": head.nodes.len(), "saved": saved,
        }),
        Err(why) => json!({ "path": path, "damaged": why, "saved": saved }),
    })
}

/// The sessions in a folder and below, by path; whether all of it was looked at. Hidden folders and links to folders
/// are passed by, and what cannot be read below is no session.
fn find(folder: &Path) -> Result<(Vec<Found>, bool), Error> {
    let refused = |error: std::io::Error| {
        let mut told = Error::io(&format!("read the folder {}", folder.display()), &error);
        if error.kind() == std::io::ErrorKind::NotFound {
            told.code = ErrorCode::NotFound;
        }
        told
    };
    fs::read_dir(folder).map_err(refused)?;
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut looked = 0;
    while let Some((folder, depth)) = folders.pop() {
        looked += 1;
        if looked > MOST_FOLDERS {
            return Ok((found, false));
        }
        let file = folder.join("session.json");
        if let Some(about) = fs::metadata(&file).ok().filter(fs::Metadata::is_file) {
            let head = File::open(&file).map_err(|error| error.to_string()).and_then(|file| {
                serde_json::from_reader(BufReader::new(file)).map_err(|error| error.to_string())
            });
            found.push(Found { path: folder, changed: about.modified().ok(), head });
            // What lies in a session is its own.
            continue;
        }
        if depth == DEPTH {
            continue;
        }
        let hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        folders.extend(below.filter(|e| is_folder(e) && !hidden(e)).map(|entry| (entry.path(), depth + 1)));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((found, true))
}

/// Lists the sessions that servers of this user have opened lately.
///
/// # Errors
/// The list cannot be read.
pub fn recent(cx: &mut Context) -> Result<(), Failure> {
    let file = recent::place(|name| std::env::var(name).ok());
    let list = file.as_deref().map(recent::read).transpose()?.unwrap_or_default();
    let is_there = |path: &str| Path::new(path).join("session.json").is_file();
    if cx.out.is_json() {
        let list: Vec<_> = list
            .iter()
            .map(|one| json!({ "path": one.path, "name": one.name, "opened": one.opened, "there": is_there(&one.path) }))
            .collect();
        return cx.out.json(&list);
    }
    if list.is_empty() {
        return cx.out.line("no session was opened yet");
    }
    let mut table = Table::new(&[Side::Left, Side::Left, Side::Left, Side::Left]);
    for one in &list {
        let opened = UNIX_EPOCH.checked_add(Duration::from_secs(one.opened)).map(ago).unwrap_or_default();
        let gone = if is_there(&one.path) { "" } else { "gone" };
        table.row([
            (plain(&one.path).into_owned(), Style::Bold),
            (plain(&one.name).into_owned(), Style::Plain),
            (format!("opened {opened}"), Style::Dim),
            (gone.to_owned(), Style::Warn),
        ]);
    }
    let paint = cx.out.paint();
    cx.out.lines(table.lines(paint))
}

/// Tells what a session on disk holds.
///
/// # Errors
/// There is none, or it is damaged.
pub fn info(cx: &mut Context, folder: &Path) -> Result<(), Failure> {
    let told = programs::inspect(folder)?;
    if cx.out.is_json() {
        return cx.out.json(&told);
    }
    let paint = cx.out.paint();
    let text = |field: &str| plain(told[field].as_str().unwrap_or("?")).into_owned();
    let number = |field: &str| told[field].as_u64().unwrap_or_default();
    let nodes = told["nodes"].as_object().cloned().unwrap_or_default();
    let total: u64 = nodes.values().filter_map(Json::as_u64).sum();
    let kinds: Vec<_> = nodes.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    let Timing { rate, tempo, signature, loop_range } = serde_json::from_value(told.clone())
        .map_err(|error| Error::new(ErrorCode::Internal, format!("aulosd tells no session: {error}")))?;
    let clock = Clock { rate, tempo, signature };
    let length = Frames(number("length"));
    let mut rows = vec![
        ("session", paint.bold(&text("name")).into_owned()),
        ("folder", text("path")),
        ("rate", format!("{} Hz, {} bpm in {signature}", rate.hz(), tempo.get())),
        ("length", format!("{} ({length} frames)", minutes(rate.seconds(length)))),
        ("loop", clock.range(loop_range)),
        ("nodes", format!("{total}: {}", kinds.join(", "))),
        (
            "holds",
            format!(
                "{}, {} of {}",
                count(number("links") as usize, "link"),
                count(number("clips") as usize, "clip"),
                count(number("files") as usize, "file"),
            ),
        ),
    ];
    if told["held"] == true {
        rows.push(("open", "a server has it open; this is how it was saved last".to_owned()));
    }
    let problems = told["problems"].as_array().cloned().unwrap_or_default();
    for problem in problems.iter().filter_map(Json::as_str) {
        rows.push(("problem", paint.style(Style::Bad, &plain(problem)).into_owned()));
    }
    cx.out.lines(rows.into_iter().map(|(label, text)| format!("{}{text}", paint.dim(&format!("{label:<9}")))))
}

/// How long ago something was.
fn ago(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).map_or(0, |passed| passed.as_secs());
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} ago", count((seconds / 86_400) as usize, "day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        for (seconds, text) in
            [(0, "just now"), (59, "just now"), (61, "1 min ago"), (7300, "2 h ago"), (90_000, "1 day ago")]
        {
            assert_eq!(ago(SystemTime::now() - Duration::from_secs(seconds)), text);
        }
        assert_eq!(ago(SystemTime::now() + Duration::from_secs(100)), "just now");
    }
}
