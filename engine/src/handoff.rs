//! What crosses from the control thread to the audio thread and back home.

use aulos_nodes::{Patch, Setting};

use crate::{
    audio::{Running, Transport, TransportChange, delay_line::DelayLine, slot::Token, unit::Vitals},
    compile::Lead,
    plan::{InstanceId, RampSlot, TermId, UnitSlot},
};

/// How many batches can be on their way at once. Each has a return slot from the beginning.
pub const BATCHES: usize = 256;

/// A term that begins to fade when the batch is applied.
#[derive(Debug)]
pub struct FadeStart {
    /// Which term.
    pub term: TermId,
    /// Its gain.
    pub fade: RampSlot,
    /// The gain that it goes to.
    pub to: f32,
    /// When it begins.
    pub begin: Begin,
    /// At home: the frame at which it ends.
    pub ends: u64,
}

/// When a fade begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Not before what it brings is ready to be heard.
    Ready(Lead),
    /// As [`Begin::Ready`], but only a fade that has not begun yet is put off; one that has is left alone.
    PutOff(Lead),
    /// At a frame of the engine.
    At(u64),
}

/// A parameter that moves.
pub struct Move {
    /// The processor.
    pub unit: UnitSlot,
    /// What can be seen of it.
    pub vitals: std::sync::Arc<Vitals>,
    /// The parameter's name.
    pub param: &'static str,
    /// The new value.
    pub value: f64,
    /// When, in stage time; at once if not said.
    pub at: Option<u64>,
}

/// A stage whose arrival or latency changes.
pub struct Retiming {
    /// Which stage.
    pub stage: InstanceId,
    /// Its processor.
    pub unit: UnitSlot,
    /// The arrival that it will have,
    pub arrival: u64,
    /// and when: as soon as it hears nothing of what was before.
    pub when: Lead,
    /// Lines for what stands in for it, if it has another latency; at home, those that it had.
    pub dry: Option<(Vec<DelayLine>, u64)>,
}

/// Everything that applies at one frame. It comes home with what it replaced, to be freed there.
#[derive(Default)]
pub struct Batch {
    /// Counts the batches of an engine.
    pub ticket: u64,
    /// The plan to run from now on; at home, the one before.
    pub running: Option<Box<Running>>,
    /// Data for processors; at home, what they had.
    pub patches: Vec<(UnitSlot, Patch)>,
    /// Parameters that move.
    pub moves: Vec<Move>,
    /// Terms that fade.
    pub fades: Vec<FadeStart>,
    /// Stages whose timing changes.
    pub retimings: Vec<Retiming>,
    /// If delays change, when everything is aligned again.
    pub realigns: Option<Lead>,
    /// What the transport does, and at which frame if not at once.
    pub transport: Option<(TransportChange, Option<u64>)>,
    /// The length of every fade, in frames.
    pub fade_frames: u64,
    /// At home: the frame at which it was applied.
    pub applied: u64,
    /// At home: the frame from which everything is aligned, if it realigns.
    pub aligned: Option<u64>,
}

impl Batch {
    /// [audio thread] Carries everything out at `frame`. The cost depends on what the batch holds, not on the
    /// size of the plan. Answers whether a timed change of the transport found no room and was carried out at
    /// once.
    pub(crate) fn apply(
        &mut self,
        running: &mut Box<Running>,
        transport: &mut Transport,
        token: &mut Token,
        frame: u64,
    ) -> bool {
        let fade = self.fade_frames;
        if let Some(new) = &mut self.running {
            std::mem::swap(running, new);
        }
        for (unit, patch) in &mut self.patches {
            unit.get(token).processor.patch(patch, frame, fade);
        }
        for Move { unit, vitals, param, value, at } in &self.moves {
            let unit = unit.get(token);
            let setting = |frame| Setting { param, value: *value, frame, fade };
            match at {
                Some(at) if unit.set_later(setting(*at)) => {}
                Some(_) => {
                    Vitals::count(&vitals.hurried, 1);
                    unit.set(&setting(frame));
                }
                None => unit.set(&setting(frame)),
            }
        }
        let ready = |lead: Lead| (frame + lead.wait).max(lead.not_before);
        for start in &mut self.fades {
            let term = start.fade.get(token);
            match start.begin {
                Begin::Ready(lead) => term.turn(start.to, frame, ready(lead), fade),
                Begin::PutOff(_) if term.has_left(frame) => {}
                Begin::PutOff(lead) => term.turn(start.to, frame, ready(lead), fade),
                Begin::At(at) if at > frame => term.turn_later(start.to, at, fade),
                Begin::At(_) => term.turn(start.to, frame, frame, fade),
            }
            start.ends = term.end();
        }
        for Retiming { unit, arrival, when, dry, .. } in &mut self.retimings {
            let unit = unit.get(token);
            unit.time.change(ready(*when), *arrival);
            if let (Some(lane), Some((lines, latency))) = (&mut unit.lane, dry) {
                lane.replace_dry(lines, *latency);
            }
        }
        self.aligned = self.realigns.map(ready);
        self.applied = frame;
        match self.transport {
            Some((change, Some(at))) if at > frame => {
                let later = transport.change_later(change, at, fade);
                if !later {
                    transport.change(change, frame, fade);
                }
                !later
            }
            Some((change, _)) => {
                // What is said now takes the place of what was to come.
                transport.forget_later();
                transport.change(change, frame, fade);
                false
            }
            None => false,
        }
    }
}
