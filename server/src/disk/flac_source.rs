//! A FLAC file without its metadata.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use symphonia::core::io::MediaSource;

use super::decode::{FileInfo, read_at};
use super::flac_end::Form;
use super::refusal::Refusal;

const MARKER: &[u8; 4] = b"fLaC";
/// The first metadata block, with its header of 4 bytes.
const STREAM_INFO: usize = 38;
const HEAD: usize = MARKER.len() + STREAM_INFO;
/// Bit of a metadata block's header that says that audio follows.
const LAST: u8 = 0x80;

/// The file as the demuxer sees it: a stream of one metadata block (the one that says what the audio is) and
/// the audio. Pictures, tags and seek tables are of no use here, and wrong ones would do harm.
#[derive(Clone, Debug)]
pub struct FlacSource {
    file: Arc<File>,
    head: [u8; HEAD],
    /// The byte of the file at which the audio begins.
    audio: u64,
    /// Length of the stream in bytes. It stays when the file shrinks, so that positions stay in order.
    len: u64,
    at: u64,
}

impl FlacSource {
    /// Reads the head of `file`, which begins at byte `start`; the file is `len` bytes long. The number of frames
    /// is what the head says; 0 is unknown.
    pub fn open(file: File, start: u64, len: u64) -> Result<(Self, FileInfo), Refusal> {
        let mut head = [0; HEAD];
        if read_at(&file, &mut head, start)? < HEAD || head[4] & !LAST != 0 || head[5..8] != [0, 0, 34] {
            return Err(Refusal::Malformed("its head is cut short".into()));
        }
        let audio = skip_metadata(&file, start)?;
        let (info, bits) = stream_info(&head[8..]);
        if bits > 24 {
            return Err(Refusal::Unsupported(format!("its samples are FLAC of {bits} bits")));
        }
        head[4] |= LAST;
        straighten_block_sizes(&file, audio, &mut head)?;
        let len = HEAD as u64 + len.saturating_sub(audio);
        Ok((Self { file: Arc::new(file), head, audio, len, at: 0 }, info))
    }

    /// What all blocks have in common, as the head says.
    pub fn form(&self) -> Form {
        let number = |range: Range<usize>| {
            self.head[range].iter().fold(0u32, |number, &byte| number << 8 | u32::from(byte))
        };
        let (FileInfo { channels, rate, .. }, bits) = stream_info(&self.head[8..]);
        let (least, most) = (number(8..10), number(10..12));
        let (block, equal) = (u64::from(most), least == most);
        Form { channels, rate, bits, block, equal, most_bytes: number(15..18) }
    }

    /// The byte of the stream at which the first block begins.
    pub fn first_block(&self) -> u64 {
        HEAD as u64
    }

    /// The length of the stream in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The same stream with nothing behind byte `len`.
    pub fn cut(&self, len: u64) -> Self {
        Self { at: 0, len: len.min(self.len), ..self.clone() }
    }

    /// Up to `most` bytes from byte `at` of the stream on, which is none of the head. They are in `buffer`.
    pub fn bytes<'a>(&self, at: u64, most: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let most = self.len.saturating_sub(at).min(most as u64) as usize;
        buffer.resize(most, 0);
        let read = read_at(&self.file, buffer, self.audio + at.saturating_sub(HEAD as u64))?;
        Ok(&buffer[..read])
    }

    /// The same stream from its beginning.
    pub fn rewound(&self) -> Self {
        Self { at: 0, ..self.clone() }
    }
}

/// The byte at which the audio begins, of a stream that begins at `start`.
fn skip_metadata(file: &File, start: u64) -> Result<u64, Refusal> {
    let mut at = start + MARKER.len() as u64;
    loop {
        let mut block = [0; 4];
        if read_at(file, &mut block, at)? < block.len() {
            return Err(Refusal::Malformed("it ends before its samples".into()));
        }
        let [kind, size @ ..] = block;
        at += 4 + u64::from(u32::from_be_bytes([0, size[0], size[1], size[2]]));
        if kind & LAST != 0 {
            return Ok(at);
        }
    }
}

/// Reads what the audio is, and how many bits its samples have.
fn stream_info(block: &[u8]) -> (FileInfo, u32) {
    let packed = block[10..18].iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    let info = FileInfo {
        channels: (packed >> 41 & 0b111) as u16 + 1,
        rate: (packed >> 44) as u32,
        frames: packed & 0xf_ffff_ffff,
    };
    (info, (packed >> 36 & 0b1_1111) as u32 + 1)
}

/// Some encoders count the last, shorter block among the sizes of a stream of equal blocks, or the other way
/// round; the demuxer takes the sizes for how the blocks are numbered. The first block tells.
fn straighten_block_sizes(file: &File, audio: u64, head: &mut [u8; HEAD]) -> Result<(), Refusal> {
    const SMALLEST: [u8; 2] = 16u16.to_be_bytes();
    let mut sync = [0; 2];
    read_at(file, &mut sync, audio)?;
    let most = [head[10], head[11]];
    match sync {
        [0xff, 0xf8] => head[8..10].copy_from_slice(&most),
        [0xff, 0xf9] if head[8..10] == most => head[8..10].copy_from_slice(&SMALLEST),
        _ => {}
    }
    Ok(())
}

impl Read for FlacSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.len.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..most];
        let read = match self.head.get(self.at as usize..) {
            Some(head) if !head.is_empty() => {
                let read = head.len().min(buffer.len());
                buffer[..read].copy_from_slice(&head[..read]);
                read
            }
            _ => read_at(&self.file, buffer, self.audio + (self.at - HEAD as u64))?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for FlacSource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl MediaSource for FlacSource {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
