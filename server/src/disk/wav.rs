//! Samples of WAV files.
//!
//! Read here and not by a library: the frame's place in the file is known, so that no state is needed to find
//! it, and files of up to 64 channels, RF64 and files cut short must work.

use std::fs::File;
use std::io;

use super::decode::{Decode, Fault, FileInfo, read_at};
use super::refusal::Refusal;
use super::wav_header::{Coding, Layout, parse};

/// An open WAV file.
#[derive(Debug)]
pub struct Wav {
    file: File,
    layout: Layout,
    bytes: Vec<u8>,
}

impl Wav {
    /// Reads the head of `file`, which is `len` bytes long.
    pub fn open(file: File, len: u64) -> Result<Self, Refusal> {
        let layout = parse(&file, len)?;
        Ok(Self { file, layout, bytes: Vec::new() })
    }
}

impl Decode for Wav {
    fn info(&self) -> FileInfo {
        let Layout { channels, rate, frames, .. } = self.layout;
        FileInfo { channels, rate, frames }
    }

    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault> {
        let Layout { channels, coding, start, frames, .. } = self.layout;
        let channels = usize::from(channels);
        let stride = out.len() / channels;
        out.fill(0.0);
        let wanted = (stride as u64).min(frames.saturating_sub(from)) as usize;
        let frame = channels * coding.bytes();
        self.bytes.resize(wanted * frame, 0);
        let present = read_at(&self.file, &mut self.bytes, start + from.min(frames) * frame as u64)
            .map_err(Fault::Io)?;
        let whole = present / frame;
        let samples = &self.bytes[..whole * frame];
        match coding {
            Coding::U8 => unpack(samples, channels, out, |[b]| (f32::from(b) - 128.0) / 128.0),
            Coding::I16 => unpack(samples, channels, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Coding::I24 => unpack(samples, channels, out, |[a, b, c]| {
                (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0
            }),
            Coding::I32 => {
                unpack(samples, channels, out, |b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0);
            }
            Coding::F32 => unpack(samples, channels, out, f32::from_le_bytes),
            Coding::F64 => unpack(samples, channels, out, |b| f64::from_le_bytes(b) as f32),
        }
        if whole < wanted {
            let shrunk = io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter");
            return Err(Fault::Io(shrunk));
        }
        Ok(())
    }
}

/// Takes interleaved samples of `N` bytes apart into the channels of `out`.
fn unpack<const N: usize>(bytes: &[u8], channels: usize, out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let stride = out.len() / channels;
    let (samples, _) = bytes.as_chunks::<N>();
    for (channel, plane) in out.chunks_exact_mut(stride.max(1)).enumerate().take(channels) {
        for (sample, frame) in plane.iter_mut().zip(samples.chunks_exact(channels)) {
            *sample = value(frame[channel]);
        }
    }
}
