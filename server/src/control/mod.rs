//! The control thread: the one that owns the session, and to which every surface speaks.

mod clock;
mod driving;
mod edits;
mod listening;
mod operations;
mod report;
mod saving;
mod schedule;
mod sessions;
mod stepping;
mod transport;
mod warnings;

pub use sessions::fresh_session;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use aulos_engine::{Controller, Start, session};
use aulos_protocol::{
    Command, Error, ErrorCode, Event, Frames, OperationState, PROTOCOL, Query, Range, Reply, TransportState,
    wire::{self, Ask, Request},
};

use crate::{
    disk::{READ_AHEAD, Streams},
    drivers::{self, Beginning, Capture, Driver},
    hub::{Hub, MOST_HZ, Outlet, Peaks},
    library::{FADE_ROOM, Library, ReadAhead},
    log, memory,
    moving::Moving,
    played,
    store::Folder,
    systemd::Life,
};

/// Where the answer to a request goes.
pub type Answer = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// What the control thread is told.
pub enum ToControl {
    /// A surface asks.
    Request {
        /// The connection that asks.
        connection: u64,
        /// What it asks.
        request: Request,
        /// Where the answer goes.
        answer: Answer,
    },
    /// A surface wants to hear what happens.
    Subscribe {
        /// The connection.
        connection: u64,
        /// Where it hears it.
        outlet: Outlet,
        /// How many times a second telemetry is sent.
        telemetry_hz: f64,
        /// Where the full state goes, before any change; whether it is on its way.
        answer: Box<dyn FnOnce(Result<Reply, Error>) -> bool + Send>,
    },
    /// A connection is gone, or no longer wants to hear.
    Unsubscribe {
        /// The connection.
        connection: u64,
    },
    /// Something is wrong that a person should know.
    Warning(Error),
    /// An operation moved on.
    Operation(OperationState),
    /// The audio of a session that moves is copied, or why not.
    Copied {
        /// The operation that did it.
        operation: u64,
        /// The folder with the copies.
        result: Result<Box<Moving>, Error>,
    },
    /// To end.
    Shutdown,
}

/// How the control thread is set up.
pub struct Setup {
    /// The session's folder; a new session in memory if none is named.
    pub session: Option<PathBuf>,
    /// The rate of a new session.
    pub rate: aulos_protocol::Rate,
    /// The driver.
    pub driver: drivers::Setup,
    /// Whether the transport rolls from the first frame on.
    pub play: bool,
    /// Whether memory is to be locked, where that has no limit.
    pub lock_memory: bool,
    /// Where OSC says how it is getting on.
    pub osc: Arc<crate::osc::Board>,
}

/// What waits until it is applied: the reply without its frame.
struct Waiting {
    answer: Option<Answer>,
    at: Option<Frames>,
    applied: aulos_protocol::Applied,
    event: Told,
    since: Instant,
}

/// What subscribers are told when something has been applied.
enum Told {
    Changes {
        changes: Vec<aulos_protocol::Change>,
        /// From when they hold, if that has passed already.
        since: Option<Frames>,
    },
    Transport,
}

/// How often the control thread looks around by itself.
const TICK: Duration = Duration::from_millis(5);
/// How long a request waits for the audio thread.
const APPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that the control thread owns.
pub struct Control {
    controller: Controller,
    driver: Driver,
    /// What the driver was told of the session last; nothing of this one yet, if there is none.
    driver_told: Option<driving::Told>,
    /// The channels that the session uses and the device has not.
    unreached: driving::Unreached,
    library: Library,
    read_ahead: Arc<ReadAhead>,
    folder: Option<Folder>,
    /// The revision that is on disk.
    saved_revision: u64,
    hub: Hub,
    inbox: Receiver<ToControl>,
    own: SyncSender<ToControl>,
    /// By the ticket of the batch that they wait for.
    waiting: BTreeMap<u64, Vec<Waiting>>,
    /// The change of the transport that is to come.
    timed_transport: Option<transport::Timed>,
    /// Edits that wait for their frame, in its order.
    schedule: VecDeque<schedule::Scheduled>,
    transport: VecDeque<transport::Order>,
    clock: clock::Timebase,
    osc: Arc<crate::osc::Board>,
    operations: operations::Operations,
    listenings: Vec<listening::Listening>,
    /// The session on its way into another folder.
    saving: Option<saving::Saving>,
    warnings: warnings::Warnings,
    /// Why memory is not locked.
    unlocked: Option<String>,
    load: report::Load,
    /// What the next query for meters is answered with.
    peaks: Peaks,
    refreshed: Instant,
    life: Arc<Life>,
    ended: bool,
    /// Whether what is not saved at the end is to be lost.
    discard: bool,
}

