//! What has to be true before a part is restored: every pattern matches something, the archive is
//! one of which a part can be taken, and the schema that it goes into is not there yet.

use super::requirement::has_timescaledb;
use super::session::session_in;
use crate::catalog::into_schema::SCHEMA_EXISTS;
use crate::catalog::part::{MATCHES, Patterns};
use crate::decide::archive_spec::{CONTENTS, CONTENTS_MAX};
use crate::decide::encoding::decode;
use crate::decide::manifest::Manifest;
use crate::decide::request::{IntoSchema, Restore};
use crate::decide::restore::part::some;
use crate::decide::toc;
use crate::error::{Class, Result};
use crate::host::archive::reader::Archive;
use crate::host::server::Server;
use crate::job::ReportRow;
use crate::job::context::Context;

/// The rows of `backup_restore_check()` about the part.
pub async fn rows(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    archive: &mut Archive,
    manifest: &Manifest,
) -> Result<Vec<ReportRow>> {
    if let Some(blocker) = unfit(manifest) {
        return Ok(vec![blocker]);
    }
    let text = archive.read_member(CONTENTS, CONTENTS_MAX)?;
    let (schemas, names) =
        relations_of(&decode(&text, &manifest.facts.database.encoding), manifest)?;
    let patterns = Patterns::new(restore)?;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&patterns.schemas, &patterns.table_schemas, &patterns.tables, &schemas, &names];
    let rows = server.rows(context.control, MATCHES, &params).await?;
    let unmatched = rows.iter().filter(|row| row.get::<_, i64>(2) == 0).map(|row| {
        let (list, word) = match row.get(0) {
            "schema" => (&restore.schemas, "schema"),
            _ => (&restore.tables, "table"),
        };
        let number = usize::try_from(row.get::<_, i64>(1)).unwrap_or_default();
        let pattern = list.get(number.wrapping_sub(1)).map_or("", String::as_str);
        format!("{word} pattern \"{pattern}\"")
    });
    let unmatched: Vec<String> = unmatched.collect();
    Ok(vec![match unmatched.as_slice() {
        [] => ReportRow::ok("part", "every pattern matches something in the archive"),
        unmatched => ReportRow::new(
            "part",
            "blocker",
            format!("nothing in the archive matches {}", some(unmatched)),
            "Patterns are those of pg_dump: a name in upper case is written in double quotes. See \
             contents.list in the archive (unzip -p <archive> contents.list).",
        ),
    }])
}

/// Why no part of this archive can be restored.
fn unfit(manifest: &Manifest) -> Option<ReportRow> {
    let (detail, hint) = if manifest.dump.format == "plain" {
        (
            "a plain dump is one script, of which no part can be taken",
            "Restore all of it into a new database, and copy the rows from there.",
        )
    } else if has_timescaledb(manifest) {
        (
            "the database has TimescaleDB: rows of a hypertable lie in chunks, which only its own \
             catalog as a whole can find",
            "Restore all of it into a new database, and copy the rows from there.",
        )
    } else {
        return None;
    };
    Some(ReportRow::new("part", "blocker", detail, hint))
}

/// Schemas and names of what patterns can match.
fn relations_of(text: &str, manifest: &Manifest) -> Result<(Vec<String>, Vec<String>)> {
    const KINDS: [&str; 5] = ["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW", "SEQUENCE"];
    let entries = toc::parse(text, &manifest.facts.schemas, &manifest.facts.roles)?;
    let listed = entries.into_iter().filter(|entry| KINDS.contains(&entry.kind.as_str()));
    let listed = listed.filter_map(|entry| Some((entry.schema?, entry.name)));
    // The manifest has the true names, where a list shows spaces for what breaks a line.
    let counted = manifest.tables.iter().map(|table| (table.schema.clone(), table.name.clone()));
    Ok(listed.chain(counted).unzip())
}

/// The row of `backup_restore_check()` about the schema.
pub async fn schema_row(
    context: &Context<'_>,
    into: &IntoSchema,
    manifest: &Manifest,
) -> Result<ReportRow> {
    let IntoSchema { database, schema } = into;
    let blocker =
        |detail: String, hint: &str| ReportRow::new("into_schema", "blocker", detail, hint);
    let live = match session_in(context, database, 0).await {
        Ok(live) => live,
        Err(failure) if failure.class == Class::UndefinedDatabase => {
            return Ok(blocker(
                format!("database \"{database}\" does not exist"),
                "Restore the tables into a new database, with target => '…'.",
            ));
        }
        Err(failure) => return Err(failure),
    };
    let exists: bool = live.one(context.control, SCHEMA_EXISTS, &[&schema]).await?.get(0);
    Ok(if exists {
        let detail = format!("schema \"{schema}\" exists in database \"{database}\"");
        blocker(detail, "An existing schema is never written to: choose another name.")
    } else if manifest.facts.schemas.contains(schema) || schema.starts_with("pg_") {
        let detail =
            format!("the archive has a schema \"{schema}\" itself, or the server keeps it");
        blocker(detail, "Choose another name.")
    } else {
        let detail = format!("schema \"{schema}\" will be made in database \"{database}\"");
        ReportRow::ok("into_schema", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(format: &str, extension: &str) -> Manifest {
        let moment = "2026-01-01T00:00:00Z";
        serde_json::from_value(serde_json::json!({
            "format": 1, "id": 1, "created_at": {"start": moment, "end": moment},
            "comment": null, "origin": "manual", "tools": {"pg_backup": "", "pg_dump": ""},
            "dump": {"format": format, "compression": "none", "jobs": 1},
            "extensions": [{"name": extension, "version": "1", "schema": "public"}],
            "members": []
        }))
        .unwrap()
    }

    #[test]
    fn no_part_is_taken_of_hypertables_or_of_a_script() {
        let why = |format, extension| unfit(&manifest(format, extension)).map(|row| row.detail);
        assert!(why("custom", "timescaledb").unwrap().contains("chunks"));
        assert!(why("plain", "citext").unwrap().contains("one script"));
        assert_eq!(why("directory", "citext"), None);
    }
}
