//! Saving, also into another folder, for which the audio is copied while everything goes on.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use aulos_protocol::{Clip, Error, ErrorCode, Event, OperationState, Reply, Session};

use super::{Answer, Control, ToControl, sessions::absolute};
use crate::{
    moving::{self, Moving},
    store::Folder,
};

/// A session that is on its way into another folder.
pub(super) struct Saving {
    operation: u64,
    cancel: Arc<AtomicBool>,
    answer: Answer,
    /// How often files were copied; more than once as clips were added meanwhile.
    rounds: usize,
}

/// How often files are copied that were added while others were.
const MOST_ROUNDS: usize = 100;

/// What the files of clips that `session` has no more are called when it moves out of `old`: they stay there, and undo
/// finds them by their whole paths.
/// What the files of clips that `session` has no more are called when it moves out of `old`: they stay there, and undo
/// finds them by their whole paths.
fn left_behind(old: &Folder, session: &Session) -> impl Fn(&Clip) -> Option<String> {
    let clips = session.nodes.values().flat_map(|node| &node.clips);
    let moved: BTreeSet<String> = clips.map(|clip| clip.file.clone()).collect();
    let from = old.path().to_owned();
    move |clip| {
        let stays = Path::new(&clip.file).is_relative() && !moved.contains(&clip.file);
        stays.then(|| from.join(&clip.file).to_str().map(str::to_owned)).flatten()
    }
}

impl Control {
    /// Saves the session; elsewhere if a path is given. The answer comes when it is saved.
    pub(super) fn save_session(&mut self, path: Option<&str>, answer: Answer) {
        let path = match path.map(absolute).transpose() {
            Ok(path) => path.filter(|path| !self.folder.as_ref().is_some_and(|folder| folder.is_at(path))),
            Err(error) => return answer(Err(error)),
        };
        match path {
            Some(path) => self.save_elsewhere(&path, answer),
            None => answer(self.save_here()),
        }
    }

    /// The session as it is saved: audio files that lie in its folder may be named by whole paths if it was in memory,
    /// or is of an older version.
    fn gathered(&self) -> Session {
        let session = self.controller.session();
        self.folder.as_ref().map_or_else(|| session.clone(), |folder| folder.gathered(session))
    }

    /// Saves the session in its folder.
    pub(super) fn save_here(&mut self) -> Result<Reply, Error> {
        let session = self.gathered();
        let Some(folder) = &self.folder else {
            return Err(Error::new(ErrorCode::Unavailable, "the session has no folder yet")
                .remedy("name one: aulosctl session save PATH"));
        };
        folder.save(&session)?;
        self.is_saved(&session);
        Ok(Reply::Done)
    }

    /// Notes and tells that the session is saved, with these names of its files.
    fn is_saved(&mut self, session: &Session) {
        if let Some(named) = self.controller.name_files(session) {
            self.answer_when_heard(Ok(named), None, None);
        }
        self.saved_revision = self.controller.revision();
        self.remember();
        if let Some(folder) = &self.folder {
            self.hub.tell(&Event::Saved { path: folder.path().display().to_string() });
        }
    }

    /// Saves the session in another folder, which is its own from then on.
    fn save_elsewhere(&mut self, path: &Path, answer: Answer) {
        let from = self.folder.as_ref().map(|folder| folder.path().to_owned());
        let begun = self.saves_elsewhere().and_then(|()| Moving::begin(from, path));
        let moving = match begun {
            Ok(moving) => moving,
            Err(error) => return answer(Err(error)),
        };
        let session = self.gathered();
        match moving.lacks(&session) {
            Err(error) => answer(Err(error)),
            Ok(names) if names.is_empty() => answer(self.arrive(moving, &session).map(|()| Reply::Done)),
            Ok(names) => {
                let title = format!("save the session to {}", path.display());
                let (operation, cancel) = self.operations.begin(title);
                self.copy(Saving { operation, cancel, answer, rounds: 1 }, moving, names);
            }
        }
    }

