//! Looking for something in a file.

use std::fs::File;
use std::io;

use super::decode::read_at;

/// How much is read at a time.
const SIZE: usize = 1 << 18;
/// How much of it lies before the place that is looked at, so that looking ahead and back reads nothing anew.
const BEHIND: u64 = 1 << 16;

/// A part of a file in memory, which moves to where it is looked at.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Looks at `file`, which is `len` bytes long.
    pub fn new(file: &'a File, len: u64) -> Self {
        Self { file, len, start: 0, bytes: Vec::new() }
    }

    /// The length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes from `at` on: `most` of them, at most 128 KiB, or fewer at the end of the file.
    pub fn at(&mut self, at: u64, most: usize) -> io::Result<&[u8]> {
        let most = most.min(SIZE / 2).min(usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX));
        let held = self.start..self.start + self.bytes.len() as u64;
        if !held.contains(&at) || at + most as u64 > held.end {
            self.start = at.saturating_sub(BEHIND);
            self.bytes.resize(SIZE, 0);
            let read = read_at(self.file, &mut self.bytes, self.start)?;
            self.bytes.truncate(read);
        }
        let from = (at - self.start) as usize;
        let to = (from + most).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }
}
