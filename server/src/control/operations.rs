//! Long work: what runs, how far it is, how it ended.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use aulos_protocol::{Error, ErrorCode, Event, OperationState, Render, Reply};

use super::{Control, ToControl};
use crate::render;

/// The operations that run or ended lately.
#[derive(Default)]
pub(super) struct Operations {
    last: u64,
    known: BTreeMap<u64, (OperationState, Arc<AtomicBool>)>,
    threads: Vec<JoinHandle<()>>,
}

/// How many run at once at most.
const MOST_RUNNING: usize = 4;
/// How many are remembered.
const MOST_KNOWN: usize = 64;

impl Operations {
    /// Refuses more than can run at once.
    fn room(&self) -> Result<(), Error> {
        if self.known.values().filter(|(state, _)| !state.ended).count() >= MOST_RUNNING {
            return Err(Error::new(
                ErrorCode::Busy,
                format!("{MOST_RUNNING} operations are running already"),
            )
            .remedy("wait until one has ended, or cancel one"));
        }
        Ok(())
    }

    /// A new operation and what cancels it.
    pub fn begin(&mut self, title: String) -> (u64, Arc<AtomicBool>) {
        while self.known.len() >= MOST_KNOWN {
            let Some(oldest) = self.known.iter().find(|(_, (s, _))| s.ended).map(|(id, _)| *id) else {
                break;
            };
            self.known.remove(&oldest);
        }
        self.last += 1;
        let state = OperationState {
            operation: self.last,
            title,
            progress: 0.0,
            ended: false,
            error: None,
            report: Vec::new(),
        };
        let cancel = Arc::new(AtomicBool::new(false));
        self.known.insert(self.last, (state, cancel.clone()));
        (self.last, cancel)
    }

    /// Carries out work on a thread of its own, for which [`Operations::wait`] waits.
    ///
    /// # Errors
    /// `Io` if it cannot be started.
    pub fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| Error::io(&format!("start the thread {name}"), &error))?;
        self.threads.retain(|thread| !thread.is_finished());
        self.threads.push(thread);
        Ok(())
    }

    pub fn note(&mut self, state: &OperationState) {
        if let Some((known, _)) = self.known.get_mut(&state.operation) {
            known.clone_from(state);
        }
    }

    /// Those that have not ended, by their numbers.
    pub fn running(&self) -> Vec<OperationState> {
        self.known.values().map(|(state, _)| state).filter(|state| !state.ended).cloned().collect()
    }

    pub fn get(&self, operation: u64) -> Result<OperationState, Error> {
        self.find(operation).map(|(state, _)| state.clone())
    }

    pub fn cancel(&mut self, operation: u64) -> Result<Reply, Error> {
        let (state, cancel) = self.find(operation)?;
        if state.ended {
            return Err(Error::new(
                ErrorCode::Unavailable,
                format!("operation {operation} has ended already"),
            ));
        }
        cancel.store(true, Relaxed);
        Ok(Reply::Done)
    }

    pub fn cancel_all(&self) {
        self.known.values().for_each(|(_, cancel)| cancel.store(true, Relaxed));
    }

    /// Waits a moment until what was cancelled has cleared up behind itself.
    pub fn wait(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(10);
        const NAP: Duration = Duration::from_millis(1);
        let begun = Instant::now();
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && begun.elapsed() < PATIENCE {
                std::thread::sleep(NAP);
            }
            if !thread.is_finished() {
                tracing::warn!("an operation does not end; its files may be left unfinished");
            }
        }
    }

    fn find(&self, operation: u64) -> Result<&(OperationState, Arc<AtomicBool>), Error> {
        let known: Vec<String> = self.known.keys().map(u64::to_string).collect();
        self.known.get(&operation).ok_or_else(|| {
            Error::not_found("operation", &operation.to_string(), known.iter().map(String::as_str))
        })
    }
}

impl Control {
    /// Notes and tells how far an operation is.
    pub(super) fn note_operation(&mut self, state: OperationState) {
        if let Some(error) = &state.error {
            tracing::warn!("{} failed: {error}", state.title);
        }
        self.operations.note(&state);
        self.hub.tell(&Event::Operation(state));
    }

    /// Renders the session as it is now, on a second engine, while this one goes on.
    pub(super) fn start_render(&mut self, render: Render) -> Result<Reply, Error> {
        let title = format!("render {}", render.path);
        let folder = self.folder.as_ref().map(|f| f.path().to_owned());
        let job = render::Job::new(self.controller.session().clone(), folder, render)?;
        self.operations.room()?;
        let (operation, cancel) = self.operations.begin(title.clone());
        let own = self.own.clone();
        let tell = move |progress: f64, ended: Option<Result<Vec<String>, Error>>| {
            let (ended, error, report) = match ended {
                None => (false, None, Vec::new()),
                Some(Ok(report)) => (true, None, report),
                Some(Err(error)) => (true, Some(error), Vec::new()),
            };
            let title = title.clone();
            let state = OperationState { operation, title, progress, ended, error, report };
            if own.send(ToControl::Operation(state)).is_err() {
                tracing::debug!("the server ended before operation {operation}");
            }
        };
        self.operations.spawn("aulos-render", move || {
            let run = || job.run(&cancel, &|progress| tell(progress, None));
            let result = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the render panicked")));
            tell(1.0, Some(result));
        })?;
        Ok(Reply::Started { operation })
    }
}
