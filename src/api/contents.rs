//! `backup_contents()`: the table of contents of one archive, read from the archive itself.

use std::collections::HashMap;

use pg_backup_core::decide::archive_spec::{CONTENTS, CONTENTS_MAX};
use pg_backup_core::decide::attachments::ATTACHMENTS;
use pg_backup_core::decide::encoding::decode;
use pg_backup_core::decide::manifest::Manifest;
use pg_backup_core::decide::toc::{self, TocEntry};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::host::archive::reader::Archive;
use pg_backup_core::host::dir::BackupDir;
use pgrx::prelude::*;

use crate::error::unwrap;
use crate::{catalog, settings};

type Row = (i32, String, Option<String>, String, Option<String>, Option<i64>, Option<i64>);

#[expect(clippy::type_complexity, reason = "one tuple is one row")]
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_contents(
    id: i64,
) -> TableIterator<
    'static,
    (
        name!(entry, i32),
        name!(type, String),
        name!(schema, Option<String>),
        name!(name, String),
        name!(owner, Option<String>),
        name!(rows, Option<i64>),
        name!(bytes, Option<i64>),
    ),
> {
    TableIterator::new(unwrap(contents(id)))
}

fn contents(id: i64) -> Result<Vec<Row>> {
    let file = stored_file(id)?;
    let settings = settings::load();
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let mut archive = Archive::open(&place.resolve(&file)?)?;
    let manifest = archive.manifest()?;
    let mut rows = entries(&mut archive, &manifest)?;
    let last = rows.iter().map(|row| row.0).max().unwrap_or(0);
    rows.extend(attached(&manifest, last));
    Ok(rows)
}

fn entries(archive: &mut Archive, manifest: &Manifest) -> Result<Vec<Row>> {
    if !archive.has(CONTENTS) {
        return Ok(from_manifest(manifest));
    }
    let text = archive.read_member(CONTENTS, CONTENTS_MAX)?;
    let text = decode(&text, &manifest.facts.database.encoding);
    let entries = toc::parse(&text, &manifest.facts.schemas, &manifest.facts.roles)?;
    let counts = counts(manifest);
    Ok(entries.into_iter().map(|entry| row(entry, &counts)).collect())
}

/// Attached files, numbered behind the `last` entry of the dump.
fn attached(manifest: &Manifest, last: i32) -> impl Iterator<Item = Row> {
    let files = manifest.members.iter().filter(|member| member.name.starts_with(ATTACHMENTS));
    (last.saturating_add(1)..).zip(files).map(|(entry, member)| {
        let bytes = i64::try_from(member.size).unwrap_or(i64::MAX);
        (entry, "ATTACHMENT".to_owned(), None, member.name.clone(), None, None, Some(bytes))
    })
}

fn stored_file(id: i64) -> Result<String> {
    stored_archive(id).map(|(file, _)| file)
}

/// The file of a backup, and how many bytes it was written with.
pub(super) fn stored_archive(id: i64) -> Result<(String, u64)> {
    let backup = catalog::backup(&catalog::schema()?, id)?.ok_or_else(|| {
        Failure::new(Class::UndefinedObject, format!("backup {id} does not exist"))
            .hint("See backup_history for the ids of backups in this database.")
    })?;
    let state = backup.file_state.unwrap_or_default();
    match backup.file {
        Some(file) if state != "deleted" && state != "pruned" => {
            Ok((file, backup.size_bytes.unwrap_or_default().unsigned_abs()))
        }
        _ => Err(Failure::new(Class::UndefinedObject, format!("backup {id} has no archive"))
            .hint("See file_state in backup_history.")),
    }
}

type Counts<'a> = HashMap<(&'a str, &'a str), (i64, i64)>;

fn counts(manifest: &Manifest) -> Counts<'_> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let tables = manifest.tables.iter();
    tables
        .map(|t| ((t.schema.as_str(), t.name.as_str()), (count(t.rows), count(t.bytes))))
        .collect()
}

fn row(entry: TocEntry, counts: &Counts<'_>) -> Row {
    let key = (entry.schema.as_deref().unwrap_or_default(), entry.name.as_str());
    let found = counts.get(&key).copied().filter(|_| entry.kind == "TABLE DATA");
    let (rows, bytes) = (found.map(|f| f.0), found.map(|f| f.1));
    let number = i32::try_from(entry.dump_id).unwrap_or(i32::MAX);
    (number, entry.kind, entry.schema, entry.name, entry.owner, rows, bytes)
}

/// A plain dump has no table of contents: its tables are known from the manifest.
fn from_manifest(manifest: &Manifest) -> Vec<Row> {
    let entry = |(number, table): (usize, &pg_backup_core::decide::manifest::TableCount)| {
        let schema = Some(table.schema.clone());
        let (rows, bytes) = (table.rows as i64, table.bytes as i64);
        let kind = "TABLE DATA".to_owned();
        (number as i32 + 1, kind, schema, table.name.clone(), None, Some(rows), Some(bytes))
    };
    manifest.tables.iter().enumerate().map(entry).collect()
}
