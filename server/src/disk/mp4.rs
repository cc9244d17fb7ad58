//! Sound in MP4 files: where its packets are, and which of it is to be heard (ISO 14496-12 and -14).
//!
//! Read here and not by symphonia, whose reader leaves out edit lists, so that the delay of the encoder would be
//! heard, and which can be kept busy for hours by tables made for that.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::ops::Range;

use super::decode::{lacking, read_at};
use super::mpeg;
use super::packets::{Codec, Packets, Table, Timing};
use super::refusal::Refusal;

/// The most boxes that are looked at, one that is come to several times counted as often. Sound that is not in fragments
/// takes some hundred.
const MOST_BOXES: usize = 1 << 16;
/// How much is read at once; boxes that are small lie close together.
const WINDOW: usize = 1 << 13;
/// The most entries of a table.
const MOST_ENTRIES: usize = 1 << 22;

/// A part of the file, which holds tables or other parts.
#[derive(Clone, Debug)]
struct Atom {
    kind: [u8; 4],
    body: Range<u64>,
}

/// Fills a buffer from a place of the file on, and answers how many bytes there were.
type Read<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<usize>;

/// The file, to be read from, and what is left of the work that it may cause.
struct Source<'a> {
    read: Read<'a>,
    /// Where the window begins, and what is in it.
    window: RefCell<(u64, Vec<u8>)>,
    /// How many boxes may still be looked at.
    boxes: Cell<usize>,
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(what.into())
}

impl<'a> Source<'a> {
    fn new(read: Read<'a>) -> Self {
        Self { read, window: RefCell::default(), boxes: Cell::new(MOST_BOXES) }
    }

    /// What `look` makes of the boxes that lie in `range`, one after the other until there is something.
    fn look<T>(
        &self,
        range: Range<u64>,
        mut look: impl FnMut(Atom) -> Result<Option<T>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let mut at = range.start;
        while at < range.end {
            let left = self.boxes.get().checked_sub(1);
            let left =
                left.ok_or_else(|| Refusal::Unsupported(format!("it has more than {MOST_BOXES} boxes")))?;
            self.boxes.set(left);
            let head = self.bytes(&(at..at.saturating_add(16)), 16)?;
            if head.len() < 8 {
                break;
            }
            let (body, size) = match u32_at(&head, 0) {
                0 => (8, range.end - at),
                1 if head.len() == 16 => (16, u64_at(&head, 8)),
                size => (8, u64::from(size)),
            };
            if size < body {
                break;
            }
            let end = at.saturating_add(size).min(range.end);
            let kind = [head[4], head[5], head[6], head[7]];
            let found = look(Atom { kind, body: (at + body).min(end)..end })?;
            if found.is_some() {
                return Ok(found);
            }
            at = end;
        }
        Ok(None)
    }

    /// The first box at the end of `path` below `range`.
    fn find(&self, range: &Range<u64>, path: &[&[u8; 4]]) -> Result<Option<Range<u64>>, Refusal> {
        let mut range = range.clone();
        for kind in path {
            let found = self.look(range, |atom| Ok((atom.kind == **kind).then_some(atom.body)))?;
            let Some(body) = found else { return Ok(None) };
            range = body;
        }
        Ok(Some(range))
    }

    /// The bytes of `range`, at most `most` of them.
    fn bytes(&self, range: &Range<u64>, most: u64) -> Result<Vec<u8>, Refusal> {
        let len = range.end.saturating_sub(range.start).min(most) as usize;
        if len > WINDOW {
            let mut bytes = vec![0; len];
            let read = (self.read)(&mut bytes, range.start)?;
            bytes.truncate(read);
            return Ok(bytes);
        }
        let (start, window) = &mut *self.window.borrow_mut();
        let held = |start: u64, window: &[u8]| {
            let from = usize::try_from(range.start.checked_sub(start)?).ok()?;
            window.get(from..from.checked_add(len)?).map(<[u8]>::to_vec)
        };
        if let Some(bytes) = held(*start, window) {
            return Ok(bytes);
        }
        window.resize(WINDOW, 0);
        let read = (self.read)(window, range.start);
        window.truncate(*read.as_ref().unwrap_or(&0));
        *start = range.start;
        read?;
        Ok(window[..len.min(window.len())].to_vec())
    }

