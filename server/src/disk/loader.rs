//! One stream, as the disk thread sees it.

use std::collections::VecDeque;
use std::sync::Arc;

use aulos_protocol::Error;

use super::cells::{CHUNK, Keeper};
use super::decode::{Decode, Fault, guarded, report};
use super::stream::Stream;

/// Loads the chunks of one stream.
#[derive(Debug)]
pub struct Loader {
    stream: Arc<Stream>,
    keeper: Keeper,
    /// `None` when the file cannot be read any more: what is not loaded then is silence.
    decoder: Option<Box<dyn Decode>>,
    /// What is wanted, the most urgent first; no more than fits.
    wanted: Vec<u32>,
    /// What of it is not loaded yet.
    missing: VecDeque<u32>,
    damage_told: bool,
}

impl Loader {
    /// Loads chunks with `decoder` and keeps them in the cells of `stream`, which are those of `keeper`.
    pub fn new(stream: Arc<Stream>, keeper: Keeper, decoder: Box<dyn Decode>) -> Self {
        Self {
            stream,
            keeper,
            decoder: Some(decoder),
            wanted: Vec::new(),
            missing: VecDeque::new(),
            damage_told: false,
        }
    }

    /// The stream.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// `None` if nobody else has the stream any more, which is then freed here, and so by the disk thread.
    /// Whoever still has a weak reference gets all or nothing.
    pub fn unless_abandoned(self) -> Option<Self> {
        let stream = Arc::try_unwrap(self.stream).err()?;
        Some(Self { stream, ..self })
    }

    /// Wants `chunks`, the most urgent first, and nothing else. There are no more than fit.
    pub fn want(&mut self, chunks: Vec<u32>) {
        self.missing = chunks.iter().copied().filter(|&chunk| !self.stream.has(chunk)).collect();
        self.wanted = chunks;
    }

    /// Whether everything wanted is loaded.
    pub fn done(&self) -> bool {
        self.missing.is_empty()
    }

    /// Loads the most urgent missing chunk, if any. What cannot be read becomes silence, so that it does not
    /// count as missing for ever; what should be told about it is answered.
    pub fn load_one(&mut self, scratch: &mut Vec<f32>) -> Option<Error> {
        let chunk = self.missing.pop_front()?;
        scratch.clear();
        scratch.resize(CHUNK * usize::from(self.stream.info().channels), 0.0);
        let from = u64::from(chunk) * CHUNK as u64;
        let fault = self.decoder.as_mut().and_then(|decoder| {
            guarded(|| decoder.read(from, scratch).err()).unwrap_or_else(|| {
                scratch.fill(0.0);
                Some(Fault::Io(std::io::Error::other("its contents confuse the decoder")))
            })
        });
        let invalid = self.decoder.as_mut().map_or(0, |decoder| decoder.take_invalid());
        self.remove_invalid(scratch, invalid);
        self.keeper.put(chunk, scratch, &self.wanted);
        let fault = fault?;
        if matches!(fault, Fault::Io(_)) {
            self.decoder = None;
        } else if std::mem::replace(&mut self.damage_told, true) {
            return None;
        }
        Some(report(&fault, self.stream.path()))
    }

    /// Replaces what is no number by 0, and counts it beside the `invalid` ones that were replaced already.
    fn remove_invalid(&self, samples: &mut [f32], invalid: u64) {
        let mut invalid = invalid;
        for sample in samples.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
            invalid += 1;
        }
        if invalid > 0 && self.stream.add_invalid(invalid) == 0 {
            tracing::warn!(
                file = %self.stream.path().display(),
                "the file has samples that are not numbers; they are silent"
            );
        }
    }
}
