//! The archives of the history: their files and what became of them.

use super::events::{Event, announce};
use super::history::{History, history_failure};
use crate::error::{Class, Failure, Result};

/// An archive as the row describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArchive {
    pub id: i64,
    pub database: String,
    /// Relative to the backup directory.
    pub file: String,
    pub file_state: String,
    pub size_bytes: i64,
    /// Empty when nobody has computed it yet.
    pub sha256: String,
    /// It was brought in, and nothing proves that it is ours.
    pub is_foreign: bool,
    pub pinned: bool,
}

impl History<'_> {
    /// The archive of a backup. Errors: `UndefinedObject` when there is no such backup, or it
    /// has no archive.
    pub async fn archive(&self, id: i64) -> Result<StoredArchive> {
        let sql = format!(
            "SELECT database, file, file_state, size_bytes, sha256, pinned, status, is_foreign \
             FROM {} WHERE id = $1 AND kind IN ('backup', 'import')",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[&id]).await.map_err(history_failure)?;
        let row = rows.first().ok_or_else(|| no_backup(id))?;
        let (file, state): (Option<String>, Option<String>) = (row.get(1), row.get(2));
        let (Some(file), Some(file_state)) = (file, state) else {
            return Err(no_archive(id, row.get(6)));
        };
        Ok(StoredArchive {
            id,
            database: row.get(0),
            file,
            file_state,
            size_bytes: row.get::<_, Option<i64>>(3).unwrap_or(0),
            sha256: row.get::<_, Option<String>>(4).unwrap_or_default(),
            pinned: row.get(5),
            is_foreign: row.get(7),
        })
    }

    /// What a verification of backup `id` found, unless it was deleted meanwhile.
    pub async fn verified(&self, id: i64, level: &str, file_state: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET file_state = $3, \
             verified_at = CASE WHEN $3 = 'available' THEN pg_catalog.clock_timestamp() \
                                ELSE verified_at END, \
             verify_level = CASE WHEN $3 = 'available' THEN $2 ELSE verify_level END \
             WHERE id = $1 AND file_state IN ('available', 'missing', 'damaged')",
            self.runs
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&id, &level, &file_state];
        let done = self.server.execute(self.control, &sql, &params).await;
        done.map(drop).map_err(history_failure)
    }

    /// Takes a backup for deletion: only one that is not pinned.
    pub async fn begin_delete(&self, id: i64) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET file_state = 'deleting', removal = 'deleted' \
             WHERE id = $1 AND NOT pinned AND file_state IS NOT NULL",
            self.runs
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        Ok(count.map_err(history_failure)? == 1)
    }

    /// Takes a backup for pruning: only a good one that is neither pinned nor in use. Gives its
    /// file.
    pub async fn begin_prune(&self, id: i64) -> Result<Option<String>> {
        let sql = format!(
            "UPDATE {0} SET file_state = 'deleting', removal = 'pruned' \
             WHERE id = $1 AND NOT pinned AND file_state = 'available' \
               AND NOT EXISTS (SELECT FROM {0} b WHERE b.subject = $1 \
                                AND b.status IN ('queued', 'running', 'verifying')) \
             RETURNING file",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[&id]).await.map_err(history_failure)?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    /// The file of backup `id` is gone: its state says why. Tells whoever listens of one that was
    /// pruned.
    pub async fn removed(&self, id: i64, removal: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET file_state = $2 WHERE id = $1 \
             RETURNING kind, database, status, schedule",
            self.runs
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&id, &removal];
        let rows = self.server.rows(self.control, &sql, &params).await.map_err(history_failure)?;
        self.touched(id, rows.len() as u64)?;
        if let Some(row) = rows.first().filter(|_| removal == "pruned") {
            let event = Event {
                event: removal,
                id,
                kind: row.get(0),
                database: row.get(1),
                status: row.get(2),
                schedule: row.get(3),
                phase: None,
            };
            announce(self.server, self.control, &event).await;
        }
        Ok(())
    }

    /// The file of a backup that was to be pruned is not there, and nobody else has removed it:
    /// false when somebody has.
    pub async fn missing(&self, id: i64) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET file_state = 'missing' WHERE id = $1 AND file_state = 'deleting'",
            self.runs
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        Ok(count.map_err(history_failure)? == 1)
    }

    /// Waits until no other retention works in this home database: what it is about to remove must
    /// not look as if it were lost. Until the session ends.
    pub async fn lock_retention(&self) -> Result<()> {
        // Any two numbers that others hardly use: "pgbk" in ASCII.
        let sql = "SET lock_timeout = 0; SELECT pg_catalog.pg_advisory_lock(1885823595, 1); \
                   SET lock_timeout = '10s'";
        self.server.batch(self.control, sql).await
    }

    /// Backups whose deletion did not come to its end: all, or those that retention took from one
    /// schedule.
    pub async fn deleting(&self, schedule: Option<&str>) -> Result<Vec<Doomed>> {
        let sql = format!(
            "SELECT id, file, coalesce(removal, 'deleted') FROM {} \
             WHERE file_state = 'deleting' AND file IS NOT NULL \
               AND ($1::text IS NULL OR (schedule = $1 AND removal = 'pruned')) \
             ORDER BY id LIMIT 10000",
            self.runs
        );
        let rows =
            self.server.rows(self.control, &sql, &[&schedule]).await.map_err(history_failure)?;
        let doomed = |row: &tokio_postgres::Row| Doomed {
            id: row.get(0),
            file: row.get(1),
            removal: row.get(2),
        };
        Ok(rows.iter().map(doomed).collect())
    }
}

/// A backup whose file is about to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    pub id: i64,
    pub file: String,
    /// What the state of the file will be: `pruned` or `deleted`.
    pub removal: String,
}

/// What is said of an id that is no backup's.
pub fn no_backup(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} does not exist"))
        .hint("See backup_history for the ids of backups in this database.")
}

fn no_archive(id: i64, status: String) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} has no archive"))
        .detail(format!("The run is {status}."))
}
