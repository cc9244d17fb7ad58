//! Files that are decoded in stretches that are always the same.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;

use super::decode::{Decode, Fault, FileInfo};

/// A part of a file that is decoded as a whole, from a decoder in its first state.
///
/// What a decoder makes of a packet depends on what it was given before, for some codecs on all of it. Stretches
/// that begin and end at fixed places, each with the packets before it that its samples depend on, have the same
/// samples whatever was read before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Sound: the number of the segment, and its frames.
    Sound(usize, Range<u64>),
    /// Frames that the file has lost.
    Missing(Range<u64>),
}

/// A file of segments.
pub trait Segmented: Send + Debug {
    /// What the file holds.
    fn info(&self) -> FileInfo;

    /// As [`Decode::shortage`].
    fn shortage(&self) -> Option<String>;

    /// The segment with frame `at`, which is in the file.
    fn segment(&self, at: u64) -> Segment;

    /// Decodes segment `number` to `out`, which has room for its frames: all of channel 0, then all of channel 1,
    /// and so on, and is silent. What is damaged stays silent.
    fn decode(&mut self, number: usize, out: &mut [f32]) -> Result<(), Fault>;
}

/// Reads any frames of a file of segments.
#[derive(Debug)]
pub struct Segments<S> {
    source: S,
    /// The segment that was decoded last.
    held: Option<(usize, Range<u64>)>,
    samples: Vec<f32>,
    /// The first frames of segments whose damage has been told.
    told: BTreeSet<u64>,
}

impl<S: Segmented> Segments<S> {
    /// A reader of `source`.
    pub fn new(source: S) -> Self {
        Self { source, held: None, samples: Vec::new(), told: BTreeSet::new() }
    }

    /// Makes segment `number` the one that is held. Answers what is damaged, if it is told for the first time.
    fn hold(&mut self, number: usize, frames: Range<u64>) -> Result<Option<String>, Fault> {
        let channels = usize::from(self.source.info().channels);
        self.held = None;
        self.samples.clear();
        self.samples.resize((frames.end - frames.start) as usize * channels, 0.0);
        let damage = match self.source.decode(number, &mut self.samples) {
            Ok(()) => None,
            Err(Fault::Damaged(what)) => self.told.insert(frames.start).then_some(what),
            Err(fault) => return Err(fault),
        };
        self.held = Some((number, frames));
        Ok(damage)
    }

    /// Copies what the held segment has of the frames from `at` to `end`, and answers how many that are.
    fn copy(&self, held: &Range<u64>, at: u64, end: u64, from: u64, out: &mut [f32]) -> u64 {
        let stride = out.len() / usize::from(self.source.info().channels);
        let frames = end.min(held.end) - at;
        let source = (at - held.start) as usize..(at - held.start + frames) as usize;
        let target = (at - from) as usize..(at - from + frames) as usize;
        let planes = self.samples.chunks_exact((held.end - held.start) as usize);
        for (plane, out) in planes.zip(out.chunks_exact_mut(stride)) {
            out[target.clone()].copy_from_slice(&plane[source.clone()]);
        }
        frames
    }
}

impl<S: Segmented> Decode for Segments<S> {
    fn info(&self) -> FileInfo {
        self.source.info()
    }

    fn shortage(&self) -> Option<String> {
        self.source.shortage()
    }

    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault> {
        out.fill(0.0);
        let FileInfo { channels, frames, .. } = self.source.info();
        let stride = (out.len() / usize::from(channels)) as u64;
        let end = from.saturating_add(stride).min(frames);
        let mut at = from;
        let mut damage = None;
        while at < end {
            match self.source.segment(at) {
                Segment::Sound(number, range) => {
                    if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
                        let told = self.hold(number, range.clone())?;
                        damage = damage.or(told);
                    }
                    at += self.copy(&range, at, end, from, out);
                }
                Segment::Missing(range) => {
                    if self.told.insert(range.start) {
                        damage.get_or_insert(format!("frames {} to {} are missing", range.start, range.end));
                    }
                    at = range.end;
                }
            }
        }
        damage.map_or(Ok(()), |what| Err(Fault::Damaged(what)))
    }
}
