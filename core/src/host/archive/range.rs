//! A part of a file as a reader with a position of its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Reads the bytes `position` to `end` of a file.
#[derive(Debug)]
pub struct RangeReader {
    file: File,
    position: u64,
    end: u64,
}

impl RangeReader {
    /// The bytes from `start` to before `end`.
    pub fn new(file: File, start: u64, end: u64) -> Self {
        Self { file, position: start, end }
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = (self.end.saturating_sub(self.position)).min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
