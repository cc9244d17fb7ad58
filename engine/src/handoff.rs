//! What crosses from the control thread to the audio thread and back home.

use aulos_nodes::{Patch, Setting};

use crate::{
    audio::{Running, TransportChange, slot::Token},
    compile::Lead,
    plan::{FadeSlot, ProcessorSlot, TermId},
};

/// How many batches can be on their way at once. Each has a return slot from the beginning.
pub const BATCHES: usize = 256;

/// A term that begins to fade when the batch is applied.
#[derive(Debug)]
pub struct FadeStart {
    /// Which term.
    pub term: TermId,
    /// Its fade.
    pub fade: FadeSlot,
    /// The gain that it goes to.
    pub to: f32,
    /// When it begins: not before what it brings is ready to be heard.
    pub lead: Lead,
    /// Whether it only puts off a fade-out that has not begun yet, and leaves one alone that has.
    pub put_off: bool,
    /// At home: the frame at which it ends.
    pub ends: u64,
}

/// Everything that applies at one frame. It comes home with what it replaced, to be freed there.
#[derive(Default)]
pub struct Batch {
    /// Counts the batches of an engine.
    pub ticket: u64,
    /// The plan to run from now on; at home, the one before.
    pub running: Option<Box<Running>>,
    /// Data for processors; at home, what they had.
    pub patches: Vec<(ProcessorSlot, Patch)>,
    /// Parameters that move.
    pub settings: Vec<(ProcessorSlot, &'static str, f64)>,
    /// Terms that fade.
    pub fades: Vec<FadeStart>,
    /// What the transport does.
    pub transport: Option<TransportChange>,
    /// The length of every fade, in frames.
    pub fade_frames: u64,
    /// At home: the frame at which it was applied.
    pub applied: u64,
}

impl Batch {
    /// [audio thread] Carries everything out at `frame`. The cost depends on what the batch holds, not on the
    /// size of the plan.
    pub(crate) fn apply(
        &mut self,
        running: &mut Box<Running>,
        transport: &mut crate::audio::Transport,
        token: &mut Token,
        frame: u64,
    ) {
        let fade = self.fade_frames;
        if let Some(new) = &mut self.running {
            std::mem::swap(running, new);
        }
        for (processor, patch) in &mut self.patches {
            processor.get(token).patch(patch, frame, fade);
        }
        for (processor, param, value) in &self.settings {
            processor.get(token).set(Setting { param, value: *value, frame, fade });
        }
        for start in &mut self.fades {
            let term = start.fade.get(token);
            if !(start.put_off && term.has_left(frame)) {
                term.turn(start.to, frame, (frame + start.lead.wait).max(start.lead.not_before), fade);
            }
            start.ends = term.end();
        }
        if let Some(change) = self.transport {
            transport.change(change, frame, fade);
        }
        self.applied = frame;
    }
}
