//! pg_dump's custom format, as far as it takes to leave out the rows of some tables on the way, and
//! to give others in larger pieces: pg_dump writes one for every row where it does not compress,
//! and what reads them has work with each (measured: 15 % of the processor time of loading rows).
//!
//! In: the decoded bytes of a dump. Out: where its blocks begin, and a reader of the same dump;
//! pg_restore looks for the block of an entry and does not miss one that it is not asked for.
//! The layout (versions 1.14 to 1.16, PostgreSQL 15 to 18): a header, the entries of the table of
//! contents, then blocks: a kind, the entry's number, and chunks with their lengths up to one of
//! no length; a block of large objects has such chunks for each, behind its oid, up to oid 0.
//!
//! What must hold: what is not understood goes through as it is, and pg_restore judges it; a dump
//! that is cut stays cut; nothing is kept in memory but a buffer.

mod blocks;

pub use blocks::Without;

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

/// Read from the dump at once.
const BUFFER: usize = 256 << 10;
/// How every dump in custom format begins.
pub const MAGIC: &[u8] = b"PGDMP";
/// Minor numbers of the versions that are known; the major one is 1.
const VERSIONS: std::ops::RangeInclusive<u8> = 14..=16;
/// The byte that says custom format.
const CUSTOM: u8 = 1;
/// A number has so many bytes, and one for its sign. In less there is no room for the length of a
/// larger piece.
const INTS: std::ops::RangeInclusive<usize> = 4..=INT_MAX;
const INT_MAX: usize = 8;

/// The sizes of a dump's numbers, and where its first block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first block.
    pub head: u64,
    /// Bytes of a number, beside that for its sign.
    pub ints: usize,
}

/// Reads the header and the table of contents. None for what is not known.
pub fn layout(dump: impl Read) -> Option<Layout> {
    let mut fields = Fields { inner: BufReader::with_capacity(BUFFER, dump), at: 0, ints: 0 };
    fields.layout().ok()
}

/// A longer head is not kept in memory to look at it: some 20,000 entries.
const HEAD_MAX: u64 = 8 << 20;

/// A reader of the same dump with rows in larger pieces; of the same bytes, for what is not known.
pub struct Merged {
    /// Until it is read first: looking at the head takes as long as reading does.
    whole: Option<Box<dyn Read + Send>>,
    merged: Option<Box<dyn Read + Send>>,
}

impl Merged {
    /// Nothing is read yet.
    pub fn new(dump: Box<dyn Read + Send>) -> Merged {
        Merged { whole: Some(dump), merged: None }
    }
}

impl Read for Merged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(dump) = self.whole.take() {
            self.merged = Some(merged(dump)?);
        }
        // Behind an error there is nothing.
        self.merged.as_mut().ok_or(ErrorKind::BrokenPipe)?.read(buffer)
    }
}

/// Errors: those of reading the beginning.
fn merged(mut dump: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut kept = Kept { inner: (&mut dump).take(HEAD_MAX), bytes: Vec::new(), error: None };
    let layout = layout(&mut kept);
    let Kept { bytes, error, .. } = kept;
    if let Some(error) = error {
        return Err(error);
    }
    let whole = Cursor::new(bytes).chain(dump);
    Ok(match layout {
        Some(layout) => Box::new(Without::new(whole, layout, |_| false)),
        None => Box::new(whole),
    })
}

/// Keeps what was read.
struct Kept<R> {
    inner: R,
    bytes: Vec<u8>,
    error: Option<io::Error>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.bytes.extend_from_slice(&buffer[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.error = Some(error);
                Err(ErrorKind::Other.into())
            }
        }
    }
}

struct Fields<R> {
    inner: BufReader<R>,
    at: u64,
    ints: usize,
}

impl<R: Read> Fields<R> {
    fn layout(&mut self) -> io::Result<Layout> {
        let mut magic = [0; MAGIC.len()];
        self.inner.read_exact(&mut magic)?;
        self.at += magic.len() as u64;
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        self.ints = usize::from(self.byte()?);
        let offsets = self.byte()?;
        let custom = self.byte()? == CUSTOM;
        let known = magic == MAGIC && major == 1 && VERSIONS.contains(&minor) && custom;
        if !known || !INTS.contains(&self.ints) {
            return Err(ErrorKind::Unsupported.into());
        }
        // How it is compressed, and seven numbers of the time.
        let compression = if minor >= 15 { self.byte().map(drop) } else { self.int().map(drop) };
        compression?;
        self.ints(7)?;
        self.strings(3)?;
        for _ in 0..self.int()? {
            self.entry(minor, offsets)?;
        }
        Ok(Layout { head: self.at, ints: self.ints })
    }

    fn entry(&mut self, minor: u8, offsets: u8) -> io::Result<()> {
        // Number and whether there are data; two oids, tag, kind; section; definition, how to drop
        // it, how to copy it, schema, tablespace, access method; since 1.16 the kind of relation;
        // owner, and a word that says nothing.
        self.ints(2)?;
        self.strings(4)?;
        self.ints(1)?;
        self.strings(6)?;
        self.ints(usize::from(minor >= 16))?;
        self.strings(2)?;
        // What it depends on, up to the first that is not there.
        while self.string()? {}
        // Where its block is.
        self.skip(1 + u64::from(offsets))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.inner.read_exact(&mut byte)?;
        self.at += 1;
        Ok(byte[0])
    }

    fn int(&mut self) -> io::Result<i64> {
        let mut bytes = [0; INT_MAX + 1];
        self.inner.read_exact(&mut bytes[..=self.ints])?;
        self.at += 1 + self.ints as u64;
        Ok(number(&bytes[..=self.ints]))
    }

    fn ints(&mut self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.int().map(drop))
    }

    /// Whether there is one: it may be missing.
    fn string(&mut self) -> io::Result<bool> {
        let Ok(length) = u64::try_from(self.int()?) else { return Ok(false) };
        self.skip(length).map(|()| true)
    }

    fn strings(&mut self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.string().map(drop))
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.inner.by_ref().take(length), &mut io::sink())?;
        self.at += skipped;
        if skipped == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }
}

/// A sign and little-endian bytes.
fn number(bytes: &[u8]) -> i64 {
    let value = bytes[1..].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    if bytes[0] == 0 { value } else { -value }
}

#[cfg(test)]
mod tests;
