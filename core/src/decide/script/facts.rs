//! What a script tells of the database that it was taken from: its header, the lines of pg_dump's
//! own making, and the rows of migrations.
//!
//! In: an SQL script, of pg_dump or by hand, or what pg_restore makes of a dump. Out: [`Facts`],
//! empty where it tells nothing. Every list has a bound; what is beyond is left out. It is what
//! the script's author wants us to believe: nothing here is a reason to trust it.

use std::collections::BTreeSet;

use super::{identifier, words};
use crate::decide::copy_rows::{Piece, Splitter};
use crate::decide::copy_text;
use crate::decide::frameworks::{self, CELL_MAX, NAMES_MAX, Reading, Row};

/// Most names of each kind.
const MAX_NAMES: usize = 10_000;
/// Lines of pg_dump's own, by their starts.
const HEADERS: [(&str, Header); 4] = [
    ("-- Dumped from database version ", Header::Server),
    ("-- Dumped by pg_dump version ", Header::Tool),
    ("-- PostgreSQL database dump", Header::Dump),
    ("-- PostgreSQL database cluster dump", Header::Cluster),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Server,
    Tool,
    Dump,
    Cluster,
}

/// What it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub database: Option<String>,
    /// `15.3 (Debian 15.3-1)`.
    pub server_version: Option<String>,
    pub pg_dump_version: Option<String>,
    pub encoding: Option<String>,
    pub extensions: BTreeSet<String>,
    pub owners: BTreeSet<String>,
    pub schemas: BTreeSet<String>,
    /// Framework, table, and names of migrations in the order in which they were applied.
    pub migrations: Vec<(String, String, Vec<String>)>,
    /// It begins as pg_dump begins: then it must end so as well.
    pub is_of_pg_dump: bool,
    /// The last line of pg_dump was there.
    pub is_complete: bool,
    /// It is what pg_dumpall writes.
    pub is_cluster: bool,
    /// Tables get rows by INSERT, which nobody counts.
    pub has_inserts: bool,
    /// `\connect` lines.
    pub connects: u32,
}

/// Reads a script.
#[derive(Debug, Default)]
pub struct Reader {
    splitter: Splitter,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    facts: Facts,
    copy: Option<Copy>,
}

/// Rows of a table of migrations.
#[derive(Debug)]
struct Copy {
    table: String,
    reading: Reading,
    /// Places of the wanted columns among those that are copied.
    places: Vec<usize>,
    rows: Vec<Row>,
    /// The end of the last chunk.
    line: Vec<u8>,
    broken: bool,
}

impl Reader {
    /// Takes the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        let seen = &mut self.seen;
        let fed = self.splitter.feed(chunk, &mut |piece| -> Result<(), ()> {
            seen.piece(piece);
            Ok(())
        });
        debug_assert!(fed.is_ok());
    }

    /// What it told, and whether it may end here.
    pub fn finish(mut self) -> (Facts, bool) {
        let whole = self.splitter.is_whole();
        let seen = &mut self.seen;
        let _never_refused = self.splitter.finish(&mut |piece| -> Result<(), ()> {
            seen.piece(piece);
            Ok(())
        });
        let whole = whole || self.splitter.is_whole();
        self.seen.end_copy();
        (self.seen.facts, whole)
    }
}

impl Seen {
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Data(bytes) => {
                if let Some(copy) = &mut self.copy {
                    copy.feed(bytes);
                }
            }
            Piece::Line { text, .. } | Piece::LongLine(text) => {
                self.end_copy();
                self.line(String::from_utf8_lossy(text).trim());
            }
            Piece::Rest(_) => self.end_copy(),
        }
    }

    fn line(&mut self, text: &str) {
        let facts = &mut self.facts;
        if text.starts_with("--") {
            return facts.header(text);
        }
        if let Some(command) = text.strip_prefix('\\') {
            return facts.command(command);
        }
        let words = words(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["COPY", ..] => self.copy = Copy::new(text),
            ["INSERT", "INTO", ..] => facts.has_inserts = true,
            ["SET", "CLIENT_ENCODING", ..] => facts.encoding = quoted(text),
            ["CREATE", "EXTENSION", rest @ ..] => {
                let skip = if rest.starts_with(&["IF", "NOT", "EXISTS"]) { 5 } else { 2 };
                add(&mut facts.extensions, named(text, skip));
            }
            ["CREATE", "SCHEMA", rest @ ..] => {
                let skip = if rest.starts_with(&["IF", "NOT", "EXISTS"]) { 5 } else { 2 };
                add(&mut facts.schemas, named(text, skip));
            }
            ["CREATE", "DATABASE", ..] => facts.database = named(text, 2),
            ["ALTER", ..] => add(&mut facts.owners, owner(text)),
            _ => {}
        }
    }

    fn end_copy(&mut self) {
        let Some(copy) = self.copy.take().filter(|copy| !copy.broken) else { return };
        if let Some(names) = copy.reading.names(copy.rows) {
            let framework = copy.reading.framework.to_owned();
            self.facts.migrations.push((framework, copy.table, names));
        }
    }
}

