//! Reads JSON through to a parser, and stops it before it takes more memory than it should.
//!
//! A parsed value can be fifty times as large as its text (`"",` is an empty string with its
//! three words), so it is values that are counted, not bytes. Brackets and commas outside of
//! strings are all that is looked at: whether it is JSON is for the parser to say.

use std::io::{self, Read};

use crate::error::{Class, Failure};

/// Most values: nine for each of 250,000 tables of a directory-format dump, in `tables` and
/// `members`, and the rest.
pub const VALUES_MAX: u64 = 2_500_000;
/// Deepest nesting: a manifest has five levels, later ones may have some more.
pub const DEPTH_MAX: u32 = 32;

/// The message of the failure when it is too large or too deep; the detail says which.
pub const TOO_LARGE: &str = "the JSON is too large to be read";

/// The reader.
pub struct Gauge<R> {
    reader: R,
    values: u64,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl<R> Gauge<R> {
    /// Counts what `reader` gives.
    pub fn new(reader: R) -> Self {
        Self { reader, values: 0, depth: 0, in_string: false, escaped: false }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        for &byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b',' => self.values += 1,
                b'[' | b'{' => {
                    self.values += 1;
                    self.depth += 1;
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth > DEPTH_MAX {
                return Err(format!("It is nested more than {DEPTH_MAX} levels deep."));
            }
        }
        if self.values > VALUES_MAX {
            return Err(format!("It has more than {VALUES_MAX} values."));
        }
        Ok(())
    }
}

impl<R: Read> Read for Gauge<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let fed = self.feed(&buffer[..count]);
        fed.map_err(|detail| {
            let failure = Failure::new(Class::Damaged, TOO_LARGE);
            io::Error::other(failure.detail(detail))
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &[u8]) -> Option<String> {
        let read = io::copy(&mut Gauge::new(text), &mut io::sink());
        read.err().map(|error| Failure::inside(&error).unwrap().detail)
    }

    #[test]
    fn what_stands_in_strings_is_not_counted() {
        let brackets = "[".repeat(1000);
        for text in [
            format!("{{\"a\":\"{brackets}\"}}"),
            format!("{{\"a\\\"{brackets}\":1}}"),
            format!("[\"\\\\\", \"{brackets}\"]"),
            "[{}, []]".repeat(1000),
        ] {
            assert_eq!(said(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_limits_are_the_last_that_pass() {
        let depth = DEPTH_MAX as usize;
        assert_eq!(said(&b"[".repeat(depth)), None);
        assert!(said(&b"[".repeat(depth + 1)).unwrap().contains("levels deep"));
        let values = VALUES_MAX as usize;
        assert_eq!(said(&b",".repeat(values)), None);
        assert!(said(&b",".repeat(values + 1)).unwrap().contains("values"));
    }
}
