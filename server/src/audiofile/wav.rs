//! Writing WAV files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt;

use aulos_protocol::SampleDepth;
use hound::{SampleFormat, WavSpec, WavWriter};

use super::quantise::Quantiser;

/// What a WAV file can hold, in bytes of samples: its sizes have 32 bits, and the longest head counts too.
const MOST_BYTES: u64 = u32::MAX as u64 - 128;

/// The samples of a WAV file, on their way to it.
pub struct Wav {
    writer: WavWriter<BufWriter<File>>,
    /// The same file, for what the writer leaves out.
    file: File,
    /// `None` for floating point.
    quantiser: Option<Quantiser>,
}

impl Wav {
    /// Begins a file of `channels` channels, 1 to 65,535, at `rate` Hz.
    pub fn new(file: File, depth: SampleDepth, rate: u32, channels: u16) -> io::Result<Self> {
        let bits = bits(depth);
        let quantiser = (depth != SampleDepth::Float32).then(|| Quantiser::new(u32::from(bits)));
        let sample_format = if quantiser.is_some() { SampleFormat::Int } else { SampleFormat::Float };
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
        let buffer = BufWriter::with_capacity(1 << 18, file.try_clone()?);
        let writer = WavWriter::new(buffer, spec).map_err(to_io)?;
        Ok(Self { writer, file, quantiser })
    }

    /// How many frames of `channels` channels fit into a file.
    pub fn most_frames(depth: SampleDepth, channels: u16) -> u64 {
        MOST_BYTES / (u64::from(bits(depth) / 8) * u64::from(channels.max(1)))
    }

    /// The bytes of a frame of `channels` channels.
    pub fn bytes_a_frame(&self, channels: u16) -> u64 {
        u64::from(self.writer.spec().bits_per_sample / 8) * u64::from(channels)
    }

    /// Dithers integers of so many channels.
    pub fn dither(&mut self, channels: u16) {
        if let Some(quantiser) = &mut self.quantiser {
            quantiser.dither(channels);
        }
    }

    /// Writes one frame after the other. All channels of `block` have the same length.
    pub fn write(&mut self, block: &[&[f32]]) -> io::Result<()> {
        for frame in 0..block.first().map_or(0, |channel| channel.len()) {
            for (number, channel) in block.iter().enumerate() {
                let sample = channel[frame];
                match &mut self.quantiser {
                    Some(quantiser) => self.writer.write_sample(quantiser.quantise_channel(number, sample)),
                    None => self.writer.write_sample(sample),
                }
                .map_err(to_io)?;
            }
        }
        Ok(())
    }

    /// Writes the head. Answers the counts of samples that did not fit, if there can be any.
    pub fn finish(self) -> io::Result<Option<Quantiser>> {
        self.writer.finalize().map_err(to_io)?;
        let len = self.file.metadata()?.len();
        if !len.is_multiple_of(2) {
            // A chunk of odd length is followed by a byte that the length of the whole counts.
            self.file.write_all_at(&[0], len)?;
            self.file.write_all_at(&(len as u32 + 1 - 8).to_le_bytes(), 4)?;
        }
        Ok(self.quantiser)
    }
}

/// Has the head of a file that could not be written to its end count the whole frames that are there, and
/// cuts off the rest. Answers with the number of frames.
pub fn mend(file: &File, bytes_a_frame: u64) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "not even the head of the file was written");
    let mut at = 12;
    loop {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at).map_err(|_| broken())?;
        let [a, b, c, d, size @ ..] = head;
        if [a, b, c, d] == *b"data" {
            break;
        }
        at += 8 + u64::from(u32::from_le_bytes(size)).next_multiple_of(2);
    }
    let begin = at + 8;
    let mut frames = len.saturating_sub(begin) / bytes_a_frame;
    // Chunks are of even length; there may be no room for the byte that would fill it up.
    frames -= frames * bytes_a_frame % 2;
    let bytes = frames * bytes_a_frame;
    file.set_len(begin + bytes)?;
    file.write_all_at(&(bytes as u32).to_le_bytes(), at + 4)?;
    file.write_all_at(&((begin + bytes) as u32 - 8).to_le_bytes(), 4)?;
    Ok(frames)
}

fn bits(depth: SampleDepth) -> u16 {
    match depth {
        SampleDepth::Int16 => 16,
        SampleDepth::Int24 => 24,
        SampleDepth::Float32 => 32,
    }
}

fn to_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    }
}
