//! The control thread's side of an engine: the one writer of its session.

use std::sync::Arc;

use aulos_nodes::{Patch, Playlist, Stage};
use aulos_protocol::{
    Change, Clip, Command, Error, ErrorCode, Frames, LatencyReport, LatencyRow, LinkLatency, MeterReading,
    Node, NodeId, Session, mirror, params,
};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    audio::{Counters, Engine, Start, TransportChange, new_engine, slot::Token},
    compile::{self, Arrivals, ClipLibrary, Rack, compile},
    graph::Graph,
    handoff::{BATCHES, Batch},
    plan::Plan,
    session::{self, History, Outcome},
};

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The longest block that is rendered at once, in frames, at least 1.
    pub max_block: usize,
    /// What the transport does from the first frame on.
    pub start: Start,
}

/// What a command did, before it is heard.
#[derive(Clone, Debug)]
pub struct Performed {
    /// What it made.
    pub outcome: Outcome,
    /// The changes of the session.
    pub changes: Vec<Change>,
    /// What undo or redo moved through.
    pub step: Option<String>,
    /// The ticket of the batch; [`Controller::poll`] tells when it applied.
    pub ticket: u64,
    /// What went wrong without keeping the command from being carried out.
    pub warnings: Vec<Error>,
}

/// A batch that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which one.
    pub ticket: u64,
    /// The engine's frame from which it is heard.
    pub frame: u64,
}

/// The one writer of a session. All of it runs on the control thread.
pub struct Controller {
    session: Session,
    revision: u64,
    history: History,
    rack: Rack,
    arrivals: Arrivals,
    batches: Producer<Box<Batch>>,
    home: Consumer<Box<Batch>>,
    counters: Arc<Counters>,
    ticket: u64,
    /// Batches that are not home yet; each has a return slot.
    away: usize,
    tasks: usize,
}

/// Makes an engine that plays `session` from its frame 0 on, without fades: nothing was heard before.
///
/// # Errors
/// What is wrong with the session. Clips that cannot be opened are no error; they come as warnings.
pub fn engine(
    session: Session,
    library: &mut dyn ClipLibrary,
    setup: Setup,
) -> Result<(Controller, Engine, Vec<Error>), Error> {
    session::validate(&session)?;
    let token = Token::default();
    let (batches, audio_batches) = RingBuffer::new(BATCHES);
    let (audio_home, home) = RingBuffer::new(BATCHES);
    let counters = Arc::new(Counters::default());
    let rack = Rack::new(token.id(), session.rate, setup.max_block);
    let audio = new_engine(token, setup.start, setup.max_block, audio_batches, audio_home, counters.clone());
    let mut controller = Controller {
        session,
        revision: 0,
        history: History::default(),
        rack,
        arrivals: Arrivals::new(),
        batches,
        home,
        counters,
        ticket: 0,
        away: 0,
        tasks: 0,
    };
    let warnings = controller.rack.open_clips(None, &controller.session, library);
    let batch = controller.compiled();
    controller.send(batch)?;
    Ok((controller, audio, warnings))
}

impl Controller {
    /// The session as it is wanted.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Counts the changes of the session.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The undo history.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What can be seen of the audio thread.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// How many tasks the newest plan has.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// How many processors, delay lines and terms there are, those that fade out included.
    pub fn census(&self) -> (usize, usize, usize) {
        self.rack.census()
    }

