//! Real servers and real command lines: processes of the guarded build.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use aulos_protocol::{
    Applied, Command, Error, Query, Reply,
    client::{self, Client},
};

/// The project's folder.
pub fn project() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Where the guarded programs are. They are built once for each run of the tests, into a target folder of
/// their own, so that the features do not mix with those of the ordinary build.
///
/// # Panics
/// If they cannot be built.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = project().join("target/guarded");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let built = Process::new(cargo)
            .current_dir(project())
            .args(["build", "--quiet", "-p", "aulos-server", "-p", "aulos-ctl"])
            .args(["--features", "aulos-server/guard", "--target-dir"])
            .arg(&target)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the guarded programs cannot be built");
        target.join("debug")
    })
}

/// The guarded `aulosd`.
pub fn aulosd() -> PathBuf {
    programs().join("aulosd")
}

/// `aulosctl`.
pub fn aulosctl() -> PathBuf {
    programs().join("aulosctl")
}

/// `aulos-mcp`, built once for each run of the tests. It has no audio thread to be guarded.
///
/// # Panics
/// If it cannot be built.
pub fn aulos_mcp() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let target = || {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from);
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let built = Process::new(cargo)
            .current_dir(project())
            .args(["build", "--quiet", "-p", "aulos-mcp", "--target-dir"])
            .arg(&target)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "aulos-mcp cannot be built");
        target.join("debug/aulos-mcp")
    };
    BUILT.get_or_init(target).clone()
}

/// A user that is neither root nor whoever runs the tests.
pub const STRANGER: u32 = 65_534;

/// Lets every user into a folder.
///
/// # Panics
/// If it cannot be changed.
pub fn open_folder(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, all).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
}

/// How long anything may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a process of its own, in a folder of its own.
pub struct Server {
    child: Child,
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Server {
    /// Starts a server with these arguments and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut server = Self::spawn(args);
        server.answering();
        server
    }

