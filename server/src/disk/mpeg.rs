//! Files of nothing but MPEG audio: MP3, and AAC in ADTS.
//!
//! Such a file is a row of frames, each with a head that says how long it is, and what others put around them:
//! tags. Where frames are is found out by going through all of the file as it is opened.

use std::fs::File;

use super::decode::lacking;
use super::packets::{Codec, Packets, Table, Timing};
use super::refusal::Refusal;
use super::tags::after_tags;
use super::window::Window;

/// The most bytes that a head, and what is looked at with it, takes.
const HEAD: usize = 10;
/// How far into a file the first frame may begin, after the tags.
const MOST_BEFORE: u64 = 1 << 16;
/// How much may be lost between two frames; what is behind that is not looked for.
const MOST_LOST: u64 = 1 << 20;
/// How many frames one after the other are believed to be no accident.
const CHAIN: usize = 3;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    form: Form,
    /// Bytes of the frame, head included.
    len: usize,
    /// Bytes before what the decoder takes.
    before: usize,
}

/// What all frames of a file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    kind: Kind,
    channels: u16,
    rate: u32,
    /// Frames of sound in a frame of the file.
    duration: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Layer III; whether it is MPEG 1.
    Mp3 {
        first: bool,
    },
    Aac {
        low_complexity: bool,
    },
}

/// Reads the head of a frame.
fn head(bytes: &[u8]) -> Option<Head> {
    match *bytes {
        [0xff, b1, b2, b3, ..] if b1 & 0xe6 == 0xe2 => layer_three(b1, b2, b3),
        [0xff, b1, b2, b3, b4, b5, b6, ..] if b1 & 0xf6 == 0xf0 => adts([b1, b2, b3, b4, b5, b6]),
        _ => None,
    }
}

/// ISO 11172-3, 2.4.1.3, and 13818-3; version 2.5 is what everybody made of its reserved version.
fn layer_three(b1: u8, b2: u8, b3: u8) -> Option<Head> {
    const RATES: [u32; 3] = [44_100, 48_000, 32_000];
    const KILOBITS: [[u32; 14]; 2] = [
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let divisor = match b1 >> 3 & 3 {
        0 => 4,
        2 => 2,
        3 => 1,
        _ => return None,
    };
    let first = divisor == 1;
    let rate = RATES.get(usize::from(b2 >> 2 & 3))? / divisor;
    // 0, any bit rate, is not decoded.
    let kilobits = *KILOBITS[usize::from(!first)].get(usize::from(b2 >> 4).checked_sub(1)?)?;
    let padding = u32::from(b2 >> 1 & 1);
    let duration = if first { 1_152 } else { 576 };
    let len = (duration as u32 / 8 * 1_000 * kilobits / rate + padding) as usize;
    let channels = if b3 >> 6 == 3 { 1 } else { 2 };
    Some(Head { form: Form { kind: Kind::Mp3 { first }, channels, rate, duration }, len, before: 0 })
}

/// ISO 13818-7, 6.2.
fn adts([b1, b2, b3, b4, b5, b6]: [u8; 6]) -> Option<Head> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    let rate = *RATES.get(usize::from(b2 >> 2 & 0xf))?;
    let channels = match (b2 & 1) << 2 | b3 >> 6 {
        7 => 8,
        n => u16::from(n),
    };
    let len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    let before = if b1 & 1 == 1 { 7 } else { 9 };
    // Several blocks in a frame are taken for another form: no encoder makes them, no decoder here reads them.
    let low_complexity = b2 >> 6 == 1 && b6 & 3 == 0;
    let form = Form { kind: Kind::Aac { low_complexity }, channels, rate, duration: 1_024 };
    (len > before).then_some(Head { form, len, before })
}

/// Channels, rate and duration of the MP3 frame that `bytes` begin with.
pub fn form(bytes: &[u8]) -> Option<(u16, u32, u64)> {
    let Form { channels, rate, duration, .. } =
        head(bytes).map(|head| head.form).filter(|form| matches!(form.kind, Kind::Mp3 { .. }))?;
    Some((channels, rate, duration))
}

/// Opens `file`, which is `len` bytes long, if it is of MPEG audio.
pub fn open(file: File, len: u64) -> Result<Packets, Refusal> {
    let mut window = Window::new(&file, len);
    let tagged = after_tags(&mut window, 0)?;
    let Some((start, form)) = first(&mut window, tagged)? else {
        return Err(match tagged {
            0 => Refusal::NotAudio,
            _ => Refusal::Malformed("no audio follows its tags".into()),
        });
    };
    match form.kind {
        Kind::Aac { low_complexity: false } => {
            return Err(Refusal::Unsupported("its samples are AAC of another kind than LC".into()));
        }
        Kind::Aac { .. } if !(1..=2).contains(&form.channels) => {
            return Err(Refusal::Unsupported(match form.channels {
                0 => "its samples are AAC of channels that only their data says".into(),
                n => format!("its samples are AAC of {n} channels"),
            }));
        }
        _ => {}
    }
    let mut timing = Timing { duration: form.duration, skipped: 0, padding: 0 };
    let mut start = start;
    let mut note = None;
    if let Kind::Mp3 { first } = form.kind {
        let bytes = window.at(start, 4_096)?;
        if let Some(found) = encoders_note(bytes, first, form.channels) {
            start += head(bytes).map_or(0, |head| head.len as u64);
            note = Some(found);
        }
    }
    let (table, within) = scan(&mut window, start, form)?;
    let mut promised = 0;
    if let Some(Note { frames, delay, padding }) = note {
        timing.skipped = delay;
        // A file that was cut, or to which another was added, ends otherwise than the note says.
        if frames.is_none_or(|frames| u64::from(frames) == table.len() as u64) {
            timing.padding = padding;
        }
        // Some encoders count the frame of the note. What is lost on the way is only estimated.
        if let Some(frames) = frames.filter(|&n| u64::from(n) > table.len() as u64 + 1)
            && !table.has_gaps()
        {
            promised = (u64::from(frames) * form.duration).saturating_sub(delay).saturating_sub(padding);
        }
    }
    let codec = match form.kind {
        Kind::Mp3 { .. } => Codec::Mp3,
        Kind::Aac { .. } => Codec::Aac(None),
    };
    let packets = Packets::new(file, table, codec, (form.channels, form.rate), timing)?;
    let within = within.then(|| "it ends within a frame; the rest is silent".to_owned());
    let shortage = lacking(packets.frames(), promised).or(within);
    Ok(packets.with_shortage(shortage))
}