impl Control {
    /// Opens the session and starts the driver.
    ///
    /// # Errors
    /// If the session cannot be opened, its first files cannot be read, or the driver cannot be started.
    pub fn start(
        setup: Setup,
        inbox: Receiver<ToControl>,
        own: SyncSender<ToControl>,
    ) -> Result<Self, Error> {
        let unlocked = match setup.lock_memory {
            true => memory::lock().err(),
            false => Some("it is not wanted".to_owned()),
        };
        match &unlocked {
            None => tracing::info!("memory is locked"),
            Some(why) => tracing::info!("memory is not locked: {why}"),
        }
        let (folder, session) = match &setup.session {
            Some(path) => {
                let (folder, session) = Folder::open(path)?;
                (Some(folder), session)
            }
            None => (None, fresh_session("untitled", setup.rate)?),
        };
        played::spare(&session, folder.as_ref().map(Folder::path), setup.driver.file.as_deref())?;
        let streams = Arc::new(Streams::new(READ_AHEAD + FADE_ROOM)?);
        let read_ahead = Arc::new(ReadAhead::new(streams.clone(), READ_AHEAD));
        let at = folder.as_ref().map(|f| f.path().to_owned());
        let mut library = Library::new(streams, at).that_plays(read_ahead.clone());
        ReadAhead::keep_fresh(&read_ahead)?;
        let start = Start { position: 0, rolling: setup.play, loop_range: session.loop_frames() };
        let engine_setup = aulos_engine::Setup { max_block: setup.driver.engine_block(), start };
        let (controller, engine, mut errors) = aulos_engine::engine(session, &mut library, engine_setup)?;
        errors.extend(library.shortages(controller.session()));
        read_ahead.set_spans(library.spans(controller.session()));
        read_ahead.follow(controller.counters().clone(), start.loop_range);
        if setup.play {
            read_ahead.wait(READ_AHEAD)?;
        }
        let rate = controller.session().rate;
        let told = own.clone();
        let ended = Box::new(move || told.try_send(ToControl::Shutdown).is_ok());
        let beginning = Beginning {
            engine,
            counters: controller.counters().clone(),
            rate,
            wanted: driving::wanted(&controller),
            read_ahead: read_ahead.clone(),
        };
        let driver = Driver::start(setup.driver, beginning, ended)?;
        let frame = controller.counters().frame();
        let clock = clock::Timebase::new(rate, frame, driver.stands_still());
        let life = Life::new(controller.counters().clone());
        let mut control = Self {
            controller,
            driver,
            driver_told: None,
            unreached: driving::Unreached::default(),
            library,
            read_ahead,
            folder,
            saved_revision: 0,
            hub: Hub::default(),
            inbox,
            own,
            waiting: BTreeMap::new(),
            timed_transport: None,
            schedule: VecDeque::new(),
            transport: VecDeque::new(),
            clock,
            osc: setup.osc,
            operations: operations::Operations::default(),
            listenings: Vec::new(),
            saving: None,
            warnings: warnings::Warnings::default(),
            unlocked,
            load: report::Load::default(),
            peaks: Peaks::default(),
            refreshed: Instant::now(),
            life,
            ended: false,
            discard: false,
        };
        errors.iter().for_each(|error| control.warn(error));
        control.warn_if_read_only();
        control.log_session(setup.play);
        control.remember();
        Ok(control)
    }