    /// The entries of `N` bytes of a table, which follow their number.
    fn table<const N: usize>(&self, range: &Range<u64>) -> Result<Vec<[u8; N]>, Refusal> {
        let head = self.bytes(range, 8)?;
        let count = head.get(4..8).map_or(0, |count| u32_at(count, 0) as usize);
        if count > MOST_ENTRIES {
            return Err(Refusal::Unsupported(format!("it has more than {MOST_ENTRIES} packets")));
        }
        let entries = range.start.saturating_add(8).min(range.end)..range.end;
        let bytes = self.bytes(&entries, (count * N) as u64)?;
        let (entries, _) = bytes.as_chunks::<N>();
        if entries.len() < count {
            return Err(malformed("one of its tables is cut short"));
        }
        Ok(entries.to_vec())
    }
}

/// Opens the sound of `file`, which is `len` bytes long: its first track of AAC or MP3.
pub fn open(file: File, len: u64) -> Result<Packets, Refusal> {
    let Found { table, codec, form, timing, promised } =
        parse(&Source::new(&|buffer, at| read_at(&file, buffer, at)), len)?;
    let packets = Packets::new(file, table, codec, form, timing)?;
    let shortage = lacking(packets.frames(), promised);
    Ok(packets.with_shortage(shortage))
}

/// What there is to know of the packets of a track.
#[derive(Debug)]
struct Found {
    table: Table,
    codec: Codec,
    /// Channels and rate.
    form: (u16, u32),
    timing: Timing,
    /// The frames that there would be if nothing were lost.
    promised: u64,
}

/// Finds the first track of AAC or MP3.
fn parse(source: &Source<'_>, len: u64) -> Result<Found, Refusal> {
    let movie = source
        .find(&(0..len), &[b"moov"])?
        .ok_or_else(|| malformed("it does not say where its sound is, which recorders write last"))?;
    // The tables of such a file say nothing, or say where its first fragment is.
    if source.find(&movie, &[b"mvex"])?.is_some() || source.find(&(0..len), &[b"moof"])?.is_some() {
        return Err(Refusal::Unsupported("its sound is in fragments".into()));
    }
    let mut other = None;
    let found = source.look(movie.clone(), |track| {
        if track.kind != *b"trak" {
            return Ok(None);
        }
        let handler = source.find(&track.body, &[b"mdia", b"hdlr"])?;
        let handler = handler.map(|range| source.bytes(&range, 12)).transpose()?.unwrap_or_default();
        if handler.get(8..12) != Some(&b"soun"[..]) {
            return Ok(None);
        }
        let description = match source.description(&track.body)? {
            Ok(description) => description,
            Err(kind) => {
                other.get_or_insert(kind);
                return Ok(None);
            }
        };
        let mut table = source.packets(&track.body, len)?;
        let whole = table.len() as u64;
        let lost = table.drop_lost_end() as u64;
        if lost == whole {
            return Err(malformed("it ends before its sound"));
        }
        let sound = match description {
            Description::Told(sound) => sound,
            Description::Mp3 => {
                let (at, len) = table.get(0);
                let (channels, rate, duration) = mpeg::form(&source.bytes(&(at..at + len as u64), 4)?)
                    .ok_or_else(|| malformed("its first packet is damaged"))?;
                Sound { codec: Codec::Mp3, channels, rate, duration }
            }
        };
        let mut timing = source.timing(&movie, &track.body, &sound, whole)?;
        let Sound { codec, channels, rate, duration } = sound;
        let promised = (whole * duration).saturating_sub(timing.skipped).saturating_sub(timing.padding);
        timing.padding = timing.padding.saturating_sub(lost * duration);
        Ok(Some(Found { table, codec, form: (channels, rate), timing, promised }))
    })?;
    found.ok_or_else(|| Refusal::Unsupported(other.unwrap_or_else(|| "it has no sound".into())))
}

/// What a track says of its packets.
enum Description {
    Told(Sound),
    /// They say it themselves, and what the track says of channels and rate is often not so.
    Mp3,
}

/// How the packets of a track are to be decoded.
struct Sound {
    codec: Codec,
    channels: u16,
    rate: u32,
    /// Frames in each packet.
    duration: u64,
}

