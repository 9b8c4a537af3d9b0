//! The table of contents of a dump, as `pg_restore -l` prints it.
//!
//! In: its text, and the names of schemas and roles that the manifest knows. Out: its entries.
//! A line is `215; 1259 16385 TABLE public foo owner`: no quotes, and words are split by single
//! spaces whatever a name holds, so a name with spaces is only told apart by knowing it. Where
//! nothing is known the first word is the schema and the last one the owner. pg_restore writes
//! line ends inside names as spaces. What is not an entry is left out, never an error.

use std::collections::HashMap;

use crate::error::{Class, Failure, Result};

/// Most entries that are read: more than ten objects for each of 64,000 tables. Measured: 171 MB
/// beside the text, whoever wrote it.
pub const MAX_ENTRIES: usize = 750_000;
/// Longest line, bytes: a function with 100 arguments of the longest type names needs 13,000.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// One object of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TocEntry {
    /// Number inside this dump, which names the data file of a directory dump.
    pub dump_id: u32,
    /// pg_dump's word for it: `TABLE`, `TABLE DATA`, `FK CONSTRAINT` …
    pub kind: String,
    /// None for what lies in no schema.
    pub schema: Option<String>,
    /// pg_dump's tag: a table's name; a function's with its arguments; `table constraint`.
    pub name: String,
    /// None where pg_dump gives none, as for extensions.
    pub owner: Option<String>,
}

/// Every word of pg_dump 15 to 18 for a kind of object that has more than one word. A kind of
/// one word needs no list.
const LONG_KINDS: [&str; 34] = [
    "ACCESS METHOD",
    "BLOB COMMENTS",
    "BLOB METADATA",
    "CHECK CONSTRAINT",
    "DATABASE PROPERTIES",
    "DEFAULT ACL",
    "EVENT TRIGGER",
    "FK CONSTRAINT",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "FOREIGN TABLE",
    "INDEX ATTACH",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "MATERIALIZED VIEW DATA",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "ROW SECURITY",
    "SECURITY LABEL",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "SHELL TYPE",
    "STATISTICS DATA",
    "SUBSCRIPTION TABLE",
    "TABLE ATTACH",
    "TABLE DATA",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "USER MAPPING",
];

/// Reads the whole table of contents: at most [`MAX_ENTRIES`] entries, lines of at most
/// [`MAX_LINE_BYTES`]; longer lines are left out.
///
/// Errors: `LimitExceeded` for more entries: half a list would be taken for the whole dump.
pub fn parse(
    text: &str,
    known_schemas: &[String],
    known_roles: &[String],
) -> Result<Vec<TocEntry>> {
    let schemas = Known::new(known_schemas);
    let roles = Known::new(known_roles);
    let lines = text.split('\n').filter(|line| line.len() <= MAX_LINE_BYTES);
    let mut entries = lines.filter_map(|line| entry(line, &schemas, &roles));
    let read: Vec<TocEntry> = entries.by_ref().take(MAX_ENTRIES).collect();
    match entries.next() {
        None => Ok(read),
        Some(_) => Err(too_many()),
    }
}

fn too_many() -> Failure {
    Failure::new(Class::LimitExceeded, format!("the dump has more than {MAX_ENTRIES} objects"))
        .detail("So long a table of contents is not read.")
        .hint(
            "Back up with format => 'custom', and restore all of the archive: both need no such \
             list.",
        )
}

/// One line; none for a comment or anything else.
fn entry(line: &str, schemas: &Known<'_>, roles: &Known<'_>) -> Option<TocEntry> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (id, rest) = line.split_once("; ")?;
    let dump_id = id.parse().ok()?;
    let (catalog, rest) = rest.split_once(' ')?;
    let (object, rest) = rest.split_once(' ')?;
    let catalog: u32 = catalog.parse().ok()?;
    object.parse::<u32>().ok()?;
    // `TABLE DATA foo` is the table of a schema "DATA" if nothing fits otherwise, or if that
    // schema is known and the entry is an object of a catalog, which data are not.
    let table_of_data = catalog != 0 && schemas.get("DATA").is_some();
    kinds(rest).filter(|kind| !(table_of_data && kind.ends_with(" DATA"))).find_map(|kind| {
        let (schema, rest) = split_schema(&rest[kind.len() + 1..], schemas)?;
        let (name, owner) = split_owner(rest, roles)?;
        Some(TocEntry { dump_id, kind: kind.into(), schema, name: name.into(), owner })
    })
}

/// The kinds that may stand at the start, before a space: the longest first.
fn kinds(text: &str) -> impl Iterator<Item = &str> {
    let fits = |kind: &&str| text.strip_prefix(*kind).is_some_and(|rest| rest.starts_with(' '));
    let mut kinds: Vec<&str> = LONG_KINDS.into_iter().filter(fits).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.len()));
    kinds.into_iter().chain(text.split_once(' ').map(|(word, _)| word))
}

/// The schema at the start, the longest known one that fits, and what follows.
fn split_schema<'t>(text: &'t str, known: &Known<'_>) -> Option<(Option<String>, &'t str)> {
    let spaces = text.match_indices(' ').map(|(at, _)| at);
    // A name and an owner follow, so there is a space behind a schema's own.
    let fits = |at: &usize| known.get(&text[..*at]).is_some() && text[*at + 1..].contains(' ');
    let longest = spaces.take_while(|at| *at <= known.longest).filter(fits).last();
    let (word, rest) = match longest {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => text.split_once(' ')?,
    };
    let schema = (word != "-").then(|| known.get(word).unwrap_or(word).to_owned());
    Some((schema, rest))
}

/// The name, and the owner behind it: the longest known one that fits, or the last word.
fn split_owner<'t>(text: &'t str, known: &Known<'_>) -> Option<(&'t str, Option<String>)> {
    let spaces = text.rmatch_indices(' ').map(|(at, _)| at);
    let near = |at: &usize| text.len() - *at - 1 <= known.longest;
    let fits = |at: &usize| known.get(&text[*at + 1..]).is_some();
    let longest = spaces.take_while(near).filter(fits).last();
    let at = longest.or_else(|| text.rfind(' '))?;
    let (name, word) = (&text[..at], &text[at + 1..]);
    let owner = (!word.is_empty()).then(|| known.get(word).unwrap_or(word).to_owned());
    Some((name, owner))
}

/// Names that are known, by what pg_restore prints for them.
struct Known<'n> {
    names: HashMap<String, &'n str>,
    /// Length of the longest, bytes: no longer word is looked up, which keeps a line linear.
    longest: usize,
}

impl<'n> Known<'n> {
    fn new(names: &'n [String]) -> Self {
        let longest = names.iter().map(String::len).max().unwrap_or(0);
        let printed = |name: &'n String| (name.replace(['\n', '\r'], " "), name.as_str());
        let names = names.iter().filter(|name| !name.is_empty()).map(printed).collect();
        Self { names, longest }
    }

    /// The true name behind `printed`.
    fn get(&self, printed: &str) -> Option<&'n str> {
        self.names.get(printed).copied()
    }
}

#[cfg(test)]
mod tests;
