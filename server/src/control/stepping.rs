//! The clock of the stepped driver.

use std::sync::Arc;

use aulos_protocol::{Applied, Error, ErrorCode, Frames, Reply};

use super::{Answer, Control};
use crate::disk::READ_AHEAD;

impl Control {
    /// Moves the stepped driver's clock.
    pub(super) fn step(&mut self, blocks: Vec<u32>, answer: Answer) {
        let frames: u64 = blocks.iter().map(|block| u64::from(*block)).sum();
        self.carry_out_until(self.controller.counters().frame().saturating_add(frames));
        // What was said before the step is heard in it.
        if let Err(error) = self.prepare_step(&blocks).and_then(|()| self.controller.flush_now()) {
            return answer(Err(error));
        }
        let counters = self.controller.counters().clone();
        let revision = self.controller.revision();
        let answer = Arc::new(std::sync::Mutex::new(Some(answer)));
        let theirs = answer.clone();
        let take = |answer: &std::sync::Mutex<Option<Answer>>| {
            answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        };
        let done = Box::new(move || {
            if let Some(answer) = take(&theirs) {
                let frame = Frames(counters.frame());
                answer(Ok(Reply::Applied(Applied { revision, frame, ..Default::default() })));
            }
        });
        if let Err(error) = self.driver.step(blocks, done)
            && let Some(answer) = take(&answer)
        {
            answer(Err(error));
        }
    }

    /// Virtual time waits for the disk.
    fn prepare_step(&self, blocks: &[u32]) -> Result<(), Error> {
        if !self.driver.stands_still() {
            return Ok(());
        }
        let frames: u64 = blocks.iter().map(|block| u64::from(*block)).sum();
        if frames > READ_AHEAD {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("{frames} frames in one step"))
                .expected(format!("at most {READ_AHEAD} frames, which are read ahead"))
                .remedy("make several steps"));
        }
        self.read_ahead.wait(frames)
    }
}