    /// What a command would change.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn dry_run(&self, command: &Command, library: &mut dyn ClipLibrary) -> Result<Vec<Change>, Error> {
        let (new, _) = match command {
            Command::Undo | Command::Redo => {
                return Err(Error::new(
                    ErrorCode::Unavailable,
                    format!("{} has no dry run", command.title()),
                )
                .remedy("the status says what it would take back or do again"));
            }
            command => session::apply(&self.session, command)?,
        };
        for node in new.nodes.values() {
            let before = self.session.nodes.get(&node.id);
            let known = |clip: &Clip| before.is_some_and(|node| node.clips.iter().any(|c| c.id == clip.id));
            if before.is_none_or(|before| !Arc::ptr_eq(before, node)) {
                for clip in node.clips.iter().filter(|clip| !known(clip)) {
                    library.open(clip, new.rate)?;
                }
            }
        }
        Ok(mirror::difference(&self.session, &new))
    }

    /// Carries out a command that changes the session: an undo step, undo, or redo.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub fn perform(&mut self, command: &Command, library: &mut dyn ClipLibrary) -> Result<Performed, Error> {
        self.room()?;
        match command {
            Command::Undo | Command::Redo => {
                let back = *command == Command::Undo;
                let (title, new) = if back {
                    self.history.undo(&self.session)?
                } else {
                    self.history.redo(&self.session)?
                };
                let warnings = self.rack.open_clips(Some(&self.session), &new, library);
                library.opened(&new);
                let mut performed = self.exchange(new, warnings)?;
                performed.step = Some(title);
                Ok(performed)
            }
            command => {
                let (new, outcome) = session::apply(&self.session, command)?;
                // A new clip that cannot be opened was a mistake; one that comes back by undo is only told.
                let errors = self.rack.open_clips(Some(&self.session), &new, library);
                if let Some(error) = errors.into_iter().next() {
                    self.rack.close_clips(&self.session);
                    return Err(error);
                }
                library.opened(&new);
                let old = self.session.clone();
                let mut performed = self.exchange(new, Vec::new())?;
                performed.outcome = outcome;
                if !performed.changes.is_empty() {
                    self.history.note(command.title(), old);
                }
                Ok(performed)
            }
        }
    }

    /// Moves the transport at the beginning of the next cycle.
    ///
    /// # Errors
    /// `Busy` if the audio thread has too much to do already.
    pub fn transport(&mut self, change: TransportChange) -> Result<u64, Error> {
        self.room()?;
        let batch =
            Batch { transport: Some(change), fade_frames: self.session.fade_frames(), ..Batch::default() };
        self.send(batch)
    }

    /// Takes in what came home and lets go of what has faded out. To be called often, and after cycles.
    pub fn poll(&mut self) -> Vec<Applied> {
        let mut applied = Vec::new();
        while let Ok(batch) = self.home.pop() {
            self.away -= 1;
            if batch.running.is_some() {
                self.rack.plan_applied(batch.ticket, batch.applied);
            }
            for fade in &batch.fades {
                self.rack.term_fades_until(&fade.term, batch.ticket, fade.ends);
            }
            if !batch.patches.is_empty() {
                self.rack.clips_fade_until(batch.ticket, batch.applied + batch.fade_frames);
            }
            applied.push(Applied { ticket: batch.ticket, frame: batch.applied });
        }
        // One frame behind: what has ended at the frame that the audio thread is at is silent from there on.
        let now = self.counters.frame();
        if self.away == 0 {
            self.tidy(now);
        }
        applied
    }

    /// Sends a plan without what has faded out by `now`.
    fn tidy(&mut self, now: u64) {
        let playlists = if self.rack.has_silent_clips(now) {
            self.rack.thinned_playlists(&self.session, now)
        } else {
            Vec::new()
        };
        if playlists.is_empty() && !self.rack.has_silent(now) {
            return;
        }
        let mut batch = if self.rack.has_silent(now) { self.compiled() } else { Batch::default() };
        batch.patches = self.patches(playlists);
        self.rack.close_clips(&self.session);
        // Nothing is away, so there is room.
        if let Err(error) = self.send(batch) {
            unreachable!("an empty ring is full: {error}");
        }
    }

    /// Makes `new` the session.
    fn exchange(&mut self, new: Session, warnings: Vec<Error>) -> Result<Performed, Error> {
        let old = std::mem::replace(&mut self.session, new);
        self.rack.begin(self.ticket + 1);
        let changes = mirror::difference(&old, &self.session);
        let mut batch = Batch::default();
        if !changes.is_empty() {
            self.revision += 1;
            let playlists = self.rack.changed_playlists(&old, &self.session);
            let settings = self.settings(&old);
            batch = if structural(&changes, &old) { self.compiled() } else { batch };
            batch.patches = self.patches(playlists);
            batch.settings = settings;
            batch.fade_frames = self.session.fade_frames();
            self.rack.close_clips(&self.session);
        }
        let ticket = self.send(batch)?;
        Ok(Performed { outcome: Outcome::default(), changes, step: None, ticket, warnings })
    }

    fn compiled(&mut self) -> Batch {
        self.rack.begin(self.ticket + 1);
        let compiled = compile(&mut self.rack, &self.session, self.counters.frame());
        self.arrivals = compiled.arrivals;
        self.tasks = compiled.plan.tasks.len();
        let running = Box::new(crate::audio::Running::new(compiled.plan, self.rack.max_block()));
        Batch {
            running: Some(running),
            fades: compiled.fades,
            fade_frames: self.session.fade_frames(),
            ..Batch::default()
        }
    }

    /// The parameters that moved since `old`, for processors that stay.
    fn settings(&self, old: &Session) -> Vec<(crate::plan::ProcessorSlot, &'static str, f64)> {
        let mut settings = Vec::new();
        for node in self.session.nodes.values() {
            let Some(before) = old.nodes.get(&node.id).filter(|before| !Arc::ptr_eq(before, node)) else {
                continue;
            };
            for param in params::of(node.kind, node.channels).iter().filter(|param| !param.structural) {
                let value = params::get(node, param);
                if value != params::get(before, param) {
                    let slots = self.rack.processors(node);
                    settings.extend(slots.map(|(_, slot)| (slot, param.name, value.as_f64())));
                }
            }
        }
        settings
    }

    /// Patches for the players of tracks.
    fn patches(&self, playlists: Vec<(NodeId, Playlist)>) -> Vec<(crate::plan::ProcessorSlot, Patch)> {
        let player = |node: &Node| {
            self.rack.processors(node).find(|(stage, _)| *stage == Stage::Player).map(|(_, slot)| slot)
        };
        playlists
            .into_iter()
            .filter_map(|(track, playlist)| {
                let slot = player(self.session.nodes.get(&track)?)?;
                Some((slot, Box::new(playlist) as Patch))
            })
            .collect()
    }

    fn room(&mut self) -> Result<(), Error> {
        if self.away < BATCHES {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Busy, "the audio thread has not taken over the commands before this one")
            .remedy("try again; if it persists, the driver stands still"))
    }

    fn send(&mut self, mut batch: Batch) -> Result<u64, Error> {
        self.ticket += 1;
        batch.ticket = self.ticket;
        self.batches
            .push(Box::new(batch))
            .map_err(|_| Error::new(ErrorCode::Internal, "the ring to the audio thread is full"))?;
        self.away += 1;
        Ok(self.ticket)
    }

    /// The peaks of every meter since they were taken last.
    pub fn meters(&self) -> Vec<MeterReading> {
        self.rack
            .meters()
            .map(|(node, meter)| MeterReading { node: node.slug.to_string(), peaks: meter.take() })
            .collect()
    }

    /// Arrival of the outputs: how long the whole graph takes, in frames.
    pub fn total_latency(&self) -> u64 {
        compile::total(&self.arrivals)
    }

    /// When every stage is heard, and by how much every link is delayed.
    pub fn latency(&self) -> LatencyReport {
        let slug = |id: &NodeId| match self.session.nodes.get(id) {
            Some(node) => node.slug.to_string(),
            None => format!("#{id}"),
        };
        let mut stages: Vec<_> = self.arrivals.iter().collect();
        stages.sort_by_key(|(id, (arrival, _))| (*arrival, **id));
        let row = |(id, (arrival, latency)): (&crate::graph::StageId, &(u64, u64))| LatencyRow {
            node: slug(&id.node),
            stage: id.stage.name().to_owned(),
            arrival: Frames(*arrival),
            latency: Frames(*latency),
        };
        let link = |(id, delay)| {
            let link = self.session.links.get(&id)?;
            Some(LinkLatency {
                from: self.session.port_text(&link.from),
                to: self.session.port_text(&link.to),
                delay: Frames(delay),
                gain: link.gain,
            })
        };
        LatencyReport {
            rate: self.session.rate,
            total: Frames(self.total_latency()),
            stages: stages.into_iter().map(row).collect(),
            links: compile::timings(&Graph::of(&self.session), &self.arrivals)
                .into_iter()
                .filter_map(link)
                .collect(),
        }
    }
}

/// Whether the changes need another plan: anything but parameters that move, clips, and names.
fn structural(changes: &[Change], old: &Session) -> bool {
    changes.iter().any(|change| match change {
        Change::Node(node) => old.nodes.get(&node.id).is_none_or(|before| {
            params::of(node.kind, node.channels)
                .iter()
                .any(|param| param.structural && params::get(before, param) != params::get(node, param))
        }),
        Change::NodeGone(_) | Change::Link(_) | Change::LinkGone(_) => true,
        Change::Session { .. } => false,
    })
}

/// The plan that a session compiles to, for looking at it.
///
/// # Errors
/// What is wrong with the session.
pub fn plan_of(session: &Session, library: &mut dyn ClipLibrary, max_block: usize) -> Result<Plan, Error> {
    session::validate(session)?;
    let mut rack = Rack::new(Token::default().id(), session.rate, max_block);
    rack.open_clips(None, session, library);
    Ok(compile(&mut rack, session, 0).plan)
}