impl Source<'_> {
    /// How `track` is to be decoded, or why it cannot be.
    fn description(&self, track: &Range<u64>) -> Result<Result<Description, String>, Refusal> {
        let kinds = self.find(track, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        let kinds = kinds.ok_or_else(|| malformed("it does not say the form of its samples"))?;
        let Some(entry) = self.look(kinds.start + 8..kinds.end, |atom| Ok(Some(atom)))? else {
            return Err(malformed("it does not say the form of its samples"));
        };
        if entry.kind != *b"mp4a" {
            let kind = entry.kind.escape_ascii();
            return Ok(Err(format!("its samples are of the form \"{kind}\" in MP4")));
        }
        let head = self.bytes(&entry.body, 28)?;
        // QuickTime has longer heads.
        let head_len = match head.get(8..10) {
            Some([0, 1]) => 28 + 16,
            Some([0, 2]) => 28 + 36,
            Some(_) => 28,
            None => return Err(malformed("it does not say the form of its samples")),
        };
        let inner = entry.body.start.saturating_add(head_len)..entry.body.end;
        let stream = match self.find(&inner, &[b"esds"])? {
            Some(stream) => Some(stream),
            None => self.find(&inner, &[b"wave", b"esds"])?,
        };
        let stream = stream.ok_or_else(|| malformed("it does not say how its sound is encoded"))?;
        let stream = self.bytes(&stream, 4_096)?;
        let (object, config) =
            elementary(&stream).ok_or_else(|| malformed("it does not say how its sound is encoded"))?;
        match object {
            0x40 | 0x66..=0x68 => Ok(aac(config).map(Description::Told)),
            0x69 | 0x6b => Ok(Ok(Description::Mp3)),
            other => Ok(Err(format!("its samples are of the form {other:#04x} in MP4"))),
        }
    }

    /// Where the packets of `track` are.
    fn packets(&self, track: &Range<u64>, len: u64) -> Result<Table, Refusal> {
        let samples = self.find(track, &[b"mdia", b"minf", b"stbl"])?;
        let samples = samples.ok_or_else(|| malformed("it has no samples"))?;
        let places = self.find(&samples, &[b"stco"])?;
        let places: Vec<u64> = match places {
            Some(places) => {
                self.table(&places)?.iter().map(|at| u64::from(u32::from_be_bytes(*at))).collect()
            }
            None => {
                let places = self.find(&samples, &[b"co64"])?;
                let places = places.ok_or_else(|| malformed("it has no samples"))?;
                self.table(&places)?.iter().map(|at| u64::from_be_bytes(*at)).collect()
            }
        };
        let sizes = self.find(&samples, &[b"stsz"])?.ok_or_else(|| malformed("it has no samples"))?;
        let sizes = Sizes::read(self, &sizes)?;
        if sizes.count() == 0 {
            return Err(Refusal::Empty);
        }
        let groups = self.find(&samples, &[b"stsc"])?.ok_or_else(|| malformed("it has no samples"))?;
        locate(&places, &self.table(&groups)?, &sizes, len)
    }

    /// What of `packets` packets is to be heard.
    fn timing(
        &self,
        movie: &Range<u64>,
        track: &Range<u64>,
        sound: &Sound,
        packets: u64,
    ) -> Result<Timing, Refusal> {
        let Sound { duration, rate, .. } = *sound;
        let rate = u64::from(rate);
        let mut timing = Timing { duration, skipped: 0, padding: 0 };
        let ticks = |range: Option<Range<u64>>| -> Result<u64, Refusal> {
            let bytes = range.map(|range| self.bytes(&range, 32)).transpose()?.unwrap_or_default();
            // The second version has times of 64 bits.
            let at = if bytes.first() == Some(&1) { 20 } else { 12 };
            let ticks = bytes.get(at..at + 4).map_or(0, |ticks| u64::from(u32_at(ticks, 0)));
            if ticks == 0 { Err(malformed("its time does not go on")) } else { Ok(ticks) }
        };
        let media_ticks = ticks(self.find(track, &[b"mdia", b"mdhd"])?)?;
        let movie_ticks = ticks(self.find(movie, &[b"mvhd"])?)?;
        let whole = packets * duration;
        let to_frames = |ticks: u64, per_second: u64| -> u64 {
            let frames = u128::from(ticks) * u128::from(rate) / u128::from(per_second);
            u64::try_from(frames).unwrap_or(u64::MAX)
        };
        // The last packet may be said to be shorter than it is.
        let stated = match self.find(track, &[b"mdia", b"minf", b"stbl", b"stts"])? {
            Some(times) => self.table::<8>(&times)?.iter().fold(0u64, |sum, entry| {
                sum.saturating_add(u64::from(u32_at(entry, 0)) * u64::from(u32_at(entry, 4)))
            }),
            None => 0,
        };
        let stated = to_frames(stated, media_ticks);
        let end = if (whole.saturating_sub(duration)..whole).contains(&stated) { stated } else { whole };
        timing.padding = whole - end;
        let edits = match self.find(track, &[b"edts", b"elst"])? {
            Some(edits) => self.edits(&edits)?,
            None => Vec::new(),
        };
        if let [(length, from), ..] = edits[..] {
            timing.skipped = to_frames(from, media_ticks).min(whole);
            // Films count in larger steps than sound: less than one of them is no cut.
            let (length, step) = (to_frames(length, movie_ticks), to_frames(1, movie_ticks) + 1);
            let last = timing.skipped.saturating_add(length).saturating_add(step);
            if edits.len() == 1 && length > 0 && last < end {
                timing.padding = whole - (last - step);
            }
        }
        if timing.skipped == 0
            && let Some((delay, padding)) = self.apples_note(movie)?
        {
            timing.skipped = delay.min(whole);
            timing.padding = padding.min(whole);
        }
        Ok(timing)
    }

    /// The edits of a list that show something: their lengths in the movie's time, and where they begin in the
    /// track's.
    fn edits(&self, range: &Range<u64>) -> Result<Vec<(u64, u64)>, Refusal> {
        let long = self.bytes(range, 1)?.first() == Some(&1);
        let edits: Vec<(u64, i64)> = if long {
            self.table::<20>(range)?.iter().map(|e| (u64_at(e, 0), u64_at(e, 8) as i64)).collect()
        } else {
            self.table::<12>(range)?
                .iter()
                .map(|e| (u64::from(u32_at(e, 0)), i64::from(u32_at(e, 4) as i32)))
                .collect()
        };
        Ok(edits.into_iter().filter_map(|(length, from)| Some((length, u64::try_from(from).ok()?))).collect())
    }

    /// Delay and padding of the encoder as iTunes notes them among the tags.
    fn apples_note(&self, movie: &Range<u64>) -> Result<Option<(u64, u64)>, Refusal> {
        let Some(meta) = self.find(movie, &[b"udta", b"meta"])? else { return Ok(None) };
        let Some(list) = self.find(&(meta.start + 4..meta.end), &[b"ilst"])? else { return Ok(None) };
        self.look(list, |tag| {
            if tag.kind != *b"----" {
                return Ok(None);
            }
            let name = self.find(&tag.body, &[b"name"])?;
            let name = name.map(|range| self.bytes(&range, 64)).transpose()?.unwrap_or_default();
            if name.get(4..) != Some(&b"iTunSMPB"[..]) {
                return Ok(None);
            }
            let data = self.find(&tag.body, &[b"data"])?;
            let data = data.map(|range| self.bytes(&range, 256)).transpose()?.unwrap_or_default();
            let text = String::from_utf8_lossy(data.get(8..).unwrap_or_default()).into_owned();
            let mut fields = text.split_whitespace().map(|field| u64::from_str_radix(field, 16));
            match (fields.next(), fields.next(), fields.next()) {
                (Some(Ok(_)), Some(Ok(delay)), Some(Ok(padding))) => Ok(Some((delay, padding))),
                _ => Ok(None),
            }
        })
    }
}

