//! Schedules: their rows, read as JSON in the shape of [`Entry`], and how far each has come.

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;

use super::history::{Fit, History, NewRun, history_failure};
use super::qualified;
use crate::decide::request::Home;
use crate::decide::schedule_entry::Entry;
use crate::error::Result;

/// Schedules of one database that are looked at: thousands work, a mistake by a loop must not take
/// the launcher's memory.
const ENTRIES_MAX: u32 = 100_000;

/// The row as [`Entry`]. `{}` is where the table comes, `WHERE` and the rest follow.
fn select(table: &str, options: &str) -> String {
    format!(
        "SELECT pg_catalog.jsonb_build_object(
    'name', s.name, 'cron', s.cron, 'timezone', s.timezone,
    'database', coalesce(s.database, pg_catalog.current_database()),
    'active', s.enabled AND NOT {COPY}, 'copy', {COPY},
    'on_overlap', s.on_overlap, 'catch_up', extract(epoch FROM s.catch_up)::float8,
    'retries', s.retries, 'at_start', s.at_start,
    'max_runtime', extract(epoch FROM s.max_runtime)::float8, 'verify', s.verify,
    'options', {options}, 'last_due', s.last_due, 'attempt', s.attempt, 'retry_at', s.retry_at,
    'requested_by', s.requested_by,
    'policy', pg_catalog.jsonb_build_object(
        'keep_last', s.keep_last, 'keep_daily', s.keep_daily, 'keep_weekly', s.keep_weekly,
        'keep_monthly', s.keep_monthly, 'keep_yearly', s.keep_yearly,
        'keep_within', CASE WHEN s.keep_within IS NOT NULL THEN pg_catalog.jsonb_build_object(
            'months', (extract(year FROM s.keep_within) * 12
                       + extract(month FROM s.keep_within))::int,
            'days', extract(day FROM s.keep_within)::int,
            'micros', (extract(hour FROM s.keep_within) * 3600000000
                       + extract(minute FROM s.keep_within) * 60000000
                       + extract(microseconds FROM s.keep_within))::bigint) END))
  FROM {table} s"
    )
}

/// Whether a row is in a copy of the database that it was written for: that one still exists.
const COPY: &str = "(s.home <> pg_catalog.current_database() \
    AND EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = s.home))";

/// The query for one schedule by its name.
pub fn one(schema: &str) -> String {
    format!(
        "{} WHERE s.name = $1",
        select(&qualified(schema, "backup_schedule_entries"), "s.options")
    )
}

/// The query for all schedules that can become due, without the options, which only a run needs.
pub fn active(schema: &str) -> String {
    let table = qualified(schema, "backup_schedule_entries");
    format!("{} WHERE s.enabled AND NOT {COPY} LIMIT {ENTRIES_MAX}", select(&table, "'{}'::jsonb"))
}

