//! Real JACK servers, one at a time.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    time::{Duration, Instant},
};

use crate::server::{Server, text};

/// How long anything may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the servers are called.
const NAME: &str = "aulos-test";
/// How long a server may take to end in order.
const ORDERLY: Duration = Duration::from_secs(5);

/// Waits until `seen` answers with something.
///
/// # Panics
/// If it does not; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A JACK server with the dummy backend, in synchronous mode: it waits for its clients, so that what a client sees
/// of another is never of a cycle before.
pub struct Jackd {
    child: Option<Child>,
    _turn: File,
    /// How long it waits for a client, in ms.
    patience: &'static str,
    rate: u32,
    folder: tempfile::TempDir,
}

impl Jackd {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(rate: u32, block: u32) -> Self {
        Self::start_with(rate, block, "10000")
    }

    /// One that waits half a second for a client instead of ten. When a client leaves while it is waited for, the
    /// server stands for as long; it is for tests in which clients come and go and nothing may be lost.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn start_brisk(rate: u32, block: u32) -> Self {
        Self::start_with(rate, block, "500")
    }

    fn start_with(rate: u32, block: u32, patience: &'static str) -> Self {
        let turn = turn();
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let mut jackd = Self { child: None, _turn: turn, rate, patience, folder };
        jackd.again(block);
        jackd
    }

    /// Starts it again after it was ended.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn again(&mut self, block: u32) {
        let log = File::create(self.folder.path().join("log")).unwrap_or_else(|e| panic!("{e}"));
        let errors = log.try_clone().unwrap_or_else(|e| panic!("{e}"));
        let child = self
            .tool("setpriv")
            // It does not outlive a test that is killed, or the next one of its name would speak to it.
            .args(["--pdeathsig=KILL", "jackd"])
            .args(["-r", "-S", "-t", self.patience, "-n", NAME, "-d", "dummy"])
            .args(["-r", &self.rate.to_string(), "-p", &block.to_string()])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        self.child = Some(child.unwrap_or_else(|e| panic!("jackd is installed by make deps: {e}")));
        wait_for("the JACK server", || {
            self.attempt("jack_lsp", &[])?.contains("system:playback_2").then_some(())
        });
    }

    /// What names this server to its clients. It may stand for long on a busy machine, which is no reason for ours to
    /// leave it.
    pub fn environment(&self) -> [(&'static str, &OsStr); 3] {
        [
            ("JACK_DEFAULT_SERVER", OsStr::new(NAME)),
            ("JACK_NO_AUDIO_RESERVATION", OsStr::new("1")),
            ("AULOS_DEVICE_PATIENCE", OsStr::new("60000")),
        ]
    }

    fn tool(&self, program: impl AsRef<OsStr>) -> Process {
        let mut process = Process::new(program);
        process.envs(self.environment());
        process
    }

    /// What `program` prints, if it succeeds: while the server waits for a client it takes no other.
    fn attempt(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = self.tool(program).args(args).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|e| panic!("{program} is installed by make test: {e}"));
        output.status.success().then(|| text(&output.stdout))
    }

    /// What `program` prints once it succeeds.
    ///
    /// # Panics
    /// If it does not, or cannot be run.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        wait_for(program, || self.attempt(program, args))
    }

    /// Connects two ports.
    ///
    /// # Panics
    /// If that does not work.
    pub fn connect(&self, from: &str, to: &str) {
        wait_for("the link", || {
            self.attempt("jack_connect", &[from, to]);
            self.links(from).iter().any(|link| link == to).then_some(())
        });
    }

    /// Undoes a connection.
    ///
    /// # Panics
    /// If that does not work.
    pub fn disconnect(&self, from: &str, to: &str) {
        wait_for("the end of the link", || {
            self.attempt("jack_disconnect", &[from, to]);
            (!self.links(from).iter().any(|link| link == to)).then_some(())
        });
    }

    /// Starts `program`, which is ended when the answer is dropped.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(&self, program: &str, args: &[&str]) -> Client {
        let quiet = || Stdio::null();
        let child = self.tool(program).args(args).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
        Client(child.unwrap_or_else(|e| panic!("{program}: {e}")))
    }

    /// Starts `program`, with which lines are exchanged.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn talk(&self, program: &str) -> Talker {
        let child = self.tool(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{program}: {e}"));
        let lines = child.stdout.take().map(BufReader::new);
        let client = Client(child);
        Talker { lines: lines.unwrap_or_else(|| panic!("no stdout")), client }
    }

    /// Every port with its connections.
    pub fn ports(&self) -> String {
        self.run("jack_lsp", &["-c"])
    }

    /// The connections of a port, in the order of their names.
    pub fn links(&self, port: &str) -> Vec<String> {
        let all = self.ports();
        let mine = all.lines().skip_while(|line| *line != port).skip(1);
        let links = mine.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned());
        let mut links: Vec<String> = links.collect();
        links.sort();
        links
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).unwrap_or_else(|e| panic!("{e}"));
        }
    }

    /// Ends it in order; as `kill` does if it hangs in that, as it may after a client was killed.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub fn terminate(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child).unwrap_or_else(|e| panic!("{e}"));
        }
    }

    /// Has it stop or go on, without knowing it.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn freeze(&self, stands: bool) {
        use rustix::process::Signal;
        if let Some(child) = &self.child {
            signal(child, if stands { Signal::STOP } else { Signal::CONT });
        }
    }

    /// Starts `aulosd` as a client of this server.
    pub fn aulosd<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Server {
        let mut server = Server::spawn_with(None, &self.environment(), args);
        server.answering();
        server
    }

    /// Begins to record what these ports play.
    ///
    /// # Panics
    /// If that does not work.
    pub fn record(&self, recorder: &str, file: &Path, ports: &[&str]) -> Recorder {
        let child =
            self.tool(recorder).arg(file).args(ports).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{e}"));
        let mut line = String::new();
        let out = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
        BufReader::new(out).read_line(&mut line).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(line, "recording\n", "the recorder does not record");
        Recorder { child, file: file.to_owned(), channels: ports.len() }
    }
}

