//! Undo and redo.

use std::{collections::VecDeque, sync::Arc};

use aulos_protocol::{Change, Clip, Error, ErrorCode, Nodes, Rate, Session, mirror};

use super::clips;

/// Sessions as they were before and after each step. Copies share their structure, so a step costs what it
/// changed.
#[derive(Debug, Default)]
pub struct History {
    before: VecDeque<(String, Session)>,
    after: Vec<(String, Session)>,
}

impl History {
    /// How many steps are kept; the oldest goes when there are more.
    pub const MOST: usize = 10_000;

    /// Notes a step named `title` that led away from `old`. What was undone can no longer be redone.
    pub fn note(&mut self, title: String, old: Session) {
        self.after.clear();
        if self.before.len() == Self::MOST {
            self.before.pop_front();
        }
        self.before.push_back((title, old));
    }

    /// Goes back from `current`: the step's title and the session before it.
    ///
    /// # Errors
    /// `Unavailable` if there is nothing to undo.
    pub fn undo(&mut self, current: &Session) -> Result<(String, Session), Error> {
        let (title, mut old) = self
            .before
            .pop_back()
            .ok_or_else(|| Error::new(ErrorCode::Unavailable, "there is nothing to undo"))?;
        self.after.push((title.clone(), current.clone()));
        // Numbers are never used again, not even those of things whose making was undone.
        old.next_id = old.next_id.max(current.next_id);
        // The loop is no step: undo must not move the transport on stage.
        old.loop_range = current.loop_range;
        Ok((title, old))
    }

    /// Goes forward from `current`: the step's title and the session after it.
    ///
    /// # Errors
    /// `Unavailable` if there is nothing to redo.
    pub fn redo(&mut self, current: &Session) -> Result<(String, Session), Error> {
        let (title, mut new) =
            self.after.pop().ok_or_else(|| Error::new(ErrorCode::Unavailable, "there is nothing to redo"))?;
        self.before.push_back((title.clone(), current.clone()));
        new.next_id = new.next_id.max(current.next_id);
        new.loop_range = current.loop_range;
        Ok((title, new))
    }

    /// Gives the files of the clips that undo and redo can bring back other names, where `name` has one.
    ///
    /// Cost: what the steps changed, not how large the sessions are; each node is named once, and stays shared by
    /// the sessions around it.
    pub fn name_files(&mut self, mut name: impl FnMut(&Clip) -> Option<String>) {
        let (mut last, mut nodes) = (Session::new("", Rate::default()), Nodes::default());
        let mut any = false;
        let mut named = Vec::with_capacity(self.before.len() + self.after.len());
        for (_, session) in self.before.iter().chain(self.after.iter().rev()) {
            for change in mirror::difference(&last, session) {
                match change {
                    Change::Node(node) => {
                        let other = clips::name_files_of(&node, &mut name);
                        any |= other.is_some();
                        nodes.insert(other.map_or(node, Arc::new));
                    }
                    Change::NodeGone(id) => drop(nodes.remove(id)),
                    Change::Link(_) | Change::LinkGone(_) | Change::Session { .. } => {}
                }
            }
            named.push(nodes.clone());
            last = session.clone();
        }
        if any {
            let sessions = self.before.iter_mut().chain(self.after.iter_mut().rev());
            sessions.zip(named).for_each(|((_, session), nodes)| session.nodes = nodes);
        }
    }

    /// The title of the step that undo would take back.
    pub fn undo_title(&self) -> Option<&str> {
        self.before.back().map(|(title, _)| title.as_str())
    }

    /// The title of the step that redo would do again.
    pub fn redo_title(&self) -> Option<&str> {
        self.after.last().map(|(title, _)| title.as_str())
    }
}
