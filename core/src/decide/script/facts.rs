//! What a script tells of the database that it was taken from: its header, the lines of pg_dump's
//! own making, and the rows of migrations.
//!
//! In: an SQL script, of pg_dump or by hand, or what pg_restore makes of a dump. Out: [`Facts`],
//! empty where it tells nothing. Every list has a bound; what is beyond is left out. It is what
//! the script's author wants us to believe: nothing here is a reason to trust it.

mod migrations;

use std::collections::BTreeSet;

use super::{identifier, words};
use crate::decide::copy_rows::{Piece, Splitter};
use crate::decide::encoding::decode;
use migrations::Migrations;

/// Most names of each kind.
const MAX_NAMES: usize = 10_000;
/// No longer name is one, bytes: the server's have 63, of up to three here where it was not UTF-8.
const MAX_NAME_BYTES: usize = 189;
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
    /// There are statements behind it.
    pub goes_on: bool,
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
    migrations: Migrations,
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
            Piece::Data(bytes) => self.migrations.feed(bytes),
            Piece::Line { text, .. } | Piece::LongLine(text) => {
                self.end_copy();
                let encoding = self.facts.encoding.clone().unwrap_or_default();
                self.line(decode(text, &encoding).trim());
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
        facts.goes_on |= facts.is_complete && !text.is_empty();
        let words = words(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["COPY", ..] => self.migrations.begin(text),
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
        self.migrations.end(&mut self.facts.migrations);
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
                Header::Dump if rest == " complete" => {
                    self.is_complete = true;
                    self.goes_on = false;
                }
                Header::Dump => {}
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
        let name = named(rest.strip_prefix("-reuse-previous=on").unwrap_or(rest), 0);
        if let Some(name) = name.filter(|name| !name.contains('=')) {
            self.database.get_or_insert(name);
        }
    }
}

fn add(names: &mut BTreeSet<String>, name: Option<String>) {
    let fits = |name: &String| names.len() < MAX_NAMES && name.len() <= MAX_NAME_BYTES;
    if let Some(name) = name.filter(fits) {
        names.insert(name);
    }
}

/// The identifier behind so many words.
fn named(text: &str, words: usize) -> Option<String> {
    let mut rest = text;
    for _ in 0..words {
        rest = rest.trim_start().split_once(char::is_whitespace)?.1;
    }
    identifier(rest).map(|(name, _)| name).filter(|name| name.len() <= MAX_NAME_BYTES)
}

/// The role in `ALTER … OWNER TO role;`.
fn owner(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once(" OWNER TO ")?;
    let (name, rest) = identifier(rest)?;
    (rest.trim() == ";" && name.len() <= MAX_NAME_BYTES).then_some(name)
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
