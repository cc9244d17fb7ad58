//! The thread that reads audio files.

use std::sync::{Arc, PoisonError};

use super::loader::Loader;
use super::streams::{Inbox, Shared, lock};

/// Loads what is wanted, one chunk at a time and the streams in turn, until told to stop. The inbox is looked
/// into before each chunk, so that a new wish is followed at once.
pub fn run(shared: &Shared) {
    let mut loaders: Vec<Loader> = Vec::new();
    let mut scratch = Vec::new();
    let mut turn = 0;
    loop {
        let Inbox { opened, wanted, stop } = next(shared, loaders.iter().all(Loader::done));
        if stop {
            return;
        }
        let news = !opened.is_empty() || wanted.is_some();
        loaders.extend(opened);
        if let Some(wanted) = wanted {
            for loader in &mut loaders {
                loader.want(Vec::new());
            }
            for (stream, chunks) in wanted.chunks() {
                if let Some(loader) = loaders.iter_mut().find(|l| Arc::ptr_eq(l.stream(), stream)) {
                    loader.want(chunks);
                }
            }
        }
        if news {
            loaders = loaders.into_iter().filter_map(Loader::unless_abandoned).collect();
        }
        let count = loaders.len();
        if let Some(index) = (0..count).map(|n| (turn + n) % count).find(|&n| !loaders[n].done()) {
            let error = loaders[index].load_one(&mut scratch);
            turn = index + 1;
            lock(&shared.errors).extend(error);
            shared.loaded.notify_all();
        }
    }
}

/// What is in the inbox; waits for something if there is nothing else to do.
fn next(shared: &Shared, idle: bool) -> Inbox {
    let mut inbox = lock(&shared.inbox);
    while idle && inbox.opened.is_empty() && inbox.wanted.is_none() && !inbox.stop {
        inbox = shared.news.wait(inbox).unwrap_or_else(PoisonError::into_inner);
    }
    let stop = inbox.stop;
    Inbox { stop, ..std::mem::take(&mut *inbox) }
}