impl Drop for Jackd {
    fn drop(&mut self) {
        // In order, so that it leaves no shared memory; it may stand still if the test failed.
        self.freeze(false);
        self.terminate();
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap_or_else(|e| panic!("{e}"));
}

/// The right to run a server, which one test has at a time: clients of one name are confused with each other even if
/// they are those of two servers, as the sockets by which servers speak to them are named after them only.
fn turn() -> File {
    use rustix::fs::{FlockOperation, flock};
    let path = std::env::temp_dir().join("aulos-test-jack.lock");
    let lock = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    flock(&lock, FlockOperation::LockExclusive).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    lock
}

/// Ends a process in order, or else by force.
fn end(child: &mut Child) -> std::io::Result<()> {
    signal(child, rustix::process::Signal::TERM);
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > ORDERLY {
            child.kill()?;
            child.wait()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A client of the server that JACK_DEFAULT_SERVER names. One that is busy refuses it now and then.
///
/// # Panics
/// If it is refused for long.
pub fn client(name: &str) -> jack::Client {
    let begun = Instant::now();
    loop {
        match jack::Client::new(name, jack::ClientOptions::NO_START_SERVER) {
            Ok((client, _)) => return client,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "no JACK client {name}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A client of the server that is not ours.
pub struct Client(Child);

impl Client {
    /// Whether it still runs.
    ///
    /// # Panics
    /// If that cannot be told.
    pub fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap_or_else(|e| panic!("{e}")).is_none()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // In order: the server would wait for one that was killed.
        end(&mut self.0).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// A client with which lines are exchanged.
pub struct Talker {
    client: Client,
    lines: BufReader<std::process::ChildStdout>,
}

impl Talker {
    /// The next line that it says.
    ///
    /// # Panics
    /// If it says nothing any more.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap_or_else(|e| panic!("{e}"));
        line.trim_end().to_owned()
    }

    /// Says a line to it, and answers with what it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn say(&mut self, line: &str) -> String {
        let stdin = self.client.0.stdin.as_mut().unwrap_or_else(|| panic!("no stdin"));
        writeln!(stdin, "{line}").unwrap_or_else(|e| panic!("{e}"));
        self.hear()
    }
}

/// Something that records ports.
pub struct Recorder {
    child: Child,
    file: PathBuf,
    channels: usize,
}

impl Recorder {
    /// Ends it, and answers with what it has heard, by channel.
    ///
    /// # Panics
    /// If it has failed.
    pub fn finish(mut self) -> Vec<Vec<f32>> {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap_or_else(|e| panic!("{e}"));
        assert!(status.success(), "the recorder ended with {status}");
        let bytes = std::fs::read(&self.file).unwrap_or_else(|e| panic!("{e}"));
        let (samples, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty(), "the recorder has written half a sample");
        let samples: Vec<f32> = samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (0..self.channels).map(|c| samples.iter().skip(c).step_by(self.channels).copied().collect()).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
