//! Tables of migrations: where they are, and how a job reads one without a query of its own.

/// Plain tables with the names in `$1`, or named as `$2` says (`table`, `schema.table`, or empty),
/// that are not larger than `$3` bytes and `$4` bytes out of line, with those of their columns
/// that have a built-in type; at most `$5` tables. Writing a value of somebody else's type would
/// run its author's function with our rights. A partitioned table has no rows of its own, and its
/// parts may be foreign tables.
pub const CANDIDATES: &str = "
SELECT n.nspname::text, c.relname::text, pg_catalog.array_agg(a.attname::text)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid AND y.typtype = 'b'
                           AND y.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND (c.relname = ANY ($1) OR n.nspname || '.' || c.relname = $2 OR c.relname = $2)
   AND pg_catalog.pg_relation_size(c.oid) <= $3
   AND (c.reltoastrelid = 0 OR pg_catalog.pg_relation_size(c.reltoastrelid) <= $4)
 GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname LIMIT $5";

/// Where the transaction goes on, whatever became of a table: it is one of
/// [`super::BEGIN_SNAPSHOT`], so that what is read was there when its size was looked at.
pub const BEFORE: &str = "SAVEPOINT migrations";
/// Back to it.
pub const BACK: &str = "ROLLBACK TO SAVEPOINT migrations";

/// How long another session, in the middle of a migration, may keep such a table locked: it is left
/// out then.
pub const LIMIT_WAIT: &str = "SET LOCAL lock_timeout = '5s'";

/// Sends the rows. COPY of a table plans nothing, so that nothing of the table's owner runs; it
/// sends what row level security would hide, and no rows of tables that inherit.
pub fn copy(schema: &str, table: &str, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| super::ident(column)).collect();
    format!("COPY {} ({}) TO STDOUT", super::qualified(schema, table), columns.join(", "))
}

/// The tables among which a backend looks, by the same `$1` and `$2`, at most `$3`; what they are
/// like is seen when they are locked. Schemas as bytes: the encoding of the database may be any.
pub const NAMED: &str = "
SELECT c.oid, pg_catalog.convert_to(n.nspname::text, 'UTF8'),
       pg_catalog.convert_to(c.relname::text, 'UTF8')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND (c.relname = ANY ($1) OR n.nspname || '.' || c.relname = $2 OR c.relname = $2)
 ORDER BY n.nspname, c.relname LIMIT $3";

/// The setting that names a table, as it is in the session's database.
pub const NAMED_BY_SETTING: &str =
    "SELECT coalesce(pg_catalog.current_setting('pg_backup.migrations_table', true), '')";

/// The migrations of backup `$1`, as its manifest has them.
pub fn recorded(schema: &str) -> String {
    let manifests = super::qualified(schema, "backup_manifests");
    format!("SELECT manifest -> 'migrations' FROM {manifests} WHERE id = $1")
}
