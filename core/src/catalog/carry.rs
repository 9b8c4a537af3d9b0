//! What is carried from the live database to the one that takes its place: the extension's own
//! rows.

use std::time::Duration;

use super::{ident, literal, lock_timeout, qualified};

/// Tables of the extension that belong to the live database, whatever is restored.
pub const CARRIED: [&str; 5] = [
    "backup_runs",
    "backup_manifests",
    "backup_schedule_entries",
    "backup_hook_entries",
    "backup_audit_entries",
];

/// Begins a transaction in which readers go on and writers of these tables wait; others may hold
/// locks on them for `limit`.
pub fn lock(tables: &[String], limit: Duration) -> String {
    let (wait, tables) = (lock_timeout(limit), tables.join(", "));
    format!("{wait}; BEGIN; LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")
}

/// Makes the extension in a schema.
pub fn install(schema: &str) -> String {
    let name = ident(schema);
    format!("CREATE SCHEMA IF NOT EXISTS {name}; CREATE EXTENSION pg_backup SCHEMA {name}")
}

/// Brings the extension to a version.
pub fn update(version: &str) -> String {
    format!("ALTER EXTENSION pg_backup UPDATE TO {}", literal(version))
}

/// Columns of a table by its quoted name, none where it is not there.
pub const COLUMNS: &str = "
SELECT a.attname::text FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attgenerated = '' ORDER BY a.attnum";

/// Empties a table.
pub fn delete_all(table: &str) -> String {
    format!("DELETE FROM {table}")
}

/// Writes `columns` of a table to the client.
pub fn copy_out(table: &str, columns: &str) -> String {
    format!("COPY {table} ({columns}) TO STDOUT (FORMAT binary)")
}

/// Reads what [`copy_out`] has written.
pub fn copy_in(table: &str, columns: &str) -> String {
    format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")
}

/// The last id that the runs in `$1` were given.
pub const LAST_ID: &str = "
SELECT coalesce(pg_catalog.pg_sequence_last_value(
           pg_catalog.pg_get_serial_sequence($1, 'id')::pg_catalog.regclass), 1)";

/// Makes rows that were carried from the database `from` those of `to`, which takes its place; ids
/// of runs go on where they were.
pub fn adopt(schema: &str, from: u32, to: u32, last: i64) -> String {
    let (runs, audit) =
        (qualified(schema, "backup_runs"), qualified(schema, "backup_audit_entries"));
    format!(
        "UPDATE {runs} SET home_id = {to} WHERE home_id = {from}; \
         UPDATE {runs} SET database_id = {to} WHERE database_id = {from}; \
         SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({}, 'id'), \
                greatest({last}, (SELECT pg_catalog.max(id) FROM {runs}))); \
         SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({}, 'id'), \
                (SELECT pg_catalog.max(id) FROM {audit}))",
        literal(&runs),
        literal(&audit)
    )
}
