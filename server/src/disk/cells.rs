//! Memory for parts of a file, written by the disk thread while the audio thread reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// How many frames are loaded at a time.
pub const CHUNK: usize = 4_096;

/// The chunk number of a cell that holds nothing, or is being written.
const NO_CHUNK: u32 = u32::MAX;
/// The cell number of a chunk that is in no cell.
const NO_CELL: u32 = u32::MAX;

/// A fixed number of cells for one file; each holds one chunk of all its channels.
///
/// Any thread may read, without waiting; only one thread at a time may write, which [`Keeper`] sees to. A cell
/// is a sequence lock: its tag is set aside while it is written, and a reader that finds another tag after
/// copying than before has copied nothing of use. The tag also counts the writings, so that a cell that has
/// been written twice in the meantime and holds the same chunk again is not mistaken for an untouched one.
pub struct Cells {
    cells: Box<[Cell]>,
    /// The cell of each chunk of the file. Only a hint where to look; the cell's tag decides.
    table: Box<[AtomicU32]>,
}

struct Cell {
    /// The number of writings, and the chunk in the low half.
    tag: AtomicU64,
    /// Bits of `f32`: all of channel 0, then all of channel 1, and so on.
    samples: Box<[AtomicU32]>,
}

impl Cells {
    /// Memory for `cells` chunks of a file of `chunks` chunks and `channels` channels.
    fn new(cells: usize, chunks: u32, channels: u16) -> Self {
        let samples = CHUNK * usize::from(channels);
        let cell = || Cell {
            tag: AtomicU64::new(tag(0, NO_CHUNK)),
            samples: (0..samples).map(|_| AtomicU32::new(0)).collect(),
        };
        Self {
            cells: (0..cells).map(|_| cell()).collect(),
            table: (0..chunks).map(|_| AtomicU32::new(NO_CELL)).collect(),
        }
    }

    /// Whether `chunk` is loaded.
    pub fn has(&self, chunk: u32) -> bool {
        self.place(chunk).is_some_and(|cell| chunk_of(cell.tag.load(Ordering::Acquire)) == chunk)
    }

    /// [audio thread] Copies a part of `channel` of `chunk` that begins at its frame `offset` to `out`. Answers
    /// `false`, and leaves anything in `out`, if the chunk is not there.
    pub fn read(&self, chunk: u32, channel: u16, offset: usize, out: &mut [f32]) -> bool {
        let Some(cell) = self.place(chunk) else {
            return false;
        };
        let tag = cell.tag.load(Ordering::Acquire);
        if chunk_of(tag) != chunk {
            return false;
        }
        let start = usize::from(channel) * CHUNK + offset;
        for (out, sample) in out.iter_mut().zip(&cell.samples[start..]) {
            *out = f32::from_bits(sample.load(Ordering::Relaxed));
        }
        // A sample of a later writing makes the tag of that writing visible to the load below.
        fence(Ordering::Acquire);
        cell.tag.load(Ordering::Relaxed) == tag
    }

    fn place(&self, chunk: u32) -> Option<&Cell> {
        let cell = self.table.get(chunk as usize)?.load(Ordering::Relaxed);
        self.cells.get(cell as usize)
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

fn tag(writings: u32, chunk: u32) -> u64 {
    u64::from(writings) << 32 | u64::from(chunk)
}

fn chunk_of(tag: u64) -> u32 {
    tag as u32
}

/// The right to write to some [`Cells`]: there is one for each.
#[derive(Debug)]
pub struct Keeper {
    cells: Arc<Cells>,
    /// What each cell holds, and when it was written.
    held: Vec<Held>,
    writings: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    chunk: u32,
    written: u32,
}

impl Keeper {
    /// Memory for `cells` chunks of a file of `chunks` chunks and `channels` channels.
    pub fn new(cells: usize, chunks: u32, channels: u16) -> Self {
        Self {
            cells: Arc::new(Cells::new(cells, chunks, channels)),
            held: vec![Held { chunk: NO_CHUNK, written: 0 }; cells],
            writings: 0,
        }
    }

    /// The cells, for readers.
    pub fn cells(&self) -> &Arc<Cells> {
        &self.cells
    }

    /// Puts `chunk` into a free cell, else in the place of the oldest that is not in `wanted`. Without such a
    /// cell nothing happens. `samples` holds all of channel 0, then all of channel 1, and so on.
    pub fn put(&mut self, chunk: u32, samples: &[f32], wanted: &[u32]) {
        let free = self.held.iter().position(|held| held.chunk == NO_CHUNK);
        let oldest = || {
            let unwanted = self.held.iter().enumerate().filter(|(_, held)| !wanted.contains(&held.chunk));
            let age = |held: &Held| self.writings.wrapping_sub(held.written);
            unwanted.max_by_key(|(_, held)| age(held)).map(|(cell, _)| cell)
        };
        let Some(index) = free.or_else(oldest) else {
            return;
        };
        self.writings = self.writings.wrapping_add(1);
        let Held { chunk: old, .. } =
            std::mem::replace(&mut self.held[index], Held { chunk, written: self.writings });
        let cell = &self.cells.cells[index];
        if let Some(entry) = self.cells.table.get(old as usize) {
            entry.store(NO_CELL, Ordering::Relaxed);
        }
        cell.tag.store(tag(self.writings, NO_CHUNK), Ordering::Relaxed);
        // The samples must not become visible before the tag that disowns them.
        fence(Ordering::Release);
        for (place, sample) in cell.samples.iter().zip(samples) {
            place.store(sample.to_bits(), Ordering::Relaxed);
        }
        cell.tag.store(tag(self.writings, chunk), Ordering::Release);
        if let Some(entry) = self.cells.table.get(chunk as usize) {
            entry.store(index as u32, Ordering::Release);
        }
    }
}
