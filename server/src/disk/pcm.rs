//! Samples of files in which every sample has its place: WAV and AIFF.
//!
//! Read here and not by a library: the frame's place in the file is known, so that no state is needed to find
//! it, and files of up to 64 channels, RF64 and files cut short must work.

use std::fs::File;
use std::io;

use super::decode::{Decode, Fault, FileInfo, lacking, read_at};

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Unsigned 8-bit integers.
    U8,
    /// Signed 8-bit integers.
    I8,
    /// 16-bit integers.
    I16(Order),
    /// 24-bit integers in 3 bytes.
    I24(Order),
    /// 32-bit integers.
    I32(Order),
    /// 32-bit floats.
    F32(Order),
    /// 64-bit floats.
    F64(Order),
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

impl Coding {
    /// How many bytes a sample takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16(_) => 2,
            Self::I24(_) => 3,
            Self::I32(_) | Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }
}

/// Where the samples are and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// As the file says; not checked.
    pub channels: u16,
    /// In Hz, as the file says; not checked.
    pub rate: u32,
    /// The form of the samples.
    pub coding: Coding,
    /// The byte at which the first frame begins.
    pub start: u64,
    /// How many whole frames there really are.
    pub frames: u64,
    /// How many there are as the file says, if it does; else 0.
    pub promised: u64,
}

/// An open file of samples.
#[derive(Debug)]
pub struct Pcm {
    file: File,
    layout: Layout,
    bytes: Vec<u8>,
}

impl Pcm {
    /// Reads samples of `file` that lie as `layout` says.
    pub fn new(file: File, layout: Layout) -> Self {
        Self { file, layout, bytes: Vec::new() }
    }
}

impl Decode for Pcm {
    fn info(&self) -> FileInfo {
        let Layout { channels, rate, frames, .. } = self.layout;
        FileInfo { channels, rate, frames }
    }

    fn shortage(&self) -> Option<String> {
        lacking(self.layout.frames, self.layout.promised)
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
            Coding::I8 => unpack(samples, channels, out, |[b]| f32::from(b as i8) / 128.0),
            Coding::I16(order) => {
                ordered(order, samples, channels, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0)
            }
            Coding::I24(order) => ordered(order, samples, channels, out, |[a, b, c]| {
                (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0
            }),
            Coding::I32(order) => {
                ordered(order, samples, channels, out, |b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0)
            }
            Coding::F32(order) => ordered(order, samples, channels, out, f32::from_le_bytes),
            Coding::F64(order) => ordered(order, samples, channels, out, |b| f64::from_le_bytes(b) as f32),
        }
        if whole < wanted {
            let shrunk = io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter");
            return Err(Fault::Io(shrunk));
        }
        Ok(())
    }
}

/// [`unpack`]s samples of `order`; `value` takes little-endian ones.
fn ordered<const N: usize>(
    order: Order,
    bytes: &[u8],
    channels: usize,
    out: &mut [f32],
    value: impl Fn([u8; N]) -> f32,
) {
    match order {
        Order::Little => unpack(bytes, channels, out, value),
        Order::Big => unpack(bytes, channels, out, |mut bytes| {
            bytes.reverse();
            value(bytes)
        }),
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
