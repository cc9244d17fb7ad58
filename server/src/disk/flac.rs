//! Samples of FLAC files.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, SeekMode, SeekTo};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::FlacDecoder;
use symphonia::default::formats::FlacReader;

use super::decode::{Decode, Fault, FileInfo, lacking};
use super::flac_end::last_block;
use super::flac_source::FlacSource;
use super::refusal::Refusal;

/// A wanted frame that is this near is reached by reading on, without a search.
const NEAR: u64 = 1 << 16;
/// Where blocks are missed, this many frames before them are read again to be sure.
const BACK: u64 = 1 << 17;
/// Damaged places that are remembered; more are only found again each time.
const MOST_HOLES: usize = 1_024;

/// An open FLAC file.
pub struct Flac {
    source: FlacSource,
    reader: FlacReader<'static>,
    decoder: FlacDecoder,
    info: FileInfo,
    /// How many frames there are as the head says; 0 if it does not.
    declared: u64,
    block: Block,
    /// The first frame of what the reader reads next, if that is known.
    next: Option<u64>,
    /// Frames that are known to be damaged.
    holes: Vec<Range<u64>>,
}

/// The block that was decoded last.
#[derive(Default)]
struct Block {
    start: u64,
    frames: usize,
    /// All of channel 0, then all of channel 1, and so on.
    samples: Vec<f32>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.frames as u64
    }
}

impl fmt::Debug for Flac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flac").field("source", &self.source).field("info", &self.info).finish_non_exhaustive()
    }
}

impl Flac {
    /// Reads the head of `file`, which begins at byte `start`, after what tags there are; the file is `len` bytes
    /// long. Looks for the last block, or reads all of it, if its length is not known or not true.
    pub fn open(file: File, start: u64, len: u64) -> Result<Self, Refusal> {
        let (source, info) = FlacSource::open(file, start, len)?;
        let reader = match demuxer(&source) {
            Ok(reader) => reader,
            Err(error) if ends(&error) => return Err(Refusal::Empty),
            Err(error) => return Err(malformed(error)),
        };
        let Some(CodecParameters::Audio(params)) =
            reader.tracks().first().and_then(|track| track.codec_params.clone())
        else {
            return Err(Refusal::Malformed("it has no audio".into()));
        };
        let decoder = FlacDecoder::try_new(&params, &Default::default()).map_err(malformed)?;
        let declared = info.frames;
        let (block, next, holes) = (Block::default(), None, Vec::new());
        let mut flac = Self { source, reader, decoder, info, declared, block, next, holes };
        if declared == 0 || !flac.reaches(declared - 1) {
            flac.info.frames = match flac.cut_behind_last()? {
                Some(end) if flac.reaches(end - 1) => end,
                _ => flac.count().map_err(malformed)?,
            };
        }
        flac.rewind().map_err(malformed)?;
        Ok(flac)
    }

    /// Whether the block with frame `at` is there.
    fn reaches(&mut self, at: u64) -> bool {
        self.seek(at).is_ok() && matches!(self.packet(at), Ok(Some(packet)) if span(&packet).contains(&at))
    }

    /// Leaves out what lies behind the last whole block, and answers where that one ends.
    fn cut_behind_last(&mut self) -> Result<Option<u64>, Refusal> {
        let Self { source, decoder, .. } = self;
        let last = last_block(source, |bytes, frames| {
            let len = frames.end - frames.start;
            let start = Timestamp::new(i64::try_from(frames.start).unwrap_or(i64::MAX));
            let packet = Packet::new(0, start, Duration::new(len), bytes.to_vec());
            decoder.decode(&packet).is_ok_and(|buffer| buffer.frames() as u64 == len)
        })?;
        let Some(last) = last else { return Ok(None) };
        self.source = self.source.cut(last.bytes.end);
        match self.rewind() {
            Err(error) if broken(&error) => Err(malformed(error)),
            _ => Ok(Some(last.frames.end)),
        }
    }

    /// Reads all blocks and answers where the last one ends.
    fn count(&mut self) -> Result<u64, Error> {
        self.rewind()?;
        let mut end = 0;
        loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) => end = end.max(span(&packet).end),
                Ok(None) => return Ok(end),
                Err(error) if ends(&error) => return Ok(end),
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins again at the first block, with a demuxer that remembers nothing.
    fn rewind(&mut self) -> Result<(), Error> {
        self.reader = demuxer(&self.source)?;
        self.next = Some(0);
        Ok(())
    }

    /// Sets the reader on the block with frame `at`, most of the time.
    fn seek(&mut self, at: u64) -> Result<(), Error> {
        self.next = None;
        let ts = Timestamp::new(i64::try_from(at).unwrap_or(i64::MAX));
        self.reader.seek(SeekMode::Accurate, SeekTo::Timestamp { ts, track_id: 0 })?;
        Ok(())
    }

    /// The next block that does not end before frame `at`, still encoded.
    fn packet(&mut self, at: u64) -> Result<Option<Packet>, Error> {
        loop {
            let packet = self.reader.next_packet()?;
            self.next = packet.as_ref().map(|packet| span(packet).end);
            if self.next.is_none_or(|next| next > at) {
                return Ok(packet);
            }
        }
    }

