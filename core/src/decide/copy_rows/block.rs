//! One block of COPY data in text format: rows up to the line `\.`.
//!
//! In: bytes from the first row on, cut anywhere. Out: rows, bytes, and where the block ends. In
//! this format a line end is the end of a row (those in values are escaped) and a backslash at
//! the start of a line is always followed by another character of the value, so the line `\.`,
//! ended by LF or CR LF, cannot be data (PostgreSQL's manual, "COPY", text format).

use memchr::{memchr_iter, memmem};

/// A line end and the start of a terminator line.
const NEEDLE: &[u8] = b"\n\\.";

/// Where in a line the input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the start of a line, so many bytes of `\.` CR LF read and not counted yet.
    Head(usize),
    /// In a line that is not the terminator.
    #[default]
    Inside,
    /// Behind the terminator.
    Ended,
}

/// The count of one block.
#[derive(Debug)]
pub(super) struct Block {
    pub rows: u64,
    pub bytes: u64,
    place: Place,
    finder: memmem::Finder<'static>,
}

impl Default for Block {
    fn default() -> Self {
        let finder = memmem::Finder::new(NEEDLE);
        Self { rows: 0, bytes: 0, place: Place::Head(0), finder }
    }
}

impl Block {
    /// Whether the terminator was read.
    pub fn ended(&self) -> bool {
        self.place == Place::Ended
    }

    /// Reads up to the end of the terminator line or of the chunk; how many bytes that were.
    pub fn feed(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while at < chunk.len() {
            at += match self.place {
                Place::Head(matched) => self.head(matched, chunk[at]),
                Place::Inside => self.inside(&chunk[at..]),
                Place::Ended => break,
            };
        }
        at
    }

    /// Counts what waited for the rest of a terminator that never came.
    pub fn end_of_input(&mut self) {
        if let Place::Head(matched) = self.place {
            self.bytes += matched as u64;
            self.place = Place::Inside;
        }
    }

    /// One byte at the start of a line. A byte that shows that the line is data stays unread.
    fn head(&mut self, matched: usize, byte: u8) -> usize {
        self.place = match (matched, byte) {
            (0, b'\\') | (1, b'.') | (2, b'\r') => Place::Head(matched + 1),
            (2 | 3, b'\n') => Place::Ended,
            _ => {
                self.bytes += matched as u64;
                self.place = Place::Inside;
                return 0;
            }
        };
        1
    }

    /// Data up to the next line that could be the terminator, or to the end of the chunk.
    fn inside(&mut self, rest: &[u8]) -> usize {
        if let Some(found) = self.finder.find(rest) {
            self.count(&rest[..=found]);
            self.place = Place::Head(NEEDLE.len() - 1);
            return found + NEEDLE.len();
        }
        let head = match rest {
            [.., b'\n', b'\\'] => Some(1),
            [.., b'\n'] => Some(0),
            _ => None,
        };
        self.count(&rest[..rest.len() - head.unwrap_or(0)]);
        self.place = head.map_or(Place::Inside, Place::Head);
        rest.len()
    }

    fn count(&mut self, data: &[u8]) {
        self.rows += memchr_iter(b'\n', data).count() as u64;
        self.bytes += data.len() as u64;
    }
}
