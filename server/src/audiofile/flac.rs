//! Writing FLAC files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use flacenc::bitsink::MemSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::encode_fixed_size_frame;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use super::quantise::Quantiser;

/// Bytes before the first block.
const HEAD: usize = 42;
/// Bytes that are collected before they are written.
const BUFFER: usize = 1 << 18;
/// Frames in each block but the last.
const BLOCK: usize = 4_096;
/// A FLAC file has at most this many channels.
pub const MOST_CHANNELS: u16 = 8;
/// A FLAC file can say that it has this many frames.
pub const MOST_FRAMES: u64 = (1 << 36) - 1;

/// The encoder writes the rate into each block and takes no higher one.
const MOST_ENCODER_RATE: u32 = 96_000;
/// A rate that cannot be written into blocks, so that they say "as the head says" instead.
const UNWRITABLE_RATE: u32 = 65_537;

/// The samples of a FLAC file, on their way to it.
pub struct Flac {
    writer: BufWriter<File>,
    config: Verified<config::Encoder>,
    /// For blocks that `config` makes larger than they were; never does.
    safe_config: Verified<config::Encoder>,
    info: StreamInfo,
    rate: u32,
    quantiser: Quantiser,
    /// Interleaved samples that do not make a block yet.
    pending: Vec<i32>,
    buffer: FrameBuf,
    context: Context,
    sink: MemSink<u8>,
    smallest: usize,
    largest: usize,
    blocks: Blocks,
}

impl Flac {
    /// Begins a file of `channels` channels, 1 to 8, at `rate` Hz, with integers of 16 or 24 `bits`.
    pub fn new(file: File, bits: u32, rate: u32, channels: u16) -> io::Result<Self> {
        let mut plain = config::Encoder::default();
        plain.block_size = BLOCK;
        let mut safe = plain.clone();
        safe.subframe_coding.use_fixed = false;
        let verified = |config: config::Encoder| config.into_verified().map_err(|(_, error)| defect(error));
        let channels = usize::from(channels);
        let encoder_rate = if rate <= MOST_ENCODER_RATE { rate } else { UNWRITABLE_RATE };
        let info = StreamInfo::new(encoder_rate as usize, channels, bits as usize).map_err(defect)?;
        let mut flac = Self {
            writer: BufWriter::with_capacity(BUFFER, file),
            config: verified(plain)?,
            safe_config: verified(safe)?,
            info,
            rate,
            quantiser: Quantiser::new(bits),
            pending: Vec::with_capacity(BLOCK * channels),
            buffer: FrameBuf::with_size(channels, BLOCK).map_err(defect)?,
            context: Context::new(bits as usize, channels),
            sink: MemSink::new(),
            smallest: usize::MAX,
            largest: 0,
            blocks: Blocks::default(),
        };
        // Keeps the place of the head, which is known only at the end.
        flac.writer.write_all(&flac.head())?;
        Ok(flac)
    }

    /// What it consists of so far.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Dithers the integers of so many channels.
    pub fn dither(&mut self, channels: u16) {
        self.quantiser.dither(channels);
    }

