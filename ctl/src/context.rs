//! What every command works with: the options, the way out, and the server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aulos_protocol::{
    Applied, Bpm, Change, Command, Error, ErrorCode, Frames, Node, Query, Reply, Session, Status, Undo,
    client::{Client, unexpected},
};
use serde_json::Value as Json;

use crate::{
    changes,
    failure::Failure,
    position::{Clock, Position},
    print::Out,
};

/// What every command works with.
pub struct Context {
    /// The way out.
    pub out: Out,
    socket: PathBuf,
    timeout: Option<Duration>,
    dry_run: bool,
    at: Option<Position>,
    client: Option<Client>,
    clock: Option<Clock>,
}

impl Context {
    /// Nothing is connected before it is needed.
    pub fn new(
        out: Out,
        socket: PathBuf,
        timeout: Option<Duration>,
        dry_run: bool,
        at: Option<Position>,
    ) -> Self {
        Self { out, socket, timeout, dry_run, at, client: None, clock: None }
    }

    /// Where the server's socket is.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Speaks to the server at another socket from now on.
    pub fn speak_to(&mut self, socket: PathBuf) {
        self.socket = socket;
        self.client = None;
        self.clock = None;
    }

    /// How long an answer is waited for.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether only to say what would change.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The engine's frame from which the command is to hold, if one was asked for.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a time: the engine's frames are not those of the timeline.
    pub fn at(&self) -> Result<Option<Frames>, Failure> {
        match self.at {
            None => Ok(None),
            Some(Position::Frames(frames)) => Ok(Some(Frames(frames))),
            Some(_) => {
                let error = Error::new(ErrorCode::InvalidArgument, "--at wants a frame of the engine");
                Err(Failure::Usage(
                    error
                        .expected("a whole number, such as 96000; \"aulosctl status\" tells the present one"),
                ))
            }
        }
    }

