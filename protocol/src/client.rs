//! A small blocking client of the control socket.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use crate::{
    Command, Error, ErrorCode, Event, Frames, Hello, PROTOCOL, Query, Reply, Telemetry,
    wire::{Ask, FromServer, Request, read_from_server, write_request},
};

/// A connection to a server. Answers are matched to requests; events and telemetry that come in between are
/// kept in order (at most [`Client::MAX_KEPT`], then the oldest telemetry and at last the oldest event goes).
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    next_id: u64,
    kept: VecDeque<Notice>,
    /// The beginning of a line whose end had not come when the time ran out.
    partial: Vec<u8>,
}

/// What a server tells without being asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// The newest of what moves.
    Telemetry(Telemetry),
}

/// How a request is to be carried out.
#[derive(Default)]
struct Wish {
    dry_run: bool,
    at: Option<Frames>,
    revision: Option<u64>,
    fade_ms: Option<f64>,
}

/// Where the server's socket is unless said otherwise: `$AULOS_SOCKET`, else `aulos/control.sock` in
/// `$XDG_RUNTIME_DIR`, else in `/run/user/UID` if that exists, else `/tmp/aulos-UID/control.sock`.
pub fn default_socket(env: impl Fn(&str) -> Option<String>, uid: u32) -> PathBuf {
    if let Some(path) = env("AULOS_SOCKET").filter(|p| !p.is_empty()) {
        return path.into();
    }
    let run_user = PathBuf::from(format!("/run/user/{uid}"));
    match env("XDG_RUNTIME_DIR").filter(|p| !p.is_empty()) {
        Some(dir) => Path::new(&dir).join("aulos/control.sock"),
        None if run_user.is_dir() => run_user.join("aulos/control.sock"),
        None => PathBuf::from(format!("/tmp/aulos-{uid}/control.sock")),
    }
}

impl Client {
    /// The most events and telemetry that are kept while an answer is waited for.
    pub const MAX_KEPT: usize = 4096;

    /// Connects to the server at `path` and makes sure that it speaks this protocol.
    ///
    /// # Errors
    /// [`ErrorCode::Unreachable`] if there is no server, [`ErrorCode::Version`] if it speaks another version.
    pub fn connect(path: &Path) -> Result<(Self, Hello), Error> {
        Self::connect_within(path, None)
    }

    /// As [`Client::connect`], but waits for the server's first answer, and for every later one, at most as
    /// long as `timeout` says: a server that hangs takes connections and never answers.
    ///
    /// # Errors
    /// As [`Client::connect`] and [`Client::set_timeout`].
    pub fn connect_within(path: &Path, timeout: Option<Duration>) -> Result<(Self, Hello), Error> {
        let stream = UnixStream::connect(path).map_err(|error| {
            Error::new(ErrorCode::Unreachable, format!("no server answers at {}: {error}", path.display()))
                .remedy("start one with aulosd, or name its socket with --socket or $AULOS_SOCKET")
        })?;
        let writer = stream.try_clone().map_err(|error| gone(&error))?;
        let mut client = Self {
            reader: BufReader::new(stream),
            writer,
            next_id: 1,
            kept: VecDeque::new(),
            partial: Vec::new(),
        };
        client.set_timeout(timeout)?;
        match client.query(Query::Hello { protocol: PROTOCOL })? {
            Reply::Hello(hello) => Ok((client, hello)),
            _ => Err(unexpected("hello")),
        }
    }