    /// Waits until the server answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn answering(&mut self) {
        let begun = Instant::now();
        while Client::connect(&self.socket()).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}: {}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a server with the stepped driver.
    pub fn stepped() -> Self {
        Self::start(["--driver", "stepped", "--block", "1024"])
    }

    /// Starts a server and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::spawn_at(None, args)
    }

    /// Starts a server with this socket instead of one in its folder, and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_at<S: AsRef<std::ffi::OsStr>>(
        socket: Option<&Path>,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::spawn_with(socket, &[], args)
    }

    /// Starts a server with these variables in its environment, and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_with<S: AsRef<std::ffi::OsStr>>(
        socket: Option<&Path>,
        environment: &[(&str, &std::ffi::OsStr)],
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let socket = socket.map_or_else(|| folder.path().join("control.sock"), Path::to_owned);
        let log = std::fs::File::create(folder.path().join("log")).unwrap_or_else(|e| panic!("{e}"));
        // Not the bus of who runs the tests: only one that a test has for itself.
        let has_bus = environment.iter().any(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS");
        let child = Process::new(aulosd())
            .arg("--socket")
            .arg(&socket)
            .args((!has_bus).then_some("--no-dbus"))
            .args(args)
            .env_remove("AULOS_SOCKET")
            // Many servers at once would want the same port.
            .env("AULOS_OSC", "off")
            .env("AULOS_LOG", "info")
            .envs(environment.iter().copied())
            .env("AULOS_CONFIG", "")
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("aulosd cannot be started: {e}"));
        Self { child, folder, socket }
    }

    /// A folder for the test's files, which goes with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        let mut text = String::new();
        let read =
            std::fs::File::open(self.folder.path().join("log")).and_then(|mut f| f.read_to_string(&mut text));
        read.map_or_else(|e| e.to_string(), |_| text)
    }

    /// Waits until the server has logged so many times what has `part` in it: a thread of its own writes the log, some
    /// time after what is told by an answer.
    ///
    /// # Panics
    /// If it does not come, or more often.
    pub fn says(&self, part: &str, times: usize) {
        let begun = Instant::now();
        while self.log().matches(part).count() < times {
            assert!(begun.elapsed() < PATIENCE, "{part:?} is not {times} times in {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.log().matches(part).count(), times, "{part:?}: {}", self.log());
    }

    /// A new connection.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn client(&self) -> Client {
        let connected = Client::connect(&self.socket());
        let (client, _) = connected.unwrap_or_else(|e| panic!("no connection: {e}: {}", self.log()));
        client.set_timeout(Some(PATIENCE)).unwrap_or_else(|e| panic!("{e}"));
        client
    }

    /// Runs `aulosctl` against this server, without a terminal.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn ctl<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        Process::new(aulosctl())
            .args(args)
            .env("AULOS_SOCKET", self.socket())
            .env("AULOS_CONFIG", "")
            .env("XDG_STATE_HOME", self.folder().join("state"))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("aulosctl cannot be run: {e}"))
    }

    /// Runs `aulosctl` with the words of `line`, and answers with what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok(&self, line: &str) -> String {
        let output = self.ctl(line.split_whitespace());
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "aulosctl {line}: {}\n{out}{err}\n{}", output.status, self.log());
        out
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(begun.elapsed() < PATIENCE * 3, "the server does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// If it cannot be sent, or the server does not end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM)
    }

    /// Sends SIGINT and waits for the end.
    ///
    /// # Panics
    /// If it cannot be sent, or the server does not end.
    pub fn interrupt(&mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::INT)
    }

    /// Sends SIGKILL, as `kill -9` does, and waits for the end.
    ///
    /// # Panics
    /// If it cannot be sent, or the server does not end.
    pub fn kill(&mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::KILL)
    }

    fn signal(&mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap_or_else(|e| panic!("{e}"));
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && !std::thread::panicking() {
            let status = self.terminate();
            assert!(status.success(), "the server ended with {status}: {}", self.log());
        } else if let Ok(None) = self.child.try_wait()
            && self.child.kill().is_ok()
        {
            self.child.wait().ok();
        }
        // An allocation of the audio thread aborts the process; that must never go unseen.
        if !std::thread::panicking() {
            let status = self.child.wait();
            let aborted = status.is_ok_and(|s| std::os::unix::process::ExitStatusExt::signal(&s) == Some(6));
            assert!(!aborted, "the server was aborted: {}", self.log());
        }
    }
}

/// What a process printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command that must succeed.
///
/// # Panics
/// If it does not.
pub fn apply(client: &mut Client, command: Command) -> Applied {
    match client.command(command.clone()) {
        Ok(Reply::Applied(applied)) => applied,
        other => panic!("{command:?}: {other:?}"),
    }
}

/// A query that must succeed.
///
/// # Panics
/// If it does not.
pub fn ask(client: &mut Client, query: Query) -> Reply {
    client.query(query.clone()).unwrap_or_else(|error| panic!("{query:?}: {error:?}"))
}

/// Waits for an operation to end.
///
/// # Errors
/// Why it failed.
///
/// # Panics
/// If the server does not tell.
pub fn finish(client: &mut Client, operation: u64) -> Result<Vec<String>, Error> {
    loop {
        let Reply::Operation(state) = ask(client, Query::Operation { operation }) else {
            panic!("{}", client::unexpected("an operation"));
        };
        if state.ended {
            return state.error.map_or(Ok(state.report), Err);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The samples of a WAV file by channel, as floats.
///
/// # Panics
/// If it cannot be read.
pub fn read_wav(path: &Path) -> Vec<Vec<f32>> {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples().map(|s| s.unwrap_or_else(|e| panic!("{e}"))).collect(),
        hound::SampleFormat::Int => {
            let scale = 2f32.powi(i32::from(spec.bits_per_sample) - 1);
            let read = reader.samples::<i32>().map(|s| s.unwrap_or_else(|e| panic!("{e}")));
            read.map(|s| s as f32 / scale).collect()
        }
    };
    let channels = usize::from(spec.channels);
    (0..channels).map(|c| samples.iter().skip(c).step_by(channels).copied().collect()).collect()
}