impl History<'_> {
    fn schedules(&self) -> String {
        qualified(&self.schema, "backup_schedule_entries")
    }

    /// A schedule; None when there is none of this name.
    pub async fn schedule(&self, name: &str) -> Result<Option<Entry>> {
        let rows = self.server.rows(self.control, &one(&self.schema), &[&name]).await;
        let rows = rows.map_err(history_failure)?;
        rows.first().map(|row| Entry::from_json(row.get(0))).transpose()
    }

    /// Makes schedules of a database that was renamed its own: nobody has the old name now, and
    /// whoever takes it later must not make copies of them.
    pub async fn adopt(&self) -> Result<()> {
        let sql = format!(
            "UPDATE {} s SET home = pg_catalog.current_database() \
             WHERE s.home <> pg_catalog.current_database() AND NOT {COPY}",
            self.schedules()
        );
        self.set_schedule(&sql, &[]).await
    }

    /// All schedules that can become due, and those that cannot be read.
    pub async fn schedules_active(&self) -> Result<Vec<Result<Entry>>> {
        let rows = self.server.rows(self.control, &active(&self.schema), &[]).await;
        let rows = rows.map_err(history_failure)?;
        Ok(rows.iter().map(|row| Entry::from_json(row.get(0))).collect())
    }

    /// Claims a due time and writes the row of its run, both or neither: None when the schedule is
    /// not as it was when `entry` was read.
    pub async fn begin_claimed(
        &self,
        entry: &Entry,
        due: DateTime<Utc>,
        attempt: i32,
        home: &Home,
        run: &NewRun<'_>,
    ) -> Result<Option<i64>> {
        self.begin_claimed_as(entry, due, attempt, home, run, "running").await
    }

    /// The same with another first status.
    pub async fn begin_claimed_as(
        &self,
        entry: &Entry,
        due: DateTime<Utc>,
        attempt: i32,
        home: &Home,
        run: &NewRun<'_>,
        status: &str,
    ) -> Result<Option<i64>> {
        let claimed =
            async |fit| self.claim_and_insert(entry, due, attempt, home, run, status, fit).await;
        let id = self.fitting(claimed).await.inspect_err(|failure| self.unclear(failure))?;
        if let Some(id) = id {
            self.begun(id, run, status).await;
        }
        Ok(id)
    }

    /// One transaction. Nothing in it may fail and be passed over: its COMMIT would be a ROLLBACK.
    #[expect(clippy::too_many_arguments, reason = "a claim and a row")]
    async fn claim_and_insert(
        &self,
        entry: &Entry,
        due: DateTime<Utc>,
        attempt: i32,
        home: &Home,
        run: &NewRun<'_>,
        status: &str,
        fit: Fit,
    ) -> Result<Option<i64>> {
        self.server.batch(self.control, "BEGIN").await?;
        let steps = async {
            if !self.claim(entry, due, attempt).await? {
                return Ok(None);
            }
            self.insert(home, run, status, fit).await.map(Some)
        };
        let result = steps.await;
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.server.batch(self.control, end).await;
        result.and_then(|id| ended.map(|()| id))
    }

    /// Says that due times up to `due` are dealt with, if nobody has said so since `entry` was
    /// read: false when somebody has. `attempt` counts the failed attempts before this one.
    async fn claim(&self, entry: &Entry, due: DateTime<Utc>, attempt: i32) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET last_due = $2, attempt = $3, retry_at = NULL \
             WHERE name = $1 AND last_due = $4 AND retry_at IS NOT DISTINCT FROM $5",
            self.schedules()
        );
        let params: [&(dyn ToSql + Sync); 5] =
            [&entry.name, &due, &attempt, &entry.last_due, &entry.retry_at];
        let count = self.server.execute(self.control, &sql, &params).await;
        Ok(count.map_err(history_failure)? == 1)
    }

    /// Counts due times that passed without a run.
    pub async fn count_missed(&self, name: &str, count: u32) -> Result<()> {
        let sql = format!("UPDATE {} SET missed = missed + $2 WHERE name = $1", self.schedules());
        self.set_schedule(&sql, &[&name, &i64::from(count)]).await
    }

    /// A run of the schedule succeeded.
    pub async fn schedule_succeeded(&self, name: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET attempt = 0, retry_at = NULL, missed = 0 WHERE name = $1",
            self.schedules()
        );
        self.set_schedule(&sql, &[&name]).await
    }

    /// A run of the schedule failed; the next attempt is due at `at`.
    pub async fn retry_at(&self, name: &str, attempt: i32, at: DateTime<Utc>) -> Result<()> {
        let sql =
            format!("UPDATE {} SET attempt = $2, retry_at = $3 WHERE name = $1", self.schedules());
        self.set_schedule(&sql, &[&name, &attempt, &at]).await
    }

    /// One that is gone by now needs nothing any more.
    async fn set_schedule(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let done = self.server.execute(self.control, sql, params).await;
        done.map(drop).map_err(history_failure)
    }
}
