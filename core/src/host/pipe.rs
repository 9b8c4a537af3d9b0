//! Reads a pipe in large pieces. A tool that writes 4 KiB at a time (pg_dump, pg_restore) would
//! otherwise wake its reader for each of them, and two processes would spend more time on
//! switching than on work.

use std::io::{self, Read};
use std::time::Duration;

/// A read below this was too early: the writer is at work and has little to give yet.
const LITTLE: usize = 64 << 10;
/// How long the pipe is left to fill. It holds 1 MiB, so a writer has to be faster than 2 GB/s to
/// be held up by it.
const PAUSE: Duration = Duration::from_micros(500);

/// A pipe whose reader waits a moment after a small read.
#[derive(Debug)]
pub struct Batched<R> {
    pipe: R,
    early: bool,
}

impl<R: Read> Batched<R> {
    /// Reads from `pipe`.
    pub fn new(pipe: R) -> Self {
        Self { pipe, early: false }
    }
}

impl<R: Read> Read for Batched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.early {
            std::thread::sleep(PAUSE);
        }
        let count = self.pipe.read(buffer)?;
        self.early = count < LITTLE.min(buffer.len());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_through_in_order() {
        let bytes: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
        let mut read = Vec::new();
        Batched::new(&bytes[..]).read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }
}
