//! What crosses from the control thread to the audio thread and back home.

use aulos_nodes::{Patch, Setting};

use crate::{
    audio::{Running, Transport, TransportChange, delay_line::DelayLine, slot::Token, unit::Vitals},
    compile::Lead,
    plan::{GainSlot, InstanceId, TermId, TimeSlot, UnitSlot},
};

/// How many batches can be on their way at once. Each has a return slot from the beginning.
pub const BATCHES: usize = 256;

/// A term that begins to fade, or will.
#[derive(Debug)]
pub struct FadeStart {
    /// Which term.
    pub term: TermId,
    /// How loud it is.
    pub gain: GainSlot,
    /// What it does.
    pub turn: Turn,
    /// At home: the frame from which on nothing of it is heard; [`u64::MAX`] if it stays.
    pub ends: u64,
}

/// What a term does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// The gain of its link moves at once,
    Gain(f32),
    /// or at a stage time.
    GainAt(f32, u64),
    /// Its link is gone: it fades out when what comes instead of it is ready.
    Leave(Lead),
    /// It takes over from other terms of its link, or begins to be heard if there are none, when it is ready.
    Enter(Lead),
    /// It gives way to another term of its link.
    GiveWay(Lead),
}

/// [audio thread] Lets terms begin to fade with a batch that applies at `frame`, each fade over `len` frames. All that
/// crosses over in a batch does so together: when the last is ready, and when what was crossing over already has.
/// Answers how much later than ready that is.
pub fn start_fades(
    heirs: &[(GainSlot, GainSlot)],
    fades: &mut [FadeStart],
    token: &mut Token,
    frame: u64,
    len: u64,
) -> u64 {
    for (heir, from) in heirs {
        let from = *from.get(token);
        heir.get(token).inherit(&from);
    }
    let mut late = 0;
    for start in fades.iter() {
        if let Turn::Enter(lead) | Turn::GiveWay(lead) = start.turn {
            let busy = start.gain.get(token).busy_until(frame);
            late = late.max(busy.saturating_sub(ready(lead, frame)));
        }
    }
    for start in fades.iter() {
        let gain = start.gain.get(token);
        match start.turn {
            Turn::Gain(to) => gain.turn(to, frame, len),
            Turn::GainAt(to, time) => gain.turn_later(to, time, len),
            // What waits for nothing goes at once.
            Turn::Leave(lead) if lead == Lead::default() => gain.leave(frame, frame, len),
            Turn::Leave(lead) => gain.leave(frame, ready(lead, frame) + late, len),
            Turn::Enter(lead) => gain.enter(frame, ready(lead, frame) + late, len),
            Turn::GiveWay(lead) => gain.give_way(frame, ready(lead, frame) + late, len),
        }
    }
    // Of a term that does two things, when both have begun.
    for start in fades {
        start.ends = start.gain.get(token).ends();
    }
    late
}

/// When a lead is over, of a batch that applies at `frame`.
fn ready(lead: Lead, frame: u64) -> u64 {
    (frame + lead.wait).max(lead.not_before)
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
    /// Its stage time.
    pub time: TimeSlot,
    /// The arrival that it will have,
    pub arrival: u64,
    /// and when: as soon as it hears nothing of what was before.
    pub when: Lead,
    /// Its processor, and lines for what stands in for it, if it has another latency; at home, some that it had.
    pub dry: Option<(UnitSlot, Vec<DelayLine>, u64)>,
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
    /// Terms that go on with the gain of another of their link: to which, from which.
    pub heirs: Vec<(GainSlot, GainSlot)>,
    /// Terms that fade.
    pub fades: Vec<FadeStart>,
    /// Stages whose timing changes.
    pub retimings: Vec<Retiming>,
    /// If delays change, when everything is aligned again.
    pub realigns: Option<Lead>,
    /// What the transport does, and at which frame if not at once.
    pub transport: Option<(TransportChange, Option<u64>)>,
    /// The length of every fade that begins with it, in frames,
    pub fade_frames: u64,
    /// and of those that begin by themselves from it on.
    pub usual_fade: u64,
    /// At home: the frame at which it was applied.
    pub applied: u64,
    /// At home: the frame from which everything is aligned, if it realigns.
    pub aligned: Option<u64>,
}

impl Batch {
    /// Whether it moves the transport at `frame`, not later.
    pub(crate) fn moves_transport(&self, frame: u64) -> bool {
        self.transport.is_some_and(|(_, at)| at.is_none_or(|at| at <= frame))
    }

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
        let late = start_fades(&self.heirs, &mut self.fades, token, frame, fade);
        let ready = |lead: Lead| ready(lead, frame) + late;
        for Retiming { time, arrival, when, dry, .. } in &mut self.retimings {
            time.get(token).change(ready(*when), *arrival);
            if let Some((unit, lines, latency)) = dry
                && let Some(lane) = &mut unit.get(token).lane
            {
                lane.change_latency(lines, *latency, frame, fade);
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
