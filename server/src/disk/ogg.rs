//! Pages of Ogg files (RFC 3533).

use std::fs::File;
use std::io;

use symphonia::core::checksum::Crc32;
use symphonia::core::io::Monitor;

use super::decode::read_at;
use super::window::Window;

/// What every page begins with.
pub const CAPTURE: &[u8; 4] = b"OggS";
/// Bytes before the table of segments.
const HEAD: usize = 27;
/// The most bytes that a page has.
pub const MOST_BYTES: usize = HEAD + 255 + 255 * 255;
/// How much may be lost between two pages; what is behind that is not looked for.
const MOST_LOST: u64 = 1 << 20;

/// The head of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which of the streams in the file it belongs to.
    pub serial: u32,
    /// Its number in the stream.
    pub sequence: u32,
    /// Where in the stream it ends; `None` if no packet does.
    pub granule: Option<u64>,
    /// Whether it begins with the rest of a packet.
    pub continued: bool,
    /// Whether it is the first of its stream.
    pub first: bool,
    /// Whether it is the last of its stream.
    pub last: bool,
    /// Bytes of the page, head included.
    pub len: usize,
    lengths: Vec<u8>,
}

impl Page {
    /// Reads the page that `bytes` begin with; `None` if that is none, or a damaged one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        if &head[..4] != CAPTURE || head[4] != 0 {
            return None;
        }
        let lengths = bytes.get(HEAD..HEAD + usize::from(head[26]))?;
        let len = HEAD + lengths.len() + lengths.iter().map(|&n| usize::from(n)).sum::<usize>();
        let page = bytes.get(..len)?;
        let mut checksum = Crc32::new(0);
        checksum.process_buf_bytes(&page[..22]);
        checksum.process_buf_bytes(&[0; 4]);
        checksum.process_buf_bytes(&page[26..]);
        if checksum.crc() != u32_at(head, 22) {
            return None;
        }
        let granule = u64::from(u32_at(head, 6)) | u64::from(u32_at(head, 10)) << 32;
        Some(Self {
            serial: u32_at(head, 14),
            sequence: u32_at(head, 18),
            granule: (granule <= i64::MAX as u64).then_some(granule),
            continued: head[5] & 1 != 0,
            first: head[5] & 2 != 0,
            last: head[5] & 4 != 0,
            len,
            lengths: lengths.to_vec(),
        })
    }

    /// The packets, or parts of packets, of the page whose bytes are `bytes`; the second is whether it ends here.
    pub fn parts<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], bool)> {
        let mut body = bytes.get(HEAD + self.lengths.len()..self.len).unwrap_or_default();
        self.lengths.chunk_by(|&length, _| length == 255).map(move |lengths| {
            let len = lengths.iter().map(|&n| usize::from(n)).sum::<usize>();
            let (part, rest) = body.split_at(len.min(body.len()));
            body = rest;
            (part, lengths.last().is_some_and(|&length| length < 255))
        })
    }

    /// How many packets end in it.
    pub fn ends(&self) -> usize {
        self.lengths.iter().filter(|&&length| length < 255).count()
    }
}

/// Reads the page at byte `at` of `file` to `bytes`; `None` if there is none, or a damaged one.
pub fn page_at(file: &File, at: u64, bytes: &mut Vec<u8>) -> io::Result<Option<Page>> {
    bytes.resize(MOST_BYTES, 0);
    let read = read_at(file, bytes, at)?;
    bytes.truncate(read);
    Ok(Page::parse(bytes))
}

/// The first page from byte `at` on, and where it is.
pub fn next_page(window: &mut Window<'_>, at: u64) -> io::Result<Option<(u64, Page)>> {
    let last = at.saturating_add(MOST_LOST).min(window.len());
    let mut at = at;
    // A page that says that it is long and is not costs its checksum: a file of such must not take for ever.
    let mut attempts = 0;
    while at < last && attempts < 1_000 {
        let bytes = window.at(at, MOST_BYTES)?;
        if let Some(page) = Page::parse(bytes) {
            return Ok(Some((at, page)));
        }
        attempts += usize::from(bytes.starts_with(CAPTURE));
        let next = bytes.windows(4).skip(1).position(|four| four == CAPTURE);
        at += next.map_or(bytes.len().saturating_sub(3).max(1), |next| next + 1) as u64;
    }
    Ok(None)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
