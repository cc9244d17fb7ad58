//! The other program, `aulosd`: where it is, and servers of our own.

use std::{
    fs::{self, DirBuilder, File},
    io::Read,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use aulos_protocol::{Error, ErrorCode, client::Client};
use serde_json::Value as Json;

use crate::failure::Failure;

/// How long a server of our own may take until it answers, or ends.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const NAP: Duration = Duration::from_millis(5);
/// The largest session file that is copied, in bytes; servers read no larger one.
const MOST_BYTES: u64 = 1 << 30;

/// The program `aulosd`: beside this one, else in `$PATH`.
///
/// # Errors
/// [`ErrorCode::NotFound`].
pub fn aulosd() -> Result<PathBuf, Error> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("aulosd")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = beside.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("aulosd")));
    candidates.find(|candidate| candidate.is_file()).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, "the program aulosd is neither beside aulosctl nor in $PATH")
            .remedy("install it: make install")
    })
}

/// What `aulosd` tells of a session on disk.
///
/// # Errors
/// What it refuses, or that it cannot be run.
pub fn inspect(folder: &Path) -> Result<Json, Failure> {
    let program = aulosd()?;
    let output = Command::new(&program)
        .arg("--inspect")
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io(&format!("run {}", program.display()), &error))?;
    let unreadable = || {
        let told = String::from_utf8_lossy(&output.stderr);
        let message = format!("{} does not tell what the session holds: {}", program.display(), told.trim());
        Error::new(ErrorCode::Internal, message).remedy("use aulosctl and aulosd of the same release")
    };
    let json: Json = serde_json::from_slice(&output.stdout).map_err(|_| unreadable())?;
    match json.get("error") {
        None => Ok(json),
        Some(error) => {
            let error = serde_json::from_value::<Error>(error.clone()).map_err(|_| unreadable())?;
            Err(error.into())
        }
    }
}

/// A server of our own with a copy of a session, of which it can change nothing. It has no device, takes no time
/// while it is not asked anything, and ends with this process, however that ends.
#[derive(Debug)]
pub struct Private {
    child: Child,
    folder: PathBuf,
    /// The session that was copied.
    session: PathBuf,
}

impl Private {
    /// Starts a server with a copy of the session in the folder `session`, as it was saved last, and waits until it
    /// answers.
    ///
    /// # Errors
    /// There is no session, it cannot be read, or the server does not start; with what it said.
    pub fn start(session: &Path) -> Result<Self, Failure> {
        let program = aulosd()?;
        let folder = new_folder()?;
        // Removed again whatever happens from here on.
        let made = copy(session, &folder.join("session")).and_then(|()| {
            let log = folder.join("log");
            let io = |error: std::io::Error| Error::io(&format!("start {}", program.display()), &error);
            Command::new(&program)
                .arg("--session")
                .arg(folder.join("session"))
                .arg("--socket")
                .arg(folder.join("socket"))
                .args(["--no-dbus", "--driver", "stepped", "--log", "warn", "--with-parent"])
                .arg(std::process::id().to_string())
                .env("AULOS_CONFIG", "")
                .env("XDG_STATE_HOME", folder.join("state"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(&log).map_err(io)?)
                // Ctrl-C is for us: the server is told what to do about it.
                .process_group(0)
                .spawn()
                .map_err(io)
        });
        let child = made.inspect_err(|_| remove(&folder))?;
        let mut private = Self { child, folder, session: session.to_owned() };
        private.wait_until_it_answers()?;
        Ok(private)
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn wait_until_it_answers(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match Client::connect_within(&self.socket(), Some(PATIENCE)) {
                Ok(_) => return Ok(()),
                Err(error) if error.code != ErrorCode::Unreachable => return Err(error.into()),
                Err(_) => {}
            }
            let ended = self.child.try_wait().map_err(|error| Error::io("wait for aulosd", &error))?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let message = format!("the session cannot be opened: {}", self.said());
                return Err(Error::new(ErrorCode::Unavailable, message).into());
            }
            std::thread::sleep(NAP);
        }
    }

