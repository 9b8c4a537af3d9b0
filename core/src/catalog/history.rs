//! Rows of the history: the one table that the engine writes. Each call is one statement and so
//! one transaction; rows are committed step by step, whatever the caller does.

use std::time::SystemTime;

use serde_json::Value;

use super::qualified;
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::context::Control;

/// How long the history's own statements wait for a lock that somebody holds on its table.
const LOCK_TIME: &str = "SET lock_timeout = '10s'";

/// The history in one home database.
pub struct History<'a> {
    pub server: &'a Server,
    pub control: &'a dyn Control,
    runs: String,
    manifests: String,
}

/// What a new row says.
#[derive(Debug, Clone, Default)]
pub struct NewRun<'a> {
    pub kind: &'a str,
    pub database: &'a str,
    pub origin: &'a str,
    pub comment: Option<&'a str>,
    /// The backup that a verification or deletion works on.
    pub subject: Option<i64>,
}

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

/// What is known of an archive before it is published.
#[derive(Debug, Clone)]
pub struct ArchiveFacts<'a> {
    pub file: &'a str,
    pub size_bytes: i64,
    pub database_size_bytes: i64,
    pub sha256: &'a str,
    pub warnings: &'a [String],
    pub manifest: &'a Value,
}

impl<'a> History<'a> {
    /// The history in the extension's schema of `home`, through a session in that database.
    pub async fn open(
        server: &'a Server,
        control: &'a dyn Control,
        home: &Home,
    ) -> Result<History<'a>> {
        server.batch(control, LOCK_TIME).await?;
        Ok(History {
            server,
            control,
            runs: qualified(&home.schema, "backup_runs"),
            manifests: qualified(&home.schema, "backup_manifests"),
        })
    }

    /// A row for a run that begins, under the id that the request carries or the next one.
    pub async fn begin(&self, home: &Home, run: &NewRun<'_>, status: &str) -> Result<i64> {
        let (columns, values) = match home.id {
            0 => ("", ""),
            _ => ("id, ", "$9, "),
        };
        let sql = format!(
            "INSERT INTO {} ({columns}kind, database, status, origin, requested_by, queued_at, \
             started_at, comment, subject) \
             VALUES ({values}$1, $2, $3, $4, $5, $6, pg_catalog.clock_timestamp(), $7, $8) \
             RETURNING id",
            self.runs
        );
        let queued = SystemTime::UNIX_EPOCH
            + std::time::Duration::from_micros(u64::try_from(home.queued_at).unwrap_or(0));
        let mut params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![
            &run.kind,
            &run.database,
            &status,
            &run.origin,
            &home.requested_by,
            &queued,
            &run.comment,
            &run.subject,
        ];
        if home.id != 0 {
            params.push(&home.id);
        }
        let row = self.server.one(self.control, &sql, &params).await.map_err(history_failure)?;
        Ok(row.get(0))
    }

    /// The archive is complete under its partial name; next it is read back and published. The
    /// row knows size and hash from now on, so that a crash right after the rename is told apart.
    pub async fn verifying(&self, id: i64, facts: &ArchiveFacts<'_>) -> Result<()> {
        let sql = format!(
            "WITH run AS (UPDATE {} SET status = 'verifying', file = $2, size_bytes = $3, \
             database_size_bytes = $4, sha256 = $5, warnings = $6 WHERE id = $1 RETURNING id) \
             INSERT INTO {} (id, manifest) SELECT id, $7 FROM run",
            self.runs, self.manifests
        );
        let count = self
            .server
            .execute(
                self.control,
                &sql,
                &[
                    &id,
                    &facts.file,
                    &facts.size_bytes,
                    &facts.database_size_bytes,
                    &facts.sha256,
                    &facts.warnings,
                    &facts.manifest,
                ],
            )
            .await
            .map_err(history_failure)?;
        self.touched(id, count)
    }

    /// The archive is published and verified.
    pub async fn succeeded(&self, id: i64, verify_level: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = 'succeeded', file_state = 'available', \
             finished_at = pg_catalog.clock_timestamp(), \
             verified_at = pg_catalog.clock_timestamp(), verify_level = $2 WHERE id = $1",
            self.runs
        );
        let count = self.server.execute(self.control, &sql, &[&id, &verify_level]).await;
        self.touched(id, count.map_err(history_failure)?)
    }

    /// The run ended as `status` for the reason that `failure` gives.
    pub async fn ended(&self, id: i64, status: &str, failure: &Failure) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = $2, finished_at = pg_catalog.clock_timestamp(), \
             error = $3, error_detail = nullif($4, ''), error_hint = nullif($5, ''), \
             file = CASE WHEN kind = 'backup' THEN NULL ELSE file END, \
             sha256 = CASE WHEN kind = 'backup' THEN NULL ELSE sha256 END, \
             size_bytes = CASE WHEN kind = 'backup' THEN NULL ELSE size_bytes END \
             WHERE id = $1",
            self.runs
        );
        let message = match failure.class {
            Class::Concurrent => "concurrent",
            _ => failure.message.as_str(),
        };
        let detail = match failure.class {
            Class::Concurrent => format!("{}. {}", failure.message, failure.detail),
            _ => failure.detail.clone(),
        };
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&id, &status, &message, &detail, &failure.hint];
        let count = self.server.execute(self.control, &sql, &params).await;
        self.touched(id, count.map_err(history_failure)?)
    }

    /// A run that is not a backup succeeded.
    pub async fn done(&self, id: i64) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = 'succeeded', finished_at = pg_catalog.clock_timestamp() \
             WHERE id = $1",
            self.runs
        );
        let count = self.server.execute(self.control, &sql, &[&id]).await;
        self.touched(id, count.map_err(history_failure)?)
    }

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

    /// What a verification of backup `id` found.
    pub async fn verified(&self, id: i64, level: &str, file_state: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET file_state = $3, \
             verified_at = CASE WHEN $3 = 'available' THEN pg_catalog.clock_timestamp() \
                                ELSE verified_at END, \
             verify_level = CASE WHEN $3 = 'available' THEN $2 ELSE verify_level END \
             WHERE id = $1",
            self.runs
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&id, &level, &file_state];
        let count = self.server.execute(self.control, &sql, &params).await;
        self.touched(id, count.map_err(history_failure)?)
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

    /// Runs that say they are alive: (id, status, kind, file, size, sha256).
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let sql = format!(
            "SELECT id, status, file, size_bytes, sha256 FROM {} \
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
        };
        Ok(rows.iter().map(unfinished).collect())
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

    fn touched(&self, id: i64, count: u64) -> Result<()> {
        if count == 1 {
            return Ok(());
        }
        Err(Failure::new(Class::UndefinedObject, format!("run {id} is no longer in the history")))
    }
}

/// A run without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub id: i64,
    pub verifying: bool,
    pub file: Option<String>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
}

fn no_backup(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} does not exist"))
        .hint("See backup_history for the ids of backups in this database.")
}

fn no_archive(id: i64, status: String) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} has no archive"))
        .detail(format!("The run is {status}."))
}

/// The history is where the extension is: when its table is gone, so is the extension.
fn history_failure(failure: Failure) -> Failure {
    if failure.class != Class::UndefinedObject {
        return failure;
    }
    Failure::new(Class::UndefinedObject, "the extension pg_backup was dropped meanwhile")
        .detail(failure.message)
        .hint("Run CREATE EXTENSION pg_backup again; archives that are complete stay on disk.")
}
