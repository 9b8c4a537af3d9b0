//! The steps of a restore that only some of them have: missing roles, a part, a schema of a live
//! database. What `backup_restore_plan()` shows of them.

use std::ffi::OsString;

use super::database::drop_database;
use super::ident;
use super::restore::count;
use super::restore_steps::{Step, line, step};
use crate::decide::manifest::{Manifest, TableCount};
use crate::decide::request::{IntoSchema, Restore};
use crate::decide::restore::part::is_part;
use crate::decide::restore::plan::{Section, pg_dump, psql};

/// Missing roles and tablespaces.
pub fn globals(restore: &Restore, archive: &str) -> Vec<Step> {
    if !restore.globals {
        return Vec::new();
    }
    vec![step(
        "make missing roles and tablespaces, and touch no other",
        format!("unzip -p {archive} globals.sql | psql … (the statements about what is missing)"),
    )]
}

/// The list that a section of a part is restored by, as an option before the others.
pub fn list(restore: &Restore, section: Section) -> Option<OsString> {
    let list = match section {
        Section::PreData => "--use-list=…/definitions",
        Section::Data | Section::PostData => "--use-list=…/rest",
    };
    is_part(restore).then(|| list.into())
}

/// How the lists of a part are made: before the sections.
pub fn lists(restore: &Restore) -> Vec<Step> {
    if !is_part(restore) {
        return Vec::new();
    }
    let patterns = restore
        .tables
        .iter()
        .map(|pattern| format!("table {pattern}"))
        .chain(restore.schemas.iter().map(|pattern| format!("schema {pattern}")));
    let patterns = patterns.collect::<Vec<_>>().join(", ");
    vec![step(
        &format!("list every definition, and the rows of what is chosen: {patterns}"),
        "pg_restore --list --verbose (the list \"definitions\" leaves large objects out; \"rest\" \
         has the rows of chosen tables, their partitions and children, their sequences, and what \
         is built on them)"
            .to_owned(),
    )]
}

/// What a part needs beside the sections, before the rows are counted. A scratch database goes as a
/// whole.
pub fn drop_rest(restore: &Restore) -> Vec<Step> {
    if !is_part(restore) || restore.into_schema.is_some() {
        return Vec::new();
    }
    let command = "DROP TABLE … RESTRICT (again until nothing more goes)".to_owned();
    vec![step("drop what was not chosen, unless something that stays needs it", command)]
}

/// From the scratch database into the schema of the live one.
pub fn into_schema(restore: &Restore, into: &IntoSchema) -> Vec<Step> {
    let schema = ident(&into.schema);
    let mut steps = vec![
        step(
            "compare the types that the tables use with those of the live database",
            format!("SELECT … FROM pg_type (in {})", ident(&into.database)),
        ),
        step(
            "gather the chosen tables",
            format!("CREATE SCHEMA {schema}; ALTER TABLE … SET SCHEMA {schema}"),
        ),
    ];
    let script = line("psql", psql());
    steps.extend(Section::ALL.map(|section| {
        let dump = line("pg_dump", pg_dump(&into.schema, section, restore.trusted));
        let live = ident(&into.database);
        step(
            &format!("copy the section {}, in one transaction for all", section.as_str()),
            format!("{dump} | {script} (in {live})"),
        )
    }));
    steps.push(step("count the rows, and commit", "COMMIT".to_owned()));
    steps.push(step("drop the scratch database", drop_database(&restore.target)));
    steps
}

/// The rows that are counted.
pub fn counts(manifest: &Manifest, restore: &Restore) -> Vec<Step> {
    if is_part(restore) {
        let command = "SELECT pg_catalog.count(*) FROM ONLY …".to_owned();
        return vec![step("expect the recorded rows in each chosen table", command)];
    }
    let expect = |table: &TableCount| {
        step(&format!("expect {} rows", table.rows), count(&table.schema, &table.name))
    };
    manifest.tables.iter().map(expect).collect()
}
