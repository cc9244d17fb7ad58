//! An engine whose clock the test moves.

use std::{collections::BTreeMap, sync::Arc};

use aulos_engine::{ClipLibrary, Clock, Controller, Engine, Patience, Setup, Start};
use aulos_nodes::{BuiltIn, ClipSource, Pcm, Workshop};
use aulos_protocol::{Applied, Change, Clip, Command, Error, ErrorCode, Frames, Rate, Session};

use crate::{late::TestClock, random::Scene};

/// Audio files by the names that clips call them.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<String, Arc<Pcm>>);

impl ClipLibrary for Files {
    fn open(&mut self, clip: &Clip, _: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        match self.0.get(&clip.file) {
            Some(pcm) => Ok(pcm.clone()),
            None => Err(Error::new(ErrorCode::NotFound, format!("there is no file {}", clip.file))),
        }
    }
}

/// An engine with its controller, run block by block.
pub struct Stepped {
    /// The control side.
    pub controller: Controller,
    engine: Engine,
    files: Files,
    capture: Vec<Vec<f32>>,
    played: Vec<Vec<f32>>,
    buffers: Vec<Vec<f32>>,
    frame: usize,
    clock: Option<Arc<TestClock>>,
    overtime: u64,
    aligned: Option<u64>,
}

impl Stepped {
    /// An engine that plays `scene` from its frame 0 on.
    ///
    /// # Panics
    /// If the engine refuses the session.
    pub fn of(scene: &Scene, max_block: usize) -> Self {
        Self::made(scene, max_block, Box::new(BuiltIn))
    }

    /// As [`Stepped::of`], with processors from `workshop`. Every cycle begins when it is due on `clock`, and is over
    /// when the next one begins.
    pub fn timed(
        scene: &Scene,
        max_block: usize,
        workshop: impl Workshop + 'static,
        clock: &Arc<TestClock>,
    ) -> Self {
        let made = Self::made(scene, max_block, Box::new(workshop));
        Self { clock: Some(clock.clone()), ..made }
    }

    fn made(scene: &Scene, max_block: usize, workshop: Box<dyn Workshop>) -> Self {
        let start = Start {
            position: scene.start.position,
            rolling: scene.start.rolling,
            loop_range: scene.start.loop_range,
        };
        let files = Files(scene.files.clone());
        let (session, capture) = (scene.session.clone(), scene.capture.clone());
        Self::with(session, files, capture, scene.playback_channels, Setup { max_block, start }, workshop)
    }

    /// An engine that plays `session` from its frame 0 on.
    ///
    /// # Panics
    /// If the engine refuses the session.
    pub fn new(
        session: Session,
        files: Files,
        capture: Vec<Vec<f32>>,
        playback_channels: usize,
        max_block: usize,
        start: Start,
    ) -> Self {
        let setup = Setup { max_block, start };
        Self::with(session, files, capture, playback_channels, setup, Box::new(BuiltIn))
    }

    fn with(
        session: Session,
        mut files: Files,
        capture: Vec<Vec<f32>>,
        playback_channels: usize,
        setup: Setup,
        workshop: Box<dyn Workshop>,
    ) -> Self {
        let made = aulos_engine::engine_with(session, &mut files, setup, workshop);
        let (controller, engine, _) =
            made.unwrap_or_else(|error| panic!("the session is refused: {error:?}"));
        Self {
            controller,
            engine,
            files,
            capture,
            played: vec![Vec::new(); playback_channels],
            buffers: vec![Vec::new(); playback_channels],
            frame: 0,
            clock: None,
            overtime: 0,
            aligned: None,
        }
    }

    /// The moment at which a frame is due, in ns.
    pub fn due(&self, frame: usize) -> u64 {
        frame as u64 * 1_000_000_000 / u64::from(self.controller.session().rate.hz())
    }

    /// By how many ns the cycle that was most late was over too late.
    pub fn overtime(&self) -> u64 {
        self.overtime
    }

