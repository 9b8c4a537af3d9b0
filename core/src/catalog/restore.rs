//! What a restore asks the server before it begins, and of the new database when it is loaded.

use super::history::{History, history_failure};
use super::qualified;
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
                        WHERE a.default_version <> e.v),
    'prepared', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts
                  WHERE database = $5))";

/// A free id for a database: far from those that are given out by themselves.
pub const FREE_ID: &str = "
SELECT pg_catalog.min(i)::oid
  FROM (SELECT (2000000000 + pg_catalog.floor(pg_catalog.random() * 1000000000))::bigint AS i
          FROM pg_catalog.generate_series(1, 8)) t
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.oid = t.i::oid)";

/// Privileges of a database, one row each: grantor, grantee (empty for PUBLIC), what, whether it
/// may be passed on.
pub const PRIVILEGES: &str = "
SELECT pg_catalog.pg_get_userbyid(a.grantor),
       CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
       a.privilege_type, a.is_grantable
  FROM pg_catalog.aclexplode($1::text[]::aclitem[]) a";

/// Name of a database by its id.
pub const NAME_OF: &str = "SELECT datname FROM pg_catalog.pg_database WHERE oid = $1";

/// Rows of a table.
pub fn count(schema: &str, table: &str) -> String {
    format!("SELECT pg_catalog.count(*) FROM ONLY {}", qualified(schema, table))
}

impl History<'_> {
    /// The id that the new database will have: a crash from now on leaves something to find.
    pub async fn set_target(&self, id: i64, target: u32) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET target_id = $2 WHERE id = $1 AND tableoid = {}",
            self.runs, self.table
        );
        let count = self.server.execute(self.control, &sql, &[&id, &target]).await;
        self.touched(id, count.map_err(history_failure)?)
    }
}
