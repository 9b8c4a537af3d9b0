//! Counts the rows in what pg_dump and pg_restore write, while it streams by.
//!
//! In: an SQL script in chunks of any size ([`RowCounter`]), or one table's data file of a
//! directory dump ([`DataCounter`]). Out: rows and bytes per table, and whether the input was
//! whole. A script is lexed just enough that no function body, comment or name is taken for a
//! COPY; data are only searched for line ends, as fast as memory goes. Memory does not grow with
//! the input, only with the number of tables, and that has a bound.

use std::collections::HashMap;

mod block;
mod lexer;
mod split;
mod statement;

use super::encoding::decode;
use block::Block;
use lexer::Lexer;
use statement::Target;

pub use split::{MAX_LINE, Piece, Splitter};

/// Most tables that are counted apart.
pub const MAX_TABLES: usize = 250_000;
/// Most bytes of all names together: 250,000 tables with names of 64 bytes.
pub const MAX_NAME_BYTES: usize = 16 << 20;

/// What one table's COPY blocks held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// Empty where the script names none. Decoded by the encoding that the script names.
    pub schema: String,
    pub name: String,
    pub rows: u64,
    /// Data as in the script, without the line `\.`, bytes.
    pub bytes: u64,
}

/// The result for a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// By schema and name.
    pub tables: Vec<TableRows>,
    /// False when the input ended inside data, a statement, a quoted text or a block comment,
    /// or when something was not counted ([`Counted::overflowed`]).
    pub complete: bool,
    /// A statement or the number of tables went beyond what is kept; no script of pg_dump does.
    pub overflowed: bool,
}

/// The result for one data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRows {
    pub rows: u64,
    /// Data without the line `\.`, bytes.
    pub bytes: u64,
    /// The line `\.` was there, and nothing but blank lines behind it.
    pub complete: bool,
}

/// Incremental counter over the script that plain pg_dump or pg_restore writes.
#[derive(Debug, Default)]
pub struct RowCounter {
    lexer: Lexer,
    /// The block we are in, and where it goes.
    data: Option<(Block, Target)>,
    tables: Tables,
}

impl RowCounter {
    /// A counter at the start of a script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk of the script, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let used = match &mut self.data {
                Some((block, _)) => block.feed(rest),
                None => self.lexer.feed(rest),
            };
            rest = &rest[used..];
            self.turn();
        }
    }

    /// Goes from SQL to data behind a COPY statement, and back at the end of the data.
    fn turn(&mut self) {
        match self.data.take() {
            Some((block, target)) if block.ended() => self.tables.add(target, &block),
            Some(data) => self.data = Some(data),
            None => self.data = self.lexer.take_copy().map(|target| (Block::default(), target)),
        }
    }

    /// Whether the comment `-- PostgreSQL database dump complete` was seen between statements,
    /// and no statement behind it.
    pub fn saw_trailer(&self) -> bool {
        self.data.is_none() && self.lexer.saw_trailer()
    }

    /// The counts. Rows of a block without its end count as far as they came.
    pub fn finish(mut self) -> Counted {
        let whole = self.data.is_none() && self.lexer.is_between_statements();
        if let Some((mut block, target)) = self.data.take() {
            block.end_of_input();
            self.tables.add(target, &block);
        }
        let overflowed = self.lexer.overflowed() || self.tables.overflowed;
        let tables = self.tables.list(self.lexer.encoding().unwrap_or_default());
        Counted { tables, complete: whole && !overflowed, overflowed }
    }
}

/// Incremental counter over one uncompressed data file of a directory dump (`1234.dat`).
#[derive(Debug, Default)]
pub struct DataCounter {
    block: Block,
    /// Something other than line ends behind the line `\.`.
    trailing: bool,
}

impl DataCounter {
    /// A counter at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk of the file, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        let used = if self.block.ended() { 0 } else { self.block.feed(chunk) };
        self.trailing |= chunk[used..].iter().any(|byte| !matches!(byte, b'\n' | b'\r'));
    }

    /// The counts.
    pub fn finish(mut self) -> DataRows {
        let complete = self.block.ended() && !self.trailing;
        self.block.end_of_input();
        DataRows { rows: self.block.rows, bytes: self.block.bytes, complete }
    }
}

/// Counts by schema and name.
#[derive(Debug, Default)]
struct Tables {
    counts: HashMap<Target, (u64, u64)>,
    name_bytes: usize,
    overflowed: bool,
}

impl Tables {
    fn add(&mut self, target: Target, block: &Block) {
        if !self.counts.contains_key(&target) {
            let name_bytes = self.name_bytes + target.schema.len() + target.name.len();
            if self.counts.len() == MAX_TABLES || name_bytes > MAX_NAME_BYTES {
                self.overflowed = true;
                return;
            }
            self.name_bytes = name_bytes;
        }
        let (rows, bytes) = self.counts.entry(target).or_default();
        *rows += block.rows;
        *bytes += block.bytes;
    }

    fn list(self, encoding: &str) -> Vec<TableRows> {
        let text = |name: Vec<u8>| decode(&name, encoding).into_owned();
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_unstable();
        let told = |(target, (rows, bytes)): (Target, (u64, u64))| TableRows {
            schema: text(target.schema),
            name: text(target.name),
            rows,
            bytes,
        };
        counts.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests;