    /// How long an answer is waited for, and how long the server may take to read what is sent; for ever if
    /// `None`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for a time of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.writer
            .set_read_timeout(timeout)
            .and_then(|()| self.writer.set_write_timeout(timeout))
            .map_err(|e| Error::new(ErrorCode::InvalidArgument, format!("not a usable time-out: {e}")))
    }

    /// Sends a command and waits until it is applied.
    ///
    /// # Errors
    /// The server's refusal, or [`ErrorCode::Unreachable`].
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        self.ask(Ask::Command(command), Wish::default())
    }

    /// As [`Client::command`], but only if the session has this revision.
    ///
    /// # Errors
    /// As [`Client::command`]; [`ErrorCode::Busy`] if it has another.
    pub fn command_if(&mut self, command: Command, revision: u64) -> Result<Reply, Error> {
        self.ask(Ask::Command(command), Wish { revision: Some(revision), ..Wish::default() })
    }

    /// As [`Client::command_if`], with fades of `fade_ms`, or of the session's length.
    ///
    /// # Errors
    /// As [`Client::command_if`]; [`ErrorCode::OutOfRange`], and [`ErrorCode::Unavailable`] for what does not fade.
    pub fn command_over(
        &mut self,
        command: Command,
        revision: u64,
        fade_ms: Option<f64>,
    ) -> Result<Reply, Error> {
        let wish = Wish { revision: Some(revision), fade_ms, ..Wish::default() };
        self.ask(Ask::Command(command), wish)
    }

    /// Asks what a command would change, if the session has this revision.
    ///
    /// # Errors
    /// As [`Client::command_if`].
    pub fn dry_run_if(&mut self, command: Command, revision: u64) -> Result<Reply, Error> {
        self.ask(Ask::Command(command), Wish { dry_run: true, revision: Some(revision), ..Wish::default() })
    }

    /// Sends a command that is to hold from the engine's frame `at` on; see [`Request::at`]. It is answered when
    /// the audio thread knows of it, which may be long before that frame.
    ///
    /// # Errors
    /// As [`Client::command`]; [`ErrorCode::Unavailable`] for what cannot be timed.
    pub fn command_at(&mut self, command: Command, at: Frames) -> Result<Reply, Error> {
        self.ask(Ask::Command(command), Wish { at: Some(at), ..Wish::default() })
    }

    /// Asks what a command would change, at once or from a frame on.
    ///
    /// # Errors
    /// As [`Client::command`] and [`Client::command_at`].
    pub fn dry_run(&mut self, command: Command, at: Option<Frames>) -> Result<Reply, Error> {
        self.ask(Ask::Command(command), Wish { dry_run: true, at, ..Wish::default() })
    }

    /// Asks a question.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub fn query(&mut self, query: Query) -> Result<Reply, Error> {
        self.ask(Ask::Query(query), Wish::default())
    }

    fn ask(&mut self, ask: Ask, wish: Wish) -> Result<Reply, Error> {
        let Wish { dry_run, at, revision, fade_ms } = wish;
        let id = json!(self.next_id);
        self.next_id += 1;
        let request = Request { id: Some(id.clone()), ask, dry_run, revision, at, fade_ms };
        if let Err(error) = self.send_line(&write_request(&request)) {
            return Err(if timed_out(&error) { error } else { self.last_word().unwrap_or(error) });
        }
        loop {
            match read_from_server(&self.read_line()?)? {
                FromServer::Answer { id: of, result } if of == id => return result,
                // An answer without an id is the server's word on a line that it could not read.
                FromServer::Answer { id: of, result } if of.is_null() => return result,
                FromServer::Answer { .. } | FromServer::Unknown => {}
                FromServer::Event(Event::Dropped { reason }) => return Err(hung_up(&reason)),
                FromServer::Event(event) => self.keep(Notice::Event(event)),
                FromServer::Telemetry(telemetry) => self.keep(Notice::Telemetry(telemetry)),
            }
        }
    }

    /// What the server said when it hung up, if it said anything: there may be no telling it anything any more
    /// while its words still wait to be read.
    fn last_word(&mut self) -> Option<Error> {
        loop {
            if let FromServer::Event(Event::Dropped { reason }) =
                read_from_server(&self.read_line().ok()?).ok()?
            {
                return Some(hung_up(&reason));
            }
        }
    }

    /// Sends a line as it is.
    ///
    /// # Errors
    /// [`ErrorCode::Unreachable`] if the server went away.
    pub fn send_line(&mut self, line: &str) -> Result<(), Error> {
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'\n');
        self.writer.write_all(&bytes).map_err(|error| gone(&error))
    }

    /// Waits for the next line, whatever it is.
    ///
    /// # Errors
    /// [`ErrorCode::Unreachable`] if the server went away or the time ran out.
    pub fn read_line(&mut self) -> Result<String, Error> {
        match self.reader.read_until(b'\n', &mut self.partial) {
            Ok(0) => Err(Error::new(ErrorCode::Unreachable, "the server closed the connection")),
            Ok(_) => String::from_utf8(std::mem::take(&mut self.partial))
                .map_err(|_| Error::new(ErrorCode::Parse, "the server sent a line that is not UTF-8")),
            Err(error) => Err(gone(&error)),
        }
    }

    /// Waits for the next event or telemetry.
    ///
    /// # Errors
    /// As [`Client::read_line`].
    pub fn notice(&mut self) -> Result<Notice, Error> {
        if let Some(notice) = self.kept.pop_front() {
            return Ok(notice);
        }
        loop {
            match read_from_server(&self.read_line()?)? {
                FromServer::Event(event) => return Ok(Notice::Event(event)),
                FromServer::Telemetry(telemetry) => return Ok(Notice::Telemetry(telemetry)),
                FromServer::Answer { .. } | FromServer::Unknown => {}
            }
        }
    }

    /// The next event or telemetry that came while an answer was waited for; does not wait.
    pub fn kept(&mut self) -> Option<Notice> {
        self.kept.pop_front()
    }

    fn keep(&mut self, notice: Notice) {
        if self.kept.len() >= Self::MAX_KEPT {
            let oldest_lossy = self.kept.iter().position(|n| matches!(n, Notice::Telemetry(_)));
            self.kept.remove(oldest_lossy.unwrap_or(0));
        }
        self.kept.push_back(notice);
    }
}

const NO_ANSWER: &str = "the server did not answer in time";

/// The error of an answer that did not come in time.
pub fn no_answer() -> Error {
    Error::new(ErrorCode::Unreachable, NO_ANSWER)
}

/// Whether the error is [`no_answer`]: the server is there, but slow or stuck.
pub fn timed_out(error: &Error) -> bool {
    error.code == ErrorCode::Unreachable && error.message == NO_ANSWER
}

fn hung_up(reason: &str) -> Error {
    Error::new(ErrorCode::Unreachable, format!("the server hung up: {reason}"))
}

fn gone(error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        return no_answer();
    }
    Error::new(ErrorCode::Unreachable, format!("the connection to the server broke: {error}"))
}

/// An answer that does not belong to the request.
pub fn unexpected(wanted: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("the server did not answer with {wanted}"))
}
