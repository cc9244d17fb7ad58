//! The connections of our ports to foreign ones, as they were seen last: they are made again when the server, or the
//! other side, is back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::ports::Key;

/// By port, the full names of the foreign ports. Outlives the client.
#[derive(Clone, Default)]
pub struct Remembered {
    links: Arc<Mutex<BTreeMap<Key, BTreeSet<String>>>>,
}

impl Remembered {
    fn links(&self) -> MutexGuard<'_, BTreeMap<Key, BTreeSet<String>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the port was connected to; nothing if it was never there.
    pub(super) fn of(&self, key: Key) -> Option<BTreeSet<String>> {
        self.links().get(&key).cloned()
    }

    /// What the port is connected to.
    pub(super) fn note(&self, key: Key, foreign: BTreeSet<String>) {
        self.links().insert(key, foreign);
    }
}