    /// Says which session this is, for the log of a box that starts by itself.
    fn log_session(&self, plays: bool) {
        let session = self.controller.session();
        let clips: usize = session.nodes.values().map(|node| node.clips.len()).sum();
        let place = match &self.folder {
            Some(folder) => folder.path().display().to_string(),
            None => "memory".to_owned(),
        };
        let does = if plays { "plays" } else { "is ready" };
        tracing::info!(
            "the session \"{}\" in {place} {does}: {} nodes, {clips} clips, {} Hz, driver {}",
            session.name.escape_debug(),
            session.nodes.len(),
            session.rate.hz(),
            self.driver.setup.kind.name()
        );
    }

    /// Serves until the end. Saves the session then, if it has a folder.
    ///
    /// # Errors
    /// What went wrong at the end: the capture file or the session could not be completed.
    pub fn run(mut self) -> Result<(), Error> {
        // Bounded, so that a flood of requests does not keep the engine's answers waiting.
        const REQUESTS_A_ROUND: usize = 64;
        while !self.ended {
            match self.inbox.recv_timeout(TICK) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for _ in 1..REQUESTS_A_ROUND {
                match self.inbox.try_recv() {
                    Ok(message) if !self.ended => self.handle(message),
                    _ => break,
                }
            }
            self.tick();
        }
        self.end()
    }

    /// By what it is seen that this thread and the engine live.
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    fn end(mut self) -> Result<(), Error> {
        self.life.end();
        self.operations.cancel_all();
        self.give_up_saving(Error::new(
            ErrorCode::Unavailable,
            "the server ends, and nothing is saved there",
        ));
        let Self { driver, inbox, folder, controller, .. } = self;
        // Whoever still asks is told at once that nobody answers.
        drop(inbox);
        let result = driver.finish();
        match folder {
            _ if controller.revision() == self.saved_revision => {}
            Some(_) if self.discard => tracing::warn!("the changes of the session are discarded, as asked"),
            Some(folder) => {
                folder.save(&folder.gathered(controller.session()))?;
                tracing::info!("saved the session to {}", folder.path().display());
            }
            None => tracing::warn!("the session has no folder: its changes are lost"),
        }
        self.operations.wait();
        result
    }

    fn handle(&mut self, message: ToControl) {
        match message {
            ToControl::Request { connection, request, answer } => self.request(connection, request, answer),
            ToControl::Subscribe { connection, outlet, telemetry_hz, answer } => {
                if !(0.0..=MOST_HZ).contains(&telemetry_hz) {
                    let range = Range { min: 0.0, max: MOST_HZ, unit: "Hz".into() };
                    answer(Err(Error::out_of_range("telemetry_hz", telemetry_hz, range)));
                } else if answer(Ok(Reply::Subscribed(Box::new(self.state())))) {
                    self.hub.subscribe(connection, outlet, telemetry_hz);
                }
            }
            ToControl::Unsubscribe { connection } => self.hub.unsubscribe(connection),
            ToControl::Operation(state) => {
                self.note_operation(state);
            }
            ToControl::Warning(error) => self.warn(&error),
            ToControl::Copied { operation, result } => self.go_on_saving(operation, result),
            ToControl::Shutdown => self.ended = true,
        }
    }

    fn request(&mut self, connection: u64, mut request: Request, answer: Answer) {
        if let Some(revision) = request.revision
            && revision != self.controller.revision()
        {
            let message = format!("the session has revision {}", self.controller.revision());
            answer(Err(Error::new(ErrorCode::Busy, message)
                .expected(format!("revision {revision}"))
                .remedy("look at what has changed, then try again")));
            return;
        }
        if let Some(error) = request.at.and_then(|at| self.too_far(at)) {
            return answer(Err(error));
        }
        if let Ask::Command(command) = &mut request.ask {
            self.name_from_folder(command);
        }
        let fade = match self.wanted_fade(&request) {
            Ok(fade) => fade,
            Err(error) => return answer(Err(error)),
        };
        match request.ask {
            Ask::Command(command) if request.dry_run => {
                let changes = match request.at {
                    Some(_) => self.controller.dry_run_at(&command),
                    None => self.controller.dry_run(&command, &mut self.library),
                };
                answer(changes.map(|changes| Reply::WouldChange { changes }));
            }
            Ask::Command(command) => match request.at {
                Some(at) => self.command_at(&command, at.0, answer),
                None => self.command(command, fade, answer),
            },
            Ask::Query(_) if request.at.is_some() => {
                answer(Err(Error::new(ErrorCode::Unavailable, "a question cannot be timed")
                    .expected("a frame with a command only")));
            }
            Ask::Query(Query::Drivers) => self.list_drivers(answer),
            Ask::Query(Query::Analyze { node, seconds }) => self.listen(&node, seconds, answer),
            Ask::Query(query) => answer(self.query(connection, &query)),
        }
    }

