//! The control thread's side of an engine: the one writer of its session.

use std::{collections::BTreeMap, sync::Arc};

use aulos_nodes::{BuiltIn, Patch, Playlist, Stage, Workshop};
use aulos_protocol::{
    Change, Clip, ClipId, Command, Error, ErrorCode, Frames, Node, NodeId, Session, mirror,
    params::{self, Effect},
};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::{
    audio::{Counters, Engine, Running, Spare, Start, TransportChange, new_engine, slot::Token},
    compile::{self, Arrivals, ClipLibrary, Rack, compile},
    graph::Graph,
    handoff::{BATCHES, Batch, Move},
    plan::{Plan, UnitSlot},
    session::{self, History, Outcome},
};

mod controls;
mod metering;
mod moved;
mod report;
mod timed;

use controls::Controls;
use moved::{Moved, moved};

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The longest block that is rendered at once, in frames, at least 1; never longer than the session's
    /// `max_block`.
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
    /// If it moved delays, the frame from which everything that meets, meets aligned again.
    pub aligned: Option<u64>,
}

/// The one writer of a session. All of it runs on the control thread.
pub struct Controller {
    session: Session,
    /// The session as the audio thread was told last.
    told: Session,
    /// Whether there is something to tell it.
    untold: bool,
    /// The fade of what is performed just now, if it is not the session's, in frames.
    fade: Option<u64>,
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
    /// Those of them that bring a plan.
    plans_away: usize,
    /// The buffers of the plan that came home last.
    spare: Spare,
    tasks: usize,
    /// When the budgets of tasks were last worked out, in frames.
    budgeted: u64,
    /// Timed settings that are on their way, but for those of VCAs and groups: the node, and the frame by which they
    /// are carried out.
    timed: Vec<(NodeId, u64)>,
    /// What VCAs and groups do, with what is on its way.
    controls: Controls,
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
    engine_with(session, library, setup, Box::new(BuiltIn))
}