    /// Writes one frame after the other. All channels of `block` have the same length.
    pub fn write(&mut self, block: &[&[f32]]) -> io::Result<()> {
        for frame in 0..block.first().map_or(0, |channel| channel.len()) {
            for (number, channel) in block.iter().enumerate() {
                self.pending.push(self.quantiser.quantise_channel(number, channel[frame]));
            }
            if self.pending.len() == BLOCK * block.len() {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Writes what is pending, then the head. Answers the counts of samples that did not fit.
    pub fn finish(mut self) -> io::Result<Quantiser> {
        if !self.pending.is_empty() {
            self.encode()?;
        }
        self.writer.seek(SeekFrom::Start(0))?;
        let head = self.head();
        self.writer.write_all(&head)?;
        self.writer.flush()?;
        Ok(self.quantiser)
    }

    /// Writes what is pending as one block.
    fn encode(&mut self) -> io::Result<()> {
        self.buffer.fill_interleaved(&self.pending).map_err(defect)?;
        self.context.fill_interleaved(&self.pending).map_err(defect)?;
        let plain_bits = self.pending.len() * self.info.bits_per_sample();
        self.pending.clear();
        let number = self.context.current_frame_number().unwrap_or(0);
        let encode =
            |config| encode_fixed_size_frame(config, &self.buffer, number, &self.info).map_err(defect);
        let mut frame = encode(&self.config)?;
        // The encoder guesses how well fixed prediction does, and can be wrong by a factor of a thousand where
        // noise meets silence.
        if frame.count_bits() > plain_bits {
            frame = encode(&self.safe_config)?;
        }
        self.sink.clear();
        frame.write(&mut self.sink).map_err(defect)?;
        let bytes = self.sink.as_slice();
        self.smallest = self.smallest.min(bytes.len());
        self.largest = self.largest.max(bytes.len());
        self.blocks.note(bytes.len());
        self.writer.write_all(bytes)
    }

    /// The marker and the one metadata block that every file has.
    fn head(&self) -> [u8; HEAD] {
        let frames = self.context.total_samples() as u64;
        let written = self.largest > 0;
        let packed = u64::from(self.rate) << 44
            | (self.info.channels() as u64 - 1) << 41
            | (self.info.bits_per_sample() as u64 - 1) << 36
            | frames & MOST_FRAMES;
        let size = |bytes: usize| (if written { bytes as u32 } else { 0 }).to_be_bytes();
        let [block_high, block_low] = (BLOCK as u16).to_be_bytes();
        let [_, small @ ..] = size(self.smallest);
        let [_, large @ ..] = size(self.largest);
        let mut head = [0; HEAD];
        // The only block, so the last; of metadata of kind 0; 34 bytes long.
        head[..8].copy_from_slice(&[b'f', b'L', b'a', b'C', 0x80, 0, 0, 34]);
        head[8..12].copy_from_slice(&[block_high, block_low, block_high, block_low]);
        head[12..15].copy_from_slice(&small);
        head[15..18].copy_from_slice(&large);
        head[18..26].copy_from_slice(&packed.to_be_bytes());
        head[26..].copy_from_slice(&self.context.md5_digest());
        head
    }
}

/// The blocks that were handed to a file, of which the last may not have got there.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    count: u64,
    /// Where the last of them end, in bytes: as many as may still be on their way.
    ends: VecDeque<u64>,
}

impl Blocks {
    fn note(&mut self, bytes: usize) {
        let end = self.ends.back().copied().unwrap_or(HEAD as u64) + bytes as u64;
        self.count += 1;
        self.ends.push_back(end);
        while self.ends.front().is_some_and(|first| first + 2 * BUFFER as u64 + bytes as u64 <= end) {
            self.ends.pop_front();
        }
    }
}

/// Has a file that could not be written to its end consist of the whole blocks that are there; their sum is not known.
/// Answers with the number of frames.
pub fn mend(file: &File, mut blocks: Blocks) -> io::Result<u64> {
    let len = file.metadata()?.len();
    while blocks.ends.back().is_some_and(|end| *end > len) {
        blocks.ends.pop_back();
        blocks.count -= 1;
    }
    let Some(end) = blocks.ends.back() else {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "not even one block of the file was written",
        ));
    };
    file.set_len(*end)?;
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    let frames = blocks.count * BLOCK as u64;
    // The sizes of blocks, unknown; then the number of frames, behind the upper half of this byte; and their sum.
    head[12..18].fill(0);
    head[21] = head[21] & 0xf0 | (frames >> 32) as u8 & 0x0f;
    head[22..26].copy_from_slice(&(frames as u32).to_be_bytes());
    head[26..].fill(0);
    file.write_all_at(&head, 0)?;
    Ok(frames)
}

/// An error of the encoder, whose own types cannot leave this thread.
fn defect(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}
