//! The manifest of a dump that is complete and counted.

use std::collections::HashMap;

use chrono::Utc;

use super::Work;
use super::dump::Dumped;
use super::snapshot::Locked;
use crate::decide::copy_rows::TableRows;
use crate::decide::encoding::{decode, is_readable};
use crate::decide::format::Format;
use crate::decide::manifest::{Dump, FORMAT, Manifest, Span, TableCount, Tools};
use crate::decide::toc::{self, TocEntry};
use crate::error::{Class, Failure, Result};

/// The manifest, all but the members that follow it. Takes the counts out of `dumped`.
pub fn manifest(work: &Work<'_>, locked: &Locked, dumped: &mut Dumped) -> Result<Manifest> {
    let backup = work.backup;
    let counts = std::mem::take(&mut dumped.counts);
    let gathered = &dumped.gathered;
    let tables = match backup.format {
        Format::Directory => {
            let facts = &gathered.facts;
            let text = dumped.contents.as_deref().unwrap_or_default();
            let text = decode(text, &facts.database.encoding);
            by_dump_id(&toc::parse(&text, &facts.schemas, &facts.roles)?, &counts.data_files)?
        }
        Format::Custom | Format::Plain => counts.tables.into_iter().map(count).collect(),
    };
    let encoding = &gathered.facts.database.encoding;
    if !is_readable(encoding) && tables.iter().any(is_unread) {
        return Err(unread(encoding));
    }
    Ok(Manifest {
        format: FORMAT,
        id: work.id,
        created_at: Span { start: work.started, end: Utc::now() },
        comment: backup.comment.clone(),
        origin: backup.origin.clone(),
        dump: Dump {
            format: backup.format.as_str().to_owned(),
            compression: backup.compression.to_string(),
            jobs: backup.jobs,
            schemas: backup.schemas.clone(),
            tables: backup.tables.clone(),
            exclude_tables: backup.exclude_tables.clone(),
            exclude_table_data: backup.exclude_table_data.clone(),
            locked_first: locked.locked_first,
            by_hand: false,
            has_inserts: false,
        },
        facts: gathered.facts.clone(),
        tools: Tools {
            pg_backup: env!("CARGO_PKG_VERSION").to_owned(),
            pg_dump: gathered.pg_dump_version.clone(),
        },
        tables,
        migrations: gathered.migrations.clone(),
        signed: false,
        application: backup.application.clone(),
        warnings: dumped.warnings.clone(),
        attachments: Vec::new(),
        members: Vec::new(),
    })
}

/// Whether something in its name could not be decoded.
fn is_unread(table: &TableCount) -> bool {
    [&table.schema, &table.name].iter().any(|name| name.contains(char::REPLACEMENT_CHARACTER))
}

fn unread(encoding: &str) -> Failure {
    Failure::new(Class::NotReady, format!("names of tables in {encoding} cannot be read"))
        .detail("Their rows could not be counted against the archive when it is restored.")
        .hint("Give the tables names in ASCII, or the database another encoding.")
}

fn count(rows: TableRows) -> TableCount {
    TableCount { schema: rows.schema, name: rows.name, rows: rows.rows, bytes: rows.bytes }
}

/// Names for the data files of a directory-format dump. An entry without its file is a dump that
/// is not whole.
pub fn by_dump_id(
    entries: &[TocEntry],
    files: &HashMap<u32, (u64, u64)>,
) -> Result<Vec<TableCount>> {
    let data = entries.iter().filter(|entry| entry.kind == "TABLE DATA");
    let count = |entry: &TocEntry| {
        let (rows, bytes) = files.get(&entry.dump_id).copied().ok_or_else(|| {
            Failure::new(Class::Damaged, format!("the dump holds no data of \"{}\"", entry.name))
                .hint("pg_dump stopped early without saying so.")
        })?;
        let schema = entry.schema.clone().unwrap_or_default();
        Ok(TableCount { schema, name: entry.name.clone(), rows, bytes })
    };
    data.map(count).collect()
}
