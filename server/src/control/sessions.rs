//! New, open.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use aulos_engine::{Controller, Engine, Start, session};
use aulos_protocol::{
    Command, Error, ErrorCode, Event, NewNode, NodeKind, Rate, Reply, Session, State,
    recent::{self, Recent},
};

use super::{Control, warnings::Warnings};
use crate::{drivers::Successor, library::Library, played, store::Folder};

/// What a new session begins with: a master that goes to the first two channels of the driver.
///
/// # Errors
/// None in practice: the commands are fixed.
pub fn fresh_session(name: &str, rate: Rate) -> Result<Session, Error> {
    let node = |kind: NodeKind, name: &str| {
        let (name, channels) = (Some(name.to_owned()), Some(2));
        Command::AddNode(NewNode { kind, name, channels, params: Default::default() })
    };
    let end = |text: &str| text.parse().map_err(|e: String| Error::new(ErrorCode::Internal, e));
    let link = Command::Link { from: end("master")?, to: end("output")?, gain: None };
    let commands = vec![node(NodeKind::Master, "master"), node(NodeKind::Output, "output"), link];
    session::apply(&Session::new(name, rate), &Command::Batch { commands }).map(|(session, _)| session)
}

pub(super) fn absolute(path: &str) -> Result<PathBuf, Error> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err(Error::new(ErrorCode::InvalidArgument, format!("\"{}\" is not a whole path", path.display()))
        .expected("a path that begins with /: the server has another current folder than you"))
}

/// A session that is to take the place of the one that is open.
struct Next {
    controller: Controller,
    engine: Engine,
    library: Library,
    /// What of its files cannot be played.
    errors: Vec<Error>,
}

