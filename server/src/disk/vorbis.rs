//! Samples of Ogg Vorbis files.
//!
//! symphonia decodes; pages are read here, since its demuxer's search for a place can go on for ever in a file of
//! several streams.

use std::fmt;
use std::fs::File;
use std::ops::Range;

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::VorbisDecoder;

use super::decode::{Fault, FileInfo, guarded};
use super::ogg::{Page, next_page, page_at};
use super::refusal::Refusal;
use super::segments::{Segment, Segmented};
use super::window::Window;

/// How many frames are decoded at a time, at least.
const SEGMENT: u64 = 1 << 14;
/// The most pages of a file. They take 24 MiB, and a day of sound has fewer.
const MOST_PAGES: usize = 1 << 20;
/// The most bytes of a packet; the largest is that with the pictures among the tags.
const MOST_BYTES: usize = 1 << 24;

/// A page with sound.
#[derive(Clone, Copy, Debug)]
struct Sound {
    /// The byte at which it begins.
    at: u64,
    /// The first of the frames that end in it.
    start: u64,
    /// How many packets end in it.
    ends: u8,
    continued: bool,
}

/// Pages that are decoded together.
#[derive(Clone, Debug)]
struct Stretch {
    start: u64,
    /// None for frames that are missing.
    pages: Range<usize>,
}

/// An open Ogg Vorbis file. Frames are counted from the first one that is decoded; those before [`Vorbis::cut`] are
/// not heard.
pub struct Vorbis {
    file: File,
    info: FileInfo,
    cut: u64,
    end: u64,
    /// Whether the page that is marked as the last is there.
    whole: bool,
    pages: Vec<Sound>,
    stretches: Vec<Stretch>,
    lengths: Lengths,
    params: AudioCodecParameters,
    bytes: Vec<u8>,
}

impl fmt::Debug for Vorbis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vorbis").field("file", &self.file).field("info", &self.info).finish_non_exhaustive()
    }
}

