//! A part of a dump: which entries of its table of contents are restored.
//!
//! In: what `pg_restore --list --verbose` prints, which tells what each entry depends on, and which
//! relations are chosen. Out: lists for `pg_restore --use-list`. Definitions are restored whole,
//! because functions use what no catalog knows of; rows and what is built on them only for what is
//! chosen; large objects belong to no table and stay out.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::decide::request::Restore;
use crate::decide::toc::{self, TocEntry};
use crate::error::Result;

/// What stands before the numbers of entries that the one above depends on.
const NEEDS: &str = ";\tdepends on:";
/// Kinds of the section post-data that belong to a relation.
pub const BUILT_ON_ROWS: [&str; 11] = [
    "CHECK CONSTRAINT",
    "CONSTRAINT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "MATERIALIZED VIEW DATA",
    "POLICY",
    "ROW SECURITY",
    "RULE",
    "STATISTICS",
    "TRIGGER",
];
/// Those that would act on rows beside a live database, or reach out of the schema that they are
/// put into.
const LEFT_OUT_BESIDE_LIVE: [&str; 6] =
    ["FK CONSTRAINT", "MATERIALIZED VIEW DATA", "POLICY", "RULE", "STATISTICS", "TRIGGER"];
/// Kinds that say something about another entry.
const ABOUT_OTHERS: [&str; 3] = ["ACL", "COMMENT", "SECURITY LABEL"];
/// Kinds that are relations.
const RELATIONS: [&str; 5] = ["FOREIGN TABLE", "MATERIALIZED VIEW", "SEQUENCE", "TABLE", "VIEW"];
/// Foreign keys that a warning names.
const SHOWN: usize = 5;

/// Whether not everything is restored.
pub fn is_part(restore: &Restore) -> bool {
    !restore.tables.is_empty() || !restore.schemas.is_empty()
}

/// An entry and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub toc: TocEntry,
    /// Numbers of other entries.
    pub needs: Vec<u32>,
}

/// Reads the verbose table of contents. Errors: those of [`toc::parse`].
pub fn entries(text: &str, schemas: &[String], roles: &[String]) -> Result<Vec<Entry>> {
    let mut needs: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut last = 0_u32;
    for line in text.lines() {
        match line.strip_prefix(NEEDS) {
            Some(numbers) => {
                let numbers =
                    numbers.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
                needs.entry(last).or_default().extend(numbers);
            }
            None => last = dump_id(line).unwrap_or(last),
        }
    }
    let entry = |toc: TocEntry| {
        let needs = needs.remove(&toc.dump_id).unwrap_or_default();
        Entry { toc, needs }
    };
    Ok(toc::parse(text, schemas, roles)?.into_iter().map(entry).collect())
}

/// Adds to some entries what is said about them. It has to go where they go: pg_restore counts it
/// to the section of what stands before it in a list.
pub fn with_what_is_said(entries: &[Entry], ids: &mut BTreeSet<u32>) {
    for entry in entries.iter().filter(|entry| ABOUT_OTHERS.contains(&entry.toc.kind.as_str())) {
        if entry.needs.iter().any(|id| ids.contains(id)) {
            ids.insert(entry.toc.dump_id);
        }
    }
}

/// The number of an entry, understood or not, from its line.
pub fn dump_id(line: &str) -> Option<u32> {
    line.split_once("; ")?.0.parse().ok()
}

/// The list of all entries, understood or not.
pub fn everything(text: &str) -> String {
    text.lines().filter_map(dump_id).map(|id| format!("{id};\n")).collect()
}

/// A relation as a table of contents names it: what breaks a line is a space there.
pub type Printed = (String, String);

/// The printed name of a relation.
pub fn printed(schema: &str, name: &str) -> Printed {
    (schema.to_owned(), name.replace(['\n', '\r'], " "))
}

impl Entry {
    fn relation(&self) -> Option<Printed> {
        Some(printed(self.toc.schema.as_deref()?, &self.toc.name))
    }
}

/// What large objects, and what is said about them, begin with behind the numbers of a line.
const LARGE_OBJECTS: [&str; 5] = [
    "BLOB",
    "LARGE OBJECT",
    "ACL - LARGE OBJECT ",
    "COMMENT - LARGE OBJECT ",
    "SECURITY LABEL - LARGE OBJECT ",
];

/// The list for the section pre-data: every line, understood or not, but large objects.
pub fn definitions(text: &str) -> String {
    let number = |line: &str| {
        let (number, (_, rest)) = (dump_id(line)?, line.split_once("; ")?);
        let kind = rest.splitn(3, ' ').nth(2)?;
        let large = LARGE_OBJECTS.iter().any(|start| kind.starts_with(start));
        (!large).then(|| format!("{number};\n"))
    };
    text.lines().filter_map(number).collect()
}

/// A materialized view that pg_dump makes behind the rows, because its query groups by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    pub name: Printed,
    /// The relations that it reads, as far as they are in the dump.
    pub reads: Vec<Printed>,
}

