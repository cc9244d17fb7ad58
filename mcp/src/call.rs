//! What a tool works with while it is called.

use std::{sync::atomic::AtomicU64, thread::sleep, time::Duration};

use aulos_protocol::{
    Applied, Change, Command, Error, ErrorCode, Node, OperationState, Query, Reply, Session, Status, changes,
    client::{Client, unexpected},
    mirror,
    position::Clock,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    confirm::{Codes, Question},
    follow::Follower,
    link::Link,
    policy::Policy,
    words,
};

/// What all calls share.
#[derive(Debug)]
pub struct Door {
    /// The way to the server.
    pub link: Link,
    /// What agents may do.
    pub policy: Policy,
    /// What is known of the session's changes.
    pub follower: Follower,
    /// How many calls were refused because too many ran.
    pub crowded: AtomicU64,
    /// What confirms acts that cannot be taken back.
    pub codes: Codes,
}

/// How far a call is, from 0 to 1, and with what.
pub type Step = (f64, String);

/// A call of a tool.
pub struct Call<'a> {
    /// What all calls share.
    pub door: &'a Door,
    stop: CancellationToken,
    step: watch::Sender<Step>,
    client: Option<Client>,
    question: Option<Question>,
}

/// What an edit did.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Changed {
    /// Whether it was only tried: nothing was changed.
    pub dry_run: bool,
    /// The session's revision after it.
    pub revision: u64,
    /// What is new (+), gone (-) or different (~), a line each.
    pub changes: Vec<String>,
    /// The names of nodes that were added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The numbers of clips that were added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clips: Vec<u64>,
    /// What succeeded but should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What one call of undo would take back now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// The most lines of changes in a result.
const MOST_LINES: usize = 200;
/// How often an edit is tried again when somebody else was faster.
const TRIES: usize = 8;

impl<'a> Call<'a> {
    /// A call that ends early when `stop` is cancelled, and tells how far it is by `step`.
    pub fn new(door: &'a Door, stop: CancellationToken, step: watch::Sender<Step>) -> Self {
        Self { door, stop, step, client: None, question: None }
    }