impl Vorbis {
    /// Reads all pages of `file`, which is `len` bytes long.
    pub fn open(file: File, len: u64) -> Result<Self, Refusal> {
        let mut window = Window::new(&file, len);
        let (serial, identity, at) = find_stream(&mut window)?;
        let (setup, at) = read_setup(&mut window, serial, at)?;
        let lengths = Lengths::new(&identity, &setup)?;
        let [channels, rate @ ..] = [11, 12, 13, 14, 15].map(|n| identity[n]);
        let rate = u32::from_le_bytes(rate);
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_VORBIS).with_sample_rate(rate);
        params.with_extra_data([identity, setup].concat().into());
        let info = FileInfo { channels: u16::from(channels), rate, frames: 0 };
        let (pages, stretches, bytes) = (Vec::new(), Vec::new(), Vec::new());
        let (file, whole) = (file.try_clone()?, false);
        let mut vorbis = Self { file, info, cut: 0, end: 0, whole, pages, stretches, lengths, params, bytes };
        vorbis.decoder().map_err(|error| match error {
            symphonia::core::errors::Error::Unsupported(what) => {
                Refusal::Unsupported(format!("it cannot be decoded ({what})"))
            }
            error => Refusal::Malformed(error.to_string()),
        })?;
        vorbis.scan(&mut window, serial, at)?;
        Ok(vorbis)
    }

    /// The same pages, all of them decoded one after the other. None may be missing.
    #[cfg(test)]
    pub fn undivided(self) -> Self {
        Self { stretches: vec![Stretch { start: 0, pages: 0..self.pages.len() }], ..self }
    }

    fn decoder(&self) -> Result<VorbisDecoder, symphonia::core::errors::Error> {
        VorbisDecoder::try_new(&self.params, &Default::default())
    }

    /// Finds the pages with sound of stream `serial` from byte `at` on, and which frames end in them.
    ///
    /// Where a frame is follows from how long the packets before it are. What the pages say of it is only used where
    /// that is not known: where pages are lost, and for what is to be cut off at the beginning and the end. Some
    /// encoders say what is not so.
    fn scan(&mut self, window: &mut Window<'_>, serial: u32, at: u64) -> Result<(), Refusal> {
        let mut reader = PacketReader::default();
        let mut at = at;
        // What is to be added to what pages say to get a number of ours, once that is known.
        let mut shift = None;
        let (mut first, mut start) = (0, 0);
        while let Some((place, page)) = next_page(window, at)? {
            at = place + page.len as u64;
            // What begins anew behind the first stream is another one.
            if page.first {
                break;
            }
            if page.serial != serial {
                continue;
            }
            if self.pages.len() == MOST_PAGES {
                return Err(Refusal::Unsupported(format!("it has more than {MOST_PAGES} pages")));
            }
            let lost = reader.begin(&page);
            if lost {
                self.lengths.forget();
            }
            let mut frames = 0;
            let (bytes, lengths) = (window.at(place, page.len)?, &mut self.lengths);
            reader.read(&page, bytes, &mut |packet| frames += lengths.next(packet));
            let stated = page.granule.filter(|_| page.ends() > 0);
            let mut begin = self.end;
            if let (Some(stated), Some(shift)) = (stated, shift)
                && lost
            {
                let stated = i128::from(stated) + shift - i128::from(frames);
                begin = begin.max(u64::try_from(stated).unwrap_or(0));
            }
            let n = self.pages.len();
            if begin > self.end {
                self.close(start, first..n);
                self.stretches.push(Stretch { start: self.end, pages: n..n });
                (first, start) = (n, begin);
            } else if begin - start >= SEGMENT {
                self.close(start, first..n);
                (first, start) = (n, begin);
            }
            let ends = u8::try_from(page.ends()).unwrap_or(u8::MAX);
            self.pages.push(Sound { at: place, start: begin, ends, continued: page.continued });
            self.end = begin.saturating_add(frames);
            if let Some(stated) = stated {
                let known = shift.is_some();
                // A stream of a single page begins at 0.
                let found = if page.last { 0 } else { i128::from(self.end) - i128::from(stated) };
                let shift = *shift.get_or_insert(found);
                if !known {
                    self.cut = u64::try_from(shift).unwrap_or(0);
                }
                let last = u64::try_from(i128::from(stated) + shift).unwrap_or(0);
                if page.last && (begin..self.end).contains(&last) {
                    self.end = last;
                }
            }
            if page.last {
                self.whole = true;
                break;
            }
        }
        self.close(start, first..self.pages.len());
        self.info.frames = self.end.saturating_sub(self.cut);
        Ok(())
    }

    fn close(&mut self, start: u64, pages: Range<usize>) {
        if self.end > start && !pages.is_empty() {
            self.stretches.push(Stretch { start, pages });
        }
    }

    /// The page with which decoding must begin so that page `first` is whole: half of what a packet sounds like
    /// is in the one before it. One more than that is taken.
    fn run_up(&self, first: usize) -> usize {
        let mut packets = 0;
        for n in (0..first).rev() {
            let page = self.pages[n];
            packets += usize::from(page.ends);
            if packets >= 2 + usize::from(page.continued) {
                return n;
            }
        }
        0
    }
}

impl Segmented for Vorbis {
    fn info(&self) -> FileInfo {
        self.info
    }

    fn shortage(&self) -> Option<String> {
        (!self.whole).then(|| "its last page is not there; the rest is silent".into())
    }

    fn segment(&self, at: u64) -> Segment {
        let number = self.stretches.partition_point(|stretch| stretch.start <= at + self.cut) - 1;
        let Stretch { start, pages } = self.stretches[number].clone();
        let end = self.stretches.get(number + 1).map_or(self.end, |next| next.start);
        let range = start.saturating_sub(self.cut)..end.saturating_sub(self.cut);
        if pages.is_empty() { Segment::Missing(range) } else { Segment::Sound(number, range) }
    }

    fn decode(&mut self, number: usize, out: &mut [f32]) -> Result<(), Fault> {
        let Stretch { start, pages } = self.stretches[number].clone();
        let begin = start.max(self.cut);
        let stride = out.len() / usize::from(self.info.channels);
        let mut unit = Unit {
            decoder: self.decoder().map_err(|error| Fault::Damaged(error.to_string()))?,
            lengths: self.lengths.clone(),
            planes: vec![Vec::new(); usize::from(self.info.channels)],
        };
        unit.lengths.forget();
        let mut reader = PacketReader::default();
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut damage = None;
        for n in self.run_up(pages.start)..pages.end {
            let Some(page) = page_at(&self.file, self.pages[n].at, &mut bytes).map_err(Fault::Io)? else {
                damage.get_or_insert("a page cannot be read any more".to_owned());
                continue;
            };
            if reader.begin(&page) {
                unit.forget();
            }
            let mut at = self.pages[n].start;
            reader.read(&page, &bytes, &mut |packet| {
                let (length, decoded) = unit.decode(packet);
                let end = at + length;
                if n >= pages.start {
                    if let Err(what) = decoded {
                        damage.get_or_insert(format!("the packet at frame {at} cannot be decoded ({what})"));
                    }
                    // What is not heard, at either end, is left out.
                    let target = at.max(begin)..end.min(begin + stride as u64);
                    if target.start < target.end && unit.planes[0].len() as u64 == length {
                        let source = (target.start - at) as usize..(target.end - at) as usize;
                        let target = (target.start - begin) as usize..(target.end - begin) as usize;
                        for (plane, out) in unit.planes.iter().zip(out.chunks_exact_mut(stride)) {
                            out[target.clone()].copy_from_slice(&plane[source.clone()]);
                        }
                    }
                }
                at = end;
            });
        }
        self.bytes = bytes;
        damage.map_or(Ok(()), |what| Err(Fault::Damaged(what)))
    }
}

