//! What a restore asks the server before it begins, and of the new database when it is loaded.

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;

use super::events::{Event, announce};
use super::history::{History, history_failure};
use super::qualified;
use crate::decide::major::analyze_only;
use crate::decide::progress::Phase;
use crate::error::Result;

/// What the server has of what an archive needs: `$1` roles, `$2` tablespaces, `$3` extensions and
/// `$4` their versions, `$5` the name of the target. One `jsonb`.
pub const READINESS: &str = "
SELECT pg_catalog.jsonb_build_object(
    'superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
    'version_num', pg_catalog.current_setting('server_version_num')::int,
    'system_identifier', (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
    'target_exists', EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $5),
    'missing_roles', (SELECT coalesce(pg_catalog.jsonb_agg(n ORDER BY n), '[]')
                        FROM pg_catalog.unnest($1::text[]) n
                       WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = n)),
    'missing_tablespaces', (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT n), '[]')
                              FROM pg_catalog.unnest($2::text[]) n
                             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_tablespace
                                                WHERE spcname = n)),
    'missing_extensions', (SELECT coalesce(pg_catalog.jsonb_agg(n ORDER BY n), '[]')
                             FROM pg_catalog.unnest($3::text[]) n
                            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions
                                               WHERE name = n)),
    'other_versions', (SELECT coalesce(pg_catalog.jsonb_agg(
                                  e.n || ' ' || e.v || ' (here ' || a.default_version || ')'), '[]')
                         FROM ROWS FROM (pg_catalog.unnest($3::text[]),
                                   pg_catalog.unnest($4::text[])) AS e(n, v)
                         JOIN pg_catalog.pg_available_extensions a ON a.name = e.n
                        WHERE a.default_version <> e.v AND e.n <> 'timescaledb' AND e.v <> ''),
    'prepared', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts
                  WHERE database = $5))";

/// The place of a new database: `$1` its tablespace, `$2` the provider of its collation and `$3`
/// the locale. One `jsonb`. The operating system spells the encoding of a locale as it likes, and
/// the column of an ICU locale has another name since PostgreSQL 17.
pub const PLACE: &str = "
WITH known AS (
    SELECT c.oid FROM pg_catalog.pg_collation c
     WHERE c.collprovider::text = $2
       AND pg_catalog.lower(pg_catalog.replace(coalesce(c.collcollate,
               pg_catalog.to_jsonb(c) ->> 'colliculocale',
               pg_catalog.to_jsonb(c) ->> 'colllocale'), '-', ''))
         = pg_catalog.lower(pg_catalog.replace($3, '-', '')))
SELECT pg_catalog.jsonb_build_object(
    'tablespace', coalesce((SELECT pg_catalog.pg_tablespace_location(oid)
                              FROM pg_catalog.pg_tablespace WHERE spcname = $1), ''),
    'max_wal_size_mb', (SELECT setting::bigint FROM pg_catalog.pg_settings
                         WHERE name = 'max_wal_size'),
    'locale_known', EXISTS (SELECT FROM known),
    'collation_version', (SELECT pg_catalog.pg_collation_actual_version(oid) FROM known LIMIT 1))";

/// A free id for a database: far from those that are given out by themselves.
pub const FREE_ID: &str = "
SELECT pg_catalog.min(i)::oid
  FROM (SELECT (2000000000 + pg_catalog.floor(pg_catalog.random() * 1000000000))::bigint AS i
          FROM pg_catalog.generate_series(1, 8)) t
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.oid = t.i::oid)";

/// Id of a database by its name.
pub const DATABASE_ID: &str = "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1";

/// For a session that looks at what many roles have made: their functions run with their rights.
pub const GUARDED: &str = "SET pg_backup.restricted = on";

/// For a session in a database that nobody uses yet: its commits do not wait for the disk. Those
/// that open the database do.
pub const UNSEEN: &str = "SET synchronous_commit = off";

