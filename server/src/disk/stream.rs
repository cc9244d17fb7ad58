//! An audio file as the audio thread sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aulos_nodes::ClipSource;
use aulos_protocol::Error;

use super::cells::{CHUNK, Cells};
use super::decode::FileInfo;

/// An open audio file of which the parts that are wanted are in memory. Made by [`super::Streams::open`].
///
/// Its memory is fixed when it is opened: [`Stream::capacity`] frames of all channels, 4 bytes a sample, and 4
/// bytes for each 4,096 frames of the file.
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    info: FileInfo,
    cells: Arc<Cells>,
    capacity: usize,
    underruns: AtomicU64,
    /// The first frame of the block that was missed last, so that its other channels do not count again.
    missed: AtomicU64,
    /// Of all streams together.
    all_underruns: Arc<AtomicU64>,
    invalid: AtomicU64,
    shortage: Option<Error>,
}

/// Stands for no block in [`Stream::missed`]; no file is that long.
const NONE: u64 = u64::MAX;

impl Stream {
    pub(super) fn new(
        path: &Path,
        info: FileInfo,
        cells: Arc<Cells>,
        capacity: usize,
        all_underruns: Arc<AtomicU64>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            info,
            cells,
            capacity,
            underruns: AtomicU64::new(0),
            missed: AtomicU64::new(NONE),
            all_underruns,
            invalid: AtomicU64::new(0),
            shortage: None,
        }
    }

    pub(super) fn with_shortage(self, shortage: Option<Error>) -> Self {
        Self { shortage, ..self }
    }

    /// What is to be told of a file that ends before what it says is its end.
    pub fn shortage(&self) -> Option<&Error> {
        self.shortage.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Channels, rate and length of the file.
    pub fn info(&self) -> FileInfo {
        self.info
    }

    /// How many frames can be in memory at once, a multiple of 4,096; more than that cannot be wanted.
    pub fn capacity(&self) -> u64 {
        (self.capacity * CHUNK) as u64
    }

    /// How many blocks were played silent, in part or whole, because the disk was late. A block counts once
    /// if its channels are read one after the other.
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::Relaxed)
    }

    /// How many samples that are no numbers (NaN or infinite) were replaced by 0 as they were loaded.
    pub fn invalid_samples(&self) -> u64 {
        self.invalid.load(Ordering::Relaxed)
    }

    /// Counts samples that are no numbers. Answers how many there were before.
    pub(super) fn add_invalid(&self, samples: u64) -> u64 {
        self.invalid.fetch_add(samples, Ordering::Relaxed)
    }

    /// Whether a chunk is loaded.
    pub(super) fn has(&self, chunk: u32) -> bool {
        self.cells.has(chunk)
    }

    /// How many chunks can be loaded.
    pub(super) fn cells(&self) -> usize {
        self.capacity
    }

    /// [audio thread]
    fn count_underrun(&self, from: u64) {
        if self.missed.swap(from, Ordering::Relaxed) != from {
            self.underruns.fetch_add(1, Ordering::Relaxed);
            self.all_underruns.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ClipSource for Stream {
    fn channels(&self) -> u16 {
        self.info.channels
    }

    fn frames(&self) -> u64 {
        self.info.frames
    }

    fn read(&self, channel: u16, from: u64, out: &mut [f32]) -> bool {
        let left = self.info.frames.saturating_sub(from);
        let in_file = if channel < self.info.channels { left.min(out.len() as u64) as usize } else { 0 };
        let (mut rest, beyond) = out.split_at_mut(in_file);
        beyond.fill(0.0);
        let mut at = from;
        let mut complete = true;
        while !rest.is_empty() {
            let chunk = (at / CHUNK as u64) as u32;
            let offset = (at % CHUNK as u64) as usize;
            let part;
            (part, rest) = rest.split_at_mut(rest.len().min(CHUNK - offset));
            if !self.cells.read(chunk, channel, offset, part) {
                part.fill(0.0);
                complete = false;
            }
            at += part.len() as u64;
        }
        if complete {
            self.missed.store(NONE, Ordering::Relaxed);
        } else {
            self.count_underrun(from);
        }
        complete
    }
}
