//! The blocks of a dump of custom format: some left out, the pieces of others put together.

use std::io::{self, BufRead, BufReader, Read};

use super::{BUFFER, INT_MAX, Layout, number};

/// Kinds of blocks: rows, and large objects.
pub(super) const ROWS: u8 = 1;
pub(super) const LARGE_OBJECTS: u8 = 3;

/// A dump without the blocks of some entries, and with the rows of others in larger pieces: as many
/// as are read at once.
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
            piece: None,
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
                0 if !self.blocks.field.is_empty() => self.blocks.cut(&mut self.out),
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
    /// Where the piece begins that rows are put into, in what is written.
    piece: Option<usize>,
}

impl<F: Fn(u32) -> bool> Blocks<F> {
    /// Writes what is kept of `input` to `out`.
    fn sift(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while at < input.len() {
            let there = input.len() - at;
            if let State::Through(left) | State::Chunk(_, left) = self.state {
                let count = usize::try_from(left).unwrap_or(there).min(there);
                self.pass(&input[at..at + count], left - count as u64, out);
                at += count;
                continue;
            }
            let missing = 1 + usize::from(self.state == State::Block) + self.ints;
            if self.field.is_empty() && there >= missing {
                self.judge(&input[at..at + missing], out);
                at += missing;
                continue;
            }
            let count = (missing - self.field.len()).min(there);
            self.field.extend_from_slice(&input[at..at + count]);
            at += count;
            if self.field.len() == missing {
                let mut field = std::mem::take(&mut self.field);
                self.judge(&field, out);
                field.clear();
                self.field = field;
            }
        }
        self.end_piece(out);
    }

    /// Bytes that are no field; so many are `left` of what they belong to.
    fn pass(&mut self, bytes: &[u8], left: u64, out: &mut Vec<u8>) {
        if self.keep {
            if let State::Chunk(false, _) = self.state
                && self.piece.is_none()
            {
                self.piece = Some(out.len());
                out.resize(out.len() + 1 + self.ints, 0);
            }
            out.extend_from_slice(bytes);
        }
        self.state = match self.state {
            State::Through(_) if left == 0 => State::Block,
            State::Chunk(large, _) if left == 0 => State::Length(large),
            State::Chunk(large, _) => State::Chunk(large, left),
            _ => State::Through(left),
        };
    }

    /// Writes the length of a piece that rows were put into.
    fn end_piece(&mut self, out: &mut [u8]) {
        let Some(at) = self.piece.take() else { return };
        let from = at + 1 + self.ints;
        // It came from no more than was read at once.
        let length = ((out.len() - from) as u64).to_le_bytes();
        let bytes = self.ints.min(length.len());
        out[at + 1..at + 1 + bytes].copy_from_slice(&length[..bytes]);
    }

    /// Takes a field that is there as a whole. One of a block that is left out goes with it.
    fn judge(&mut self, field: &[u8], out: &mut Vec<u8>) {
        let was = self.state;
        let was_kept = self.keep;
        self.state = match was {
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
        if matches!(self.state, State::Chunk(false, _)) {
            return;
        }
        let is_kept = if was == State::Block { self.keep } else { was_kept };
        if is_kept {
            self.end_piece(out);
            out.extend_from_slice(field);
        }
    }

    /// The dump ends in the middle of a field. That of a block was not judged yet.
    fn cut(&mut self, out: &mut Vec<u8>) {
        let field = std::mem::take(&mut self.field);
        if self.keep || self.state == State::Block {
            out.extend_from_slice(&field);
        }
    }

    fn unknown(&mut self) -> State {
        self.keep = true;
        State::Through(u64::MAX)
    }
}
