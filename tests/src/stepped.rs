//! An engine whose clock the test moves.

use std::{collections::BTreeMap, sync::Arc};

use aulos_engine::{ClipLibrary, Controller, Engine, Patience, Setup, Start};
use aulos_nodes::{ClipSource, Pcm};
use aulos_protocol::{Applied, Change, Clip, Command, Error, ErrorCode, Frames, Rate, Session};

use crate::random::Scene;

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
}

impl Stepped {
    /// An engine that plays `scene` from its frame 0 on.
    ///
    /// # Panics
    /// If the engine refuses the session.
    pub fn of(scene: &Scene, max_block: usize) -> Self {
        let start = Start {
            position: scene.start.position,
            rolling: scene.start.rolling,
            loop_range: scene.start.loop_range,
        };
        let files = Files(scene.files.clone());
        Self::new(
            scene.session.clone(),
            files,
            scene.capture.clone(),
            scene.playback_channels,
            max_block,
            start,
        )
    }

    /// An engine that plays `session` from its frame 0 on.
    ///
    /// # Panics
    /// If the engine refuses the session.
    pub fn new(
        session: Session,
        mut files: Files,
        capture: Vec<Vec<f32>>,
        playback_channels: usize,
        max_block: usize,
        start: Start,
    ) -> Self {
        let made = aulos_engine::engine(session, &mut files, Setup { max_block, start });
        let (controller, engine, _) =
            made.unwrap_or_else(|error| panic!("the session is refused: {error:?}"));
        Self {
            controller,
            engine,
            files,
            capture,
            played: vec![Vec::new(); playback_channels],
            buffers: vec![vec![0.0; max_block]; playback_channels],
            frame: 0,
        }
    }

    /// Runs one cycle of up to the engine's largest block.
    pub fn cycle(&mut self, frames: usize) {
        let recorded = |channel: &Vec<f32>| {
            let present = channel.iter().skip(self.frame).copied();
            present.chain(std::iter::repeat(0.0)).take(frames).collect()
        };
        let capture: Vec<Vec<f32>> = self.capture.iter().map(recorded).collect();
        self.engine.process(&capture, &mut self.buffers, frames, &Patience, u64::MAX);
        for (played, buffer) in self.played.iter_mut().zip(&self.buffers) {
            played.extend_from_slice(&buffer[..frames]);
        }
        self.frame += frames;
        self.controller.poll();
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
        let applied = self.take_over(performed.ticket);
        Ok(Applied {
            frame: Frames(applied.frame),
            aligned: applied.aligned.map(Frames),
            nodes: performed.outcome.nodes,
            clips: performed.outcome.clips,
            ..Applied::default()
        })
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
        let ticket = sent.unwrap_or_else(|e| panic!("{e}"));
        self.take_over(ticket);
    }

    /// Has the audio thread take over the batch `ticket`.
    ///
    /// # Panics
    /// If it does not.
    pub fn take_over(&mut self, ticket: u64) -> aulos_engine::Applied {
        self.engine.process::<Vec<f32>, Vec<f32>>(&[], &mut [], 0, &Patience, u64::MAX);
        let applied = self.controller.poll().into_iter().find(|applied| applied.ticket == ticket);
        applied.unwrap_or_else(|| panic!("the batch was not taken over"))
    }
}