/// Those that are not among the relations that are `there` with all definitions.
pub fn late(entries: &[Entry], there: &HashSet<Printed>) -> Vec<Late> {
    let relations = relations(entries);
    let is_late = |entry: &&Entry| {
        entry.toc.kind == "MATERIALIZED VIEW"
            && entry.relation().is_some_and(|name| !there.contains(&name))
    };
    let late = entries.iter().filter(is_late).filter_map(|entry| {
        let reads = entry.needs.iter().filter_map(|id| relations.get(id).cloned());
        Some(Late { name: entry.relation()?, reads: reads.collect() })
    });
    late.collect()
}

fn relations(entries: &[Entry]) -> HashMap<u32, Printed> {
    let is_relation = |entry: &&Entry| RELATIONS.contains(&entry.toc.kind.as_str());
    let relation = |entry: &Entry| Some((entry.toc.dump_id, entry.relation()?));
    entries.iter().filter(is_relation).filter_map(relation).collect()
}

/// What is restored when the definitions are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// For the sections data and post-data.
    pub list: String,
    /// Foreign keys of chosen tables that are left out, because they refer to others.
    pub foreign_keys: Vec<String>,
}

/// Rows of the relations `chosen`, and what is built on them. `unread` are materialized views whose
/// query needs more; `beside_live` leaves out what must not act there.
pub fn rest(
    entries: &[Entry],
    chosen: &HashSet<Printed>,
    unread: &HashSet<Printed>,
    beside_live: bool,
) -> Rest {
    let relations = relations(entries);
    let domains = entries.iter().filter(|entry| entry.toc.kind == "DOMAIN");
    let domains: HashSet<u32> = domains.map(|entry| entry.toc.dump_id).collect();
    let is_chosen = |id: &u32| relations.get(id).map(|name| chosen.contains(name));
    let mut kept: HashSet<u32> = HashSet::new();
    let mut foreign_keys = Vec::new();
    for entry in entries {
        let kind = entry.toc.kind.as_str();
        let of_relations: Vec<bool> = entry.needs.iter().filter_map(is_chosen).collect();
        let mut of_others = entry.needs.iter().filter(|id| !relations.contains_key(id));
        let itself =
            |names: &HashSet<Printed>| entry.relation().is_some_and(|name| names.contains(&name));
        let keep = match kind {
            "TABLE DATA" | "SEQUENCE SET" => itself(chosen),
            "DEFAULT ACL" => !beside_live,
            _ if ABOUT_OTHERS.contains(&kind) => entry.needs.iter().any(|id| kept.contains(id)),
            "MATERIALIZED VIEW" => itself(chosen) && !beside_live,
            _ if !BUILT_ON_ROWS.contains(&kind) => false,
            _ if beside_live && LEFT_OUT_BESIDE_LIVE.contains(&kind) => false,
            "MATERIALIZED VIEW DATA" => itself(chosen) && !itself(unread),
            "FK CONSTRAINT" => of_relations.iter().all(|chosen| *chosen),
            // One of another table may well speak of a chosen one.
            "POLICY" => is_own(entry, chosen),
            // What makes a view of a stand-in is a definition: something chosen may read that.
            "RULE" => is_own(entry, chosen) || entry.toc.name.ends_with(" _RETURN"),
            "INDEX ATTACH" => of_others.all(|id| kept.contains(id)),
            // One of a domain that is not validated is a definition that comes behind the rows.
            "CHECK CONSTRAINT" if of_relations.is_empty() => {
                !beside_live && of_others.any(|id| domains.contains(id))
            }
            _ => of_relations.contains(&true),
        };
        if keep {
            kept.insert(entry.toc.dump_id);
        } else if kind == "FK CONSTRAINT" && !beside_live && is_own(entry, chosen) {
            foreign_keys.push(entry.toc.name.clone());
        }
    }
    with_keys(entries, &mut kept);
    let list = list(entries.iter().filter(|entry| kept.contains(&entry.toc.dump_id)));
    Rest { list, foreign_keys }
}

/// Adds the keys that queries group by, also those of tables without rows: they cannot be made
/// without.
fn with_keys(entries: &[Entry], kept: &mut HashSet<u32>) {
    let keys = entries.iter().filter(|entry| entry.toc.kind == "CONSTRAINT");
    let keys: HashSet<u32> = keys.map(|entry| entry.toc.dump_id).collect();
    let queries = entries.iter().filter(|entry| {
        ["MATERIALIZED VIEW", "RULE"].contains(&entry.toc.kind.as_str())
            && kept.contains(&entry.toc.dump_id)
    });
    let needed: Vec<u32> =
        queries.flat_map(|entry| &entry.needs).filter(|id| keys.contains(id)).copied().collect();
    kept.extend(needed);
}

/// Whether a foreign key, a rule or a policy is one of a chosen table: its tag is `table name`.
fn is_own(entry: &Entry, chosen: &HashSet<Printed>) -> bool {
    let Some(schema) = entry.toc.schema.as_deref() else { return false };
    let spaces = entry.toc.name.match_indices(' ').map(|(at, _)| at);
    spaces.into_iter().any(|at| chosen.contains(&printed(schema, &entry.toc.name[..at])))
}

fn list<'e>(entries: impl Iterator<Item = &'e Entry>) -> String {
    entries.map(|entry| format!("{};\n", entry.toc.dump_id)).collect()
}

/// A few names, and how many more.
pub fn some(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
