//! A server that sounds, to be maltreated, and the checks that it does not mind.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use aulos_protocol::{
    Command, Error, ErrorCode, Frames, MeterReading, Query, Reply, Session,
    client::Client,
    wire::{FromServer, read_from_server},
};
use aulos_tests::server::{Server, apply, ask};
use serde_json::{Value as Json, json};

/// What an error must say beside its code and a part of its message.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    /// Part of what was expected.
    Expected(&'static str),
    /// Part of what can be done.
    Remedy(&'static str),
    /// A close name.
    Close(&'static str),
    /// The nodes on the cycle.
    Path(&'static [&'static str]),
    /// The lowest and highest value, and their unit.
    Range(f64, f64, &'static str),
    /// The command of the batch.
    Index(usize),
}

/// Whether `error` is as it must be.
#[track_caller]
pub fn check(what: &str, error: &Error, code: ErrorCode, part: &str, says: &[Says]) {
    let what: String = what.chars().take(200).collect();
    let told = format!("{what}: {error:?}");
    assert_eq!(error.code, code, "{told}");
    assert!(error.message.contains(part), "{part:?} is not in the message of {told}");
    assert!(error.message.len() < 1100, "a message of {} bytes: {what}", error.message.len());
    for says in says {
        let fine = match *says {
            Says::Expected(part) => error.expected.as_ref().is_some_and(|e| e.contains(part)),
            Says::Remedy(part) => error.remedy.as_ref().is_some_and(|e| e.contains(part)),
            Says::Close(name) => error.close.iter().any(|close| close == name),
            Says::Path(path) => error.path == path,
            Says::Range(min, max, unit) => {
                error.range.as_ref().is_some_and(|r| r.min == min && r.max == max && r.unit == unit)
            }
            Says::Index(index) => error.index == Some(index),
        };
        assert!(fine, "{says:?} is not said by {told}");
    }
}

/// Waits until `is_so`.
///
/// # Panics
/// If that takes too long; `what` is what does not happen.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never happens: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that sends what it likes.
pub struct Raw {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Raw {
    /// A new connection to `server`.
    pub fn new(server: &Server) -> Self {
        let stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message from the server; `None` when it has hung up.
    pub fn next(&mut self) -> Option<FromServer> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(read_from_server(&line).unwrap_or_else(|e| panic!("{e}: {line}"))),
            // What a server that hung up had not read yet is an error of the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next answer, with the request's id.
    pub fn answer(&mut self) -> (Json, Result<Reply, Error>) {
        loop {
            match self.next() {
                Some(FromServer::Answer { id, result }) => return (id, result),
                Some(_) => {}
                None => panic!("the server hung up"),
            }
        }
    }

    /// Sends a line and answers with what came of it.
    pub fn ask(&mut self, line: &[u8]) -> (Json, Result<Reply, Error>) {
        self.send(line).unwrap();
        self.send(b"\n").unwrap();
        self.answer()
    }

    /// Calls a method with JSON parameters.
    pub fn call(&mut self, method: &str, params: &str) -> Result<Reply, Error> {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}");
        let (id, result) = self.ask(line.as_bytes());
        // Lines that are no JSON cannot be told from one another.
        let unread = matches!(&result, Err(error) if error.code == ErrorCode::Parse);
        assert_eq!(id, if unread { Json::Null } else { json!(1) });
        result
    }
}

/// A server with the stepped driver whose session sounds: a tone, two tracks, buses in a row, a delay.
pub struct Bench {
    /// The server.
    pub server: Server,
    witness: Client,
    frame: u64,
    session: Session,
}

/// What the bench's session is made of.
const PATCH: &str = "\
    node add tone sine level=-6dB
    link sine master
    track add drums
    track add voice --channels 1
    bus add room
    bus add hall
    send add verb
    node add delay late frames=48
    link drums verb
    link verb room
    link room hall
    link hall master
    link voice late";

impl Bench {
    /// A new server.
    pub fn new() -> Self {
        let server = Server::stepped();
        PATCH.lines().for_each(|line| drop(server.ok(line)));
        let witness = server.client();
        let mut bench = Self { server, witness, frame: 0, session: Session::new("", Default::default()) };
        bench.accept();
        bench.frame = bench.step();
        bench
    }

    /// Takes the session for what it shall be, after it was changed on purpose.
    pub fn accept(&mut self) {
        self.session = self.session();
    }

    /// The session.
    pub fn session(&mut self) -> Session {
        match ask(&mut self.witness, Query::Session) {
            Reply::Session(session) => *session,
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self) -> u64 {
        let Frames(frame) = apply(&mut self.witness, Command::Step { blocks: vec![64, 128] }).frame;
        frame
    }

    fn meters(&mut self) -> Vec<MeterReading> {
        match ask(&mut self.witness, Query::Meters) {
            Reply::Meters { meters } => meters,
            other => panic!("{other:?}"),
        }
    }

    /// Makes sure that nothing has changed, and that the sound goes on.
    #[track_caller]
    pub fn goes_on(&mut self, after: &str) {
        let after: String = after.chars().take(200).collect();
        assert_eq!(self.session(), self.session.clone(), "the session is another after {after}");
        self.meters();
        let frame = self.step();
        assert_eq!(frame, self.frame + 192, "the clock after {after}");
        self.frame = frame;
        let loud = self.meters().iter().any(|m| m.node == "master" && m.peaks.iter().all(|p| *p > 0.4));
        assert!(loud, "silence after {after}");
        let mut other = self.server.client();
        assert!(matches!(ask(&mut other, Query::Status), Reply::Status(_)));
    }
}
