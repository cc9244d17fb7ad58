//! The head of an AIFF or AIFF-C file.

use std::fs::File;

use super::decode::read_at;
use super::pcm::{Coding, Layout, Order};
use super::refusal::Refusal;

/// A file of more chunks before its samples is no audio file that anyone made on purpose.
const MOST_CHUNKS: usize = 1_000;

/// Reads the head of `file`, which is `len` bytes long.
pub fn parse(file: &File, len: u64) -> Result<Layout, Refusal> {
    let mut form = [0; 12];
    if read_at(file, &mut form, 0)? < form.len() || !matches!(&form[8..], b"AIFF" | b"AIFC") {
        return Err(Refusal::NotAudio);
    }
    let compressed = &form[8..] == b"AIFC";
    let mut common = None;
    let mut samples = None;
    let mut at = form.len() as u64;
    for _ in 0..MOST_CHUNKS {
        let mut head = [0; 8];
        if (common.is_some() && samples.is_some()) || read_at(file, &mut head, at)? < head.len() {
            break;
        }
        let size = u64::from(u32_at(&head, 4));
        let body = at + head.len() as u64;
        match &head[..4] {
            b"COMM" => common = Some(parse_common(file, body, size, compressed)?),
            b"SSND" => {
                let mut offset = [0; 4];
                read_at(file, &mut offset, body)?;
                // After the offset comes the size of blocks to which writers may align samples.
                let start = body + 8 + u64::from(u32::from_be_bytes(offset));
                // A recorder that was killed leaves the size of an empty file.
                let end = if size <= 8 { len } else { body + size };
                samples.get_or_insert((start, end.min(len).saturating_sub(start)));
            }
            _ => {}
        }
        at = body + size + (size & 1);
    }
    let Common { channels, frames, rate, coding } =
        common.ok_or_else(|| Refusal::Malformed("it does not say the form of its samples".into()))?;
    // Only a file without frames may do without samples.
    let (start, bytes) = match samples {
        Some(samples) => samples,
        None if frames == 0 => (len, 0),
        None => return Err(Refusal::Malformed("it has no samples".into())),
    };
    let frame = u64::from(channels) * coding.bytes() as u64;
    let present = bytes.checked_div(frame).ok_or(Refusal::Channels(channels))?;
    let (promised, frames) = (frames, if frames == 0 { present } else { present.min(frames) });
    Ok(Layout { channels, rate, coding, start, frames, promised })
}

struct Common {
    channels: u16,
    frames: u64,
    rate: u32,
    coding: Coding,
}

fn parse_common(file: &File, at: u64, size: u64, compressed: bool) -> Result<Common, Refusal> {
    let mut bytes = [0; 22];
    let wanted = if compressed { 22 } else { 18 };
    let present = read_at(file, &mut bytes[..wanted.min(size as usize)], at)?;
    if present < wanted {
        return Err(Refusal::Malformed("its common chunk is too short".into()));
    }
    let bits = u16_at(&bytes, 6);
    let integers = |order| match bits {
        1..=8 => Ok(Coding::I8),
        9..=16 => Ok(Coding::I16(order)),
        17..=24 => Ok(Coding::I24(order)),
        25..=32 => Ok(Coding::I32(order)),
        _ => Err(Refusal::Unsupported(format!("its samples are integers of {bits} bits"))),
    };
    let coding = match &bytes[18..] {
        _ if !compressed => integers(Order::Big)?,
        b"NONE" | b"twos" => integers(Order::Big)?,
        b"sowt" => integers(Order::Little)?,
        b"raw " if bits <= 8 => Coding::U8,
        b"in24" => Coding::I24(Order::Big),
        b"in32" => Coding::I32(Order::Big),
        b"fl32" | b"FL32" => Coding::F32(Order::Big),
        b"fl64" | b"FL64" => Coding::F64(Order::Big),
        b"ulaw" | b"ULAW" => return Err(Refusal::Unsupported("its samples are mu-law-coded".into())),
        b"alaw" | b"ALAW" => return Err(Refusal::Unsupported("its samples are A-law-coded".into())),
        other => {
            let kind = other.escape_ascii();
            return Err(Refusal::Unsupported(format!("its samples are of the form \"{kind}\"")));
        }
    };
    let rate = extended(&bytes[8..18])
        .ok_or_else(|| Refusal::Malformed("its rate is not a number of Hz from 1 to 4,294,967,295".into()))?;
    Ok(Common { channels: u16_at(&bytes, 0), frames: u64::from(u32_at(&bytes, 2)), rate, coding })
}

/// A whole number, rounded, from a float of 80 bits.
fn extended(bytes: &[u8]) -> Option<u32> {
    let exponent = i32::from(u16_at(bytes, 0)) - 16_383;
    let mantissa = u64::from(u32_at(bytes, 2)) << 32 | u64::from(u32_at(bytes, 6));
    // The sign is the highest bit of the exponent's bytes, so that negative numbers are out of range here.
    if !(0..32).contains(&exponent) {
        return None;
    }
    let shift = 63 - exponent as u32;
    let rounded = (mantissa >> shift) + (mantissa >> (shift - 1) & 1);
    u32::try_from(rounded).ok().filter(|&rate| rate > 0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) << 16 | u32::from(u16_at(bytes, at + 2))
}