/// A decoder, and what it must make of each packet.
struct Unit {
    decoder: VorbisDecoder,
    lengths: Lengths,
    /// What came of the last packet, by channel.
    planes: Vec<Vec<f32>>,
}

impl Unit {
    /// Begins anew.
    fn forget(&mut self) {
        self.decoder.reset();
        self.lengths.forget();
    }

    /// Decodes `packet` to `planes`. Answers how many frames it has, whether or not they could be decoded.
    fn decode(&mut self, packet: &[u8]) -> (u64, Result<(), String>) {
        let length = self.lengths.next(packet);
        self.planes.iter_mut().for_each(Vec::clear);
        if !is_sound(packet) {
            return (length, Ok(()));
        }
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
        let decoded = guarded(|| match self.decoder.decode_ref(&packet) {
            Ok(GenericAudioBufferRef::F32(buffer))
                if buffer.frames() as u64 == length && buffer.num_planes() >= self.planes.len() =>
            {
                for (samples, plane) in self.planes.iter_mut().zip(buffer.iter_planes()) {
                    samples.extend(plane);
                }
                Ok(())
            }
            // After a packet that could not be decoded, the next has no sound of its own.
            Ok(buffer) if buffer.frames() == 0 => Ok(()),
            Ok(_) => Err("it is of another form".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        let decoded = decoded.unwrap_or_else(|| Err("it confuses the decoder".into()));
        if decoded.is_err() {
            self.decoder.reset();
        }
        (length, decoded)
    }
}

/// Puts packets together from the pages of a stream.
#[derive(Debug, Default)]
struct PacketReader {
    packet: Vec<u8>,
    sequence: Option<u32>,
}

impl PacketReader {
    /// To be told each page before it is read. Answers whether pages are missing before it.
    fn begin(&mut self, page: &Page) -> bool {
        let before = self.sequence.replace(page.sequence);
        let lost = before.is_some_and(|before| before.wrapping_add(1) != page.sequence);
        if lost || !page.continued {
            self.packet.clear();
        }
        lost
    }

    /// Gives the packets that end in `page`, whose bytes are `bytes`, to `take`.
    fn read(&mut self, page: &Page, bytes: &[u8], take: &mut dyn FnMut(&[u8])) {
        // The rest of a packet is of no use without its beginning.
        let useless = usize::from(page.continued && self.packet.is_empty());
        for (part, ends) in page.parts(bytes).skip(useless) {
            if self.packet.len() + part.len() <= MOST_BYTES {
                self.packet.extend(part);
            }
            if ends {
                take(&self.packet);
                self.packet.clear();
            }
        }
    }
}

/// Whether `packet` has sound, and is not a head in the wrong place, or nothing.
fn is_sound(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte & 1 == 0)
}

/// How many frames the packets of a stream have.
#[derive(Clone, Debug)]
struct Lengths {
    /// Frames of a short block and of a long one.
    blocks: [u64; 2],
    /// Whether the blocks of each mode are long.
    modes: Vec<bool>,
    /// Frames of the last block.
    last: Option<u64>,
}

impl Lengths {
    /// Reads the first and the third packet of a stream.
    fn new(identity: &[u8], setup: &[u8]) -> Result<Self, Refusal> {
        let malformed = || Refusal::Malformed("its head makes no sense".into());
        let sizes = identity.get(28).ok_or_else(malformed)?;
        let blocks = [sizes & 0xf, sizes >> 4].map(|exponent| 1 << exponent);
        Ok(Self { blocks, modes: modes(setup).ok_or_else(malformed)?, last: None })
    }

    /// Begins anew.
    fn forget(&mut self) {
        self.last = None;
    }

    /// How many frames come of the next packet: those from the middle of the block before to the middle of its own
    /// (Vorbis I, 4.3.8).
    fn next(&mut self, packet: &[u8]) -> u64 {
        let Some(byte) = packet.first().filter(|_| is_sound(packet)) else { return 0 };
        let bits = (self.modes.len() - 1).checked_ilog2().map_or(0, |log| log + 1);
        let mode = usize::from(byte >> 1) & ((1 << bits) - 1);
        let Some(&long) = self.modes.get(mode) else {
            self.last = None;
            return 0;
        };
        let block = self.blocks[usize::from(long)];
        self.last.replace(block).map_or(0, |last| (last + block) / 4)
    }
}

/// Whether the blocks of each mode are long, of the modes in a setup packet.
///
/// They are its end, and what is before them can only be skipped by decoding it. So they are read from the end:
/// a bit that is set, then modes of 41 bits of which 32 are 0, as many as the 6 bits before them say.
fn modes(setup: &[u8]) -> Option<Vec<bool>> {
    const MODE: usize = 41;
    let bits = |at: usize, count: usize| {
        (0..count).fold(0u64, |value, n| value | u64::from(setup[(at + n) / 8] >> ((at + n) % 8) & 1) << n)
    };
    let mut at = (0..setup.len() * 8).rev().find(|&at| bits(at, 1) == 1)?;
    let (mut long, mut found) = (Vec::new(), None);
    while long.len() < 64 && at >= MODE + 6 {
        at -= MODE;
        if bits(at + 1, 32) != 0 || bits(at + 33, 8) >= 64 {
            break;
        }
        long.push(bits(at, 1) == 1);
        if bits(at - 6, 6) as usize + 1 == long.len() {
            found = Some(long.len());
        }
    }
    long.truncate(found?);
    long.reverse();
    Some(long)
}

/// Finds the first Vorbis stream: its number, its first packet, and where the pages go on.
fn find_stream(window: &mut Window<'_>) -> Result<(u32, Vec<u8>, u64), Refusal> {
    /// All streams of a file begin at its beginning.
    const MOST_STREAMS: usize = 64;
    let mut others = Vec::new();
    let mut at = 0;
    for _ in 0..MOST_STREAMS {
        let Some((place, page)) = next_page(window, at)?.filter(|(_, page)| page.first) else { break };
        at = place + page.len as u64;
        let bytes = window.at(place, page.len)?;
        let packet = page.parts(bytes).next().map_or(&[][..], |(packet, _)| packet);
        if packet.starts_with(b"\x01vorbis") {
            return Ok((page.serial, packet.to_vec(), at));
        }
        others.push(name(packet));
    }
    match &others[..] {
        [] => Err(Refusal::Malformed("its first page is damaged".into())),
        [other, ..] => Err(Refusal::Unsupported(format!("its samples are {other} in Ogg"))),
    }
}

fn name(packet: &[u8]) -> &'static str {
    match packet {
        [b'O', b'p', b'u', b's', ..] => "Opus",
        [0x7f, b'F', b'L', b'A', b'C', ..] => "FLAC",
        [b'S', b'p', b'e', b'e', b'x', ..] => "Speex",
        [0x80, b't', b'h', b'e', b'o', b'r', b'a', ..] => "Theora",
        _ => "of an unknown form",
    }
}

/// Reads the packets of stream `serial` up to the one that says how to decode, and answers that, and where pages
/// go on.
fn read_setup(window: &mut Window<'_>, serial: u32, at: u64) -> Result<(Vec<u8>, u64), Refusal> {
    let cut = || Refusal::Malformed("its head is cut short".into());
    let mut at = at;
    let (mut packet, mut packets) = (Vec::new(), 0);
    loop {
        let (place, page) = next_page(window, at)?.ok_or_else(cut)?;
        at = place + page.len as u64;
        if page.serial != serial {
            continue;
        }
        let bytes = window.at(place, page.len)?;
        for (part, ends) in page.parts(bytes) {
            packet.extend(part);
            if packet.len() > MOST_BYTES {
                return Err(Refusal::Malformed("a packet of its head has no end".into()));
            }
            if !ends {
                continue;
            }
            packets += 1;
            if packets == 2 {
                return Ok((packet, at));
            }
            packet.clear();
        }
    }
}
