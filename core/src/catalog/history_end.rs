//! How runs end: the last statement of each, and the event that tells of it.

use tokio_postgres::types::ToSql;

use super::events::{Event, announce};
use super::history::{Fit, History, history_failure};
use crate::error::{Class, Failure, Result};

/// What an event tells of a run beside its end, and what the row warns of.
const RUN: &str = "kind, database, schedule, coalesce(warnings, '{}')";

impl History<'_> {
    /// The archive is published and verified.
    pub async fn succeeded(&self, id: i64, verify_level: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = 'succeeded', file_state = 'available', \
             finished_at = pg_catalog.clock_timestamp(), \
             verified_at = pg_catalog.clock_timestamp(), verify_level = $2, \
             error = NULL, error_detail = NULL, error_hint = NULL \
             WHERE id = $1 AND tableoid = {} RETURNING {RUN}",
            self.runs, self.table
        );
        self.last(id, &sql, &[&id, &verify_level], "succeeded").await
    }

    /// A run that is not a backup succeeded.
    pub async fn done(&self, id: i64) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = 'succeeded', finished_at = pg_catalog.clock_timestamp(), \
             error = NULL, error_detail = NULL, error_hint = NULL \
             WHERE id = $1 AND tableoid = {} RETURNING {RUN}",
            self.runs, self.table
        );
        self.last(id, &sql, &[&id], "succeeded").await
    }

    /// The run ended as `status` for the reason that `failure` gives.
    pub async fn ended(&self, id: i64, status: &str, failure: &Failure) -> Result<()> {
        self.fitting(async |fit| self.ended_as(id, status, failure, fit).await).await
    }

    async fn ended_as(&self, id: i64, status: &str, failure: &Failure, fit: Fit) -> Result<()> {
        let sql = format!(
            "WITH gone AS (DELETE FROM {0} WHERE id = $1 AND EXISTS \
             (SELECT FROM {1} r WHERE r.id = $1 AND r.tableoid = {2})) \
             UPDATE {1} SET status = $2, finished_at = pg_catalog.clock_timestamp(), \
             error = $3, error_detail = nullif($4, ''), error_hint = nullif($5, ''), \
             file = CASE WHEN kind IN ('backup', 'import') THEN NULL ELSE file END, \
             sha256 = CASE WHEN kind IN ('backup', 'import') THEN NULL ELSE sha256 END, \
             size_bytes = CASE WHEN kind IN ('backup', 'import') THEN NULL ELSE size_bytes END \
             WHERE id = $1 AND tableoid = {2} RETURNING {RUN}",
            self.manifests, self.runs, self.table
        );
        let (message, detail) = match failure.class {
            Class::Concurrent => ("concurrent", format!("{}. {}", failure.message, failure.detail)),
            _ => (failure.message.as_str(), failure.detail.clone()),
        };
        let (message, detail, hint) = (fit(message), fit(&detail), fit(&failure.hint));
        let params: [&(dyn ToSql + Sync); 5] = [&id, &status, &message, &detail, &hint];
        self.last(id, &sql, &params, status).await
    }

    /// Adds warnings to the row of a run, whatever became of it.
    pub async fn warn(&self, id: i64, warnings: &[String]) -> Result<()> {
        self.fitting(async |fit| {
            let warnings: Vec<_> = warnings.iter().map(|text| fit(text)).collect();
            let sql = format!(
                "UPDATE {} SET warnings = coalesce(warnings, '{{}}') || $2::text[] \
                 WHERE id = $1 AND tableoid = {}",
                self.runs, self.table
            );
            let count = self.server.execute(self.control, &sql, &[&id, &warnings]).await;
            self.touched(id, count.map_err(history_failure)?)
        })
        .await
    }

    /// Runs the last statement of a run, and tells whoever listens.
    async fn last(
        &self,
        id: i64,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        status: &str,
    ) -> Result<()> {
        let rows = self.server.rows(self.control, sql, params).await.map_err(history_failure)?;
        self.touched(id, rows.len() as u64)?;
        let Some(row) = rows.first() else { return Ok(()) };
        let event = Event {
            event: Event::of_status(status),
            id,
            kind: row.get(0),
            database: row.get(1),
            status,
            schedule: row.get(2),
            phase: None,
        };
        announce(self.server, self.control, &event).await;
        if status == "succeeded" {
            self.control.warned(row.get(3));
        }
        Ok(())
    }
}