    /// Whether nobody waits for the result any more.
    pub fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Goes on with an act that cannot be taken back only if `given` confirms it; see [`Codes::agreed`].
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] with what is to be confirmed. A person can be asked [`Call::question`] instead.
    pub fn sure(&mut self, act: &str, what: &str, given: Option<&str>) -> Result<(), Error> {
        self.door.codes.agreed(act, what, given).map_err(|question| {
            let refusal = question.refusal();
            self.question = Some(question);
            refusal
        })
    }

    /// What is to be confirmed before the call can go on.
    pub fn question(&mut self) -> Option<Question> {
        self.question.take()
    }

    /// Tells how far the call is.
    pub fn tell(&self, progress: f64, message: impl Into<String>) {
        self.step.send_replace((progress, message.into()));
    }

    fn with<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.door.link.take()?,
        };
        let result = ask(&mut client);
        // An answer that comes too late would be taken for that of the next request.
        if !matches!(&result, Err(error) if matches!(error.code, ErrorCode::Unreachable | ErrorCode::Parse)) {
            self.client = Some(client);
        }
        result
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The server's refusal, or that it cannot be reached.
    pub fn query(&mut self, query: Query) -> Result<Reply, Error> {
        self.with(|client| client.query(query))
    }

    /// Sends a command that is no edit of the session.
    ///
    /// # Errors
    /// As [`Call::query`]; [`ErrorCode::Unavailable`] where nothing may be changed.
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        self.door.policy.may_change()?;
        self.with(|client| client.command(command))
    }

    /// Sends a command that takes back what an agent's call had begun, or changes nothing that can be seen.
    ///
    /// # Errors
    /// As [`Call::query`].
    pub fn command_of_ours(&mut self, command: Command) -> Result<Reply, Error> {
        self.with(|client| client.command(command))
    }

    /// The status.
    ///
    /// # Errors
    /// As [`Call::query`].
    pub fn status(&mut self) -> Result<Box<Status>, Error> {
        match self.query(Query::Status)? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected("its status")),
        }
    }

    /// The session.
    ///
    /// # Errors
    /// As [`Call::query`].
    pub fn session(&mut self) -> Result<Box<Session>, Error> {
        match self.query(Query::Session)? {
            Reply::Session(session) => Ok(session),
            _ => Err(unexpected("the session")),
        }
    }

    /// Rate, tempo and time signature.
    ///
    /// # Errors
    /// As [`Call::query`].
    pub fn clock(&mut self) -> Result<Clock, Error> {
        Ok(Clock::of(&*self.session()?))
    }

    /// Makes an edit of `make`, which is told the session as it is, as one step that fades as the policy says; or only
    /// tells what it would change.
    ///
    /// # Errors
    /// As [`Call::command`]; what the policy says; [`ErrorCode::Busy`] if others edit all the time.
    pub fn edit(
        &mut self,
        dry_run: bool,
        make: impl Fn(&Session) -> Result<Command, Error>,
    ) -> Result<Changed, Error> {
        if !dry_run {
            self.door.policy.may_change()?;
        }
        until_not_outrun(|| self.try_edit(dry_run, true, &make))
    }

    /// As [`Call::edit`], with the session's own fade: for what must not wait.
    ///
    /// # Errors
    /// As [`Call::edit`].
    pub fn edit_fast(&mut self, make: impl Fn(&Session) -> Result<Command, Error>) -> Result<Changed, Error> {
        self.door.policy.may_change()?;
        until_not_outrun(|| self.try_edit(false, false, &make))
    }

    fn try_edit(
        &mut self,
        dry_run: bool,
        slowly: bool,
        make: &impl Fn(&Session) -> Result<Command, Error>,
    ) -> Result<Changed, Error> {
        let revision = self.status()?.revision;
        let mut session = *self.session()?;
        let command = make(&session)?;
        let changes = self.would_change(command.clone(), revision)?;
        self.door.policy.check(&session, &changes)?;
        let changes = few_lines(changes::lines(&mut session, &changes));
        if dry_run {
            return Ok(Changed { dry_run, revision, changes, ..Default::default() });
        }
        let fade_ms = self.door.policy.fade_ms(&session).filter(|_| slowly);
        let applied = self.apply(command, revision, fade_ms)?;
        self.changed(applied, changes)
    }

    /// Goes back or forward one step. There is no dry run of that, and no ceiling: what it brings back was there.
    ///
    /// # Errors
    /// As [`Call::edit`].
    pub fn restore(&mut self, command: &Command) -> Result<Changed, Error> {
        self.door.policy.may_change()?;
        until_not_outrun(|| self.try_restore(command.clone()))
    }

    fn try_restore(&mut self, command: Command) -> Result<Changed, Error> {
        let revision = self.status()?.revision;
        let mut before = *self.session()?;
        let fade_ms = self.door.policy.fade_ms(&before);
        let applied = self.apply(command, revision, fade_ms)?;
        let after = self.session()?;
        let changes = mirror::difference(&before, &after);
        let changes = few_lines(changes::lines(&mut before, &changes));
        self.changed(applied, changes)
    }

    fn apply(&mut self, command: Command, revision: u64, fade_ms: Option<f64>) -> Result<Applied, Error> {
        match self.with(|client| client.command_over(command, revision, fade_ms))? {
            Reply::Applied(applied) => Ok(applied),
            Reply::Done => Ok(Applied { revision, ..Default::default() }),
            _ => Err(unexpected("what the command did")),
        }
    }

    fn changed(&mut self, applied: Applied, changes: Vec<String>) -> Result<Changed, Error> {
        Ok(Changed {
            dry_run: false,
            revision: applied.revision,
            changes,
            nodes: applied.nodes,
            clips: applied.clips.into_iter().map(|clip| clip.0).collect(),
            warnings: applied.warnings.iter().map(|warning| words::of_tools(warning)).collect(),
            undo: self.status()?.undo,
        })
    }

    fn would_change(&mut self, command: Command, revision: u64) -> Result<Vec<Change>, Error> {
        match self.with(|client| client.dry_run_if(command, revision))? {
            Reply::WouldChange { changes } => Ok(changes),
            _ => Err(unexpected("what would change")),
        }
    }

    /// Waits for an operation to end, and cancels it if nobody waits for it any more.
    ///
    /// # Errors
    /// Why it failed, or that it was cancelled.
    pub fn finish(&mut self, operation: u64) -> Result<OperationState, Error> {
        const NAP: Duration = Duration::from_millis(20);
        let mut asked_to_stop = false;
        loop {
            let state = match self.query(Query::Operation { operation })? {
                Reply::Operation(state) => state,
                _ => return Err(unexpected("an operation")),
            };
            if state.ended {
                return match state.error {
                    Some(error) => Err(error),
                    None => Ok(state),
                };
            }
            self.tell(state.progress, state.title);
            if self.is_cancelled() && !asked_to_stop {
                asked_to_stop = true;
                match self.command_of_ours(Command::CancelOperation { operation }) {
                    // It may have ended meanwhile; what became of it is told next.
                    Err(error) if error.code != ErrorCode::Unavailable => return Err(error),
                    _ => {}
                }
            }
            sleep(NAP);
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.door.link.give(client);
        }
    }
}

/// The error of a call that was cancelled.
pub fn cancelled() -> Error {
    Error::new(ErrorCode::Unavailable, "the call was cancelled")
}

/// Tries again while others are faster.
fn until_not_outrun<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..TRIES {
        match attempt() {
            Err(error) if is_outrun(&error) => sleep(Duration::from_millis(5)),
            result => return result,
        }
    }
    Err(Error::new(ErrorCode::Busy, "others change the session all the time").remedy("try again"))
}

/// As many lines as a result has room for.
fn few_lines(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Whether a command was refused because the session had changed since it was looked at.
fn is_outrun(error: &Error) -> bool {
    error.code == ErrorCode::Busy && error.expected.as_ref().is_some_and(|e| e.starts_with("revision "))
}

/// The node of this name.
///
/// # Errors
/// [`ErrorCode::NotFound`] with what there is.
pub fn node<'s>(session: &'s Session, name: &str) -> Result<&'s std::sync::Arc<Node>, Error> {
    session.node(name).ok_or_else(|| {
        let names: Vec<_> = session.nodes.in_order().into_iter().map(|node| node.slug.as_str()).collect();
        Error::not_found("node", name, names.iter().copied()).expected(few("one of", &names))
    })
}

/// Some of these names, in words.
pub fn few(words: &str, names: &[&str]) -> String {
    const MOST: usize = 40;
    let listed = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    format!("{words} {listed}{more}")
}
