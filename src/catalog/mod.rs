//! The SQL that backends send through SPI, in the caller's transaction.

pub mod audit;
pub mod hooks;
pub mod migrations;
pub mod schedules;
mod understood;

use pg_backup_core::catalog::history::NewRun;
use pg_backup_core::catalog::restore::kept as kept_query;
use pg_backup_core::decide::request::Home;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::restore::none_kept;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg;
use understood::{seen, understood};

/// What backends read of a backup.
pub struct Stored {
    pub database: String,
    pub file: Option<String>,
    pub file_state: Option<String>,
    pub size_bytes: Option<i64>,
}

/// The schema of the extension in this database.
pub fn schema() -> Result<String> {
    let sql = "SELECT n.nspname::text, e.extversion FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
               WHERE e.extname = 'pg_backup'";
    let found = understood(|| {
        Spi::connect(|client| {
            let table = client.select(sql, Some(1), &[])?;
            let Some(row) = table.into_iter().next() else { return Ok(None) };
            seen(&row.get::<String>(2)?.unwrap_or_default());
            row.get::<String>(1)
        })
    });
    found?.ok_or_else(|| {
        Failure::new(Class::UndefinedObject, "the extension pg_backup is not in this database")
            .hint("Run CREATE EXTENSION pg_backup.")
    })
}

/// The next id of a run.
pub fn next_id(schema: &str) -> Result<i64> {
    let sql = format!(
        "SELECT pg_catalog.nextval(pg_catalog.pg_get_serial_sequence({}, 'id'))",
        literal(&qualified(schema, "backup_runs"))
    );
    let id = one::<i64>(&sql, &[])?;
    id.ok_or_else(|| Failure::new(Class::Internal, "the history has no sequence"))
}

/// The row of a run that begins when this transaction commits: it appears exactly then.
pub fn insert_queued(home: &Home, run: &NewRun<'_>) -> Result<()> {
    let sql = format!(
        "INSERT INTO {} (id, kind, database, status, origin, requested_by, comment, schedule, \
         subject, database_id) VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, \
         (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = $3::text))",
        qualified(&home.schema, "backup_runs")
    );
    let args = [
        home.id.into(),
        run.kind.into(),
        run.database.into(),
        run.origin.into(),
        home.requested_by.as_str().into(),
        run.comment.into(),
        run.schedule.into(),
        run.subject.into(),
    ];
    understood(|| Spi::run_with_args(&sql, &args))
}

/// Status of a run and what it warns of, as committed last where the isolation level allows it;
/// None when there is none.
pub fn status(schema: &str, id: i64) -> Result<Option<(String, Vec<String>)>> {
    let table = qualified(schema, "backup_runs");
    let status = format!("SELECT status FROM {table} WHERE id = $1");
    let warnings = format!("SELECT warnings FROM {table} WHERE id = $1");
    pg::with_fresh_snapshot(|| {
        let Some(status) = one::<String>(&status, &[id.into()])? else { return Ok(None) };
        let warnings = one::<Vec<String>>(&warnings, &[id.into()])?;
        Ok(Some((status, warnings.unwrap_or_default())))
    })
}

/// Whether a database of this name exists.
pub fn database_exists(name: &str) -> Result<bool> {
    let sql = "SELECT true FROM pg_catalog.pg_database WHERE datname = $1";
    Ok(one::<bool>(sql, &[name.into()])?.is_some())
}

/// The file of a backup; None when there is no such run.
pub fn backup(schema: &str, id: i64) -> Result<Option<Stored>> {
    let sql = format!(
        "SELECT database, file, file_state, size_bytes FROM {} \
          WHERE id = $1 AND kind IN ('backup', 'import')",
        qualified(schema, "backup_runs")
    );
    understood(|| {
        Spi::connect(|client| {
            let table = client.select(&sql, Some(1), &[id.into()])?;
            let Some(row) = table.into_iter().next() else { return Ok(None) };
            Ok(Some(Stored {
                database: row.get::<String>(1)?.unwrap_or_default(),
                file: row.get(2)?,
                file_state: row.get(3)?,
                size_bytes: row.get(4)?,
            }))
        })
    })
}

/// The live database that restore `id` replaced, and the name of the one that it kept.
pub fn kept(schema: &str, id: i64) -> Result<(String, String)> {
    let sql = kept_query(schema);
    let found = understood(|| {
        Spi::connect(|client| {
            let table = client.select(&sql, Some(1), &[id.into()])?;
            let Some(row) = table.into_iter().next() else { return Ok(None) };
            Ok(row.get::<String>(1)?.zip(row.get::<String>(2)?))
        })
    });
    found?.ok_or_else(|| none_kept(id))
}

/// The manifest of a backup; None when there is none.
pub fn manifest(schema: &str, id: i64) -> Result<Option<serde_json::Value>> {
    let sql =
        format!("SELECT manifest FROM {} WHERE id = $1", qualified(schema, "backup_manifests"));
    Ok(one::<pgrx::JsonB>(&sql, &[id.into()])?.map(|manifest| manifest.0))
}

/// How long ago the newest good backup of this database ended, in seconds, and how many backups
/// of it there are.
pub fn last_good(schema: &str) -> Result<Option<f64>> {
    let sql = format!(
        "SELECT extract(epoch FROM pg_catalog.clock_timestamp() - \
                pg_catalog.max(finished_at))::float8 \
           FROM {} WHERE kind = 'backup' AND status = 'succeeded' \
            AND file_state = 'available' AND database = pg_catalog.current_database()",
        qualified(schema, "backup_runs")
    );
    one::<f64>(&sql, &[])
}

fn one<T: FromDatum + IntoDatum>(sql: &str, args: &[DatumWithOid<'_>]) -> Result<Option<T>> {
    // `select`, never `update`: that would give the caller's transaction an id.
    understood(|| {
        Spi::connect(|client| {
            let table = client.select(sql, Some(1), args)?;
            match table.into_iter().next() {
                Some(row) => row.get::<T>(1),
                None => Ok(None),
            }
        })
    })
}

fn spi_failure(error: &SpiError) -> Failure {
    Failure::new(Class::Internal, format!("could not read the history: {error}"))
}

fn qualified(schema: &str, name: &str) -> String {
    pg_backup_core::catalog::qualified(schema, name)
}

/// A text as a literal.
fn literal(text: &str) -> String {
    pgrx::spi::quote_literal(text)
}
