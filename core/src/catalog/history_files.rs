//! The archives of the history: their files and what became of them.

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
    pub sha256: String,
    pub pinned: bool,
}

impl History<'_> {
    /// The archive of a backup. Errors: `UndefinedObject` when there is no such backup, or it
    /// has no archive.
    pub async fn archive(&self, id: i64) -> Result<StoredArchive> {
        let sql = format!(
            "SELECT database, file, file_state, size_bytes, sha256, pinned, status \
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

    /// Sets the state of a backup's file.
    pub async fn set_file_state(&self, id: i64, state: &str) -> Result<()> {
        let sql = format!("UPDATE {} SET file_state = $2 WHERE id = $1", self.runs);
        let count = self.server.execute(self.control, &sql, &[&id, &state]).await;
        self.touched(id, count.map_err(history_failure)?)
    }

    /// Takes a backup for deletion: only one that is not pinned.
    pub async fn begin_delete(&self, id: i64) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET file_state = 'deleting' \
             WHERE id = $1 AND NOT pinned AND file_state IS NOT NULL",
            self.runs
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        Ok(count.map_err(history_failure)? == 1)
    }

    /// Backups whose deletion did not come to its end: (id, file).
    pub async fn deleting(&self) -> Result<Vec<(i64, String)>> {
        let sql = format!(
            "SELECT id, file FROM {} WHERE file_state = 'deleting' AND file IS NOT NULL \
             ORDER BY id LIMIT 10000",
            self.runs
        );
        let rows = self.server.rows(self.control, &sql, &[]).await.map_err(history_failure)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

fn no_backup(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} does not exist"))
        .hint("See backup_history for the ids of backups in this database.")
}

fn no_archive(id: i64, status: String) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} has no archive"))
        .detail(format!("The run is {status}."))
}