impl Facts {
    fn header(&mut self, text: &str) {
        for (start, header) in HEADERS {
            let Some(rest) = text.strip_prefix(start) else { continue };
            match header {
                Header::Server if self.server_version.is_none() => {
                    self.server_version = Some(short(rest));
                }
                Header::Tool if self.pg_dump_version.is_none() => {
                    self.pg_dump_version = Some(short(rest));
                }
                Header::Dump if rest.is_empty() => self.is_of_pg_dump = true,
                Header::Dump => self.is_complete |= rest == " complete",
                Header::Cluster => self.is_cluster = true,
                Header::Server | Header::Tool => {}
            }
        }
    }

    fn command(&mut self, command: &str) {
        let mut words = command.splitn(2, ' ');
        if !matches!(words.next(), Some("connect" | "c")) {
            return;
        }
        self.connects = self.connects.saturating_add(1);
        let rest = words.next().unwrap_or_default();
        // A name that is none without quotes comes as conninfo.
        let name = identifier(rest.strip_prefix("-reuse-previous=on").unwrap_or(rest));
        if let Some((name, _)) = name.filter(|(name, _)| !name.contains('=')) {
            self.database.get_or_insert(name);
        }
    }
}

impl Copy {
    /// Of `COPY schema.table (columns) FROM stdin;`, when the table is one of migrations.
    fn new(text: &str) -> Option<Copy> {
        let (first, rest) = identifier(text.get(4..)?)?;
        let (schema, table, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (table, rest) = identifier(rest)?;
                (first, table, rest)
            }
            None => (String::new(), first, rest),
        };
        let mut rest = rest.trim_start().strip_prefix('(')?;
        let mut columns = Vec::new();
        loop {
            let (column, after) = identifier(rest)?;
            columns.push(column);
            match after.trim_start().strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        let reading = frameworks::reading(&schema, &table, &columns, "")?;
        let place = |name: &&str| columns.iter().position(|column| column == name);
        let places = reading.columns.iter().map(place).collect::<Option<Vec<_>>>()?;
        let table = if schema.is_empty() { table } else { format!("{schema}.{table}") };
        Some(Copy { table, reading, places, rows: Vec::new(), line: Vec::new(), broken: false })
    }

    fn feed(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.broken {
                return;
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.row();
                self.line.clear();
            }
            self.broken |= self.line.len() > CELL_MAX || self.rows.len() > NAMES_MAX;
        }
    }

    fn row(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.trim_end() == "\\." {
            return;
        }
        let cells = copy_text::cells(line.trim_end_matches(['\n', '\r']));
        let cell = |place: &usize| cells.get(*place).cloned().flatten();
        self.rows.push(self.places.iter().map(cell).collect());
    }
}

fn add(names: &mut BTreeSet<String>, name: Option<String>) {
    if let Some(name) = name.filter(|_| names.len() < MAX_NAMES) {
        names.insert(name);
    }
}

/// The identifier behind so many words.
fn named(text: &str, words: usize) -> Option<String> {
    let mut rest = text;
    for _ in 0..words {
        rest = rest.trim_start().split_once(char::is_whitespace)?.1;
    }
    identifier(rest).map(|(name, _)| name)
}

/// The role in `ALTER … OWNER TO role;`.
fn owner(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once(" OWNER TO ")?;
    let (name, rest) = identifier(rest)?;
    (rest.trim() == ";").then_some(name)
}

/// The text in `SET … = 'text';`.
fn quoted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('\'')?;
    let (value, _) = rest.split_once('\'')?;
    Some(short(value))
}

fn short(text: &str) -> String {
    text.trim().chars().take(200).collect()
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
