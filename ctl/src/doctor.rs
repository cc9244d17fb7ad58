//! `doctor`: what keeps a machine from working well in real time, and the line that mends it.
//!
//! Everything is read from files below a root, which is `/` but in tests, and from the environment.

mod checks;
mod sound;
#[cfg(test)]
mod tree;

use std::path::{Path, PathBuf};

use aulos_protocol::{
    ErrorCode,
    client::{Client, default_socket},
    config::Config,
};
use serde::Serialize;
use serde_json::json;

use crate::{args, context::Context, failure::Failure, paint::Style, programs, text::plain};

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// It does not work, or not in real time.
    Missing,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What that means, where something is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<&'static str>,
    /// The line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), means: None, mend: None }
    }

    fn not_ok(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        means: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self { name, state, found: found.into(), means: Some(means), mend: Some(mend.into()) }
    }
}

/// The machine as it is looked at.
pub struct Machine<'a> {
    root: PathBuf,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Machine<'_> {
    /// The path below the root.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether there is such a file or folder.
    fn is_there(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The names in a folder, in their order; none if it cannot be read.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether this user may read and write a file.
    fn opens(&self, path: &str) -> bool {
        use rustix::fs::Access;
        rustix::fs::access(self.path(path), Access::READ_OK | Access::WRITE_OK).is_ok()
    }

    /// A small file as text without its end; nothing if it cannot be read.
    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok().map(|text| text.trim_end().to_owned())
    }
}

/// Looks at everything and tells.
///
/// # Errors
/// [`Failure::Missing`] if something is missing.
pub fn run(cx: &mut Context, args: &args::Doctor) -> Result<(), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let root = args.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let machine = Machine { root, env: &env };
    let mut findings = checks::all(&machine);
    findings.push(configuration());
    findings.push(sessions());
    findings.push(program());
    findings.push(server(cx));
    let worst = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    if cx.out.is_json() {
        cx.out.json(&json!({ "state": worst, "findings": findings }))?;
    } else {
        for finding in &findings {
            tell(cx, finding)?;
        }
    }
    if worst == State::Missing { Err(Failure::Missing) } else { Ok(()) }
}

fn tell(cx: &mut Context, finding: &Finding) -> Result<(), Failure> {
    let paint = cx.out.paint();
    let (word, style) = match finding.state {
        State::Ok => ("ok", Style::Good),
        State::Warn => ("warn", Style::Warn),
        State::Missing => ("missing", Style::Bad),
    };
    let word = format!("{word:<7}");
    cx.out.line(format_args!(
        "{}  {:<19} {}",
        paint.style(style, &word),
        finding.name,
        plain(&finding.found)
    ))?;
    if let Some(means) = finding.means {
        cx.out.line(format_args!("{:9}{means}", ""))?;
    }
    if let Some(mend) = &finding.mend {
        cx.out.line(format_args!("{:9}{}", "", paint.bold(&format!("→ {}", plain(mend)))))?;
    }
    Ok(())
}

fn configuration() -> Finding {
    const NAME: &str = "configuration";
    match Config::load(None, |name| std::env::var(name).ok()) {
        Ok(config) if config.files().is_empty() => Finding::ok(NAME, "none: the defaults hold"),
        Ok(config) => {
            let files: Vec<_> = config.files().iter().map(|file| file.display().to_string()).collect();
            Finding::ok(NAME, files.join(", "))
        }
        Err(error) => {
            let expected = error.expected.clone().unwrap_or_default();
            let means = "aulosd does not start with a configuration that it does not understand.";
            let mend = format!("edit that line; expected {expected}");
            Finding::not_ok(NAME, State::Missing, error.to_string(), means, mend)
        }
    }
}

/// The disk on which sessions lie.
fn sessions() -> Finding {
    const NAME: &str = "disk of sessions";
    let config = Config::load(None, |name| std::env::var(name).ok()).unwrap_or_default();
    let folder = config.get("sessions.folder").map_or(".", |entry| entry.value.as_str());
    let whole = std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder));
    // A folder that is yet to be made lies on the disk of the one above.
    let there = whole.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(about) => checks::disk(NAME, &whole, about.f_bavail.saturating_mul(about.f_frsize)),
        Err(error) => Finding::not_ok(
            NAME,
            State::Missing,
            format!("{}: {error}", whole.display()),
            "Sessions cannot be saved there.",
            "aulosctl config show, and set [sessions] folder to one that can be written",
        ),
    }
}

fn program() -> Finding {
    const NAME: &str = "aulosd";
    let own = env!("CARGO_PKG_VERSION");
    let missing = |found: String| {
        Finding::not_ok(NAME, State::Missing, found, "Without it there is no server.", "make install")
    };
    let program = match programs::aulosd() {
        Ok(program) => program,
        Err(error) => return missing(error.message),
    };
    match std::process::Command::new(&program).arg("--version").output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout);
            let version = told.trim().trim_start_matches("aulosd").trim();
            if version == own {
                return Finding::ok(NAME, format!("{} {version}", program.display()));
            }
            let found = format!("{} is of version {version}, aulosctl of {own}", program.display());
            let means = "Programs of different releases may not understand each other.";
            Finding::not_ok(NAME, State::Warn, found, means, "make install")
        }
        Err(error) => missing(format!("{} cannot be run: {error}", program.display())),
    }
}

/// The server that answers, if any.
fn server(cx: &Context) -> Finding {
    const NAME: &str = "server";
    let socket = match cx.socket() {
        socket if socket.as_os_str().is_empty() => {
            default_socket(|name| std::env::var(name).ok(), rustix::process::getuid().as_raw())
        }
        socket => socket.to_owned(),
    };
    match Client::connect_within(&socket, cx.timeout()) {
        Ok((_, hello)) => Finding::ok(NAME, format!("aulosd {} at {}", hello.version, socket.display())),
        Err(error) if error.code == ErrorCode::Version => Finding::not_ok(
            NAME,
            State::Missing,
            error.to_string(),
            "aulosctl cannot speak with it.",
            "end it and start the aulosd of this release",
        ),
        Err(_) => Finding::not_ok(
            NAME,
            State::Warn,
            format!("none at {}", socket.display()),
            "That is as it should be if none was started.",
            "aulosd &",
        ),
    }
}
