//! Samples of files that are a row of packets of equal length in time: MP3 and AAC.
//!
//! symphonia's decoders are used, but not its demuxers: theirs search for a place by reading from the beginning
//! of the file, leave out edit lists, and can be kept busy for hours by a file made for it. Here the place of
//! every packet is known when the file is open.

use std::fs::File;
use std::ops::Range;

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::{AacDecoder, MpaDecoder};

use super::decode::{Fault, FileInfo, guarded, read_at};
use super::refusal::Refusal;
use super::segments::{Segment, Segmented};

/// How many packets are decoded at a time.
const SEGMENT: usize = 32;
/// The most packets of a file. They take 32 MiB.
const MOST_PACKETS: usize = 1 << 22;
/// The most bytes of a packet; those of MP3 and AAC in stereo have less than 8 KiB.
const MOST_BYTES: usize = 1 << 20;

/// Where the packets of a file are, in their order.
#[derive(Debug, Default)]
pub struct Table(Vec<u64>);

impl Table {
    /// Adds a packet of `len` bytes at byte `at` of the file; 0 bytes stand for a packet that is lost.
    pub fn add(&mut self, at: u64, len: usize) -> Result<(), Refusal> {
        if self.0.len() == MOST_PACKETS {
            return Err(Refusal::Unsupported(format!("it has more than {MOST_PACKETS} packets")));
        }
        if len >= MOST_BYTES || at >= 1 << 44 {
            return Err(Refusal::Malformed(format!("packet {} is of an impossible size", self.0.len())));
        }
        self.0.push(at << 20 | len as u64);
        Ok(())
    }

    /// Place and length of packet `n`.
    pub fn get(&self, n: usize) -> (u64, usize) {
        (self.0[n] >> 20, self.0[n] as usize % MOST_BYTES)
    }

    /// Whether any is lost.
    pub fn has_gaps(&self) -> bool {
        (0..self.len()).any(|n| self.get(n).1 == 0)
    }

    /// Leaves out those at the end that are lost, and answers how many they are.
    pub fn drop_lost_end(&mut self) -> usize {
        let whole = self.0.len();
        let last = (0..self.len()).rev().find(|&n| self.get(n).1 > 0);
        self.0.truncate(last.map_or(0, |last| last + 1));
        whole - self.0.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// What the packets are encoded with.
#[derive(Clone, Debug)]
pub enum Codec {
    /// MPEG audio, layer III.
    Mp3,
    /// AAC-LC, as an audio specific config says, or for ADTS just by channels and rate.
    Aac(Option<Box<[u8]>>),
}

/// What there is to know of a file of packets.
#[derive(Debug)]
pub struct Packets {
    file: File,
    table: Table,
    codec: Codec,
    channels: u16,
    rate: u32,
    /// Frames in each packet.
    duration: u64,
    /// Frames before the first one that is heard: the delay of the encoder.
    skipped: u64,
    frames: u64,
    /// How many packets are decoded at a time.
    segment: usize,
    bytes: Vec<u8>,
    shortage: Option<String>,
}

/// The times of a file of packets.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Frames in each packet.
    pub duration: u64,
    /// Frames at the beginning that are not to be heard.
    pub skipped: u64,
    /// Frames at the end that are not to be heard.
    pub padding: u64,
}

impl Packets {
    /// Reads the packets of `file` that are in `table`.
    pub fn new(
        file: File,
        table: Table,
        codec: Codec,
        (channels, rate): (u16, u32),
        timing: Timing,
    ) -> Result<Self, Refusal> {
        let Timing { duration, skipped, padding } = timing;
        let whole = table.len() as u64 * duration;
        let frames = whole.saturating_sub(skipped).saturating_sub(padding);
        let (segment, bytes) = (SEGMENT, Vec::new());
        let packets = Self {
            file,
            table,
            codec,
            channels,
            rate,
            duration,
            skipped,
            frames,
            segment,
            bytes,
            shortage: None,
        };
        packets.decoder()?;
        Ok(packets)
    }

    /// The same packets, of a file that lacks something at its end. See [`super::decode::Decode::shortage`].
    pub fn with_shortage(self, shortage: Option<String>) -> Self {
        Self { shortage, ..self }
    }

    /// How many frames are heard.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The same packets, all of them decoded one after the other.
    #[cfg(test)]
    pub fn undivided(self) -> Self {
        Self { segment: self.table.len(), ..self }
    }

    /// A decoder in its first state.
    fn decoder(&self) -> Result<Box<dyn AudioDecoder>, Refusal> {
        let mut params = AudioCodecParameters::new();
        params.with_sample_rate(self.rate);
        let decoder: Result<Box<dyn AudioDecoder>, _> = match &self.codec {
            Codec::Mp3 => {
                params.for_codec(CODEC_ID_MP3);
                MpaDecoder::try_new(&params, &Default::default()).map(|decoder| Box::new(decoder) as _)
            }
            Codec::Aac(config) => {
                use symphonia::core::audio::layouts::{CHANNEL_LAYOUT_MONO, CHANNEL_LAYOUT_STEREO};
                params.for_codec(CODEC_ID_AAC).with_channels(match self.channels {
                    1 => CHANNEL_LAYOUT_MONO,
                    _ => CHANNEL_LAYOUT_STEREO,
                });
                if let Some(config) = config {
                    params.with_extra_data(config.clone());
                }
                AacDecoder::try_new(&params, &Default::default()).map(|decoder| Box::new(decoder) as _)
            }
        };
        decoder.map_err(|error| Refusal::Unsupported(format!("it cannot be decoded ({error})")))
    }