/// As [`engine`], with processors from `workshop`.
///
/// # Errors
/// As [`engine`].
pub fn engine_with(
    session: Session,
    library: &mut dyn ClipLibrary,
    setup: Setup,
    workshop: Box<dyn Workshop>,
) -> Result<(Controller, Engine, Vec<Error>), Error> {
    session::validate(&session)?;
    let max_block = setup.max_block.min(session.max_block as usize);
    let token = Token::default();
    let (batches, audio_batches) = RingBuffer::new(BATCHES);
    let (audio_home, home) = RingBuffer::new(BATCHES);
    let counters = Arc::new(Counters::default());
    let rack = Rack::new(token.id(), session.rate, max_block, workshop);
    let audio = new_engine(token, setup.start, max_block, audio_batches, audio_home, counters.clone());
    let mut controller = Controller {
        told: session.clone(),
        controls: Controls::new(session.clone()),
        untold: false,
        fade: None,
        session,
        revision: 0,
        history: History::default(),
        rack,
        arrivals: Arrivals::default(),
        batches,
        home,
        counters,
        ticket: 0,
        away: 0,
        plans_away: 0,
        spare: Spare::default(),
        tasks: 0,
        budgeted: 0,
        timed: Vec::new(),
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
            Command::Loop { start, end } => return self.dry_loop(*start, *end),
            command => session::apply(&self.session, command)?,
        };
        self.rack.try_clips(&self.session, &new, library)?;
        Ok(mirror::difference(&self.session, &new))
    }

    /// Carries out a command that changes the session: an undo step, undo, or redo. The audio thread is told by
    /// [`Controller::flush`], of any number of commands at once.
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
                let mut performed = self.exchange(new, warnings);
                performed.step = Some(title);
                Ok(performed)
            }
            command => {
                let (new, outcome) = session::apply(&self.session, command)?;
                // A clip that cannot be opened, or heard, was a mistake; one that comes back by undo is only told.
                let errors = self.rack.open_clips(Some(&self.session), &new, library);
                if let Some(error) = errors.into_iter().next() {
                    self.rack.close_clips(&self.session);
                    return Err(error);
                }
                library.opened(&new);
                let old = self.session.clone();
                let mut performed = self.exchange(new, Vec::new());
                performed.outcome = outcome;
                if !performed.changes.is_empty() {
                    self.history.note(command.title(), old);
                }
                Ok(performed)
            }
        }
    }

    /// As [`Controller::perform`], with fades of `fade` frames. It goes to the audio thread by itself, behind what was
    /// performed before.
    ///
    /// # Errors
    /// As [`Controller::perform`].
    pub fn perform_over(
        &mut self,
        command: &Command,
        library: &mut dyn ClipLibrary,
        fade: u64,
    ) -> Result<Performed, Error> {
        self.room()?;
        self.flush_now()?;
        let performed = self.perform(command, library)?;
        self.fade = Some(fade);
        let sent = self.flush_now();
        self.fade = None;
        sent.map(|()| performed)
    }

    /// Moves the transport at the beginning of the next cycle, or when the engine is at `frame`. A loop is the
    /// session's from now on; one that is to come is when [`Controller::loops`] says so.
    ///
    /// # Errors
    /// What is wrong with a loop, or `Busy` if the audio thread has too much to do already.
    pub fn transport(&mut self, change: TransportChange, frame: Option<u64>) -> Result<Performed, Error> {
        let range = match change {
            TransportChange::Loop(range) => {
                session::loop_range(range.map(|(start, _)| Frames(start)), range.map(|(_, end)| Frames(end)))?
            }
            _ => None,
        };
        self.room()?;
        self.flush_now()?;
        let mut new = self.session.clone();
        if matches!(change, TransportChange::Loop(_)) && frame.is_none() {
            new.loop_range = range;
        }
        let performed = self.exchange(new, Vec::new());
        // The batch of the transport is all that the audio thread needs to know.
        self.untold = false;
        self.told = self.session.clone();
        let transport = Some((change, frame));
        let batch = Batch { transport, fade_frames: self.fade_frames(), ..Batch::default() };
        let ticket = self.send(batch)?;
        Ok(Performed { ticket, ..performed })
    }

    /// Notes in the session that the transport loops, or no longer does, since a timed change to it.
    pub fn loops(&mut self, range: Option<(u64, u64)>) -> Performed {
        let loop_range = range.map(|(start, end)| (Frames(start), Frames(end)));
        self.exchange(Session { loop_range, ..self.session.clone() }, Vec::new())
    }

    /// Takes over the names that the files of the clips have in `named`; they must lead to the same files, which are
    /// not opened anew. It is no step of the history. Nothing if there are no others.
    pub fn name_files(&mut self, named: &Session) -> Option<Performed> {
        let clips = named.nodes.values().flat_map(|node| &node.clips);
        let names: BTreeMap<ClipId, &String> = clips.map(|clip| (clip.id, &clip.file)).collect();
        let other =
            |clip: &Clip| names.get(&clip.id).filter(|name| **name != &clip.file).map(|name| (*name).clone());
        let is_other =
            self.session.nodes.values().flat_map(|node| &node.clips).any(|clip| other(clip).is_some());
        is_other.then(|| self.exchange(session::name_files(&self.session, other), Vec::new()))
    }

    /// Gives the files of the clips that only undo and redo can bring back other names, where `name` has one. Clips
    /// that are open are not opened anew.
    pub fn name_files_of_history(&mut self, name: impl FnMut(&Clip) -> Option<String>) {
        self.history.name_files(name);
    }

    /// What another loop changes.
    fn dry_loop(&self, start: Option<Frames>, end: Option<Frames>) -> Result<Vec<Change>, Error> {
        let loop_range = session::loop_range(start, end)?;
        Ok(mirror::difference(&self.session, &Session { loop_range, ..self.session.clone() }))
    }

    /// Takes in what a node reports as its latency.
    ///
    /// # Errors
    /// `OutOfRange` if it is longer than the session allows, or if aligning the rest with it would take too much
    /// memory; then what was reported before holds on.
    pub fn report_latency(&mut self, node: NodeId, frames: u64) -> Result<u64, Error> {
        self.room()?;
        let most = self.session.max_latency();
        if frames > most {
            let slug = self.session.nodes.get(&node).map_or_else(String::new, |node| node.slug.to_string());
            return Err(compile::too_long(&slug, frames, most));
        }
        let mut observed = self.rack.observed().clone();
        observed.reported.insert(node, frames);
        let graph = Graph::of(&self.session);
        session::check_memory(&self.session, &graph, &compile::arrivals(&graph, &self.session, &observed))?;
        self.flush_now()?;
        self.rack.report_latency(node, frames);
        let batch = self.compiled();
        self.send(batch)
    }

    /// Takes in what came home and lets go of what has faded out. To be called often, and after cycles.
    pub fn poll(&mut self) -> Vec<Applied> {
        let mut applied = Vec::new();
        while let Ok(mut batch) = self.home.pop() {
            self.away -= 1;
            if let Some(old) = batch.running.take() {
                self.spare = old.into_spare();
                self.plans_away -= 1;
                self.rack.plan_applied(batch.ticket, batch.applied);
            }
            for fade in &batch.fades {
                self.rack.term_fades_until(&fade.term, batch.ticket, fade.ends);
            }
            if !batch.patches.is_empty() {
                self.rack.clips_fade_until(batch.ticket, batch.applied + batch.fade_frames);
            }
            let Batch { ticket, applied: frame, aligned, .. } = *batch;
            applied.push(Applied { ticket, frame, aligned });
        }
        // One frame behind: what has ended at the frame that the audio thread is at is silent from there on.
        let now = self.counters.frame();
        if self.away == 0 && !self.untold {
            self.tidy(now);
        }
        if let Some(passed) = now.checked_sub(self.longest()) {
            self.controls.pass(passed);
        }
        self.budget(now);
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
    fn exchange(&mut self, new: Session, warnings: Vec<Error>) -> Performed {
        let old = std::mem::replace(&mut self.session, new);
        let changes = mirror::difference(&old, &self.session);
        if !changes.is_empty() {
            self.revision += 1;
        }
        self.untold = true;
        Performed { outcome: Outcome::default(), changes, step: None, ticket: self.ticket + 1, warnings }
    }

    /// Tells the audio thread what was performed since the last time, as one batch. While it has not taken over
    /// the plan before, what needs another waits, so that all commands of a cycle are compiled once. To be called
    /// after commands and after [`Controller::poll`].
    ///
    /// # Errors
    /// `Internal`: a defect.
    pub fn flush(&mut self) -> Result<(), Error> {
        let waits = self.away >= BATCHES
            || self.plans_away > 0 && needs_plan(&mirror::difference(&self.told, &self.session), &self.told);
        if waits { Ok(()) } else { self.flush_now() }
    }

    /// As [`Controller::flush`], without waiting for anything.
    ///
    /// # Errors
    /// As [`Controller::flush`].
    pub fn flush_now(&mut self) -> Result<(), Error> {
        if !self.untold {
            return Ok(());
        }
        if self.away >= BATCHES {
            return Err(Error::new(
                ErrorCode::Busy,
                "the audio thread has not taken over the commands before",
            ));
        }
        self.untold = false;
        let old = std::mem::replace(&mut self.told, self.session.clone());
        self.rack.begin(self.ticket + 1);
        let changes = mirror::difference(&old, &self.session);
        let mut batch = Batch::default();
        if !changes.is_empty() {
            let playlists = self.rack.changed_playlists(&old, &self.session);
            let controlled = self.controls.change(&old, &self.session, None);
            let moves = self.moves(moved(&old, &self.session, None).into_iter().chain(controlled));
            // In a stream of commands nothing is tidied up by itself, and what waits for room would wait on.
            let tidies = self.plans_away == 0 && self.rack.has_silent(self.counters.frame());
            if needs_plan(&changes, &old) || tidies {
                batch = self.compiled();
            } else {
                let session = self.session.clone();
                batch.fades = self.regated((&old, &session), &changes, None)?;
            }
            batch.patches = self.patches(playlists);
            batch.moves = moves;
            batch.fade_frames = self.fade_frames();
            self.rack.close_clips(&self.session);
        }
        self.send(batch)?;
        Ok(())
    }

    /// The gains of links that changes from one session to another have moved, where these need no other plan.
    /// Looks at the whole graph only if one of them can have moved any.
    fn regated(
        &mut self,
        (old, session): (&Session, &Session),
        changes: &[Change],
        at: Option<u64>,
    ) -> Result<Vec<crate::handoff::FadeStart>, Error> {
        let gates = |change: &Change| match change {
            Change::Node(node) => old.nodes.get(&node.id).is_none_or(|before| {
                before.members != node.members
                    || params::changed(before, node).any(|param| param.effect == Effect::Gates)
            }),
            Change::Link(_) => true,
            _ => false,
        };
        if !changes.iter().any(gates) {
            return Ok(Vec::new());
        }
        compile::regate(&mut self.rack, &Graph::of(session), at).map_err(|_| {
            Error::new(ErrorCode::Busy, "a link has too many changes of its gain to come")
                .remedy("send the next ones when some of them have been carried out")
        })
    }

    fn fade_frames(&self) -> u64 {
        self.fade.unwrap_or_else(|| self.session.fade_frames())
    }

    fn compiled(&mut self) -> Batch {
        self.rack.begin(self.ticket + 1);
        let fade = self.fade_frames();
        let compiled = compile(&mut self.rack, &self.session, self.counters.frame(), fade);
        self.arrivals = compiled.arrivals;
        self.tasks = compiled.plan.tasks.len();
        let spare = std::mem::take(&mut self.spare);
        let running = Box::new(Running::new(compiled.plan, self.rack.max_block(), spare));
        Batch {
            running: Some(running),
            fades: compiled.fades,
            heirs: compiled.heirs,
            retimings: compiled.retimings,
            realigns: compiled.realigns,
            fade_frames: fade,
            ..Batch::default()
        }
    }

    /// Settings for the processors of what moved, that stay.
    fn moves(&self, moved: impl Iterator<Item = Moved>) -> Vec<Move> {
        let of_node = |Moved { node, param, value, at }: Moved| {
            let units = self.rack.units(&node);
            units.map(move |to| Move { unit: to.unit, vitals: to.vitals, param, value, at })
        };
        moved.flat_map(of_node).collect()
    }

    /// Patches for the players of tracks.
    fn patches(&self, playlists: Vec<(NodeId, Playlist)>) -> Vec<(UnitSlot, Patch)> {
        // A track's player is never built anew.
        let player =
            |node: &Node| self.rack.units(node).find(|to| to.stage == Stage::Player).map(|to| to.unit);
        playlists
            .into_iter()
            .filter_map(|(track, playlist)| {
                let unit = player(self.session.nodes.get(&track)?)?;
                Some((unit, Box::new(playlist) as Patch))
            })
            .collect()
    }

    /// Refuses what would find no room on its way, after what must go before it.
    fn room(&mut self) -> Result<(), Error> {
        if self.away + 1 < BATCHES {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Busy, "the audio thread has not taken over the commands before this one")
            .remedy("try again; if it persists, the driver stands still"))
    }

    fn send(&mut self, mut batch: Batch) -> Result<u64, Error> {
        batch.ticket = self.ticket + 1;
        batch.usual_fade = self.session.fade_frames();
        let brings_plan = batch.running.is_some();
        self.batches
            .push(Box::new(batch))
            .map_err(|_| Error::new(ErrorCode::Internal, "the ring to the audio thread is full"))?;
        self.ticket += 1;
        self.plans_away += usize::from(brings_plan);
        self.away += 1;
        Ok(self.ticket)
    }
}

/// Whether changes of `old` need another plan: anything but parameters that move or gate, gains of links, clips,
/// and names.
fn needs_plan(changes: &[Change], old: &Session) -> bool {
    changes.iter().any(|change| match change {
        Change::Node(node) => old.nodes.get(&node.id).is_none_or(|before| {
            params::changed(before, node).any(|p| matches!(p.effect, Effect::Routes | Effect::Rebuilds))
        }),
        Change::Link(link) => {
            old.links.get(&link.id).is_none_or(|before| (&before.from, &before.to) != (&link.from, &link.to))
        }
        Change::NodeGone(_) | Change::LinkGone(_) => true,
        Change::Session { .. } => false,
    })
}

/// The plan that a session compiles to, for looking at it.
///
/// # Errors
/// What is wrong with the session.
pub fn plan_of(session: &Session, library: &mut dyn ClipLibrary, max_block: usize) -> Result<Plan, Error> {
    session::validate(session)?;
    let mut rack = Rack::new(Token::default().id(), session.rate, max_block, Box::new(BuiltIn));
    rack.open_clips(None, session, library);
    Ok(compile(&mut rack, session, 0, session.fade_frames()).plan)
}