    /// Refuses `--at`, before anything is done, unless `can_be_timed`; takes no notice of it if it `is_theirs`.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub fn check_at(&mut self, can_be_timed: bool, is_theirs: bool) -> Result<(), Failure> {
        if is_theirs {
            self.at = None;
        }
        if self.at()?.is_none() || can_be_timed {
            return Ok(());
        }
        let error = Error::new(ErrorCode::InvalidArgument, "this command cannot be timed");
        Err(Failure::Usage(error.expected(
            "--at with a command that sets a parameter, links, moves the transport, or is a batch of those",
        )))
    }

    /// The connection to the server.
    ///
    /// # Errors
    /// No server answers, or one of another version.
    pub fn client(&mut self) -> Result<&mut Client, Failure> {
        if self.client.is_none() {
            self.client = Some(Client::connect_within(&self.socket, self.timeout)?.0);
        }
        self.client.as_mut().ok_or_else(|| Failure::Refused(unexpected("a connection")))
    }

    /// The connection, to be used on another thread.
    ///
    /// # Errors
    /// As [`Context::client`].
    pub fn take_client(&mut self) -> Result<Client, Failure> {
        self.client()?;
        self.client.take().ok_or_else(|| Failure::Refused(unexpected("a connection")))
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The server's, or that it cannot be reached.
    pub fn query(&mut self, query: Query) -> Result<Reply, Failure> {
        Ok(self.client()?.query(query)?)
    }

    /// Asks a question and prints the answer, if it is to be JSON; gives the answer otherwise.
    ///
    /// # Errors
    /// As [`Context::query`].
    pub fn query_or_print(&mut self, query: Query) -> Result<Option<Reply>, Failure> {
        let reply = self.query(query)?;
        if !self.out.is_json() {
            return Ok(Some(reply));
        }
        self.print_json(&reply)?;
        Ok(None)
    }

    /// Prints the data of a reply as JSON.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn print_json(&mut self, reply: &Reply) -> Result<(), Failure> {
        self.out.json(&data(reply)?)
    }

    /// The status.
    ///
    /// # Errors
    /// As [`Context::query`].
    pub fn status(&mut self) -> Result<Box<Status>, Failure> {
        match self.query(Query::Status)? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected("its status").into()),
        }
    }

    /// The whole session.
    ///
    /// # Errors
    /// As [`Context::query`].
    pub fn session(&mut self) -> Result<Box<Session>, Failure> {
        match self.query(Query::Session)? {
            Reply::Session(session) => Ok(session),
            _ => Err(unexpected("the session").into()),
        }
    }

    /// The node named `node`.
    ///
    /// # Errors
    /// As [`Context::query`]; [`ErrorCode::NotFound`] with the close names.
    pub fn node(&mut self, node: &str) -> Result<Arc<Node>, Failure> {
        match self.query(Query::Node { node: node.to_owned() })? {
            Reply::Node(node) => Ok(node),
            _ => Err(unexpected("the node").into()),
        }
    }

    /// Rate and tempo, asked for once.
    ///
    /// # Errors
    /// As [`Context::query`].
    pub fn clock(&mut self) -> Result<Clock, Failure> {
        if let Some(clock) = self.clock {
            return Ok(clock);
        }
        let clock = clock_of(&*self.status()?)?;
        self.clock = Some(clock);
        Ok(clock)
    }

    /// The frame of a position.
    ///
    /// # Errors
    /// As [`Context::query`], where rate and tempo are needed.
    pub fn frames(&mut self, position: Position) -> Result<Frames, Failure> {
        match position {
            Position::Frames(frames) => Ok(Frames(frames)),
            _ => position.frames(self.clock()?).map_err(Failure::Usage),
        }
    }

    /// The frame of a position, if there is one.
    ///
    /// # Errors
    /// As [`Context::frames`].
    pub fn frames_if(&mut self, position: Option<Position>) -> Result<Option<Frames>, Failure> {
        position.map(|position| self.frames(position)).transpose()
    }

    /// Sends a command and prints what it did: JSON, the changes of a dry run, or what `say` makes of it.
    ///
    /// # Errors
    /// The server's refusal, or that it cannot be reached.
    pub fn change(
        &mut self,
        command: Command,
        say: impl FnOnce(&Applied, &mut Self) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let at = self.at()?;
        if self.dry_run {
            return self.preview(command, at);
        }
        let client = self.client()?;
        let reply = match at {
            Some(at) => client.command_at(command, at)?,
            None => client.command(command)?,
        };
        if self.out.is_json() {
            return self.print_json(&reply);
        }
        let applied = match reply {
            Reply::Applied(applied) => applied,
            Reply::Done => Applied::default(),
            _ => return Err(unexpected("what the command did").into()),
        };
        let mut text = say(&applied, self)?;
        if at.is_some() {
            text.push_str(&format!(", from frame {}", applied.frame));
        }
        self.out.did(text)?;
        self.out.flush()?;
        if let Some(at) = at.filter(|at| *at < applied.frame) {
            self.out.note(&format!("frame {at} has passed; frame {} was the next", applied.frame));
        }
        applied.warnings.iter().for_each(|warning| self.out.note(&format!("warning: {warning}")));
        Ok(())
    }

    /// Refuses what a dry run cannot be made of, before anything is done.
    ///
    /// # Errors
    /// [`Failure::Usage`] with `--dry-run`.
    pub fn refuse_dry_run(&self, what: &str) -> Result<(), Failure> {
        if self.dry_run {
            let error = Error::new(ErrorCode::InvalidArgument, format!("there is no dry run of {what}"));
            return Err(Failure::Usage(error.expected("--dry-run with a command that changes the session")));
        }
        Ok(())
    }

    fn preview(&mut self, command: Command, at: Option<Frames>) -> Result<(), Failure> {
        if let Undo::Never(why) = command.undo()
            && !matches!(command, Command::Undo | Command::Redo | Command::Loop { .. })
        {
            let why = match command {
                Command::Play | Command::Pause | Command::Stop | Command::Locate { .. } => {
                    "it moves the transport, which is no part of the session"
                }
                _ => why,
            };
            let error =
                Error::new(ErrorCode::InvalidArgument, format!("there is no dry run of this command: {why}"))
                    .expected("--dry-run with a command that changes the session");
            return Err(Failure::Usage(error));
        }
        let reply = self.client()?.dry_run(command, at)?;
        if self.out.is_json() {
            return self.print_json(&reply);
        }
        let Reply::WouldChange { changes } = reply else {
            return Err(unexpected("what would change").into());
        };
        self.print_changes(&changes)?;
        self.out.flush()?;
        self.out.note("a dry run: nothing was changed");
        Ok(())
    }

    fn print_changes(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let mut session = *self.session()?;
        let lines = changes::lines(&mut session, changes);
        if lines.is_empty() { self.out.line("no change") } else { self.out.lines(lines) }
    }
}

/// The data of a reply: what it says without the word for what kind of reply it is.
///
/// # Errors
/// None that is expected: replies are plain data.
pub fn data(reply: &Reply) -> Result<Json, Failure> {
    let mut json = serde_json::to_value(reply).map_err(|error| Failure::Output(error.into()))?;
    Ok(json.get_mut("data").map(Json::take).unwrap_or_default())
}

/// Rate and tempo of a status.
///
/// # Errors
/// [`ErrorCode::Internal`] for a tempo that cannot be.
pub fn clock_of(status: &Status) -> Result<Clock, Error> {
    let tempo = Bpm::new(status.tempo).ok_or_else(|| {
        Error::new(ErrorCode::Internal, format!("the server tells an impossible tempo: {} bpm", status.tempo))
    })?;
    Ok(Clock { rate: status.rate, tempo, signature: status.signature })
}