/// What keeps a database `$1` from being replaced, and what becomes of it.
pub const REPLACEABLE: &str = "
SELECT pg_catalog.jsonb_build_object(
    'exists', EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1),
    'template', EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate),
    'closed', EXISTS (SELECT FROM pg_catalog.pg_database
                       WHERE datname = $1 AND (NOT datallowconn OR datconnlimit = -2)),
    'prepared', (SELECT coalesce(pg_catalog.jsonb_agg(gid), '[]')
                   FROM pg_catalog.pg_prepared_xacts WHERE database = $1),
    'active_slots', (SELECT coalesce(pg_catalog.jsonb_agg(slot_name), '[]')
                       FROM pg_catalog.pg_replication_slots WHERE database = $1 AND active),
    'idle_slots', (SELECT coalesce(pg_catalog.jsonb_agg(slot_name), '[]')
                     FROM pg_catalog.pg_replication_slots WHERE database = $1 AND NOT active),
    'subscriptions', (SELECT coalesce(pg_catalog.jsonb_agg(s.subname), '[]')
                        FROM pg_catalog.pg_subscription s
                        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                       WHERE d.datname = $1 AND s.subenabled),
    'sessions', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
                  WHERE datname = $1 AND backend_type = 'client backend'
                    AND application_name NOT LIKE 'pg_backup%'))";

/// Which rows of the tables of extensions are dumped: schema, name, a WHERE clause. All, where
/// there is none.
pub const DUMP_CONDITIONS: &str = "
SELECT n.nspname::text, c.relname::text, x.condition
  FROM pg_catalog.pg_extension e,
       ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition))
           AS x(id, condition)
  JOIN pg_catalog.pg_class c ON c.oid = x.id
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE x.condition <> ''";

/// Schema and name of the tables with a line end in either.
pub const WITH_LINE_ENDS: &str = "
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND (n.nspname ~ '[\n\r]' OR c.relname ~ '[\n\r]')";

/// Trees of partitions that a dump loads by their root, wholly or in part: its rows are not in the
/// same partitions afterwards. That are those that are distributed by the hash of an enum, whose
/// values have other ids then, and those with a root among the names `$1` (schemas) and `$2`
/// (tables). Schema and name of the root, of each table in the tree, and whether that has rows of
/// its own here.
pub const TREES: &str = "
WITH RECURSIVE tree (root, id) AS (
    SELECT oid, oid FROM pg_catalog.pg_class WHERE relkind = 'p' AND NOT relispartition
    UNION ALL
    SELECT t.root, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.id),
by_root AS (
    SELECT t.root FROM tree t
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.id AND p.partstrat = 'h'
      JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass) AND o.opcname = 'enum_ops'
           AND o.opcnamespace = 'pg_catalog'::regnamespace
    UNION
    SELECT c.oid
      FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(nsp, rel)
      JOIN pg_catalog.pg_namespace n ON n.nspname = w.nsp
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.rel
     WHERE c.relkind = 'p' AND NOT c.relispartition)
SELECT rn.nspname::text, r.relname::text, n.nspname::text, c.relname::text, c.relkind = 'r'
  FROM by_root JOIN tree t USING (root)
  JOIN pg_catalog.pg_class r ON r.oid = t.root
  JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
  JOIN pg_catalog.pg_class c ON c.oid = t.id
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

/// Gathers the statistics of all tables, each with the rights of its owner.
pub const ANALYZE: &str = "ANALYZE";

/// Schema and name of what that takes, whether it is partitioned, and its oid; the largest first.
/// Partitions go with their table: ANALYZE of that takes them along. `pg_partition_tree()` would
/// keep a lock on each of them. Of the tables of the system those that have grown by more than a
/// tenth (`autovacuum_analyze_scale_factor`) since initdb analyzed them; oids below 16384 are
/// theirs (`FirstNormalObjectId`).
pub const ANALYZED: &str = "\
WITH RECURSIVE tree (root, part) AS (
    SELECT c.oid, c.oid FROM pg_catalog.pg_class c
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
       AND (c.oid >= 16384 OR NOT c.relisshared AND pg_catalog.pg_relation_size(c.oid)
            > 1.1 * c.relpages * pg_catalog.current_setting('block_size')::int)
    UNION ALL
    SELECT t.root, i.inhrelid
      FROM tree t JOIN pg_catalog.pg_class p ON p.oid = t.part AND p.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = t.part)
SELECT n.nspname::text, c.relname::text, c.relkind = 'p', c.oid
  FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.root
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 GROUP BY c.oid, n.nspname, c.relname, c.relkind
 ORDER BY coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(t.part)), 0) DESC, c.oid";

/// Schema and name of the partitions of tables `$1` that have rows of their own.
pub const PARTITIONS: &str = "\
WITH RECURSIVE tree (part) AS (
    SELECT pg_catalog.unnest($1::oid[])
    UNION ALL
    SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.part)
