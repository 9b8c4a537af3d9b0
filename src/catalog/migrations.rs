//! Migrations: what the tables of this database say, and what the manifests of its backups have.

use pg_backup_core::catalog::migrations::NAMED;
use pg_backup_core::decide::compatibility::in_ascii;
use pg_backup_core::decide::frameworks::{
    CELL_MAX, CELLS_MAX, TABLE_MAX, TABLES_MAX, reading, tables,
};
use pg_backup_core::decide::manifest::Migrations;
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::{qualified, spi_failure};
use crate::pg;

/// Sets of migrations that are fetched at a time.
const PAGE: i64 = 100;

/// A backup to compare.
pub struct Recorded {
    pub database: String,
    /// Whether it is one of this database, by its id or its name.
    pub own: bool,
    /// Whether its archive is there, as far as is known.
    pub good: bool,
    pub migrations: Vec<Migrations>,
}

/// What frameworks say has been applied to this database, also the table that the setting `named`
/// names. Reads without a query: see [`pg::with_table`].
pub fn applied(named: &str) -> Result<Vec<Migrations>> {
    let candidates = candidates(named).map_err(|error| spi_failure(&error))?;
    let mut room = CELLS_MAX;
    let read = |(id, schema, table): (u32, String, String)| {
        let found = pg::with_table(id, |open| {
            let reading = reading(&schema, &table, &open.columns(), named)?;
            let small = open.size_bytes() <= TABLE_MAX;
            let (rows, left) = small.then(|| open.rows(&reading.columns, CELL_MAX, room))??;
            room = left;
            Some((reading.framework, reading.names(rows)?))
        });
        let (framework, ids) = found??;
        Some(Migrations::applied(framework, format!("{schema}.{table}"), ids))
    };
    Ok(held(candidates.into_iter().filter_map(read).collect()))
}

/// Names as the history of this database can hold them.
fn held(migrations: Vec<Migrations>) -> Vec<Migrations> {
    if pg::takes_utf8() { migrations } else { in_ascii(migrations) }
}

fn candidates(named: &str) -> SpiResult<Vec<(u32, String, String)>> {
    let text =
        |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    Spi::connect(|client| {
        let names: Vec<String> = tables().into_iter().map(str::to_owned).collect();
        let table = client.select(NAMED, None, &[names.into(), named.into(), TABLES_MAX.into()])?;
        let one = |row: pgrx::spi::SpiHeapTupleData<'_>| {
            let id = row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32);
            Ok((id, text(row.get(2)?), text(row.get(3)?)))
        };
        table.into_iter().map(one).collect()
    })
}

/// The migrations of a manifest, as bytes of UTF-8 whatever the database's encoding is.
fn parsed(bytes: Option<Vec<u8>>) -> Vec<Migrations> {
    held(serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default())
}

/// A good backup; None when there is none with this id.
pub fn recorded(schema: &str, id: i64) -> Result<Option<Recorded>> {
    let sql = format!(
        "SELECT r.database, {} AS own, \
                coalesce(r.file_state = 'available' AND m.id IS NOT NULL, false), \
                pg_catalog.convert_to((m.manifest -> 'migrations')::text, 'UTF8') \
           FROM {} r LEFT JOIN {} m ON m.id = r.id \
          WHERE r.id = $1 AND r.kind IN ('backup', 'import') AND r.status = 'succeeded'",
        own("r"),
        qualified(schema, "backup_runs"),
        qualified(schema, "backup_manifests")
    );
    let found = Spi::connect(|client| {
        let table = client.select(&sql, Some(1), &[id.into()])?;
        let Some(row) = table.into_iter().next() else { return Ok(None) };
        Ok(Some(Recorded {
            database: row.get::<String>(1)?.unwrap_or_default(),
            own: row.get::<bool>(2)?.unwrap_or_default(),
            good: row.get::<bool>(3)?.unwrap_or_default(),
            migrations: parsed(row.get(4)?),
        }))
    });
    found.map_err(|error| spi_failure(&error))
}

/// The numbers that stand for migrations in the history: see `sql/tables.sql`.
pub fn hashes(schema: &str, migrations: &[Migrations]) -> Result<Vec<i64>> {
    let json = serde_json::to_string(migrations).map_err(|error| {
        Failure::new(Class::Internal, format!("could not compare migrations: {error}"))
    })?;
    let sql = format!("SELECT {}($1::jsonb)", qualified(schema, "backup_migration_hashes"));
    let found = Spi::connect(|client| {
        client.select(&sql, Some(1), &[json.into()])?.first().get::<Vec<i64>>(1)
    });
    Ok(found.map_err(|error| spi_failure(&error))?.unwrap_or_default())
}

/// Gives every set of migrations that backups of this database have to `each`, once, with the key
/// that its manifests share.
pub fn each_set(schema: &str, mut each: impl FnMut(String, &[i64])) -> Result<()> {
    let (runs, manifests) =
        (qualified(schema, "backup_runs"), qualified(schema, "backup_manifests"));
    let sql = format!(
        "SELECT k.key, m.migrations \
           FROM (SELECT n.migrations_key AS key, pg_catalog.max(n.id) AS id \
                   FROM {manifests} n JOIN {runs} r ON r.id = n.id \
                  WHERE r.kind IN ('backup', 'import') AND r.status = 'succeeded' \
                    AND r.file_state = 'available' AND {} GROUP BY 1) k \
           JOIN {manifests} m ON m.id = k.id",
        own("r")
    );
    let read = Spi::connect(|client| -> SpiResult<()> {
        let mut cursor = client.open_cursor(&sql, &[]);
        loop {
            let page = cursor.fetch(PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                let key = row.get::<String>(1)?.unwrap_or_default();
                each(key, &row.get::<Vec<i64>>(2)?.unwrap_or_default());
            }
        }
    });
    read.map_err(|error| spi_failure(&error))
}

/// SQL for whether a run is of this database: the view `backup_list` asks the same.
fn own(run: &str) -> String {
    format!(
        "({run}.database = pg_catalog.current_database() OR {run}.database_id = \
         (SELECT d.oid FROM pg_catalog.pg_database d \
           WHERE d.datname = pg_catalog.current_database()))"
    )
}
