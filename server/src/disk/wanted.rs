//! What should be in memory.

use std::ops::Range;
use std::sync::Arc;

use super::cells::CHUNK;
use super::stream::Stream;

/// Which frames of which streams should be in memory: made anew by the control thread whenever the position,
/// the loop or the clips change.
///
/// Of each stream, the first [`Stream::capacity`] frames count, by whole chunks of 4,096 frames; what is
/// wanted beyond them is ignored.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    streams: Vec<(Arc<Stream>, Vec<Range<u64>>)>,
}

impl Wanted {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants `frames` of the file of `stream` too, less urgently than what was wanted of it before. What lies
    /// past the end of the file is ignored.
    pub fn add(&mut self, stream: &Arc<Stream>, frames: Range<u64>) {
        match self.streams.iter_mut().rfind(|(known, _)| Arc::ptr_eq(known, stream)) {
            Some((_, ranges)) => ranges.push(frames),
            None => self.streams.push((stream.clone(), vec![frames])),
        }
    }

    /// The streams of which something is wanted, each with the chunks that count, the most urgent first.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (&Arc<Stream>, Vec<u32>)> {
        self.streams.iter().map(|(stream, ranges)| (stream, chunks(stream, ranges)))
    }
}

/// The chunks of `ranges`, each once, as many as fit.
fn chunks(stream: &Stream, ranges: &[Range<u64>]) -> Vec<u32> {
    let end = stream.info().frames;
    let mut chunks = Vec::with_capacity(stream.cells());
    for range in ranges {
        let range = range.start.min(end)..range.end.min(end);
        if range.is_empty() {
            continue;
        }
        for chunk in range.start / CHUNK as u64..=(range.end - 1) / CHUNK as u64 {
            if chunks.len() == stream.cells() {
                return chunks;
            }
            let chunk = chunk as u32;
            if !chunks.contains(&chunk) {
                chunks.push(chunk);
            }
        }
    }
    chunks
}