    /// The block with frame `at`; a later one, or none, only if there is no such block.
    ///
    /// The demuxer's search can miss, when it goes back to the very beginning of a block, or when bytes
    /// within a block look like the beginning of one. So each way is only believed if it finds the block or
    /// has passed its place.
    fn find(&mut self, at: u64) -> Result<Option<Packet>, Error> {
        let here = |packet: &Packet| span(packet).start <= at;
        if self.next.is_some_and(|next| (next..next + NEAR).contains(&at)) {
            match self.packet(at) {
                Ok(Some(packet)) if here(&packet) => return Ok(Some(packet)),
                Err(error) if broken(&error) => return Err(error),
                _ => {}
            }
        }
        match self.seek(at).and_then(|()| self.packet(at)) {
            Ok(Some(packet)) if here(&packet) => return Ok(Some(packet)),
            Err(error) if broken(&error) => return Err(error),
            _ => {}
        }
        self.rewind()?;
        if let Some(back) = at.checked_sub(BACK)
            && !matches!(self.seek(back).and_then(|()| self.packet(back)), Ok(Some(packet)) if here(&packet))
        {
            self.rewind()?;
        }
        self.packet(at)
    }

    /// Makes `block` the one with frame `at`, or adds a hole that has it and tells what was found damaged.
    fn advance(&mut self, at: u64) -> Result<(), Fault> {
        let frames = self.info.frames;
        let (hole, what) = match self.find(at) {
            Ok(Some(packet)) if span(&packet).contains(&at) => match self.decode(&packet) {
                Ok(()) => return Ok(()),
                Err(what) => (span(&packet), what),
            },
            Ok(Some(packet)) => {
                let start = span(&packet).start;
                (at..start, format!("frames {at} to {start} are missing"))
            }
            Ok(None) => (at..frames, format!("it ends at frame {at}")),
            Err(Error::IoError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Fault::Io(error));
            }
            Err(error) if ends(&error) => (at..frames, format!("it ends at frame {at}")),
            Err(error) => (at..frames, format!("nothing is found after frame {at} ({error})")),
        };
        if self.holes.len() < MOST_HOLES {
            self.holes.push(hole);
        }
        Err(Fault::Damaged(what))
    }

    fn decode(&mut self, packet: &Packet) -> Result<(), String> {
        let missing = span(packet);
        let decoded = self.decoder.decode(packet).map_err(|error| {
            format!("frames {} to {} cannot be decoded ({error})", missing.start, missing.end)
        })?;
        let GenericAudioBufferRef::S32(buffer) = decoded else {
            return Err("its samples are not integers".into());
        };
        if buffer.frames() as u64 != missing.end - missing.start {
            return Err(format!("the block at frame {} is shorter than it says", missing.start));
        }
        self.block.start = missing.start;
        self.block.frames = buffer.frames();
        self.block.samples.clear();
        for plane in buffer.iter_planes() {
            // The decoder puts the samples of any depth in the high bits.
            self.block.samples.extend(plane.iter().map(|&sample| sample as f32 / 2_147_483_648.0));
        }
        Ok(())
    }

    /// Copies what the block has of the frames from `at` to `end`, and answers how many that are.
    fn copy(&self, at: u64, end: u64, from: u64, out: &mut [f32]) -> u64 {
        let stride = out.len() / usize::from(self.info.channels);
        let frames = end.min(self.block.end()).saturating_sub(at);
        let source = (at - self.block.start) as usize..(at - self.block.start + frames) as usize;
        let target = (at - from) as usize..(at - from + frames) as usize;
        let planes = self.block.samples.chunks_exact(self.block.frames);
        for (plane, out) in planes.zip(out.chunks_exact_mut(stride)) {
            out[target.clone()].copy_from_slice(&plane[source.clone()]);
        }
        frames
    }
}

impl Decode for Flac {
    fn info(&self) -> FileInfo {
        self.info
    }

    fn shortage(&self) -> Option<String> {
        lacking(self.info.frames, self.declared)
    }

    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault> {
        out.fill(0.0);
        let stride = (out.len() / usize::from(self.info.channels)) as u64;
        let end = from.saturating_add(stride).min(self.info.frames);
        let mut at = from;
        let mut damage = None;
        while at < end {
            if (self.block.start..self.block.end()).contains(&at) {
                at += self.copy(at, end, from, out);
            } else if let Some(hole) = self.holes.iter().find(|hole| hole.contains(&at)) {
                at = hole.end;
            } else {
                match self.advance(at) {
                    Ok(()) => {}
                    Err(Fault::Damaged(what)) => {
                        damage.get_or_insert(what);
                        // Where holes are no longer remembered, the rest of the request is given up.
                        if self.holes.len() == MOST_HOLES && !self.holes.iter().any(|h| h.contains(&at)) {
                            break;
                        }
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
        damage.map_or(Ok(()), |what| Err(Fault::Damaged(what)))
    }
}

/// A demuxer at the beginning of `source`.
fn demuxer(source: &FlacSource) -> Result<FlacReader<'static>, Error> {
    let stream = MediaSourceStream::new(Box::new(source.rewound()), Default::default());
    FlacReader::try_new(stream, Default::default())
}

/// Why a file with `error` in its head is refused.
fn malformed(error: Error) -> Refusal {
    match error {
        Error::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => Refusal::Io(error),
        error => Refusal::Malformed(error.to_string()),
    }
}

/// Whether `error` says that the file ends.
fn ends(error: &Error) -> bool {
    matches!(error, Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Whether `error` says that the file cannot be read.
fn broken(error: &Error) -> bool {
    matches!(error, Error::IoError(_)) && !ends(error)
}

/// The frames of a block, as its head says.
fn span(packet: &Packet) -> Range<u64> {
    let start = u64::try_from(packet.pts.get()).unwrap_or(0);
    start..start.saturating_add(packet.dur.get())
}