    fn command(&mut self, command: Command, fade: Option<u64>, answer: Answer) {
        let done = match command {
            Command::Play
            | Command::Pause
            | Command::Stop
            | Command::Locate { .. }
            | Command::Loop { .. } => {
                return self.order_transport(&command, None, answer);
            }
            Command::ClearSchedule => return self.clear_schedule(answer),
            Command::NewSession { path, rate, max_block, discard } => {
                self.new_session(&path, rate, max_block, discard)
            }
            Command::OpenSession { path, discard } => self.open_session(&path, discard),
            Command::SaveSession { path } => return self.save_session(path.as_deref(), answer),
            Command::Render(render) => self.start_render(render),
            Command::CancelOperation { operation } => self.operations.cancel(operation),
            Command::SetDriver { driver, device, block } => {
                return self.set_driver(driver, device, block, answer);
            }
            Command::ResetLoudness { node } => {
                self.controller.reset_loudness(node.as_deref()).map(|()| Reply::Done)
            }
            Command::Step { blocks } => return self.step(blocks, answer),
            Command::Shutdown { discard } => self.shut_down(discard),
            edit => return self.edit(&edit, fade, answer),
        };
        answer(done);
    }

    fn query(&mut self, connection: u64, query: &Query) -> Result<Reply, Error> {
        match query {
            Query::Hello { protocol } if *protocol == PROTOCOL => {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                Ok(Reply::Hello(aulos_protocol::Hello { protocol: PROTOCOL, version }))
            }
            Query::Hello { protocol } => Err(Error::new(
                ErrorCode::Version,
                format!("this server speaks protocol {PROTOCOL}, the client speaks {protocol}"),
            )
            .expected(format!("protocol {PROTOCOL}"))
            .remedy("use client and server of the same release")),
            Query::Status => Ok(Reply::Status(Box::new(self.status()))),
            Query::Session => Ok(Reply::Session(Box::new(self.controller.session().clone()))),
            Query::Node { node } => self.node(node).map(Reply::Node),
            Query::Get { node, param } => self.get(node, param.as_deref()),
            Query::Latency => Ok(Reply::Latency(self.controller.latency())),
            Query::Clock => Ok(Reply::Clock(self.clock.clock(self.controller.counters().frame()))),
            Query::Meters => {
                self.look_at_meters();
                Ok(Reply::Meters { meters: self.peaks.take() })
            }
            Query::Operation { operation } => self.operations.get(*operation).map(Reply::Operation),
            Query::Schema => Ok(Reply::Schema(wire::schemas())),
            // Answered from a thread of its own.
            Query::Drivers | Query::Analyze { .. } => {
                Err(Error::new(ErrorCode::Internal, "this is answered elsewhere"))
            }
            // Connections subscribe themselves: only they know where they listen.
            Query::Subscribe { .. } => {
                Err(Error::new(ErrorCode::Unavailable, "this surface cannot subscribe"))
            }
            Query::Unsubscribe => {
                self.hub.unsubscribe(connection);
                Ok(Reply::Done)
            }
        }
    }

