//! All open audio files and the thread that reads them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aulos_protocol::{Error, ErrorCode, Rate};

use super::cells::{CHUNK, Keeper};
use super::decode::{Decode, cut_short, open, open_at};
use super::disk_thread;
use super::loader::Loader;
use super::stream::Stream;
use super::wanted::Wanted;

/// How much is read ahead, if nothing else is said: 2 s at 48 kHz.
pub const READ_AHEAD: u64 = 96_000;

/// Chunks behind the position that stay for fades, and for a position that is known a little late.
const BEHIND: u64 = 2;

/// The longest file that is opened; its table of chunks takes 64 MiB.
const MOST_FRAMES: u64 = 1 << 36;

/// Opens audio files and has them read on a thread of its own, which ends when this is dropped. Streams that
/// are still held then keep what is loaded.
///
/// Everything here is for the control thread and takes locks; only [`Stream`] is for the audio thread.
#[derive(Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    read_ahead: u64,
    thread: Option<JoinHandle<()>>,
}

/// What the control thread and the disk thread share. The audio thread takes none of these locks.
#[derive(Debug, Default)]
pub struct Shared {
    /// Orders for the disk thread.
    pub inbox: Mutex<Inbox>,
    /// Told when the inbox changes.
    pub news: Condvar,
    /// What is to be told to people.
    pub errors: Mutex<Vec<Error>>,
    /// Told, under the lock of `errors`, when a chunk has been loaded.
    pub loaded: Condvar,
    underruns: Arc<AtomicU64>,
}

/// Orders for the disk thread.
#[derive(Debug, Default)]
pub struct Inbox {
    /// New streams.
    pub opened: Vec<Loader>,
    /// The newest wish, if it is not known yet.
    pub wanted: Option<Wanted>,
    /// Whether the thread is to end.
    pub stop: bool,
}

/// Locks; what a thread that panicked has left is still in order, as nothing is changed in more than one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Starts the disk thread. Streams get memory for two windows of `read_ahead` frames, so that where the
    /// transport is going can be read while it still plays where it is; [`READ_AHEAD`] is a good value.
    ///
    /// A stream takes `2 * (read_ahead / 4,096 rounded up + 1) + 2` chunks of 4,096 frames, or as many as the
    /// file has: 832 KiB a channel for [`READ_AHEAD`]. Its decoder takes one chunk more; for a FLAC file two
    /// of its blocks and 128 KiB, usually 0.2 MiB, and some 20 MiB for the largest that the format allows.
    ///
    /// Errors: `io` if the thread cannot be started.
    pub fn new(read_ahead: u64) -> Result<Self, Error> {
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("aulos-disk".into())
            .spawn(move || disk_thread::run(&theirs))
            .map_err(|error| Error::io("start the disk thread", &error))?;
        Ok(Self { shared, read_ahead, thread: Some(thread) })
    }

    /// Opens the file at `path`. Nothing of it is loaded until it is wanted. A file may be opened several
    /// times; each stream reads for itself.
    ///
    /// A FLAC file of unknown or untrue length may be read as a whole here. Errors are those of
    /// [`super::probe`].
    pub fn open(&self, path: &Path) -> Result<Arc<Stream>, Error> {
        self.stream(path, open(path)?)
    }

    /// Opens the file at `path` as [`Streams::open`] does, to be heard at `rate`: if it has another, it is resampled
    /// by the disk thread, and all that is said in frames is said in frames of `rate`.
    ///
    /// Errors are those of [`Streams::open`], and `invalid_argument` if it cannot be brought to that rate.
    pub fn open_at(&self, path: &Path, rate: Rate) -> Result<Arc<Stream>, Error> {
        self.stream(path, open_at(path, rate.hz())?)
    }

    fn stream(&self, path: &Path, decoder: Box<dyn Decode>) -> Result<Arc<Stream>, Error> {
        let info = decoder.info();
        if info.frames > MOST_FRAMES {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("{} is too long", path.display()))
                .expected(format!("at most {MOST_FRAMES} frames, which is 16 days at 48 kHz"))
                .remedy("split it"));
        }
        let chunks = info.frames.div_ceil(CHUNK as u64) as u32;
        let windows = 2 * (self.read_ahead.div_ceil(CHUNK as u64) + 1) + BEHIND;
        let cells = windows.min(u64::from(chunks)) as usize;
        let keeper = Keeper::new(cells, chunks, info.channels);
        let underruns = self.shared.underruns.clone();
        let shortage = decoder.shortage().map(|shortage| cut_short(&shortage, path));
        let stream = Stream::new(path, info, keeper.cells().clone(), cells, underruns);
        let stream = Arc::new(stream.with_shortage(shortage));
        let loader = Loader::new(stream.clone(), keeper, decoder);
        lock(&self.shared.inbox).opened.push(loader);
        self.shared.news.notify_one();
        Ok(stream)
    }

    /// Has `wanted` loaded, in the place of all that was wanted before. What is not wanted any more stays until
    /// its memory is needed. Returns at once.
    pub fn want(&self, wanted: Wanted) {
        lock(&self.shared.inbox).wanted = Some(wanted);
        self.shared.news.notify_one();
    }

    /// Whether all of `wanted` is loaded, or silent because it cannot be read.
    pub fn ready(&self, wanted: &Wanted) -> bool {
        wanted.chunks().all(|(stream, chunks)| chunks.into_iter().all(|chunk| stream.has(chunk)))
    }

    /// Waits until all of `wanted` is [`ready`](Self::ready). It must have been told to [`want`](Self::want),
    /// and nothing else since. Never for the audio thread in real time.
    ///
    /// Errors: `io` if that takes longer than `timeout`, with the files that are late.
    pub fn wait_ready(&self, wanted: &Wanted, timeout: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        let mut guard = lock(&self.shared.errors);
        while !self.ready(wanted) {
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(late(wanted, timeout));
            }
            guard = self
                .shared
                .loaded
                .wait_timeout(guard, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
        Ok(())
    }

    /// What went wrong with files since the last call: at most one error for damaged contents and one for
    /// failed reading for each stream.
    pub fn take_errors(&self) -> Vec<Error> {
        std::mem::take(&mut lock(&self.shared.errors))
    }

    /// How many blocks of all streams, open or closed, were played silent because the disk was late.
    pub fn underruns(&self) -> u64 {
        self.shared.underruns.load(Ordering::Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        lock(&self.shared.inbox).stop = true;
        self.shared.news.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the disk thread ended with a panic");
        }
    }
}

/// The error of a wait that took too long.
fn late(wanted: &Wanted, timeout: Duration) -> Error {
    const MOST: usize = 3;
    let late: Vec<String> = wanted
        .chunks()
        .filter(|(stream, chunks)| chunks.iter().any(|&chunk| !stream.has(chunk)))
        .map(|(stream, _)| stream.path().display().to_string())
        .collect();
    let named = late[..late.len().min(MOST)].join(", ");
    let more = if late.len() > MOST { format!(" and {} more", late.len() - MOST) } else { String::new() };
    let message = format!("the disk did not deliver {named}{more} within {} s", timeout.as_secs_f64());
    Error::new(ErrorCode::Io, message).remedy("check the disk, or move the files to a faster one")
}