    /// Runs one cycle.
    pub fn cycle(&mut self, frames: usize) {
        let recorded = |channel: &Vec<f32>| {
            let present = channel.iter().skip(self.frame).copied();
            present.chain(std::iter::repeat(0.0)).take(frames).collect()
        };
        let capture: Vec<Vec<f32>> = self.capture.iter().map(recorded).collect();
        self.buffers.iter_mut().for_each(|buffer| buffer.resize(frames.max(buffer.len()), 0.0));
        if let Some(clock) = self.clock.clone() {
            clock.reach(self.due(self.frame));
            let deadline = self.due(self.frame + frames);
            self.engine.process(&capture, &mut self.buffers, frames, clock.as_ref(), deadline);
            self.overtime = self.overtime.max(clock.now().saturating_sub(deadline));
        } else {
            self.engine.process(&capture, &mut self.buffers, frames, &Patience, u64::MAX);
        }
        for (played, buffer) in self.played.iter_mut().zip(&self.buffers) {
            played.extend_from_slice(&buffer[..frames]);
        }
        self.frame += frames;
        self.poll();
    }

    fn poll(&mut self) -> Vec<aulos_engine::Applied> {
        let applied = self.controller.poll();
        self.aligned = applied.iter().filter_map(|applied| applied.aligned).next_back().or(self.aligned);
        applied
    }

    /// The frame that was named last, from which everything is aligned.
    pub fn aligned(&self) -> Option<usize> {
        self.aligned.map(|frame| frame as usize)
    }

    /// Runs cycles until `frames` frames are played; `block` says how long the next one is.
    pub fn run_to(&mut self, frames: usize, mut block: impl FnMut() -> usize) {
        while self.frame < frames {
            let next = block().min(frames - self.frame);
            self.cycle(next);
        }
    }

    /// The engine's frame.
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// What was played so far, by channel.
    pub fn played(&self) -> &[Vec<f32>] {
        &self.played
    }

    /// Carries out a command at the present frame.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn perform(&mut self, command: &Command) -> Result<Applied, Error> {
        let performed = self.controller.perform(command, &mut self.files)?;
        self.controller.flush_now()?;
        Ok(self.applied(performed))
    }

    /// As [`Stepped::perform`], with fades of `fade` frames.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn perform_over(&mut self, command: &Command, fade: u64) -> Result<Applied, Error> {
        let performed = self.controller.perform_over(command, &mut self.files, fade)?;
        Ok(self.applied(performed))
    }

    fn applied(&mut self, performed: aulos_engine::Performed) -> Applied {
        let applied = self.take_over(performed.ticket);
        Applied {
            frame: Frames(applied.frame),
            aligned: applied.aligned.map(Frames),
            nodes: performed.outcome.nodes,
            clips: performed.outcome.clips,
            ..Applied::default()
        }
    }

    /// What a command would change.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn dry_run(&mut self, command: &Command) -> Result<Vec<Change>, Error> {
        self.controller.dry_run(command, &mut self.files)
    }

    /// Moves the transport at the present frame, or as soon as the fades before it leave room.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn transport(&mut self, change: aulos_engine::TransportChange) {
        self.controller.transport(change, None).unwrap_or_else(|e| panic!("{e}"));
        self.engine.process::<Vec<f32>, Vec<f32>>(&[], &mut [], 0, &Patience, u64::MAX);
        self.controller.poll();
    }

    /// Carries out a command whose changes begin at a frame of stage time.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn perform_at(&mut self, command: &Command, frame: usize) -> Result<(), Error> {
        let performed = self.controller.perform_at(command, frame as u64)?;
        self.take_over(performed.ticket);
        Ok(())
    }

    /// Moves the transport when the engine is at `frame`.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn transport_at(&mut self, change: aulos_engine::TransportChange, frame: usize) {
        let sent = self.controller.transport(change, Some(frame as u64));
        let performed = sent.unwrap_or_else(|e| panic!("{e}"));
        self.take_over(performed.ticket);
    }

    /// Has the audio thread take over the batch `ticket`.
    ///
    /// # Panics
    /// If it does not.
    pub fn take_over(&mut self, ticket: u64) -> aulos_engine::Applied {
        self.engine.process::<Vec<f32>, Vec<f32>>(&[], &mut [], 0, &Patience, u64::MAX);
        let applied = self.poll().into_iter().find(|applied| applied.ticket == ticket);
        applied.unwrap_or_else(|| panic!("the batch was not taken over"))
    }
}