    /// Copies the files of these names while everything goes on.
    fn copy(&mut self, saving: Saving, mut moving: Moving, names: BTreeSet<String>) {
        let (operation, cancel, own) = (saving.operation, saving.cancel.clone(), self.own.clone());
        let state = match self.operations.get(operation) {
            Ok(state) => state,
            Err(error) => return self.saving_ended(saving, Err(error)),
        };
        let work = move || {
            let tell = |message| {
                if own.send(message).is_err() {
                    tracing::debug!("the server ended before operation {operation}");
                }
            };
            let progress =
                |progress| tell(ToControl::Operation(OperationState { progress, ..state.clone() }));
            // What was made goes with what panics.
            let run = || moving.copy(&names, &cancel, &progress).map(|()| Box::new(moving));
            let result = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the saving panicked")));
            tell(ToControl::Copied { operation, result });
        };
        match self.operations.spawn("aulos-save", work) {
            Ok(()) => self.saving = Some(saving),
            Err(error) => self.saving_ended(saving, Err(error)),
        }
    }

    /// Saves the session, as it is by now, where its audio has been copied, or copies what has been added meanwhile.
    pub(super) fn go_on_saving(&mut self, operation: u64, result: Result<Box<Moving>, Error>) {
        let Some(mut saving) = self.saving.take_if(|saving| saving.operation == operation) else {
            // It was given up.
            if let Ok(moving) = result {
                self.clear_up(*moving);
            }
            return self.operation_ended(operation, Some(moving::cancelled()));
        };
        let moving = match result {
            Ok(moving) => *moving,
            Err(error) => return self.saving_ended(saving, Err(error)),
        };
        let session = self.gathered();
        let lacks = match saving.cancel.load(Relaxed) {
            true => Err(moving::cancelled()),
            false => moving.lacks(&session),
        };
        match lacks {
            Ok(names) if names.is_empty() => {
                let result = self.arrive(moving, &session);
                self.saving_ended(saving, result);
            }
            Ok(names) if saving.rounds < MOST_ROUNDS => {
                saving.rounds += 1;
                self.copy(saving, moving, names);
            }
            Ok(_) => {
                self.clear_up(moving);
                let message = "clips were added again and again while the audio was copied";
                self.saving_ended(saving, Err(Error::new(ErrorCode::Busy, message).remedy("try again")));
            }
            Err(error) => {
                self.clear_up(moving);
                self.saving_ended(saving, Err(error));
            }
        }
    }

    /// Saves the session in the new folder, where its audio is, and takes that over.
    fn arrive(&mut self, mut moving: Moving, session: &Session) -> Result<(), Error> {
        let session = match moving.save(session) {
            Ok(session) => session,
            Err(error) => {
                self.clear_up(moving);
                return Err(error);
            }
        };
        if let Some(old) = &self.folder {
            self.controller.name_files_of_history(left_behind(old, &session));
        }
        let new = moving.keep();
        self.library.set_folder(new.path().to_owned());
        self.folder = Some(new);
        self.is_saved(&session);
        Ok(())
    }

    /// Removes what was copied in vain.
    fn clear_up(&mut self, moving: Moving) {
        // If there is no thread for it, it is removed by this one.
        if let Err(error) = self.operations.spawn("aulos-save", move || drop(moving)) {
            tracing::warn!("{error}");
        }
    }

    /// Ends a saving, so that it is told and answered.
    fn saving_ended(&mut self, saving: Saving, result: Result<(), Error>) {
        self.operation_ended(saving.operation, result.as_ref().err().cloned());
        (saving.answer)(result.map(|()| Reply::Done));
    }

    /// Notes and tells that an operation without a report has ended.
    fn operation_ended(&mut self, operation: u64, error: Option<Error>) {
        if let Ok(state) = self.operations.get(operation) {
            self.note_operation(OperationState { progress: 1.0, ended: true, error, ..state });
        }
    }

    /// Gives up to save elsewhere, if that is on its way; what was copied is removed.
    pub(super) fn give_up_saving(&mut self, why: Error) {
        if let Some(saving) = self.saving.take() {
            saving.cancel.store(true, Relaxed);
            (saving.answer)(Err(why));
        }
    }

    /// Refuses what cannot be done while the session is on its way into another folder.
    pub(super) fn saves_elsewhere(&self) -> Result<(), Error> {
        let Some(saving) = &self.saving else { return Ok(()) };
        let message = format!("the session is being saved elsewhere, by operation {}", saving.operation);
        let remedy = format!("wait until that is done, or: aulosctl operation cancel {}", saving.operation);
        Err(Error::new(ErrorCode::Busy, message).remedy(remedy))
    }
}
