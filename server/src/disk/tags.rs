//! Tags that lie before what a file is.

use std::io;

use super::window::Window;

/// Bytes of the head of a tag.
const HEAD: usize = 10;
/// The most tags one after the other.
const MOST_TAGS: usize = 16;

/// The byte after the ID3v2 tags that begin at `at`, which is `at` if none do.
pub fn after_tags(window: &mut Window<'_>, at: u64) -> io::Result<u64> {
    let mut at = at;
    for _ in 0..MOST_TAGS {
        match *window.at(at, HEAD)? {
            // The size leaves out the head, and a foot like it if there is one.
            [b'I', b'D', b'3', _, _, flags, a, b, c, d] if (a | b | c | d) < 0x80 => {
                let size = [a, b, c, d].iter().fold(0, |size, &byte| size << 7 | u64::from(byte));
                at += 10 + size + if flags & 0x10 != 0 { 10 } else { 0 };
            }
            _ => break,
        }
    }
    Ok(at)
}
