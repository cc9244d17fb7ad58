//! Where the audio of a FLAC file ends.
//!
//! The demuxer takes all that follows a block's head, up to the next head or the end of the file, for the block.
//! Behind the last one there may be a tag, or anything else, with which its checksum is wrong, and it would be lost.
//! Heads and checksums: RFC 9639, 9.1 and 9.3.

use std::io;
use std::ops::Range;

use super::flac_source::FlacSource;

/// How far before the end of the file the last block is looked for.
const MOST_BEHIND: u64 = 1 << 25;
/// How much is looked at in a row.
const STEP: usize = 1 << 16;
/// The longest head of a block.
const HEAD: usize = 16;
/// How many bytes checksums are made of, of all blocks that are tried.
const MOST_SUMMED: usize = 1 << 26;
/// How often a checksum may be right where a block does not end; one in 65,536 is by accident.
const MOST_TRIED: usize = 1 << 7;

/// The last block that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBlock {
    /// Its bytes in the stream.
    pub bytes: Range<u64>,
    /// Its frames.
    pub frames: Range<u64>,
}

/// Looks for the last whole block of `source`, at the end only. `decodes` is asked whether some bytes are a whole
/// block of so many frames.
///
/// # Errors
/// Those of reading.
pub fn last_block(
    source: &FlacSource,
    mut decodes: impl FnMut(&[u8], Range<u64>) -> bool,
) -> io::Result<Option<LastBlock>> {
    let form = source.form();
    let (first, len) = (source.first_block(), source.len());
    let lowest = first.max(len.saturating_sub(MOST_BEHIND));
    let (mut summed, mut tried) = (0, 0);
    let mut to = len;
    let mut bytes = Vec::new();
    while to > lowest && summed < MOST_SUMMED && tried < MOST_TRIED {
        let from = lowest.max(to.saturating_sub(STEP as u64));
        // Heads that begin before `to` may end behind it.
        let ahead = source.bytes(from, (to - from) as usize + HEAD, &mut bytes)?;
        let begins = (0..ahead.len().min((to - from) as usize)).rev();
        let heads: Vec<_> = begins.filter_map(|n| Some((n, head(&ahead[n..], &form)?))).collect();
        for (n, frames) in heads {
            let start = from + n as u64;
            let block = source.bytes(start, form.most_bytes(frames.end - frames.start), &mut bytes)?;
            let mut sum = 0;
            for (n, byte) in block.iter().enumerate() {
                sum = crc16(sum, *byte);
                // With its checksum behind it, what is summed comes to 0.
                if sum != 0 || tried == MOST_TRIED {
                    continue;
                }
                tried += 1;
                if decodes(&block[..=n], frames.clone()) {
                    return Ok(Some(LastBlock { bytes: start..start + n as u64 + 1, frames }));
                }
            }
            summed += block.len();
            if summed >= MOST_SUMMED || tried >= MOST_TRIED {
                break;
            }
        }
        to = from;
    }
    Ok(None)
}

/// What all blocks of a file have in common.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// 1 to 8.
    pub channels: u16,
    /// In Hz.
    pub rate: u32,
    /// Bits of a sample.
    pub bits: u32,
    /// Frames of a block if all but the last are equal, else of the longest.
    pub block: u64,
    /// Whether all but the last are equal, and so are numbered instead of their frames.
    pub equal: bool,
    /// Bytes of the longest block; 0 if that is not known.
    pub most_bytes: u32,
}

impl Form {
    /// The most bytes that a block of `frames` takes.
    fn most_bytes(&self, frames: u64) -> usize {
        // Not compressed, where one channel of two may take a bit more, with the heads of all parts.
        let plain = frames as usize * usize::from(self.channels) * (self.bits as usize + 1) / 8 + 256;
        match self.most_bytes {
            0 => plain,
            most => plain.min(most as usize),
        }
    }
}

/// The frames of the block whose head `bytes` begin with, if they begin with one.
fn head(bytes: &[u8], form: &Form) -> Option<Range<u64>> {
    const RATES: [u32; 11] =
        [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
    const BITS: [u32; 8] = [0, 8, 12, 0, 16, 20, 24, 32];
    let &[0xff, sync, sizes, kinds, ref rest @ ..] = bytes else { return None };
    if sync != if form.equal { 0xf8 } else { 0xf9 } || kinds & 1 != 0 {
        return None;
    }
    let channels = match kinds >> 4 {
        n @ 0..8 => u16::from(n) + 1,
        8..11 => 2,
        _ => return None,
    };
    let bits = BITS[usize::from(kinds >> 1 & 7)];
    if channels != form.channels || (bits != form.bits && kinds >> 1 & 7 != 0) {
        return None;
    }
    let (number, coded) = number(rest)?;
    let mut at = 4 + coded;
    let mut next = |len: usize| {
        let value = bytes.get(at..at + len)?.iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
        at += len;
        Some(value)
    };
    let frames = match sizes >> 4 {
        0 => return None,
        1 => 192,
        n @ 2..6 => 576 << (n - 2),
        6 => next(1)? + 1,
        7 => next(2)? + 1,
        n => 256 << (n - 8),
    };
    let rate = match sizes & 15 {
        0 => form.rate,
        n @ 1..12 => RATES[usize::from(n) - 1],
        12 => next(1)? * 1_000,
        13 => next(2)?,
        14 => next(2)? * 10,
        _ => return None,
    };
    let sum = bytes[..at].iter().fold(0, |sum, &byte| crc8(sum, byte));
    if rate != form.rate || u64::from(frames) > form.block || *bytes.get(at)? != sum {
        return None;
    }
    let start = if form.equal { number * form.block } else { number };
    Some(start..start + u64::from(frames))
}

/// A number of up to 36 bits, coded as UTF-8 codes fewer, and how many bytes it takes.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = match first.leading_ones() {
        0 => return Some((u64::from(first), 1)),
        len @ 2..=7 => len as usize,
        _ => return None,
    };
    let high = u64::from(first) & (0x7f >> len);
    let rest = bytes.get(1..len)?;
    let number = rest.iter().fold(high, |number, &byte| number << 6 | u64::from(byte & 0x3f));
    rest.iter().all(|byte| byte & 0xc0 == 0x80).then_some((number, len))
}

/// `sum` and a byte more, with the polynomial x⁸ + x² + x + 1.
fn crc8(sum: u8, byte: u8) -> u8 {
    (0..8).fold(sum ^ byte, |sum, _| sum << 1 ^ if sum & 0x80 != 0 { 0x07 } else { 0 })
}

/// `sum` and a byte more, with the polynomial x¹⁶ + x¹⁵ + x² + 1.
fn crc16(sum: u16, byte: u8) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut sum = (n as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                sum = sum << 1 ^ if sum & 0x8000 != 0 { 0x8005 } else { 0 };
                bit += 1;
            }
            table[n] = sum;
            n += 1;
        }
        table
    };
    sum << 8 ^ TABLE[usize::from(sum >> 8) ^ usize::from(byte)]
}
