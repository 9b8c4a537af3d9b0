//! What a crash leaves in the history: runs that say they are alive, databases that were being
//! made.

use super::history::{History, history_failure};
use crate::decide::restore::standing::Target;
use crate::error::Result;

/// A run without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub id: i64,
    pub verifying: bool,
    pub file: Option<String>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    /// The schedule that tries it again, if it does.
    pub schedule: Option<String>,
    /// The database that it was making, or swapping back.
    pub target: Option<Target>,
}

impl History<'_> {
    /// Runs that say they are alive.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let sql = format!(
            "SELECT id, status, file, size_bytes, sha256, \
             CASE WHEN kind = 'backup' AND origin <> 'manual' THEN schedule END, \
             target_id, target_name, database, origin IN ('rollback', 'accept', 'expired'), \
             verified_at IS NOT NULL FROM {} \
             WHERE status IN ('queued', 'running', 'verifying') ORDER BY id LIMIT 10000",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[]).await.map_err(history_failure)?;
        let unfinished = |row: &tokio_postgres::Row| Unfinished {
            id: row.get(0),
            verifying: row.get::<_, String>(1) == "verifying",
            file: row.get(2),
            size_bytes: row.get(3),
            sha256: row.get(4),
            schedule: row.get(5),
            target: row.get::<_, Option<u32>>(6).zip(row.get(7)).map(|(id, name)| Target {
                id,
                name,
                database: row.get(8),
                is_kept: row.get(9),
                is_whole: row.get(10),
            }),
        };
        Ok(rows.iter().map(unfinished).collect())
    }

    /// Whether run `id` has no end yet, and its row can be given one now. Errors: it is locked.
    pub async fn is_unfinished(&self, id: i64) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET status = status WHERE id = $1 AND tableoid = {} \
             AND status IN ('queued', 'running', 'verifying')",
            self.runs, self.table
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        Ok(count.map_err(history_failure)? == 1)
    }

    /// Databases that failed restores have made and could not drop, and scratch databases of runs
    /// that succeeded: those were never to have the name of what the run is about. One that is open
    /// is somebody's.
    pub async fn undropped(&self) -> Result<Vec<Target>> {
        let sql = format!(
            "SELECT r.target_id, r.target_name, r.database FROM {} r \
             JOIN pg_catalog.pg_database d ON d.oid = r.target_id AND d.datname = r.target_name \
             WHERE (r.status IN ('failed', 'cancelled', 'interrupted') \
             OR r.status = 'succeeded' AND r.target_name <> r.database) \
             AND d.datconnlimit IN (0, -2) \
             AND r.origin NOT IN ('rollback', 'accept', 'expired') ORDER BY r.id LIMIT 100",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[]).await.map_err(history_failure)?;
        let target = |row: &tokio_postgres::Row| Target {
            id: row.get(0),
            name: row.get(1),
            database: row.get(2),
            is_kept: false,
            is_whole: false,
        };
        Ok(rows.iter().map(target).collect())
    }

    /// The database of restore `id` is what the archive holds, and is going to be opened.
    pub async fn whole(&self, id: i64) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET verified_at = pg_catalog.clock_timestamp() \
             WHERE id = $1 AND tableoid = {}",
            self.runs, self.table
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        self.touched(id, count.map_err(history_failure)?)
    }
}