impl Control {
    /// The name that a folder gives to a session.
    fn name_of(path: &Path) -> String {
        path.file_name().map_or_else(|| "untitled".into(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn new_session(
        &mut self,
        path: &str,
        rate: Option<Rate>,
        max_block: Option<u32>,
        discard: bool,
    ) -> Result<Reply, Error> {
        let path = absolute(path)?;
        self.keep_unsaved(discard)?;
        let rate = rate.unwrap_or(self.controller.session().rate);
        let mut session = fresh_session(&Self::name_of(&path), rate)?;
        if let Some(frames) = max_block {
            session::max_block(frames)?;
            session.max_block = frames;
        }
        let next = self.prepare(&path, session)?;
        // Last of what can fail: of a session that is not opened there is no folder.
        let folder = Folder::create(&path, next.controller.session())?;
        Ok(self.exchange(Some(folder), next))
    }

    pub(super) fn open_session(&mut self, path: &str, discard: bool) -> Result<Reply, Error> {
        let path = absolute(path)?;
        self.keep_unsaved(discard)?;
        // Opening what is open goes back to what was saved last; the folder stays held meanwhile.
        if let Some(folder) = self.folder.as_ref().filter(|folder| folder.is_at(&path)) {
            let (at, session) = (folder.path().to_owned(), folder.reread()?);
            let next = self.prepare(&at, session)?;
            return Ok(self.exchange(None, next));
        }
        let (folder, session) = Folder::open(&path)?;
        let next = self.prepare(folder.path(), session)?;
        Ok(self.exchange(Some(folder), next))
    }

    /// Refuses to lose what is not saved.
    fn keep_unsaved(&self, discard: bool) -> Result<(), Error> {
        if discard {
            return Ok(());
        }
        self.saves_elsewhere()?;
        if !self.unsaved() {
            return Ok(());
        }
        let name = &self.controller.session().name;
        Err(Error::new(
            ErrorCode::Unavailable,
            format!("the session \"{name}\" has changes that are not saved"),
        )
        .remedy("save it first with: aulosctl session save, or let them go with --discard"))
    }

    pub(super) fn unsaved(&self) -> bool {
        self.controller.revision() != self.saved_revision
    }

    /// Ends the server, when what is to be saved is.
    pub(super) fn shut_down(&mut self, discard: bool) -> Result<Reply, Error> {
        if !discard && self.folder.is_some() && self.unsaved() {
            self.save_here().map_err(|error| {
                let remedy = "the server goes on; save elsewhere with: aulosctl session save PATH, or let the \
                              changes go with: aulosctl shutdown --discard";
                error.remedy(remedy)
            })?;
        }
        self.discard = discard;
        self.ended = true;
        Ok(Reply::Done)
    }

    /// Prepares another session, in this folder, for the place of the one that is open, which knows nothing of it yet.
    ///
    /// # Errors
    /// Why it cannot take the place.
    fn prepare(&mut self, folder: &Path, session: Session) -> Result<Next, Error> {
        let rate = session.rate;
        if self.driver.setup.file.is_some() && rate != self.controller.session().rate {
            return Err(Error::new(
                ErrorCode::Unavailable,
                format!(
                    "the session has {} Hz, and what is played is being written to a file of another rate",
                    rate.hz()
                ),
            )
            .remedy("start a server without --capture for it"));
        }
        self.driver.can_exchange()?;
        played::spare(&session, Some(folder), self.driver.setup.file.as_deref())?;
        // The clips are not told to the read-ahead before the new engine is seated.
        let mut library = self.library.for_session(Some(folder.to_owned()));
        let start = Start { loop_range: session.loop_frames(), ..Start::default() };
        let setup = aulos_engine::Setup { max_block: self.driver.setup.engine_block(), start };
        let (controller, engine, errors) = aulos_engine::engine(session, &mut library, setup)?;
        Ok(Next { controller, engine, library, errors })
    }

    /// Puts another session in the place of the one that is open, whose folder stays if no other is given; the
    /// old one fades out. Nothing can fail any more.
    fn exchange(&mut self, folder: Option<Folder>, next: Next) -> Reply {
        let Next { controller, engine, mut library, errors } = next;
        let (rate, fade) = (controller.session().rate, controller.session().fade_frames());
        let fade = if self.driver.is_live() { fade } else { 0 };
        self.driver.exchange(Successor { engine, rate, fade }, controller.counters().clone());
        if let Some(folder) = &folder {
            library.set_folder(folder.path().to_owned());
        }
        // Revisions begin anew with each session.
        self.driver_told = None;
        self.controller = controller;
        self.library = library.that_plays(self.read_ahead.clone());
        self.folder = folder.or(self.folder.take());
        self.saved_revision = 0;
        self.warnings = Warnings::default();
        let gone = || Error::new(ErrorCode::Unavailable, "another session was opened meanwhile");
        self.give_up_saving(gone());
        for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
            if let Some(answer) = waiting.answer {
                answer(Err(gone()));
            }
        }
        for order in std::mem::take(&mut self.transport) {
            if let Some(answer) = order.answer {
                answer(Err(gone()));
            }
        }
        self.timed_transport = None;
        self.schedule.clear();
        self.read_ahead.set_spans(self.library.spans(self.controller.session()));
        let loop_range = self.controller.session().loop_frames();
        self.read_ahead.follow(self.controller.counters().clone(), loop_range);
        let shortages = self.library.shortages(self.controller.session());
        errors.iter().chain(&shortages).for_each(|error| self.warn(error));
        self.warn_if_read_only();
        self.driver.touch();
        self.remember();
        let state = self.state();
        self.hub.tell(&Event::Opened(Box::new(state)));
        Reply::Done
    }

    /// Says at once that what is changed cannot be saved.
    pub(super) fn warn_if_read_only(&mut self) {
        if let Some(error) = self.folder.as_ref().and_then(Folder::read_only) {
            self.warn(&error);
        }
    }

    /// Notes the session among those that were opened lately; what keeps that from being written is no error of the
    /// session.
    pub(super) fn remember(&self) {
        let Some(folder) = &self.folder else { return };
        let Some(file) = recent::place(|name| std::env::var(name).ok()) else { return };
        let opened = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let name = self.controller.session().name.clone();
        let path = folder.path().display().to_string();
        if let Err(error) = recent::note(&file, Recent { path, name, opened }) {
            tracing::warn!("the session is not noted among the recent ones: {error}");
        }
    }

    /// Everything that a subscriber starts from.
    pub(super) fn state(&self) -> State {
        State {
            revision: self.controller.revision(),
            session: self.controller.session().clone(),
            path: self.folder.as_ref().map(|f| f.path().display().to_string()),
            transport: self.transport_state(),
        }
    }
}