/// How long packets are.
enum Sizes {
    Same(u32, usize),
    Each(Vec<[u8; 4]>),
}

impl Sizes {
    fn read(source: &Source<'_>, range: &Range<u64>) -> Result<Self, Refusal> {
        let head = source.bytes(range, 12)?;
        if head.len() < 12 {
            return Err(malformed("one of its tables is cut short"));
        }
        match u32_at(&head, 4) {
            0 => Ok(Self::Each(source.table(&(range.start + 4..range.end))?)),
            size => Ok(Self::Same(size, u32_at(&head, 8) as usize)),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Same(_, count) => *count,
            Self::Each(sizes) => sizes.len(),
        }
    }

    fn get(&self, n: usize) -> u32 {
        match self {
            Self::Same(size, _) => *size,
            Self::Each(sizes) => sizes.get(n).map_or(0, |size| u32::from_be_bytes(*size)),
        }
    }
}

/// The places of all packets: chunks of them begin at `places`, and from which on there are how many in a chunk is
/// in `groups`. What lies behind the end of the file is lost.
fn locate(places: &[u64], groups: &[[u8; 12]], sizes: &Sizes, len: u64) -> Result<Table, Refusal> {
    let mut table = Table::default();
    let mut group = 0;
    for (chunk, place) in places.iter().enumerate() {
        while groups.get(group + 1).is_some_and(|next| u32_at(next, 0) as usize <= chunk + 1) {
            group += 1;
        }
        let count = groups.get(group).map_or(0, |group| u32_at(group, 4));
        let mut at = *place;
        for _ in 0..count {
            if table.len() == sizes.count() {
                return Ok(table);
            }
            let size = u64::from(sizes.get(table.len()));
            let end = at.saturating_add(size);
            if end <= len {
                table.add(at, size as usize)?;
            } else {
                table.add(0, 0)?;
            }
            at = end;
        }
    }
    if table.len() == 0 { Err(Refusal::Empty) } else { Ok(table) }
}