    /// How many packets before packet `first` its samples depend on.
    ///
    /// AAC: half of what a packet sounds like is in the one before it. MP3: the data of a packet may begin up to
    /// 511 bytes before it, in the data of those before, and one that is whole must be decoded for its overlap
    /// and for what the filters remember. One more than that is taken.
    fn run_up(&self, first: usize) -> usize {
        /// Head, checksum and side information of a packet, at most.
        const HEAD: usize = 4 + 2 + 32;
        const RESERVOIR: usize = 511;
        const MOST: usize = 64;
        if matches!(self.codec, Codec::Aac(_)) {
            return first.min(2);
        }
        let mut data = 0;
        let before = (0..first.min(MOST)).find(|before| {
            data += self.table.get(first - 1 - before).1.saturating_sub(HEAD);
            data >= RESERVOIR
        });
        before.map_or(MOST, |before| before + 1 + 2).min(first)
    }

    /// Decodes packet `n`; a channel after the other, of `duration` frames. Errors say what is damaged.
    fn decode_packet(
        &mut self,
        decoder: &mut Box<dyn AudioDecoder>,
        n: usize,
        planes: &mut Vec<f32>,
    ) -> Result<(), Fault> {
        let (at, len) = self.table.get(n);
        planes.clear();
        if len == 0 {
            return Err(Fault::Damaged("is missing".into()));
        }
        self.bytes.resize(len, 0);
        if read_at(&self.file, &mut self.bytes, at).map_err(Fault::Io)? < len {
            let shrunk = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it has become shorter");
            return Err(Fault::Io(shrunk));
        }
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(self.duration), &self.bytes);
        let (channels, duration) = (usize::from(self.channels), self.duration as usize);
        let decoded = guarded(|| match decoder.decode_ref(&packet) {
            Ok(GenericAudioBufferRef::F32(buffer))
                if buffer.num_planes() == channels && buffer.frames() >= duration =>
            {
                buffer.iter_planes().for_each(|plane| planes.extend(&plane[..duration]));
                Ok(())
            }
            Ok(_) => Err("cannot be decoded (it is of another form)".to_owned()),
            Err(error) => Err(format!("cannot be decoded ({error})")),
        });
        decoded.unwrap_or_else(|| Err("cannot be decoded (it confuses the decoder)".into())).map_err(|what| {
            planes.clear();
            Fault::Damaged(what)
        })
    }

    /// The frames of the file that packet `n` has, and how many of the packet's come before them.
    fn span(&self, n: usize) -> (Range<u64>, u64) {
        let start = n as u64 * self.duration;
        let end = (start + self.duration).saturating_sub(self.skipped).min(self.frames);
        let first = start.saturating_sub(self.skipped).min(end);
        (first..end, self.skipped.saturating_sub(start).min(self.duration))
    }
}

impl Segmented for Packets {
    fn info(&self) -> FileInfo {
        FileInfo { channels: self.channels, rate: self.rate, frames: self.frames }
    }

    fn shortage(&self) -> Option<String> {
        self.shortage.clone()
    }

    fn segment(&self, at: u64) -> Segment {
        let number = ((at + self.skipped) / self.duration) as usize / self.segment;
        let last = ((number + 1) * self.segment).min(self.table.len()) - 1;
        Segment::Sound(number, self.span(number * self.segment).0.start..self.span(last).0.end)
    }

    fn decode(&mut self, number: usize, out: &mut [f32]) -> Result<(), Fault> {
        let first = number * self.segment;
        let last = (first + self.segment).min(self.table.len());
        let begin = self.span(first).0.start;
        let stride = out.len() / usize::from(self.channels);
        let fresh = |packets: &Self| {
            packets.decoder().map_err(|_| Fault::Damaged("there is no decoder for it".into()))
        };
        let mut decoder = fresh(self)?;
        let mut planes = Vec::new();
        let mut damage = None;
        for n in first - self.run_up(first)..last {
            let decoded = self.decode_packet(&mut decoder, n, &mut planes);
            match decoded {
                Ok(()) => {}
                Err(Fault::Damaged(what)) => {
                    // A decoder that has failed in any way may be in any state.
                    decoder = fresh(self)?;
                    let (span, _) = self.span(n);
                    if n >= first && !span.is_empty() {
                        damage.get_or_insert(format!("what is at frame {} {what}", span.start));
                    }
                    continue;
                }
                Err(fault) => return Err(fault),
            }
            if n < first {
                continue;
            }
            let (span, skipped) = self.span(n);
            let target = (span.start - begin) as usize..(span.end - begin) as usize;
            let sources = planes.chunks_exact(self.duration as usize);
            for (source, out) in sources.zip(out.chunks_exact_mut(stride)) {
                out[target.clone()].copy_from_slice(&source[skipped as usize..][..target.len()]);
            }
        }
        damage.map_or(Ok(()), |what| Err(Fault::Damaged(what)))
    }
}
