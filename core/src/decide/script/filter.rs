//! What of a script a restore gives to psql.
//!
//! In: a script, and the names of the server's settings. Out: the same script, but for lines that
//! cannot work here: settings of newer versions, statements about the database that the dump was
//! taken from, and psql's own `\restrict`. What was left out becomes an empty line, so that line
//! numbers stay, and is counted. What must hold: only whole lines that begin and end between two
//! statements are left out. It is no fence: psql's restricted mode is.

use std::collections::{BTreeMap, HashSet};

use super::{identifier, words};
use crate::decide::copy_rows::{Piece, Splitter};
use crate::error::{Class, Failure, Result};

/// Most names of settings that are counted apart.
const MAX_NAMES: usize = 100;

/// The filter of one script.
#[derive(Debug, Default)]
pub struct Filter {
    splitter: Splitter,
    judge: Judge,
}

/// What was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Settings that this server does not know, and how often each was set.
    pub settings: BTreeMap<String, u64>,
    /// Statements about the database that the dump was taken from, and `\connect`.
    pub about_database: u64,
}

#[derive(Debug, Default)]
struct Judge {
    known: HashSet<String>,
    left_out: LeftOut,
    connects: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    LeaveOut,
}

impl Filter {
    /// A filter for a server that has the settings `known`, in lower case.
    pub fn new(known: HashSet<String>) -> Self {
        let judge = Judge { known, ..Judge::default() };
        Self { splitter: Splitter::default(), judge }
    }

    /// Takes the next chunk and appends what psql gets to `out`.
    ///
    /// Errors: what cannot be restored, with what to do.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let judge = &mut self.judge;
        self.splitter.feed(chunk, &mut |piece| judge.pass(piece, out))
    }

    /// The same for what waits for the end of its line.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let judge = &mut self.judge;
        self.splitter.finish(&mut |piece| judge.pass(piece, out))
    }

    /// What was left out so far.
    pub fn left_out(&self) -> &LeftOut {
        &self.judge.left_out
    }
}

impl LeftOut {
    /// A warning for each kind.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.settings.is_empty() {
            let count: u64 = self.settings.values().sum();
            let names: Vec<&str> = self.settings.keys().map(String::as_str).collect();
            let lines = if count == 1 { "1 line" } else { &format!("{count} lines") };
            warnings.push(format!(
                "left out {lines} with settings that this server does not know: {}",
                names.join(", ")
            ));
        }
        if self.about_database > 0 {
            let count = self.about_database;
            let lines = if count == 1 { "1 line" } else { &format!("{count} lines") };
            warnings
                .push(format!("left out {lines} about the database that the dump was taken from"));
        }
        warnings
    }
}

impl Judge {
    fn pass(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) -> Result<()> {
        match piece {
            Piece::Line { text, closed } => match self.line(text, closed)? {
                Verdict::Keep => out.extend_from_slice(text),
                Verdict::LeaveOut => out.push(b'\n'),
            },
            Piece::LongLine(text) => {
                // As one that does not end, whatever it is.
                self.line(text, false)?;
                out.extend_from_slice(text);
            }
            Piece::Rest(text) | Piece::Data(text) => out.extend_from_slice(text),
        }
        Ok(())
    }

    fn line(&mut self, text: &[u8], closed: bool) -> Result<Verdict> {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        if let Some(command) = text.strip_prefix('\\') {
            return self.command(command);
        }
        let words = words(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if is_about_database(&words) {
            return match closed && ends_once(text) {
                true => {
                    self.left_out.about_database += 1;
                    Ok(Verdict::LeaveOut)
                }
                false => Err(about_database(text)),
            };
        }
        let unknown = setting(text, &words).filter(|name| !self.is_known(name));
        match unknown.filter(|_| closed && ends_once(text)) {
            Some(name) => {
                let counts = &mut self.left_out.settings;
                let full = counts.len() == MAX_NAMES && !counts.contains_key(&name);
                *counts.entry(if full { "…".to_owned() } else { name }).or_default() += 1;
                Ok(Verdict::LeaveOut)
            }
            None => Ok(Verdict::Keep),
        }
    }

    /// A setting with a dot is anybody's: the server takes it without knowing it.
    fn is_known(&self, name: &str) -> bool {
        name.contains('.') || self.known.contains(name)
    }

    /// A command of psql itself.
    fn command(&mut self, command: &str) -> Result<Verdict> {
        let word = command.split_ascii_whitespace().next().unwrap_or_default();
        match word {
            "restrict" | "unrestrict" => Ok(Verdict::LeaveOut),
            "connect" | "c" => {
                self.connects += 1;
                self.left_out.about_database += 1;
                if self.connects > 1 { Err(several()) } else { Ok(Verdict::LeaveOut) }
            }
            "." => Ok(Verdict::Keep),
            word => Err(Failure::new(
                Class::NotReady,
                format!("the script has a command of psql: \\{}", shown(word)),
            )
            .detail("Only SQL is run, and COPY with its data.")
            .hint("Take the line out of the script, and import it again.")),
        }
    }
}

/// Whether the line is one statement: what follows a second semicolon would be left out with it.
fn ends_once(text: &str) -> bool {
    text.strip_suffix(';').is_some_and(|text| !text.contains(';'))
}

/// Statements that name the database itself: another one is restored, and that one may exist.
fn is_about_database(words: &[&str]) -> bool {
    match words {
        ["CREATE" | "ALTER" | "DROP", "DATABASE", ..] | ["COMMENT", "ON", "DATABASE", ..] => true,
        ["GRANT" | "REVOKE", rest @ ..] => rest.windows(2).any(|pair| pair == ["ON", "DATABASE"]),
        ["SECURITY", "LABEL", rest @ ..] => rest.windows(2).any(|pair| pair == ["ON", "DATABASE"]),
        _ => false,
    }
}

/// The setting that a line sets: `SET name = …`, `SET name TO …`, `SELECT set_config('name', …`.
fn setting(text: &str, words: &[&str]) -> Option<String> {
    let rest = match words {
        ["SET", "LOCAL" | "SESSION", ..] => text
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|word| text.split_once(word).map(|(_, rest)| rest))?,
        ["SET", ..] => text.get(3..)?,
        ["SELECT", "PG_CATALOG.SET_CONFIG" | "SET_CONFIG", ..] => {
            let (_, rest) = text.split_once("('")?;
            return rest.split_once('\'').map(|(name, _)| name.to_ascii_lowercase());
        }
        _ => return None,
    };
    let (mut name, mut rest) = identifier(rest)?;
    while let Some(more) = rest.strip_prefix('.') {
        let (part, after) = identifier(more)?;
        name = format!("{name}.{part}");
        rest = after;
    }
    let rest = rest.trim_start();
    let is_set = rest.starts_with('=') || words_start(rest, "TO");
    is_set.then(|| name.to_ascii_lowercase())
}

fn words_start(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().next().is_some_and(|first| first.eq_ignore_ascii_case(word))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect::<String>().escape_debug().to_string()
}

fn about_database(text: &str) -> Failure {
    Failure::new(Class::NotReady, "the script has a statement about a database")
        .detail(format!("It begins with \"{}\", and is not one line.", shown(text)))
        .hint("Make the dump without --create, or take the statement out of the script.")
}

fn several() -> Failure {
    Failure::new(Class::NotReady, "the script holds several databases")
        .detail("It has more than one \\connect, as pg_dumpall writes them.")
        .hint("Dump each database with pg_dump, or split the script at its \\connect lines.")
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
