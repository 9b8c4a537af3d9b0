//! The order in which a dump with TimescaleDB comes back: its catalog before all other rows, and
//! the schema of the extension not at all, for the extension is made before.

use std::collections::BTreeSet;
use std::path::Path;

use super::plan::{Load, Section};
use crate::decide::manifest::{Extension, Manifest};
use crate::decide::request::Restore;
use crate::decide::toc::{TocEntry, parse};
use crate::error::Result;

/// The schemas whose tables say what a hypertable is.
pub const CATALOGS: [&str; 2] = ["_timescaledb_catalog", "_timescaledb_config"];
/// Where the extension lies by default: this schema is there in every new database.
const PUBLIC: &str = "public";

/// Lists for `pg_restore --use-list`: one dump id a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// Everything but the schema of the extension.
    pub all: String,
    /// Rows of the catalog: loaded by the superuser, one after the other.
    pub catalog: String,
    /// Everything but those.
    pub others: String,
    /// The owner of the extension's schema, where the dump has that.
    pub schema_owner: Option<String>,
}

/// Where the lists lie.
#[derive(Debug, Clone, Copy)]
pub struct ListPaths<'a> {
    pub all: &'a Path,
    pub catalog: &'a Path,
    pub others: &'a Path,
}

/// The runs of pg_restore: the catalog by itself, by one connection and as the superuser, for its
/// tables belong to the extension; before the rows that need it.
pub fn parts<'a>(load: impl Fn(Section) -> Load<'a>, lists: ListPaths<'a>) -> Vec<Load<'a>> {
    let listed = |section, list: &'a Path| Load { list: Some(list), ..load(section) };
    vec![
        listed(Section::PreData, lists.all),
        Load { jobs: 1, trusted: true, ..listed(Section::Data, lists.catalog) },
        listed(Section::Data, lists.others),
        listed(Section::PostData, lists.all),
    ]
}

/// Whether the restored database has the name that the jobs are for.
pub fn keeps_jobs(manifest: &Manifest, restore: &Restore) -> bool {
    restore.replace.is_some() || restore.target == manifest.facts.database.name
}

/// The extension as the manifest has it.
pub fn recorded(manifest: &Manifest) -> Option<&Extension> {
    manifest.facts.extensions.iter().find(|extension| extension.name == "timescaledb")
}

/// Lists from a dump's table of contents: its lines, so that none is lost that cannot be read.
///
/// Errors: those of [`parse`].
pub fn lists(contents: &str, manifest: &Manifest, extension: &Extension) -> Result<Lists> {
    let entries = parse(contents, &manifest.facts.schemas, &manifest.facts.roles)?;
    let own = |entry: &&TocEntry| {
        entry.kind == "SCHEMA" && entry.schema.is_none() && entry.name == extension.schema
    };
    let of_catalog = |entry: &&TocEntry| {
        entry.kind == "TABLE DATA"
            && entry.schema.as_deref().is_some_and(|schema| CATALOGS.contains(&schema))
    };
    let schema = entries.iter().find(own);
    let skipped = schema.filter(|_| extension.schema != PUBLIC).map(|entry| entry.dump_id);
    let catalog: BTreeSet<u32> = entries.iter().filter(of_catalog).map(|e| e.dump_id).collect();
    let ids = contents.lines().filter_map(|line| line.split_once(';')?.0.parse::<u32>().ok());
    let wanted: Vec<u32> = ids.filter(|id| Some(*id) != skipped).collect();
    let list = |keep: &dyn Fn(&u32) -> bool| {
        wanted.iter().filter(|id| keep(id)).map(|id| format!("{id};\n")).collect::<String>()
    };
    Ok(Lists {
        all: list(&|_| true),
        catalog: list(&|id| catalog.contains(id)),
        others: list(&|id| !catalog.contains(id)),
        schema_owner: schema.and_then(|entry| entry.owner.clone()),
    })
}

/// The version in the script of `_timescaledb_catalog.metadata`: the truth about the catalog.
pub fn version_in(script: &str) -> Option<&str> {
    let rows = script.lines().filter_map(|line| line.split_once('\t'));
    let mut values = rows.filter(|(key, _)| *key == "timescaledb_version");
    let (_, rest) = values.next()?;
    let version = rest.split('\t').next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    (!version.is_empty() && version.chars().all(plain)).then_some(version)
}

