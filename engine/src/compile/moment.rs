//! Frames that are known only when a batch is home.

/// A frame some time after a batch applies; known when the batch is home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    batch: u64,
    lead: Lead,
    at: Option<u64>,
}

/// How long something must wait: both, some frames after the batch that is being made applies, and until a
/// frame that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    /// Frames after the batch applies.
    pub wait: u64,
    /// The engine's frame.
    pub not_before: u64,
}

impl Lead {
    /// So many frames after the batch applies.
    pub fn wait(wait: u64) -> Self {
        Self { wait, not_before: 0 }
    }

    /// What waits for both.
    pub fn and(self, other: Self) -> Self {
        Self { wait: self.wait.max(other.wait), not_before: self.not_before.max(other.not_before) }
    }

    /// What comes `frames` later, if there is anything to wait for.
    pub fn plus(self, frames: u64) -> Self {
        let later = |frame: u64| if frame > 0 { frame + frames } else { 0 };
        Self { wait: later(self.wait), not_before: later(self.not_before) }
    }
}

impl Moment {
    /// The moment at which `lead` is over, of the batch that is being made.
    pub fn new(batch: u64, lead: Lead) -> Self {
        Self { batch, lead, at: None }
    }

    /// Notes at which frame a batch applied.
    pub fn applied(&mut self, batch: u64, frame: u64) {
        if self.batch == batch {
            self.at = Some((frame + self.lead.wait).max(self.lead.not_before));
        }
    }

    /// How long something in the batch that is being made must wait for `frames` frames after this moment. If
    /// the moment is not known yet, a little longer than need be.
    pub fn lead(&self, frames: u64) -> Lead {
        match self.at {
            Some(at) => Lead { wait: 0, not_before: at + frames },
            None => Lead { wait: self.lead.wait + frames, not_before: self.lead.not_before + frames },
        }
    }
}
