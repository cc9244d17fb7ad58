//! Another rate for audio that is written.

use std::fmt;

use aulos_protocol::{Error, ErrorCode, Rate};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, Resampler as _};

use super::filter;

/// Where the resampled blocks go: a slice for each channel, all of the same length.
pub type Sink<'a> = &'a mut dyn FnMut(&[&[f32]]) -> Result<(), Error>;

/// Brings audio to another rate. Frame 0 stays frame 0, and `n` frames become `n * to / from`, rounded up.
///
/// Memory: for each channel some ten spans of the filter in double precision, 0.5 MiB for common rates. Rates
/// that have no large common divisor take more, up to 70 MiB at the highest rates. Equal rates change nothing,
/// not even the bits.
pub struct Resampler {
    from: Rate,
    to: Rate,
    channels: usize,
    read: u64,
    written: u64,
    /// `None` for equal rates.
    filter: Option<Filter>,
}

struct Filter {
    fft: Fft<f64>,
    /// What waits to be resampled; `filled` frames of it.
    input: Vec<Vec<f64>>,
    filled: usize,
    output: Vec<Vec<f64>>,
    block: Vec<Vec<f32>>,
    /// How much of the filter's delay has not been left out yet, in frames of the output.
    delay: usize,
}

impl Resampler {
    /// From rate `from` to rate `to`.
    ///
    /// Errors: `invalid_argument` for no channels.
    pub fn new(from: Rate, to: Rate, channels: u16) -> Result<Self, Error> {
        if channels == 0 {
            return Err(Error::new(ErrorCode::InvalidArgument, "there is nothing to resample")
                .expected("at least 1 channel"));
        }
        let channels = usize::from(channels);
        let filter = (from != to).then(|| Filter::new(from, to, channels)).transpose()?;
        Ok(Self { from, to, channels, read: 0, written: 0, filter })
    }

    /// Adds a block of any length; what comes of it so far goes to `sink`, if anything.
    ///
    /// Errors: those of `sink`; `invalid_argument` for a block of another form. After an error the rest is
    /// worth nothing.
    pub fn process(&mut self, block: &[&[f32]], sink: Sink<'_>) -> Result<(), Error> {
        let frames = block.first().map_or(0, |channel| channel.len());
        if block.len() != self.channels || block.iter().any(|channel| channel.len() != frames) {
            return Err(Error::new(ErrorCode::InvalidArgument, "a block to resample has another form")
                .expected(format!("{} channels of the same length", self.channels)));
        }
        self.read += frames as u64;
        let Some(filter) = &mut self.filter else {
            self.written += frames as u64;
            return sink(block);
        };
        let mut at = 0;
        while at < frames {
            at += filter.fill(block, at);
            if filter.is_full() {
                self.written += filter.run(u64::MAX, sink)?;
            }
        }
        Ok(())
    }

    /// Gives the rest to `sink`. Answers how many frames there were in all.
    pub fn finish(mut self, sink: Sink<'_>) -> Result<u64, Error> {
        let frames = u128::from(self.read) * u128::from(self.to.hz());
        let frames = u64::try_from(frames.div_ceil(u128::from(self.from.hz()))).unwrap_or(u64::MAX);
        if let Some(filter) = &mut self.filter {
            while self.written < frames {
                filter.fill_with_silence();
                self.written += filter.run(frames - self.written, sink)?;
            }
        }
        Ok(self.written)
    }
}

impl Filter {
    fn new(from: Rate, to: Rate, channels: usize) -> Result<Self, Error> {
        let fft = filter::new(from.hz(), to.hz(), channels).map_err(defect)?;
        let (frames_in, frames_out) = (fft.input_frames_next(), fft.output_frames_next());
        Ok(Self {
            delay: fft.output_delay(),
            fft,
            input: vec![vec![0.0; frames_in]; channels],
            filled: 0,
            output: vec![vec![0.0; frames_out]; channels],
            block: vec![Vec::with_capacity(frames_out); channels],
        })
    }

    fn is_full(&self) -> bool {
        self.filled == self.input[0].len()
    }

    /// Takes frames of `block` from `at` on, as many as fit, and answers how many that are.
    fn fill(&mut self, block: &[&[f32]], at: usize) -> usize {
        let taken = (self.input[0].len() - self.filled).min(block[0].len() - at);
        for (input, channel) in self.input.iter_mut().zip(block) {
            let input = &mut input[self.filled..self.filled + taken];
            for (input, &sample) in input.iter_mut().zip(&channel[at..]) {
                *input = f64::from(sample);
            }
        }
        self.filled += taken;
        taken
    }

    fn fill_with_silence(&mut self) {
        for input in &mut self.input {
            input[self.filled..].fill(0.0);
        }
        self.filled = self.input[0].len();
    }

    /// Resamples the full input and gives what comes after the delay to `sink`, at most `most` frames.
    /// Answers how many that were.
    fn run(&mut self, most: u64, sink: Sink<'_>) -> Result<u64, Error> {
        let channels = self.input.len();
        let (frames_in, frames_out) = (self.input[0].len(), self.output[0].len());
        let input = SequentialSliceOfVecs::new(&self.input, channels, frames_in).map_err(defect)?;
        let mut output =
            SequentialSliceOfVecs::new_mut(&mut self.output, channels, frames_out).map_err(defect)?;
        self.fft.process_into_buffer(&input, &mut output, None).map_err(defect)?;
        self.filled = 0;
        let left_out = self.delay.min(frames_out);
        self.delay -= left_out;
        let frames = ((frames_out - left_out) as u64).min(most) as usize;
        if frames == 0 {
            return Ok(0);
        }
        for (block, output) in self.block.iter_mut().zip(&self.output) {
            block.clear();
            block.extend(output[left_out..left_out + frames].iter().map(|&sample| sample as f32));
        }
        let block: Vec<&[f32]> = self.block.iter().map(Vec::as_slice).collect();
        sink(&block)?;
        Ok(frames as u64)
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

fn defect(error: impl fmt::Display) -> Error {
    Error::new(ErrorCode::Internal, format!("the resampler failed: {error}"))
}