/// Schema and name of every hypertable, from the script of `_timescaledb_catalog.hypertable`.
/// Compressed rows lie in hypertables of their own, which are among them.
pub fn hypertables_in(script: &str) -> Vec<(String, String)> {
    let mut columns: Option<(usize, usize)> = None;
    let mut found = Vec::new();
    for line in script.lines() {
        if let Some(list) = line.strip_prefix("COPY _timescaledb_catalog.hypertable (") {
            let names: Vec<&str> = list.split(')').next().unwrap_or("").split(", ").collect();
            let at = |name: &str| names.iter().position(|column| *column == name);
            columns = at("schema_name").zip(at("table_name"));
        } else if line == "\\." {
            columns = None;
        } else if let Some((schema, table)) = columns {
            let values: Vec<&str> = line.split('\t').collect();
            if let (Some(schema), Some(table)) = (values.get(schema), values.get(table)) {
                found.push((unescaped(schema), unescaped(table)));
            }
        }
    }
    found
}

/// A value of COPY's text format. Names hold nothing but what a backslash is put before.
fn unescaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| match c {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                other => other,
            })),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(schema: &str) -> Manifest {
        serde_json::from_value(json!({
            "format": 1, "id": 1, "comment": null, "origin": "manual", "members": [],
            "created_at": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
            "dump": {"format": "custom", "compression": "none", "jobs": 1}, "tools":
            {"pg_backup": "0", "pg_dump": "15"},
            "extensions": [{"name": "timescaledb", "version": "2.19.3", "schema": schema}],
            "schemas": ["_timescaledb_catalog", "_timescaledb_catalog evil", "foo", "public"],
            "roles": ["postgres", "mallory"]
        }))
        .unwrap()
    }

    const CONTENTS: &str = "\
;
; Archive created at 2026-01-01
3; 3079 16385 EXTENSION - timescaledb
5; 2615 1 SCHEMA - foo boss
6; 2615 2 SCHEMA - other boss
10; 1259 16400 TABLE _timescaledb_internal _hyper_1_1_chunk postgres
20; 0 16390 TABLE DATA _timescaledb_catalog hypertable postgres
21; 0 16391 TABLE DATA _timescaledb_catalog evil t mallory
22; 0 16400 TABLE DATA _timescaledb_internal _hyper_1_1_chunk postgres
23; 0 16392 TABLE DATA _timescaledb_config bgw_job postgres
";

    #[test]
    fn the_catalog_is_apart_and_a_schema_that_sounds_like_it_is_not_of_it() {
        let manifest = manifest("foo");
        let lists = lists(CONTENTS, &manifest, recorded(&manifest).unwrap()).unwrap();
        assert_eq!(lists.catalog, "20;\n23;\n");
        assert_eq!(lists.others, "3;\n6;\n10;\n21;\n22;\n");
        assert_eq!(lists.all, "3;\n6;\n10;\n20;\n21;\n22;\n23;\n");
        assert_eq!(lists.schema_owner.as_deref(), Some("boss"));
    }

    #[test]
    fn the_schema_public_stays_in_the_list() {
        let manifest = manifest("public");
        let lists = lists(CONTENTS, &manifest, recorded(&manifest).unwrap()).unwrap();
        assert!(lists.all.starts_with("3;\n5;\n6;\n"));
    }

    #[test]
    fn the_version_and_the_hypertables_are_read_from_the_dump() {
        let script = "COPY _timescaledb_catalog.metadata (key, value, x) FROM stdin;\n\
                      exported_uuid\t1-2\tt\ntimescaledb_version\t2.28.3\tf\n\\.\n";
        assert_eq!(version_in(script), Some("2.28.3"));
        assert_eq!(version_in("timescaledb_version\t'; DROP\tf\n"), None);
        assert_eq!(version_in(""), None);
        let script = "COPY _timescaledb_catalog.hypertable (id, schema_name, table_name, n) FROM \
                      stdin;\n1\tpublic\ta\\tb\t3\n2\tx\ty\\\\z\t3\n\\.\n1\tno\tno\n";
        let found = hypertables_in(script);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [pair("public", "a\tb"), pair("x", "y\\z")]);
    }
}