/// The kind of the stream that a box describes, and what its decoder is told.
fn elementary(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, body, _) = descriptor(bytes.get(4..)?)?;
    let flags = *body.get(2)?;
    let mut at = 3 + if flags & 0x80 != 0 { 2 } else { 0 };
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*body.get(at)?);
    }
    at += if flags & 0x20 != 0 { 2 } else { 0 };
    let (config, body, _) = descriptor(body.get(at..)?)?;
    if (tag, config) != (3, 4) {
        return None;
    }
    let object = *body.first()?;
    let told = match descriptor(body.get(13..)?) {
        Some((5, told, _)) => told,
        _ => &[],
    };
    Some((object, told))
}

/// The first descriptor of `bytes`: its tag, its body, and what follows.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, mut rest) = bytes.split_first()?;
    let mut len = 0;
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        len = len << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (body, rest) = rest.split_at_checked(len)?;
    Some((tag, body, rest))
}

/// Reads an audio specific config (ISO 14496-3, 1.6.2.1).
fn aac(config: &[u8]) -> Result<Sound, String> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    let &[first, second, ..] = config else {
        return Err("its samples are AAC that does not say of which kind".into());
    };
    match first >> 3 {
        2 => {}
        5 | 29 => return Err("its samples are AAC of the kind HE".into()),
        _ => return Err("its samples are AAC of another kind than LC".into()),
    }
    let index = usize::from((first & 7) << 1 | second >> 7);
    let (rate, channels) = match (RATES.get(index), config) {
        (Some(rate), _) => (*rate, second >> 3 & 0xf),
        (None, &[_, a, b, c, d, ..]) if index == 15 => {
            let rate = u32::from_be_bytes([a & 0x7f, b, c, d]) >> 7;
            (rate, d >> 3 & 0xf)
        }
        _ => return Err("its samples are AAC of an unknown rate".into()),
    };
    let channels = match channels {
        1 | 2 => u16::from(channels),
        0 => return Err("its samples are AAC of channels that only their data says".into()),
        n => return Err(format!("its samples are AAC of {} channels", if n == 7 { 8 } else { n })),
    };
    let codec = Codec::Aac(Some(config.into()));
    Ok(Sound { codec, channels, rate, duration: 1_024 })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box with a head of 8 bytes.
    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    /// However the boxes lie in each other, and however often they are come to, the file is refused after so many of
    /// them, and after a few times the reads that they fit into.
    #[test]
    fn a_file_of_nothing_but_boxes_is_refused_after_a_bounded_number_of_them() {
        let empty = |count: usize| boxed(b"free", &[]).repeat(count);
        let track = |count: usize| boxed(b"trak", &boxed(b"mdia", &empty(count)));
        let tracks = |tracks: usize, count: usize| boxed(b"moov", &track(count).repeat(tracks));
        let handler = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0soun");
        let sound = boxed(b"trak", &boxed(b"mdia", &[&empty(1 << 15)[..], &handler].concat()));
        let cases = [
            ("beside each other", empty(1 << 18)),
            ("in tracks", tracks(1 << 12, 1 << 6)),
            ("in few tracks", tracks(4, 1 << 16)),
            ("come to again", boxed(b"moov", &sound)),
        ];
        for (what, bytes) in cases {
            let reads = Cell::new(0);
            let read = |buffer: &mut [u8], at: u64| {
                reads.set(reads.get() + 1);
                let bytes = bytes.get(at as usize..).unwrap_or_default();
                let len = bytes.len().min(buffer.len());
                buffer[..len].copy_from_slice(&bytes[..len]);
                Ok(len)
            };
            let source = Source::new(&read);
            let refusal = parse(&source, bytes.len() as u64).unwrap_err();
            assert!(
                matches!(&refusal, Refusal::Unsupported(why) if why == "it has more than 65536 boxes"),
                "{what}: {refusal:?}"
            );
            assert_eq!(source.boxes.get(), 0, "{what}");
            // The tracks are passed over once before they are looked into.
            assert!(reads.get() <= 4 * MOST_BOXES / (WINDOW / 16), "{what}: {} reads", reads.get());
        }
    }
}
