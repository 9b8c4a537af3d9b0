//! What has to be true of the place where the new database will be: room on the disks, and the
//! locale that it had.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::catalog::restore::PLACE;
use crate::decide::manifest::{Database, Manifest};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::host::space::free_bytes;
use crate::job::ReportRow;
use crate::job::context::Context;

/// A database is taken to need this much more than it had: sorting while it is loaded.
const SPACE_PERCENT: u64 = 125;

/// What the server says.
#[derive(Debug, Deserialize)]
struct Place {
    /// Where the tablespace lies; empty for one inside the data directory.
    tablespace: String,
    max_wal_size_mb: u64,
    locale_known: bool,
    collation_version: Option<String>,
}

/// The rows about it.
pub async fn rows(
    context: &Context<'_>,
    server: &Server,
    manifest: &Manifest,
) -> Result<Vec<ReportRow>> {
    let database = &manifest.facts.database;
    let provider = match database.locale_provider.as_str() {
        "icu" => "i",
        "builtin" => "b",
        _ => "c",
    };
    let locale = database.icu_locale.as_deref().unwrap_or(&database.lc_collate);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&database.tablespace, &provider, &locale];
    let row = server.one(context.control, PLACE, &params).await?;
    let place: Place = serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(Class::Internal, format!("could not read what the server said: {error}"))
    })?;
    Ok(vec![
        space(context, &place, database)?,
        wal(context, &place, database)?,
        locale_row(&place, database, locale),
    ])
}

fn space(context: &Context<'_>, place: &Place, database: &Database) -> Result<ReportRow> {
    let settings = context.settings;
    let directory = match place.tablespace.as_str() {
        "" => settings.data_directory.clone(),
        tablespace => PathBuf::from(tablespace),
    };
    let needed = size(database) / 100 * SPACE_PERCENT + settings.min_free_space;
    enough("space", &directory, needed, "the data")
}

/// Between two checkpoints the server writes as much WAL as `max_wal_size`, or all that is loaded.
fn wal(context: &Context<'_>, place: &Place, database: &Database) -> Result<ReportRow> {
    let settings = context.settings;
    let needed = size(database).min(place.max_wal_size_mb << 20) + settings.min_free_space;
    enough("space_wal", &settings.data_directory.join("pg_wal"), needed, "WAL")
}

fn enough(subject: &str, directory: &Path, needed: u64, what: &str) -> Result<ReportRow> {
    let free = free_bytes(directory)?;
    let (free_mib, needed_mib) = (free >> 20, needed >> 20);
    let detail =
        format!("{free_mib} MiB free for {what}, about {needed_mib} MiB needed with the reserve");
    Ok(match free < needed {
        true => ReportRow::new(
            subject,
            "blocker",
            detail,
            format!("Free space on the disk of \"{}\".", directory.display()),
        ),
        false => ReportRow::ok(subject, detail),
    })
}

fn size(database: &Database) -> u64 {
    u64::try_from(database.size_bytes).unwrap_or(0)
}

fn locale_row(place: &Place, database: &Database, locale: &str) -> ReportRow {
    if locale.is_empty() {
        return ReportRow::ok("locale", "not told: as this server has it");
    }
    if !place.locale_known {
        return ReportRow::new(
            "locale",
            "warning",
            format!("the server lists no collation of locale \"{locale}\""),
            "If CREATE DATABASE refuses it, install the locale in the operating system.",
        );
    }
    match (&database.collation_version, &place.collation_version) {
        (Some(then), Some(now)) if then != now => ReportRow::new(
            "locale",
            "warning",
            format!("{locale}, collation version {then} then, {now} now"),
            "Indexes are made anew and are right. Partitions and constraints that compare texts \
             may not take rows that they held.",
        ),
        _ => ReportRow::ok("locale", locale),
    }
}
