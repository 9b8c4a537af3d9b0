//! pg_dump's custom format, as far as it takes to leave out the rows of some tables on the way.
//!
//! In: the decoded bytes of a dump. Out: where its blocks begin, and a reader that leaves some out;
//! pg_restore looks for the block of an entry and does not miss one that it is not asked for.
//! The layout (versions 1.14 to 1.16, PostgreSQL 15 to 18): a header, the entries of the table of
//! contents, then blocks: a kind, the entry's number, and chunks with their lengths up to one of
//! no length; a block of large objects has such chunks for each, behind its oid, up to oid 0.
//!
//! What must hold: what is not understood goes through as it is, and pg_restore judges it; nothing
//! is kept in memory but a buffer.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Read from the dump at once.
const BUFFER: usize = 256 << 10;
const MAGIC: &[u8] = b"PGDMP";
/// Minor numbers of the versions that are known; the major one is 1.
const VERSIONS: std::ops::RangeInclusive<u8> = 14..=16;
/// The byte that says custom format.
const CUSTOM: u8 = 1;
/// Kinds of blocks: rows, and large objects.
const ROWS: u8 = 1;
const LARGE_OBJECTS: u8 = 3;
/// A number has at most this many bytes, and one for its sign.
const INT_MAX: usize = 8;

/// The sizes of a dump's numbers, and where its first block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first block.
    pub head: u64,
    ints: usize,
}

/// Reads the header and the table of contents. None for what is not known.
pub fn layout(dump: impl Read) -> Option<Layout> {
    let mut fields = Fields { inner: BufReader::with_capacity(BUFFER, dump), at: 0, ints: 0 };
    fields.layout().ok()
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
        if !known || self.ints > INT_MAX {
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

/// A dump without the blocks of some entries.
pub struct Without<R, F> {
    inner: BufReader<R>,
    blocks: Blocks<F>,
    /// What is kept of the bytes that were read last, and how much of it was given on.
    out: Vec<u8>,
    given: usize,
}

impl<R: Read, F: Fn(u32) -> bool> Without<R, F> {
    /// Leaves out the blocks of the entries whose numbers are `foreign`.
    pub fn new(dump: R, layout: Layout, foreign: F) -> Self {
        let blocks = Blocks {
            ints: layout.ints,
            foreign,
            state: State::Through(layout.head),
            keep: true,
            field: Vec::with_capacity(1 + 1 + INT_MAX),
        };
        let inner = BufReader::with_capacity(BUFFER, dump);
        Self { inner, blocks, out: Vec::with_capacity(BUFFER), given: 0 }
    }
}

impl<R: Read, F: Fn(u32) -> bool> Read for Without<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() {
            self.out.clear();
            self.given = 0;
            let input = self.inner.fill_buf()?;
            let count = input.len();
            match count {
                // Cut in the middle of a field.
                0 if self.blocks.is_between() => self.out.append(&mut self.blocks.field),
                0 => return Ok(0),
                _ => self.blocks.sift(input, &mut self.out),
            }
            self.inner.consume(count);
        }
        let count = (&self.out[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The head, or all that is left of what is not understood.
    Through(u64),
    /// The kind of a block and its entry's number.
    Block,
    /// An oid, of large objects.
    Oid,
    /// The length of a chunk, and whether it is one of a large object.
    Length(bool),
    /// The rest of a chunk. Every row is one.
    Chunk(bool, u64),
}

/// Goes over the blocks.
struct Blocks<F> {
    ints: usize,
    foreign: F,
    state: State,
    /// Whether the block is kept.
    keep: bool,
    /// The beginning of a field whose end is not there yet.
    field: Vec<u8>,
}

impl<F: Fn(u32) -> bool> Blocks<F> {
    /// Writes what is kept of `input` to `out`.
    fn sift(&mut self, input: &[u8], out: &mut Vec<u8>) {
        // Where that begins which is kept and not written yet.
        let (mut at, mut from) = (0, 0);
        while at < input.len() {
            let there = input.len() - at;
            if let State::Through(left) | State::Chunk(_, left) = self.state {
                let count = usize::try_from(left).unwrap_or(there).min(there);
                at += count;
                self.state = match (self.state, left - count as u64) {
                    (State::Through(_), 0) => State::Block,
                    (State::Through(_), left) => State::Through(left),
                    (State::Chunk(large, _), 0) => State::Length(large),
                    (State::Chunk(large, _), left) => State::Chunk(large, left),
                    (state, _) => state,
                };
                continue;
            }
            let is_block = self.state == State::Block;
            if is_block && self.field.is_empty() && self.keep {
                out.extend_from_slice(&input[from..at]);
            }
            let missing = 1 + usize::from(is_block) + self.ints - self.field.len();
            let count = missing.min(there);
            if count < missing || !self.field.is_empty() {
                self.field.extend_from_slice(&input[at..at + count]);
            }
            at += count;
            if count < missing {
                break;
            }
            let carried = std::mem::take(&mut self.field);
            let field = if carried.is_empty() { &input[at - count..at] } else { &carried };
            let was_kept = self.keep;
            self.judge(field);
            if self.keep && is_block {
                out.extend_from_slice(field);
            }
            if is_block || !was_kept {
                from = at;
            }
            self.field = carried;
            self.field.clear();
        }
        // A block's own field is not written before it is judged.
        if self.keep && !self.is_between() {
            out.extend_from_slice(&input[from..at]);
        }
    }

    /// Whether the beginning of a block's field is there, but not its end.
    fn is_between(&self) -> bool {
        self.state == State::Block && !self.field.is_empty()
    }

    /// Takes a field that is there as a whole.
    fn judge(&mut self, field: &[u8]) {
        self.state = match self.state {
            State::Block => {
                let id = u32::try_from(number(&field[1..]));
                self.keep = !id.is_ok_and(&self.foreign);
                match field[0] {
                    ROWS => State::Length(false),
                    LARGE_OBJECTS => State::Oid,
                    _ => self.unknown(),
                }
            }
            State::Oid if number(field) == 0 => State::Block,
            State::Oid => State::Length(true),
            State::Length(large) => match u64::try_from(number(field)) {
                Ok(0) if large => State::Oid,
                Ok(0) => State::Block,
                Ok(left) => State::Chunk(large, left),
                Err(_) => self.unknown(),
            },
            state => state,
        };
    }

    fn unknown(&mut self) -> State {
        self.keep = true;
        State::Through(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