/// The first frame from `start` on, and its form.
fn first(window: &mut Window<'_>, start: u64) -> Result<Option<(u64, Form)>, Refusal> {
    let last = start.saturating_add(MOST_BEFORE).min(window.len());
    for at in start..last {
        if let Some(head) = head(window.at(at, HEAD)?)
            && chain(window, at, head)?
        {
            return Ok(Some((at, head.form)));
        }
    }
    Ok(None)
}

/// Whether the frame at `at` is followed by others like it, or by the end of the file.
fn chain(window: &mut Window<'_>, at: u64, found: Head) -> Result<bool, Refusal> {
    let mut next = at + found.len as u64;
    for n in 1..CHAIN {
        if next == window.len() || is_tag(window.at(next, HEAD)?) {
            return Ok(true);
        }
        // A file may have been cut short within a frame, but not within the first.
        if next > window.len() {
            return Ok(n > 1);
        }
        match head(window.at(next, HEAD)?) {
            Some(head) if head.form == found.form => next += head.len as u64,
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether a tag begins here.
fn is_tag(bytes: &[u8]) -> bool {
    [&b"TAG"[..], b"APETAGEX", b"LYRICSBEG", b"ID3"].iter().any(|tag| bytes.starts_with(tag))
}

/// Finds the frames of `form` from `start` on, and whether the file ends within one, which is left out.
fn scan(window: &mut Window<'_>, start: u64, form: Form) -> Result<(Table, bool), Refusal> {
    let mut table = Table::default();
    let (mut at, mut bytes) = (start, 0);
    while at < window.len() {
        if let Some(head) = head(window.at(at, HEAD)?).filter(|head| head.form == form) {
            let next = at + head.len as u64;
            // A frame that is only begun is not played.
            if next > window.len() {
                return Ok((table, true));
            }
            table.add(at + head.before as u64, head.len - head.before)?;
            bytes += head.len as u64;
            at = next;
            continue;
        }
        // Between files that were put together there may be the tags of the second.
        let tagged = after_tags(window, at)?;
        if tagged > at {
            at = tagged;
            continue;
        }
        let Some(next) = resume(window, at + 1, form)? else { break };
        // What is lost leaves silence, as long as frames of the mean size would have been.
        let mean = (bytes / (table.len() as u64).max(1)).max(1);
        for _ in 0..(next - at + mean / 2) / mean {
            table.add(0, 0)?;
        }
        at = next;
    }
    Ok((table, false))
}

/// Where frames of `form` begin again, from `start` on.
fn resume(window: &mut Window<'_>, start: u64, form: Form) -> Result<Option<u64>, Refusal> {
    let last = start.saturating_add(MOST_LOST).min(window.len());
    for at in start..last {
        if let Some(head) = head(window.at(at, HEAD)?)
            && head.form == form
            && chain(window, at, head)?
        {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// What an encoder has left in a first frame that is not to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    /// How many frames follow.
    frames: Option<u32>,
    /// Frames of sound at the beginning that were not in the original, those of any decoder included.
    delay: u64,
    /// Such frames at the end.
    padding: u64,
}

/// Reads the note of Xing or LAME, or recognises that of VBRI, in `bytes`, the first frame.
fn encoders_note(bytes: &[u8], first: bool, channels: u16) -> Option<Note> {
    /// What every decoder adds: 528 frames, and one for the filters' symmetry.
    const DECODER: u64 = 529;
    let side = match (first, channels) {
        (true, 1) | (false, 2) => 17,
        (true, _) => 32,
        (false, _) => 9,
    };
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if bytes.get(36..40) == Some(b"VBRI") {
        return Some(Note { frames: None, delay: 0, padding: 0 });
    }
    let tag = 4 + side;
    if !matches!(bytes.get(tag..tag + 4), Some(b"Xing" | b"Info")) {
        return None;
    }
    let flags = word(tag + 4)?;
    let frames = word(tag + 8).filter(|_| flags & 1 != 0);
    // Number of frames, of bytes, a table of places, and the quality.
    let fields = [4, 4, 100, 4];
    let encoder = tag + 8 + (0..4).filter(|n| flags >> n & 1 != 0).map(|n| fields[n]).sum::<usize>();
    let known = bytes.get(encoder..encoder + 4);
    let mut note = Note { frames, delay: 0, padding: 0 };
    if matches!(known, Some(b"LAME" | b"Lavf" | b"Lavc"))
        && let Some(&[a, b, c]) = bytes.get(encoder + 21..encoder + 24)
    {
        let trim = u64::from(u32::from_be_bytes([0, a, b, c]));
        note.delay = (trim >> 12) + DECODER;
        note.padding = (trim & 0xfff).saturating_sub(DECODER);
    }
    Some(note)
}

#[cfg(test)]
#[path = "tests/mpeg.rs"]
mod tests;
