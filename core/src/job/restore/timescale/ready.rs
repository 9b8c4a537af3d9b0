//! Whether this server can restore a database with TimescaleDB: rows of `backup_restore_check()`.

use serde::Deserialize;
use tokio_postgres::types::ToSql;

use super::{Source, catalog_script};
use crate::catalog::timescale::{MATCHING, READINESS};
use crate::decide::manifest::{Extension, Manifest};
use crate::decide::pattern::{schema_pattern, table_pattern};
use crate::decide::request::Restore;
use crate::decide::restore::timescale::{hypertables_in, recorded};
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::server::Server;
use crate::job::ReportRow;
use crate::job::context::Context;

/// Worker slots that a restored database needs: its scheduler, and one job.
const WORKERS: i64 = 2;
/// Versions and names that a row shows.
const SHOWN: usize = 5;

/// What the server says.
#[derive(Debug, Deserialize)]
struct Ready {
    available: Vec<String>,
    preloaded: bool,
    superuser: bool,
    slots: i64,
    used: i64,
}

/// The rows about TimescaleDB.
pub async fn rows(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    archive: &mut Archive,
    manifest: &Manifest,
) -> Result<Vec<ReportRow>> {
    let Some(extension) = recorded(manifest) else {
        return Ok(vec![ReportRow::ok("timescaledb", "not used")]);
    };
    if !restore.tables.is_empty() || !restore.schemas.is_empty() {
        return Ok(vec![part(context, server, restore, archive, manifest).await?]);
    }
    let row = server.one(context.control, READINESS, &[]).await?;
    let ready: Ready = serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(Class::Internal, format!("could not read what the server said: {error}"))
    })?;
    let missing = missing(&ready, extension, manifest);
    let version = &extension.version;
    Ok(match missing {
        Some((detail, hint)) => vec![ReportRow::new("timescaledb", "blocker", detail, hint)],
        None => vec![
            ReportRow::ok("timescaledb", format!("version {version} is here, and preloaded")),
            workers(&ready),
        ],
    })
}

/// What this server does not have, and what to do about it.
fn missing(ready: &Ready, extension: &Extension, manifest: &Manifest) -> Option<(String, String)> {
    let version = &extension.version;
    let say = |detail: String, hint: String| Some((detail, hint));
    if !ready.available.contains(version) {
        let here = match ready.available.as_slice() {
            [] => "none".to_owned(),
            versions => versions.iter().rev().take(SHOWN).cloned().collect::<Vec<_>>().join(", "),
        };
        return say(
            format!("the backup needs TimescaleDB {version}, this server has {here}"),
            format!(
                "Install that very version beside the others (its SQL file and its library); the \
                 restored database is updated to the default version at the end. {version} is what \
                 wrote the catalog: no other one reads it."
            ),
        );
    }
    if !ready.preloaded {
        return say(
            "TimescaleDB is not preloaded".to_owned(),
            "Add timescaledb to shared_preload_libraries, before pg_backup, and restart the \
             server."
                .to_owned(),
        );
    }
    if !ready.superuser {
        return say(
            "timescaledb_pre_restore() and timescaledb_post_restore() need a superuser".to_owned(),
            "pg_backup.user must be a superuser; the default is the bootstrap superuser."
                .to_owned(),
        );
    }
    if manifest.dump.format == "plain" && extension.schema != "public" {
        return say(
            format!("TimescaleDB lies in schema \"{}\", which the script makes", extension.schema),
            "The extension has to be there before. Restore a backup of format custom or \
             directory, or the script by hand without its CREATE SCHEMA."
                .to_owned(),
        );
    }
    None
}

fn workers(ready: &Ready) -> ReportRow {
    let free = ready.slots - ready.used;
    let detail = format!("{free} of {} worker slots are free", ready.slots);
    match free < WORKERS {
        true => ReportRow::new(
            "timescaledb_workers",
            "warning",
            detail,
            "Policies of the restored database would not run: raise max_worker_processes, and \
             restart the server.",
        ),
        false => ReportRow::ok("timescaledb_workers", detail),
    }
}

/// A part of a database: its hypertables are refused, other tables are like any.
async fn part(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    archive: &mut Archive,
    manifest: &Manifest,
) -> Result<ReportRow> {
    let hint = "The rows of a hypertable lie in chunks, which are nothing without TimescaleDB's \
                catalog. Restore all of it with target => '…', and copy the rows from there.";
    if manifest.dump.format != "custom" {
        let detail = "the hypertables in a dump of this format are not known";
        return Ok(ReportRow::new("timescaledb", "blocker", detail, hint));
    }
    let mut asked = hypertables(context, archive).await?;
    asked = matching(context, server, restore, asked).await?;
    Ok(match asked.as_slice() {
        [] => ReportRow::ok("timescaledb", "no hypertable is asked for"),
        some => {
            let names = some.iter().take(SHOWN).map(|(s, t)| format!("{s}.{t}"));
            let detail =
                format!("hypertables are asked for: {}", names.collect::<Vec<_>>().join(", "));
            ReportRow::new("timescaledb", "blocker", detail, hint)
        }
    })
}

/// Schema and name of every hypertable in a dump of custom format.
pub async fn hypertables(
    context: &Context<'_>,
    archive: &mut Archive,
) -> Result<Vec<(String, String)>> {
    let path = archive.path().to_owned();
    let members = archive.payload()?;
    let [member] = members.as_slice() else { return Ok(Vec::new()) };
    let script = catalog_script(context, &Source::Stream(&path, member), "hypertable").await?;
    Ok(hypertables_in(&script))
}

/// Those that the patterns ask for.
async fn matching(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    all: Vec<(String, String)>,
) -> Result<Vec<(String, String)>> {
    let (schemas, names): (Vec<String>, Vec<String>) = all.into_iter().unzip();
    let mut table_schemas: Vec<Option<String>> = Vec::new();
    let mut tables: Vec<String> = Vec::new();
    for text in &restore.tables {
        let pattern = table_pattern(text)?;
        table_schemas.push(pattern.schema);
        tables.push(pattern.name);
    }
    let whole: Vec<String> = restore
        .schemas
        .iter()
        .map(|text| schema_pattern(text).map(|pattern| pattern.name))
        .collect::<Result<_>>()?;
    let params: [&(dyn ToSql + Sync); 5] = [&schemas, &names, &whole, &table_schemas, &tables];
    let rows = server.rows(context.control, MATCHING, &params).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
