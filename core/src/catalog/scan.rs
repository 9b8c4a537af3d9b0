//! The history as a scan of the backup directory sees and completes it.

use super::history::{History, history_failure};
use crate::error::Result;

/// A row with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: i64,
    pub file: String,
    /// None while the run works.
    pub file_state: Option<String>,
    pub size_bytes: i64,
}

impl History<'_> {
    /// Waits until no other scan works in this home database. Until the session ends.
    pub async fn lock_scan(&self) -> Result<()> {
        // The first number as for retention.
        let sql = "SET lock_timeout = 0; SELECT pg_catalog.pg_advisory_lock(1885823595, 2); \
                   SET lock_timeout = '10s'";
        self.server.batch(self.control, sql).await
    }

    /// Every row with a file, also of those that are gone.
    pub async fn files(&self) -> Result<Vec<Listed>> {
        let sql = format!(
            "SELECT id, file, file_state, coalesce(size_bytes, 0) FROM {} \
             WHERE file IS NOT NULL AND kind IN ('backup', 'import') ORDER BY id",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[]).await.map_err(history_failure)?;
        let listed = |row: &tokio_postgres::Row| Listed {
            id: row.get(0),
            file: row.get(1),
            file_state: row.get(2),
            size_bytes: row.get(3),
        };
        Ok(rows.iter().map(listed).collect())
    }

    /// The files of these runs are in the state `to`, where the rows still say `from`.
    pub async fn set_file_state(&self, ids: &[i64], from: &str, to: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET file_state = $3 WHERE id = ANY ($1) AND file_state = $2",
            self.runs
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&ids, &from, &to];
        let done = self.server.execute(self.control, &sql, &params).await;
        done.map(drop).map_err(history_failure)
    }

    /// Rows for archives that had none, in the order of `archives`: each an object of JSON with the
    /// fields that are named here, and its manifest. Gives their ids by file.
    pub async fn adopt_archives(
        &self,
        requested_by: &str,
        archives: &[&str],
        manifests: &[&str],
    ) -> Result<Vec<(String, i64)>> {
        let sql = format!(
            "WITH found AS MATERIALIZED (\
                 SELECT e.n, e.m::jsonb AS manifest, a.* \
                   FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) \
                        WITH ORDINALITY AS e(v, m, n), \
                        pg_catalog.jsonb_to_record(e.v::jsonb) AS a(file text, database text, \
                          started timestamptz, finished timestamptz, size_bytes bigint, \
                          database_size_bytes bigint, comment text, warnings text[], \
                          is_foreign boolean)), \
             new AS (INSERT INTO {runs} (kind, database, status, origin, requested_by, queued_at, \
                     started_at, finished_at, file, file_state, size_bytes, database_size_bytes, \
                     comment, warnings, is_foreign) \
                 SELECT 'import', f.database, 'succeeded', 'scan', $1, f.started, f.started, \
                        least(f.finished, pg_catalog.clock_timestamp()), f.file, 'available', \
                        f.size_bytes, f.database_size_bytes, \
                        f.comment, f.warnings, f.is_foreign \
                   FROM found f ORDER BY f.n \
                 RETURNING id, file), \
             described AS (INSERT INTO {manifests} (id, manifest) \
                 SELECT new.id, f.manifest FROM new JOIN found f ON f.file = new.file) \
             SELECT file, id FROM new",
            runs = self.runs,
            manifests = self.manifests
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&requested_by, &archives, &manifests];
        let rows = self.server.rows(self.control, &sql, &params).await.map_err(history_failure)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
