//! Edits that are to begin at a frame to come. They change the session when their frame is near, not when they are
//! said: until then everything else (edits, undo, renders, what is saved) knows nothing of them.

use aulos_protocol::{Applied, Command, Error, ErrorCode, Frames, Reply};

use super::{Answer, Control};

/// An edit that waits for its frame.
pub(super) struct Scheduled {
    at: u64,
    command: Command,
}

/// How many edits can wait.
const MOST: usize = 10_000;

impl Control {
    /// Carries out an edit whose changes begin at a frame of the engine, or lets it wait until that is near.
    pub(super) fn edit_at(&mut self, command: Command, at: u64, answer: Answer) {
        if at <= self.controller.counters().frame() + self.lead() {
            let performed = self.controller.perform_at(&command, at);
            return self.answer_when_heard(performed, Some(at), Some(answer));
        }
        if let Err(error) = self.controller.dry_run_at(&command) {
            return answer(Err(error));
        }
        if self.schedule.len() >= MOST {
            return answer(Err(Error::new(ErrorCode::Busy, format!("{MOST} changes are to come already"))
                .remedy("send the next ones when some of them have been carried out")));
        }
        let place = self.schedule.partition_point(|other| other.at <= at);
        self.schedule.insert(place, Scheduled { at, command });
        let revision = self.controller.revision();
        answer(Ok(Reply::Applied(Applied { revision, frame: Frames(at), ..Applied::default() })));
    }

    /// Forgets what is to come.
    pub(super) fn clear_schedule(&mut self, answer: Answer) {
        self.schedule.clear();
        self.clear_transport(answer);
    }

    /// How long before its frame an edit is carried out, in frames: a quarter of a second, in which the audio
    /// thread comes by. A clock that stands still moves only by what is stepped.
    fn lead(&self) -> u64 {
        if self.driver.stands_still() { 0 } else { u64::from(self.controller.session().rate.hz()) / 4 }
    }

    /// Carries out the edits whose frame is near.
    pub(super) fn carry_on_schedule(&mut self) {
        let until = self.controller.counters().frame() + self.lead();
        self.carry_out_until(until);
    }

    /// Carries out the edits that begin at `until` or before.
    pub(super) fn carry_out_until(&mut self, until: u64) {
        while self.schedule.front().is_some_and(|next| next.at <= until) {
            let Some(Scheduled { at, command }) = self.schedule.pop_front() else { return };
            match self.controller.perform_at(&command, at) {
                Ok(performed) => self.answer_when_heard(Ok(performed), Some(at), None),
                Err(mut error) => {
                    // What it meant may be gone by now.
                    error.message = format!("{}, timed for frame {at}: {}", command.title(), error.message);
                    self.warn(&error);
                }
            }
        }
    }
}