    fn tick(&mut self) {
        const REFRESH: Duration = Duration::from_millis(20);
        self.driver.collect();
        self.look_at_driver();
        self.look_at_clock();
        self.settle();
        self.carry_on_transport();
        self.tell_timed_transport();
        self.carry_on_schedule();
        self.carry_on_listening();
        self.flush();
        if self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            self.load.look(&self.driver.stats);
            for error in self.read_ahead.streams().take_errors() {
                self.warn(&error);
            }
            for error in [log::take_failure(), Capture::take_failure()].into_iter().flatten() {
                self.warn(&error);
            }
        }
        if self.hub.wants_meters() {
            self.look_at_meters();
        }
        if self.hub.wants_telemetry() {
            let telemetry = self.telemetry();
            self.hub.tell_telemetry(&telemetry);
        }
        self.hub.sweep();
        self.life.beat(self.driver.stands_still());
    }

    /// Answers the requests whose commands are heard by now.
    fn settle(&mut self) {
        for applied in self.controller.poll() {
            let frame = Frames(applied.frame);
            let aligned = applied.aligned.map(Frames);
            let mut revision = None;
            for waiting in self.waiting.remove(&applied.ticket).into_iter().flatten() {
                let frame = waiting.at.map_or(frame, |at| at.max(frame));
                match waiting.event {
                    Told::Changes { changes, .. } if changes.is_empty() => {}
                    Told::Changes { changes, since } => {
                        revision = Some(waiting.applied.revision);
                        let (revision, frame) = (waiting.applied.revision, since.unwrap_or(frame));
                        self.hub.tell(&Event::Changed { revision, frame, changes });
                    }
                    // Told when its frame has come.
                    Told::Transport if waiting.at.is_some() => self.time_transport(frame),
                    Told::Transport => {
                        let transport = self.transport_state();
                        self.hub.tell(&Event::Transport { frame, transport });
                    }
                }
                if let Some(answer) = waiting.answer {
                    let applied = aulos_protocol::Applied { frame, aligned, ..waiting.applied };
                    answer(Ok(Reply::Applied(applied)));
                }
            }
            if let Some(frame) = aligned {
                // An edit may have taken a second plan, for which nobody waits.
                let revision = revision.unwrap_or_else(|| self.controller.revision());
                self.hub.tell(&Event::Aligned { revision, frame });
            }
        }
        let late = self.waiting.values_mut().flatten().filter(|w| w.since.elapsed() > APPLY_TIMEOUT);
        for waiting in late {
            if let Some(answer) = waiting.answer.take() {
                answer(Err(Error::new(
                    ErrorCode::Busy,
                    "the command is accepted, but the audio thread has not taken it over",
                )
                .remedy("see whether the driver runs: aulosctl status")));
            }
        }
    }

    /// Sends the audio thread what was performed.
    fn flush(&mut self) {
        if let Err(error) = self.controller.flush() {
            self.warn(&error);
        }
        if !self.waiting.is_empty() {
            self.driver.touch();
        }
    }

    /// The refusal of a frame that is so far away that times counted from it would overflow.
    fn too_far(&self, at: Frames) -> Option<Error> {
        let most = self.controller.counters().frame() + session::MAX_POSITION;
        let range = Range { min: 0.0, max: most as f64, unit: "frames".into() };
        (at.0 > most).then(|| Error::out_of_range("at", at.0 as f64, range))
    }

    /// Carries out a command at a frame of the engine.
    fn command_at(&mut self, command: &Command, at: u64, answer: Answer) {
        match command {
            Command::Play
            | Command::Pause
            | Command::Stop
            | Command::Locate { .. }
            | Command::Loop { .. } => self.order_transport(command, Some(at), answer),
            command => self.edit_at(command.clone(), at, answer),
        }
    }

    /// Has `ticket` answered when it is applied; `at` is the frame from which it holds, if that is later.
    fn wait_for(
        &mut self,
        ticket: u64,
        at: Option<u64>,
        applied: aulos_protocol::Applied,
        event: Told,
        answer: Option<Answer>,
    ) {
        let waiting = Waiting { answer, at: at.map(Frames), applied, event, since: Instant::now() };
        self.waiting.entry(ticket).or_default().push(waiting);
    }

    fn warn(&mut self, error: &Error) {
        let message = match &error.remedy {
            Some(remedy) => format!("{error} ({remedy})"),
            None => error.to_string(),
        };
        tracing::warn!("{message}");
        self.warnings.note(message.clone());
        self.hub.tell(&Event::Warning { message });
    }

    fn transport_state(&self) -> TransportState {
        let counters = self.controller.counters();
        TransportState {
            rolling: counters.rolling(),
            waiting: !self.transport.is_empty(),
            position: Frames(counters.position()),
        }
    }
}
