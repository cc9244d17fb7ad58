//! The head of a WAV file.

use std::fs::File;
use std::ops::RangeInclusive;

use super::decode::read_at;
use super::pcm::{Coding, Layout, Order};
use super::refusal::Refusal;

/// A file of more chunks before its samples is no audio file that anyone made on purpose.
const MOST_CHUNKS: usize = 1_000;

/// Sizes that programs write to a pipe, where they cannot come back: the largest, with or without a sign, less what
/// else is in the file.
const ENDLESS: [RangeInclusive<u32>; 2] = [0x7fff_f000..=0x8000_0000, 0xffff_f000..=u32::MAX];

/// Reads the head of `file`, which is `len` bytes long. Reads RIFF, and RF64 and BW64 for files over 4 GiB.
pub fn parse(file: &File, len: u64) -> Result<Layout, Refusal> {
    let mut riff = [0; 12];
    if read_at(file, &mut riff, 0)? < riff.len() || &riff[8..] != b"WAVE" {
        return Err(Refusal::NotAudio);
    }
    let riff_size = u32_at(&riff, 4);
    let mut format = None;
    let mut data = None;
    let mut long_size = None;
    let mut at = riff.len() as u64;
    for _ in 0..MOST_CHUNKS {
        if format.is_some() && data.is_some() {
            break;
        }
        let mut head = [0; 8];
        if read_at(file, &mut head, at)? < head.len() {
            break;
        }
        let size = u32_at(&head, 4);
        let body = at + head.len() as u64;
        let mut next = u64::from(size);
        match &head[..4] {
            b"fmt " => format = Some(parse_format(file, body, size)?),
            b"ds64" => {
                let mut sizes = [0; 16];
                read_at(file, &mut sizes, body)?;
                long_size = Some(u64_at(&sizes, 8));
            }
            b"data" => {
                let present = len.saturating_sub(body);
                // A recorder that was killed leaves the sizes of an empty file.
                let unfinished = size == 0 && u64::from(riff_size) + 8 <= body;
                let size = match long_size {
                    Some(long) if size == u32::MAX => long,
                    _ if unfinished || (ENDLESS.iter().any(|sizes| sizes.contains(&size))) => present,
                    _ => u64::from(size),
                };
                data.get_or_insert((body, size, size.min(present)));
                next = size;
            }
            _ => {}
        }
        at = body.saturating_add(next).saturating_add(next & 1);
    }
    let (channels, rate, coding) =
        format.ok_or_else(|| Refusal::Malformed("it does not say the form of its samples".into()))?;
    let (start, promised, bytes) = data.ok_or_else(|| Refusal::Malformed("it has no samples".into()))?;
    let frame = u64::from(channels) * coding.bytes() as u64;
    let frames = bytes.checked_div(frame).ok_or(Refusal::Channels(channels))?;
    Ok(Layout { channels, rate, coding, start, frames, promised: promised / frame })
}

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;
/// What follows the form's number in the identifiers of extensible files.
const GUID_REST: [u8; 14] =
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71];

fn parse_format(file: &File, at: u64, size: u32) -> Result<(u16, u32, Coding), Refusal> {
    let mut bytes = [0; 40];
    let wanted = bytes.len().min(size as usize);
    let present = read_at(file, &mut bytes[..wanted], at)?;
    if present < 16 {
        return Err(Refusal::Malformed("its format chunk is too short".into()));
    }
    let channels = u16_at(&bytes, 2);
    let rate = u32_at(&bytes, 4);
    let align = u16_at(&bytes, 12);
    let bits = u16_at(&bytes, 14);
    let mut form = u16_at(&bytes, 0);
    if form == EXTENSIBLE {
        if present < bytes.len() {
            return Err(Refusal::Malformed("its format chunk is too short".into()));
        }
        form = if bytes[26..] == GUID_REST { u16_at(&bytes, 24) } else { EXTENSIBLE };
    }
    let coding = match (form, bits) {
        (PCM, 8) => Coding::U8,
        // Odd depths are stored in the high bits of whole bytes.
        (PCM, 9..=16) => Coding::I16(Order::Little),
        (PCM, 17..=24) => Coding::I24(Order::Little),
        (PCM, 25..=32) => Coding::I32(Order::Little),
        (FLOAT, 32) => Coding::F32(Order::Little),
        (FLOAT, 64) => Coding::F64(Order::Little),
        (PCM, _) => return Err(Refusal::Unsupported(format!("its samples are integers of {bits} bits"))),
        (FLOAT, _) => return Err(Refusal::Unsupported(format!("its samples are floats of {bits} bits"))),
        _ => return Err(Refusal::Unsupported(format!("its samples are {}", name(form)))),
    };
    if u32::from(align) != u32::from(channels) * coding.bytes() as u32 {
        return Err(match channels {
            0 => Refusal::Channels(0),
            _ => Refusal::Unsupported(format!(
                "its samples are {bits} bits wide but its frames of {channels} channels take {align} bytes"
            )),
        });
    }
    Ok((channels, rate, coding))
}

fn name(form: u16) -> String {
    match form {
        0x02 | 0x11 => "ADPCM-compressed".into(),
        0x06 => "A-law-coded".into(),
        0x07 => "mu-law-coded".into(),
        0x50 | 0x55 => "MPEG-compressed".into(),
        EXTENSIBLE => "of a form that only its maker knows".into(),
        other => format!("of the unknown form {other:#06x}"),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
