//! A session bus of a test's own, and clients of it that are not written here.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::server::{Server, text};

/// The name of the server on the bus.
pub const NAME: &str = "org.aulos.Server";
/// How long anything may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bus in a folder of its own.
pub struct Bus {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl Bus {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        Self::start_by(|_| {})
    }

    /// Starts one whose daemon is prepared by `prepare`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_by(prepare: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        Self { daemon: daemon(folder.path(), prepare), folder }
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it is.
    pub fn address(&self) -> String {
        address(self.folder.path())
    }

    /// Ends it, as a user's session does.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub fn end(&mut self) {
        self.daemon.kill().and_then(|()| self.daemon.wait()).unwrap_or_else(|e| panic!("dbus-daemon: {e}"));
        // A daemon that is killed leaves its socket.
        std::fs::remove_file(self.folder.path().join("bus")).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Starts it anew at the same address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn again(&mut self) {
        self.daemon = daemon(self.folder.path(), |_| {});
    }

    /// Starts a server that serves this bus, and waits until it has its name.
    ///
    /// # Panics
    /// If it does not.
    pub fn server<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Server {
        let mut server = self.spawn(args);
        server.answering();
        self.wait_for(NAME);
        server
    }

    /// Starts a server that serves this bus, and does not wait for it.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Server {
        let address = self.address();
        Server::spawn_with(None, &[("DBUS_SESSION_BUS_ADDRESS", OsStr::new(&address))], args)
    }

    /// Waits until somebody has the name.
    ///
    /// # Panics
    /// If nobody takes it.
    pub fn wait_for(&self, name: &str) {
        let begun = Instant::now();
        while !self.has_owner(name) {
            assert!(begun.elapsed() < PATIENCE, "nobody takes the name {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether somebody has the name.
    pub fn has_owner(&self, name: &str) -> bool {
        let bus = "org.freedesktop.DBus";
        let words = ["call", bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", name];
        self.busctl(words).is_ok_and(|told| told["data"][0] == true)
    }

    /// Runs `busctl` with JSON as its output: what it says, or what went wrong.
    ///
    /// # Errors
    /// What it writes to stderr.
    ///
    /// # Panics
    /// If it cannot be run, or what it says is no JSON.
    pub fn busctl<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Json, String> {
        let out = self.busctl_says(&["--json=short"], words)?;
        match out.trim() {
            "" => Ok(Json::Null),
            out => Ok(serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"))),
        }
    }

    /// Runs `busctl` with options and words: what it prints, or what went wrong.
    ///
    /// # Errors
    /// What it writes to stderr.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn busctl_says<S: AsRef<OsStr>>(
        &self,
        options: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        self.busctl_by(|_| {}, options, words)
    }

    /// The same by a process that `prepare` changes, such as one of another user.
    ///
    /// # Errors
    /// What it writes to stderr.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn busctl_by<S: AsRef<OsStr>>(
        &self,
        prepare: impl FnOnce(&mut Command),
        options: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Result<String, String> {
        let mut command = Command::new("busctl");
        command
            .arg(format!("--address={}", self.address()))
            .args(options)
            .args(["--timeout=60", "--"])
            .args(words)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null());
        prepare(&mut command);
        let output = command.output().unwrap_or_else(|e| panic!("busctl: {e}; it is installed by make deps"));
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Calls a member of the server by `busctl`: the object below the root, the interface without its beginning, and the
    /// words of signature and arguments. Answers with the data of the first argument that comes back.
    ///
    /// # Errors
    /// What it writes to stderr.
    pub fn call(&self, object: &str, interface: &str, member: &str, words: &str) -> Result<Json, String> {
        let path = path(object);
        let interface = format!("org.aulos.{interface}");
        let begin = ["call", NAME, &path, &interface, member];
        let mut told = self.busctl(begin.into_iter().chain(words.split_whitespace()))?;
        Ok(told["data"][0].take())
    }

    /// Reads a property of the server by `busctl`.
    ///
    /// # Errors
    /// What it writes to stderr.
    pub fn get(&self, object: &str, interface: &str, name: &str) -> Result<Json, String> {
        let (path, interface) = (path(object), format!("org.aulos.{interface}"));
        Ok(self.busctl(["get-property", NAME, &path, &interface, name])?["data"].take())
    }

    /// Sets a property of the server by `busctl`; `words` are its type and value.
    ///
    /// # Errors
    /// What it writes to stderr.
    pub fn set(&self, object: &str, interface: &str, name: &str, words: &str) -> Result<(), String> {
        let (path, interface) = (path(object), format!("org.aulos.{interface}"));
        let begin = ["set-property", NAME, &path, &interface, name];
        self.busctl(begin.into_iter().chain(words.split_whitespace())).map(|_| ())
    }

    /// `gdbus` on this bus.
    pub fn gdbus(&self) -> Command {
        let mut command = Command::new("gdbus");
        command.env("DBUS_SESSION_BUS_ADDRESS", self.address()).stdin(Stdio::null());
        command
    }

    /// Runs `gdbus` with words that must succeed, and answers with what it printed.
    ///
    /// # Panics
    /// If it cannot be run, or fails.
    pub fn gdbus_says<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> String {
        let output: Output = self
            .gdbus()
            .args(words)
            .output()
            .unwrap_or_else(|e| panic!("gdbus: {e}; it is installed by make deps"));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "gdbus: {}\n{out}{err}", output.status);
        out
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if matches!(self.daemon.try_wait(), Ok(None)) && self.daemon.kill().is_ok() {
            self.daemon.wait().ok();
        }
    }
}

/// The path of an object below the root, which is empty for the root itself.
pub fn path(object: &str) -> String {
    match object {
        "" => "/org/aulos/Server".into(),
        object => format!("/org/aulos/Server/{object}"),
    }
}

fn address(folder: &Path) -> String {
    format!("unix:path={}/bus", folder.display())
}

/// Starts a daemon that listens in this folder.
fn daemon(folder: &Path, prepare: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new("dbus-daemon");
    command
        .args(["--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
        .arg(format!("--address={}", address(folder)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    prepare(&mut command);
    let mut daemon =
        command.spawn().unwrap_or_else(|e| panic!("dbus-daemon: {e}; it is installed by make deps"));
    // It says where it listens when it does.
    let mut line = String::new();
    let read = daemon.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    assert!(matches!(read, Some(Ok(bytes)) if bytes > 0), "dbus-daemon does not start");
    daemon
}
