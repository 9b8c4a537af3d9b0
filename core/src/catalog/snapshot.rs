//! The tables of a dump: which ones it will lock, in the order in which pg_dump copies them.

use crate::decide::pattern::{NamePattern, schema_pattern, table_pattern};
use crate::decide::request::Backup;
use crate::error::Result;

/// A relation that pg_dump will lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub size_bytes: u64,
    pub rows_estimate: u64,
}

/// Gives the snapshot of this transaction to others: its name, and the database's encoding.
pub const EXPORT: &str = "
SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_encoding_to_char(encoding)
  FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";

/// Tables and partitioned tables that are not of the system, of an extension (unless marked by
/// it) or temporary; filtered as pg_dump filters. `$1`–`$5` are arrays of regular expressions.
/// Bytes are heap and TOAST on disk: as they are with `$6`, which needs the tables' locks, else by
/// the catalog's page counts.
pub const TABLES: &str = "
SELECT c.oid, n.nspname, c.relname,
       CASE WHEN $6 THEN coalesce(pg_catalog.pg_table_size(c.oid), 0)
            ELSE (c.relpages + coalesce(t.relpages, 0))::bigint
                 * pg_catalog.current_setting('block_size')::bigint END AS size_bytes,
       greatest(c.reltuples, 0)::bigint AS rows_estimate
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                       AND d.objid = c.oid AND d.deptype = 'e')
        OR EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid = ANY (x.extconfig)))
   AND (pg_catalog.cardinality($1::text[]) = 0
        OR EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) p WHERE n.nspname ~ p))
   AND (pg_catalog.cardinality($3::text[]) = 0
        OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2::text[]),
                                          pg_catalog.unnest($3::text[])) AS p(s, r)
                    WHERE c.relname ~ p.r AND (p.s = '' OR n.nspname ~ p.s)))
   AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($4::text[]),
                                          pg_catalog.unnest($5::text[])) AS p(s, r)
                    WHERE c.relname ~ p.r AND (p.s = '' OR n.nspname ~ p.s))
 ORDER BY n.nspname, c.relname";

/// How many lock entries the server has, and how many are taken.
pub const LOCK_CAPACITY: &str = "
SELECT (pg_catalog.current_setting('max_locks_per_transaction')::bigint
          * (pg_catalog.current_setting('max_connections')::bigint
             + pg_catalog.current_setting('max_prepared_transactions')::bigint)),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype = 'relation')";

/// The parameters of [`TABLES`].
#[derive(Debug, Clone, Default)]
pub struct Filters {
    pub schemas: Vec<String>,
    pub table_schemas: Vec<String>,
    pub tables: Vec<String>,
    pub excluded_schemas: Vec<String>,
    pub excluded: Vec<String>,
}

impl Filters {
    /// From the patterns of a request. Errors: a pattern that is none.
    pub fn new(backup: &Backup) -> Result<Filters> {
        let schemas = backup.schemas.iter().map(|p| Ok(schema_pattern(p)?.name));
        let (table_schemas, tables) = split(&backup.tables)?;
        let (excluded_schemas, excluded) = split(&backup.exclude_tables)?;
        let schemas = schemas.collect::<Result<_>>()?;
        Ok(Filters { schemas, table_schemas, tables, excluded_schemas, excluded })
    }
}

fn split(patterns: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let parsed = patterns.iter().map(|p| table_pattern(p)).collect::<Result<Vec<NamePattern>>>()?;
    let pair = |p: NamePattern| (p.schema.unwrap_or_default(), p.name);
    Ok(parsed.into_iter().map(pair).unzip())
}

/// `LOCK TABLE ONLY a, ONLY b … IN ACCESS SHARE MODE`. Not from parent to child by itself: the
/// children are in the list.
pub fn lock_statement(tables: &[Table]) -> String {
    let names: Vec<String> =
        tables.iter().map(|t| format!("ONLY {}", super::qualified(&t.schema, &t.name))).collect();
    format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))
}
