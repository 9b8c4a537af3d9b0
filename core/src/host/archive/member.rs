//! The bytes of one member, unpacked while they stream by and held against what the zip says of
//! them: never more bytes than declared, at the end exactly as many, with the declared CRC.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::range::RangeReader;
use super::reader::damaged;
use super::structure::{Entry, quoted};
use crate::error::Failure;

/// Packed bytes read at once.
const BUFFER: usize = 64 << 10;

/// Reads one member. An error carries a [`Failure`] of class Damaged where the bytes are wrong.
pub struct MemberReader {
    source: Source,
    path: PathBuf,
    name: String,
    entry: Entry,
    crc: Crc,
    /// Bytes that still have to come.
    left: u64,
    /// What was wrong; it stays so.
    broken: Option<Failure>,
}

enum Source {
    Stored(RangeReader),
    Deflated(DeflateDecoder<BufReader<RangeReader>>),
}

impl MemberReader {
    /// Of the member `name` of the archive `file`, which was opened at `path`.
    pub(super) fn new(file: File, path: &Path, name: &str, entry: Entry) -> Self {
        let range = RangeReader::new(file, entry.start, entry.start + entry.packed);
        let source = match entry.deflated {
            false => Source::Stored(range),
            true => Source::Deflated(DeflateDecoder::new(BufReader::with_capacity(BUFFER, range))),
        };
        let (path, name) = (path.to_owned(), name.to_owned());
        Self { source, path, name, entry, crc: Crc::new(), left: entry.size, broken: None }
    }

    /// What is wrong with the end of the data; nothing when all of them came.
    fn fault_at_end(&self) -> Option<String> {
        let packed = match &self.source {
            Source::Stored(_) => self.entry.packed,
            Source::Deflated(decoder) => decoder.total_in(),
        };
        match () {
            () if self.left > 0 => Some(format!("It ends {} bytes too early.", self.left)),
            () if self.crc.sum() != self.entry.crc => Some("Its CRC is wrong.".to_owned()),
            () if packed != self.entry.packed => Some("It has bytes behind its end.".to_owned()),
            () => None,
        }
    }

    fn fail(&mut self, detail: String) -> io::Error {
        let what = format!("has a broken member {}", quoted(self.name.as_bytes()));
        let failure = damaged(&self.path, &what).detail(detail);
        io::Error::other(self.broken.insert(failure).clone())
    }
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.broken {
            return Err(io::Error::other(failure.clone()));
        }
        let read = match &mut self.source {
            Source::Stored(range) => range.read(buffer),
            Source::Deflated(decoder) => decoder.read(buffer),
        };
        match read {
            Ok(0) if buffer.is_empty() => Ok(0),
            Ok(0) => match self.fault_at_end() {
                Some(fault) => Err(self.fail(fault)),
                None => Ok(0),
            },
            Ok(count) if count as u64 > self.left => {
                Err(self.fail(format!("It has more than its {} bytes.", self.entry.size)))
            }
            Ok(count) => {
                self.crc.update(&buffer[..count]);
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if is_of_the_data(&error) => Err(self.fail(format!("{error}."))),
            Err(error) => Err(error),
        }
    }
}

/// Whether it is the decoder that complains, not the file system.
fn is_of_the_data(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        || error.kind() == io::ErrorKind::UnexpectedEof
}
