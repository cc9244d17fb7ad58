//! Files of another rate than the session's.

use std::fmt;

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, Resampler as _};

use super::decode::{Decode, Fault, FileInfo};
use super::refusal::Refusal;
use crate::audiofile::filter;

/// Rates of files that are resampled, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=1_536_000;
/// The most samples that the blocks of all channels may have, of the file and of the session together: some 60 MiB
/// of memory. Only rates that are far apart or have no common divisor come near to it.
const MOST_SAMPLES: usize = 1 << 21;

/// Reads a file at another rate. Frame 0 stays frame 0.
///
/// The filter works on blocks of a fixed length that begin at fixed places. Of what was before a block, its samples
/// depend on the block before it only; that is given to the filter first wherever reading begins. So the samples of
/// a block depend on its number only.
pub struct Resampled {
    source: Box<dyn Decode>,
    info: FileInfo,
    filter: Fft<f64>,
    /// Frames of the filter's delay, at the new rate.
    delay: u64,
    /// Frames of a block of the file, and of what comes of it.
    block_in: u64,
    block_out: u64,
    read: Vec<f32>,
    input: Vec<Vec<f64>>,
    output: Vec<Vec<f64>>,
    /// The block that `output` holds, and that the filter remembers.
    held: Option<u64>,
    invalid: u64,
}

impl fmt::Debug for Resampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampled")
            .field("source", &self.source)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Resampled {
    /// Reads `source` at `rate`.
    pub fn new(source: Box<dyn Decode>, rate: u32) -> Result<Self, Refusal> {
        let FileInfo { channels, rate: from, frames } = source.info();
        let odd = || Refusal::Rate { from, to: rate };
        if !RATES.contains(&from) {
            return Err(odd());
        }
        let channels_count = usize::from(channels);
        let (block_in, block_out) = filter::blocks(from, rate);
        if (block_in + block_out) * channels_count > MOST_SAMPLES {
            return Err(odd());
        }
        let filter = filter::new(from, rate, channels_count).map_err(|_| odd())?;
        let frames = u128::from(frames) * u128::from(rate);
        let frames = u64::try_from(frames.div_ceil(u128::from(from))).unwrap_or(u64::MAX);
        Ok(Self {
            source,
            info: FileInfo { channels, rate, frames },
            delay: filter.output_delay() as u64,
            filter,
            block_in: block_in as u64,
            block_out: block_out as u64,
            read: vec![0.0; block_in * channels_count],
            input: vec![vec![0.0; block_in]; channels_count],
            output: vec![vec![0.0; block_out]; channels_count],
            held: None,
            invalid: 0,
        })
    }

    /// Makes block `number` the one that is held. Answers what is damaged in it.
    fn hold(&mut self, number: u64) -> Result<Option<String>, Fault> {
        let mut damage = None;
        if number.checked_sub(1) != self.held || number == 0 {
            self.held = None;
            self.filter.reset();
            if let Some(before) = number.checked_sub(1) {
                damage = self.run(before)?;
            }
        }
        self.held = None;
        let more = self.run(number)?;
        self.held = Some(number);
        Ok(damage.or(more))
    }

    /// Reads and resamples block `number`.
    fn run(&mut self, number: u64) -> Result<Option<String>, Fault> {
        let damage = match self.source.read(number.saturating_mul(self.block_in), &mut self.read) {
            Ok(()) => None,
            Err(Fault::Damaged(what)) => Some(what),
            Err(fault) => return Err(fault),
        };
        for (input, read) in self.input.iter_mut().zip(self.read.chunks_exact(self.block_in as usize)) {
            for (input, &sample) in input.iter_mut().zip(read) {
                // One that is no number would spoil all the block.
                self.invalid += u64::from(!sample.is_finite());
                *input = if sample.is_finite() { f64::from(sample) } else { 0.0 };
            }
        }
        let defect =
            |error: &dyn fmt::Display| Fault::Io(std::io::Error::other(format!("no resampling: {error}")));
        let channels = self.input.len();
        let input = SequentialSliceOfVecs::new(&self.input, channels, self.block_in as usize)
            .map_err(|error| defect(&error))?;
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.output, channels, self.block_out as usize)
            .map_err(|error| defect(&error))?;
        self.filter.process_into_buffer(&input, &mut output, None).map_err(|error| defect(&error))?;
        Ok(damage)
    }
}

impl Decode for Resampled {
    fn info(&self) -> FileInfo {
        self.info
    }

    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault> {
        out.fill(0.0);
        let stride = out.len() / usize::from(self.info.channels);
        let end = from.saturating_add(stride as u64).min(self.info.frames);
        let mut at = from;
        let mut damage = None;
        while at < end {
            let number = (at + self.delay) / self.block_out;
            if self.held != Some(number) {
                let told = self.hold(number)?;
                damage = damage.or(told);
            }
            let offset = ((at + self.delay) % self.block_out) as usize;
            let frames = (self.block_out as usize - offset).min((end - at) as usize);
            let target = (at - from) as usize;
            for (plane, out) in self.output.iter().zip(out.chunks_exact_mut(stride)) {
                for (out, &sample) in out[target..target + frames].iter_mut().zip(&plane[offset..]) {
                    *out = sample as f32;
                }
            }
            at += frames as u64;
        }
        damage.map_or(Ok(()), |what| Err(Fault::Damaged(what)))
    }

    fn shortage(&self) -> Option<String> {
        self.source.shortage()
    }

    fn take_invalid(&mut self) -> u64 {
        std::mem::take(&mut self.invalid)
    }
}
