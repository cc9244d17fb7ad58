//! Commands that change the session.

use aulos_engine::Performed;
use aulos_protocol::{Applied, Command, Error, ErrorCode, Range, Session, Undo, wire::Ask, wire::Request};

use super::{Answer, Control, Told};

impl Control {
    /// Names what clips are to play by its path from the session's folder, where it lies in there, so that it moves
    /// with the session.
    pub(super) fn name_from_folder(&self, command: &mut Command) {
        match command {
            Command::AddClip { file, .. } => {
                if let Some(name) = self.folder.as_ref().and_then(|folder| folder.inside(file)) {
                    *file = name;
                }
            }
            Command::Batch { commands } => {
                commands.iter_mut().for_each(|command| self.name_from_folder(command));
            }
            _ => {}
        }
    }

    /// The fade that a request wants instead of the session's, in frames.
    pub(super) fn wanted_fade(&self, request: &Request) -> Result<Option<u64>, Error> {
        let Some(ms) = request.fade_ms else { return Ok(None) };
        if !(0.0..=Session::MAX_FADE_MS).contains(&ms) {
            let range = Range { min: 0.0, max: Session::MAX_FADE_MS, unit: "ms".into() };
            return Err(Error::out_of_range("fade_ms", ms, range));
        }
        let fades = |command: &Command| {
            command.undo() == Undo::Step || matches!(command, Command::Undo | Command::Redo)
        };
        match &request.ask {
            Ask::Command(command) if fades(command) && request.at.is_none() => {
                Ok(Some(self.controller.session().rate.frames_in_ms(ms)))
            }
            _ => Err(Error::new(ErrorCode::Unavailable, "this cannot have a fade of its own")
                .expected("fade_ms with an edit, undo or redo that holds at once")),
        }
    }

    /// Carries out an undo step, undo or redo, and answers when it is heard.
    pub(super) fn edit(&mut self, command: &Command, fade: Option<u64>, answer: Answer) {
        let mut performed = match fade {
            Some(fade) => self.controller.perform_over(command, &mut self.library, fade),
            None => self.controller.perform(command, &mut self.library),
        };
        if let Ok(performed) = &mut performed {
            performed.warnings.extend(self.library.shortages(self.controller.session()));
        }
        self.read_ahead.set_spans(self.library.spans(self.controller.session()));
        self.answer_when_heard(performed, None, Some(answer));
    }

    /// Has an edit told, and answered if anybody waits for it, when it is heard.
    pub(super) fn answer_when_heard(
        &mut self,
        performed: Result<Performed, Error>,
        at: Option<u64>,
        answer: Option<Answer>,
    ) {
        let performed = match (performed, answer.is_some()) {
            (Ok(performed), _) => performed,
            (Err(error), true) => return answer.into_iter().for_each(|answer| answer(Err(error.clone()))),
            (Err(error), false) => return self.warn(&error),
        };
        performed.warnings.iter().for_each(|error| self.warn(error));
        let applied = Applied {
            revision: self.controller.revision(),
            nodes: performed.outcome.nodes,
            clips: performed.outcome.clips,
            links: performed.outcome.links,
            step: performed.step,
            warnings: performed.warnings.iter().map(ToString::to_string).collect(),
            ..Applied::default()
        };
        let told = Told::Changes { changes: performed.changes, since: None };
        self.wait_for(performed.ticket, at, applied, told, answer);
    }
}