SELECT n.nspname::text, c.relname::text, false, c.oid
  FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.part
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r'";

/// Gathers the statistics of one, and of its partitions.
pub fn analyze(schema: &str, table: &str, is_partitioned: bool, major: u32) -> String {
    let only = if is_partitioned { "" } else { analyze_only(major) };
    format!("ANALYZE {only}{}", qualified(schema, table))
}

/// Rows of a table.
pub fn count(schema: &str, table: &str) -> String {
    format!("SELECT pg_catalog.count(*) FROM ONLY {}", qualified(schema, table))
}

/// What a restore keeps is its own business: a copy of the database has the row too. A kept
/// database that was renamed, and another one that has its name now, are somebody's.
const KEEPS: &str = "kind = 'restore' AND status = 'succeeded' \
    AND EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = kept AND d.oid = kept_id) \
    AND home_id = (SELECT d.oid FROM pg_catalog.pg_database d \
                    WHERE d.datname = pg_catalog.current_database())";

/// A database that a restore has replaced and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub restore: i64,
    /// The live database that has its name now.
    pub database: String,
    pub since: DateTime<Utc>,
}

/// Most databases that are kept at a time and looked after.
const KEPT_MAX: u32 = 1000;

/// The query for the database that restore `$1` replaced, and the name of the one that it keeps.
pub fn kept(schema: &str) -> String {
    let runs = qualified(schema, "backup_runs");
    format!("SELECT database, kept FROM {runs} WHERE id = $1 AND {KEEPS}")
}

impl History<'_> {
    /// The id that the new database will have: a crash from now on leaves something to find.
    pub async fn set_target(
        &self,
        id: i64,
        target: u32,
        name: &str,
        kept: Option<&str>,
    ) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET target_id = $2, target_name = $3, kept = $4, \
             kept_id = (SELECT d.oid FROM pg_catalog.pg_database d \
                         WHERE d.datname = database AND $4::text IS NOT NULL) \
             WHERE id = $1 AND tableoid = {}",
            self.runs, self.table
        );
        let params: [&(dyn ToSql + Sync); 4] = [&id, &target, &name, &kept];
        let count = self.server.execute(self.control, &sql, &params).await;
        self.touched(id, count.map_err(history_failure)?)
    }

    /// The name of the database that restore `id` has kept; None when it keeps none.
    pub async fn kept(&self, id: i64) -> Result<Option<String>> {
        let sql = kept(&self.schema);
        let rows = self.server.rows(self.control, &sql, &[&id]).await.map_err(history_failure)?;
        Ok(rows.first().and_then(|row| row.get(1)))
    }

    /// Every database that is kept, oldest first: the restore, what it replaced, and since when.
    pub async fn all_kept(&self) -> Result<Vec<Kept>> {
        let sql = format!(
            "SELECT id, database, coalesce(finished_at, queued_at) FROM {} WHERE {KEEPS} \
             ORDER BY id LIMIT {KEPT_MAX}",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[]).await.map_err(history_failure)?;
        let kept = |row: &tokio_postgres::Row| Kept {
            restore: row.get(0),
            database: row.get(1),
            since: row.get(2),
        };
        Ok(rows.iter().map(kept).collect())
    }

    /// The name that [`History::set_target`] has chosen for the database that is replaced.
    pub async fn kept_name(&self, id: i64) -> Result<String> {
        let sql = format!("SELECT coalesce(kept, '') FROM {} WHERE id = $1", self.runs);
        let row = self.server.one(self.control, &sql, &[&id]).await.map_err(history_failure)?;
        Ok(row.get(0))
    }

    /// Tells whoever listens how far a restore is.
    pub async fn announce_phase(&self, id: i64, database: &str, phase: Phase) {
        let event = Event {
            event: "phase",
            id,
            kind: "restore",
            database,
            status: "running",
            schedule: None,
            phase: Some(phase.as_str()),
        };
        announce(self.server, self.control, &event).await;
    }

    /// Notes under which name the replaced database is kept; None when it is no more.
    pub async fn set_kept(&self, id: i64, kept: Option<&str>) -> Result<()> {
        let sql = format!("UPDATE {} SET kept = $2 WHERE id = $1", self.runs);
        let count = self.server.execute(self.control, &sql, &[&id, &kept]).await;
        self.touched(id, count.map_err(history_failure)?)
    }
}