    /// What the server has said, on one line, without the times.
    fn said(&self) -> String {
        let mut text = String::new();
        let read =
            File::open(self.folder.join("log")).and_then(|log| log.take(1 << 16).read_to_string(&mut text));
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.split_once("ERROR ").map_or(line, |(_, rest)| rest).trim())
            .filter(|line| !line.is_empty())
            .collect();
        let lines = lines.join("; ");
        // Who reads it knows nothing of the copy, which is gone by then.
        let copy = self.folder.join("session");
        let real = copy.canonicalize().unwrap_or_else(|_| copy.clone());
        let session = self.session.display().to_string();
        let lines = [real, copy]
            .iter()
            .fold(lines, |lines, copy| lines.replace(&copy.display().to_string(), &session));
        match (read, lines.as_str()) {
            (Err(error), _) => error.to_string(),
            (Ok(_), "") => "aulosd said nothing".into(),
            (Ok(_), _) => lines,
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // There is nothing in it that would have to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
        remove(&self.folder);
    }
}

/// A folder that nobody else can look into.
fn new_folder() -> Result<PathBuf, Error> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let base = std::env::temp_dir();
    loop {
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = base.join(format!("aulosctl-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 1000 => {}
            Err(error) => return Err(Error::io(&format!("make the folder {}", folder.display()), &error)),
        }
    }
}

fn remove(folder: &Path) {
    // A folder that stays takes room and does no harm.
    let _ = fs::remove_dir_all(folder);
}

/// Copies a session, without its audio files: those that it names relative to its folder are named whole.
fn copy(session: &Path, to: &Path) -> Result<(), Error> {
    let file = session.join("session.json");
    let io = |error: std::io::Error| Error::io(&format!("read {}", file.display()), &error);
    let folder = session.canonicalize().ok().filter(|_| file.is_file()).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("there is no session in {}", session.display()))
            .expected("a folder with a session.json in it")
    })?;
    let mut bytes = Vec::new();
    File::open(&file).map_err(io)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    // What is no JSON is refused by the server, in its words.
    let copy = match serde_json::from_slice::<Json>(&bytes) {
        Ok(mut json) => {
            name_whole(&mut json, &folder);
            json.to_string().into_bytes()
        }
        Err(_) => bytes,
    };
    let doing = || format!("copy the session to {}", to.display());
    fs::create_dir(to)
        .and_then(|()| fs::write(to.join("session.json"), copy))
        .map_err(|error| Error::io(&doing(), &error))
}

fn name_whole(session: &mut Json, folder: &Path) {
    let nodes = session.get_mut("nodes").and_then(Json::as_array_mut);
    let clips =
        nodes.into_iter().flatten().filter_map(|node| node.get_mut("clips")?.as_array_mut()).flatten();
    for file in clips.filter_map(|clip| clip.get_mut("file")) {
        let whole = file.as_str().filter(|file| !file.is_empty()).map(|file| folder.join(file));
        if let Some(whole) = whole.as_deref().and_then(Path::to_str) {
            *file = whole.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_names_the_same_files_and_keeps_what_it_does_not_know() {
        let folder = new_folder().unwrap();
        let session = folder.join("a session");
        fs::create_dir(&session).unwrap();
        let text = r#"{"x":1,"nodes":[{"clips":[{"file":"audio/a.wav"},{"file":"/b.wav"},{"file":7}]},{"clips":3},4]}"#;
        fs::write(session.join("session.json"), text).unwrap();
        copy(&session, &folder.join("copy")).unwrap();
        let copied = fs::read_to_string(folder.join("copy/session.json")).unwrap();
        let whole = session.canonicalize().unwrap().join("audio/a.wav");
        let expected = text.replace("audio/a.wav", whole.to_str().unwrap());
        assert_eq!(
            serde_json::from_str::<Json>(&copied).unwrap(),
            serde_json::from_str::<Json>(&expected).unwrap()
        );
        assert_eq!(copy(&folder, &folder.join("other")).unwrap_err().code, ErrorCode::NotFound);
        remove(&folder);
    }
}
