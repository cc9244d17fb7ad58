//! Changes that begin at a frame that is said.

use aulos_protocol::{Change, Command, Error, ErrorCode, Session, Undo, mirror};

use super::{Controller, Controls, Moved, Performed, moved, needs_plan};
use crate::{
    handoff::Batch,
    session::{self, Outcome},
};

impl Controller {
    /// Carries out a command whose changes begin at a frame: parameters that move, solo, and the gains of links
    /// that are there. The frame is one of stage time, so that what sounds together changes together.
    ///
    /// # Errors
    /// Why it is refused; `Unavailable` for changes that need another plan, `Busy` if a node has too many to come.
    pub fn perform_at(&mut self, command: &Command, frame: u64) -> Result<Performed, Error> {
        self.room()?;
        let (new, outcome, changes) = self.timed_change(command)?;
        // What was said before must be on its way before.
        self.flush_now()?;
        let own = moved(&self.session, &new, Some(frame));
        let mut controls = self.controls.clone();
        let controlled = controls.change(&self.session, &new, Some(frame));
        self.room_for_timed(&own, &controlled, &controls)?;
        self.rack.begin(self.ticket + 1);
        let old = self.session.clone();
        let fades = self.regated((&old, &new), &changes, Some(frame))?;
        let done = frame + self.longest();
        self.timed.extend(own.iter().map(|moved| (moved.node.id, done)));
        self.controls = controls;
        self.session = new;
        if !changes.is_empty() {
            self.revision += 1;
            self.history.note(command.title(), old.clone());
        }
        let batch = Batch {
            moves: self.moves(own.into_iter().chain(controlled)),
            fades,
            fade_frames: self.session.fade_frames(),
            ..Batch::default()
        };
        self.told = self.session.clone();
        let ticket = self.send(batch)?;
        Ok(Performed { outcome, changes, step: None, ticket, warnings: Vec::new() })
    }

    /// What a command would change at a frame.
    ///
    /// # Errors
    /// As [`Controller::perform_at`], or what is wrong with a loop.
    pub fn dry_run_at(&self, command: &Command) -> Result<Vec<Change>, Error> {
        match command {
            Command::Loop { start, end } => self.dry_loop(*start, *end),
            command => self.timed_change(command).map(|(_, _, changes)| changes),
        }
    }

    /// The session after a command that can be timed.
    fn timed_change(&self, command: &Command) -> Result<(Session, Outcome, Vec<Change>), Error> {
        if let Undo::Never(why) = command.undo() {
            return Err(
                cannot_be_timed(command).expected(format!("a command that can be: of this one, {why}"))
            );
        }
        let (new, outcome) = session::apply(&self.session, command)?;
        let changes = mirror::difference(&self.session, &new);
        if needs_plan(&changes, &self.session)
            || changes.iter().any(|change| changes_clips(change, &self.session))
        {
            return Err(cannot_be_timed(command)
                .expected("parameters that move, solo, gains of links that exist, or the transport")
                .remedy("do not name a frame for it: it then holds from the next cycle on"));
        }
        Ok((new, outcome, changes))
    }

    /// Looks whether settings that are to come, of nodes themselves and of VCAs and groups, find room on the audio
    /// thread together with those that were said before.
    fn room_for_timed(
        &mut self,
        own: &[Moved],
        controlled: &[Moved],
        controls: &Controls,
    ) -> Result<(), Error> {
        let now = self.counters.frame();
        self.timed.retain(|(_, done)| *done > now);
        for Moved { node, .. } in own.iter().chain(controlled) {
            let waiting = self.timed.iter().filter(|(id, _)| *id == node.id).count();
            let more = own.iter().filter(|moved| moved.node.id == node.id).count();
            let waiting = waiting + controls.to_come(node.id);
            if waiting + more > crate::audio::unit::SETTINGS {
                let message = format!("{} has {waiting} changes to come", node.slug);
                return Err(Error::new(ErrorCode::Busy, message)
                    .remedy("send the next ones when some of them have been carried out"));
            }
        }
        Ok(())
    }

    /// How many frames after the engine a stage may be at a frame.
    pub(super) fn longest(&self) -> u64 {
        self.arrivals.latest() + self.rack.max_block() as u64
    }
}

fn cannot_be_timed(command: &Command) -> Error {
    Error::new(ErrorCode::Unavailable, format!("{} cannot be timed", command.title()))
}

/// Whether a change is one of a track's clips, or of the session itself.
fn changes_clips(change: &Change, old: &Session) -> bool {
    match change {
        Change::Node(node) => old.nodes.get(&node.id).is_some_and(|before| before.clips != node.clips),
        Change::Session { .. } => true,
        _ => false,
    }
}
