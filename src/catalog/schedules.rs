//! Schedules as backends write and read them, in the caller's transaction.

use pg_backup_core::catalog::{retention, schedules};
use pg_backup_core::decide::retention::{Candidate, Policy};
use pg_backup_core::decide::schedule::Schedule;
use pg_backup_core::decide::schedule_entry::Entry;
use pg_backup_core::decide::zone::Zone;
use pg_backup_core::error::Result;
use pg_backup_core::fault;
use pg_backup_core::job::prune::no_schedule;
use pgrx::datum::{Interval, JsonB};
use pgrx::prelude::*;

use super::{one, qualified, understood};
use crate::pg;

/// A schedule as it is stored: what it was told has passed every check.
pub struct Checked {
    pub name: String,
    pub schedule: Schedule,
    pub zone: Zone,
    pub database: Option<String>,
    pub policy: Policy,
    pub enabled: bool,
    pub on_overlap: String,
    pub catch_up: Interval,
    pub retries: i32,
    pub at_start: bool,
    pub max_runtime: Option<Interval>,
    pub verify: Option<&'static str>,
    pub options: JsonB,
}

/// Due times before now are nothing to a schedule that is new, told otherwise, or paused before.
const UPSERT: &str = "
INSERT INTO {table} AS s (name, cron, timezone, database, keep_last, keep_daily, keep_weekly,
    keep_monthly, keep_yearly, keep_within, enabled, on_overlap, catch_up, retries, at_start,
    max_runtime, verify, options, requested_by, home, last_due)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
    pg_catalog.make_interval(months => $10, days => $11, secs => $12::float8 / 1000000),
    $13, $14, $15, $16, $17, $18, $19, $20, $21, pg_catalog.current_database(),
    pg_catalog.to_timestamp($22::float8 / 1000000))
ON CONFLICT (name) DO UPDATE SET (cron, timezone, database, keep_last, keep_daily, keep_weekly,
    keep_monthly, keep_yearly, keep_within, enabled, on_overlap, catch_up, retries, at_start,
    max_runtime, verify, options, requested_by, home, attempt, retry_at, last_due) =
    (excluded.cron, excluded.timezone, excluded.database, excluded.keep_last, excluded.keep_daily,
     excluded.keep_weekly, excluded.keep_monthly, excluded.keep_yearly, excluded.keep_within,
     excluded.enabled, excluded.on_overlap, excluded.catch_up, excluded.retries, excluded.at_start,
     excluded.max_runtime, excluded.verify, excluded.options, excluded.requested_by, excluded.home,
     0, NULL, CASE WHEN s.cron = excluded.cron AND s.timezone = excluded.timezone AND s.enabled
                    AND s.home = excluded.home
                   THEN least(s.last_due, excluded.last_due) ELSE excluded.last_due END)";

/// Makes a schedule, or makes it anew.
pub fn upsert(schema: &str, checked: &Checked) -> Result<()> {
    let sql = UPSERT.replace("{table}", &table(schema));
    let policy = &checked.policy;
    let within = policy.keep_within;
    let args = [
        checked.name.as_str().into(),
        checked.schedule.to_string().into(),
        checked.zone.name().into(),
        checked.database.as_deref().into(),
        policy.keep_last.into(),
        policy.keep_daily.into(),
        policy.keep_weekly.into(),
        policy.keep_monthly.into(),
        policy.keep_yearly.into(),
        within.map(|within| within.months).into(),
        within.map(|within| within.days).into(),
        within.map(|within| within.micros as f64).into(),
        checked.enabled.into(),
        checked.on_overlap.as_str().into(),
        checked.catch_up.into(),
        checked.retries.into(),
        checked.at_start.into(),
        checked.max_runtime.into(),
        checked.verify.into(),
        JsonB(checked.options.0.clone()).into(),
        pg::current_role().into(),
        (fault::now().timestamp_micros() as f64).into(),
    ];
    understood(|| Spi::run_with_args(&sql, &args))
}

/// Removes a schedule; its backups stay.
pub fn delete(schema: &str, name: &str) -> Result<()> {
    changed(name, &format!("DELETE FROM {} WHERE name = $1 RETURNING 1", table(schema)), None)
}

/// Pauses or resumes a schedule. Due times that passed while it was paused are nothing to it.
pub fn enable(schema: &str, name: &str, enabled: bool) -> Result<()> {
    let sql = format!(
        "UPDATE {} SET enabled = $2, attempt = 0, retry_at = NULL, \
         last_due = CASE WHEN enabled THEN last_due \
                         ELSE pg_catalog.to_timestamp($3::float8 / 1000000) END \
         WHERE name = $1 RETURNING 1",
        table(schema)
    );
    changed(name, &sql, Some(enabled))
}

fn changed(name: &str, sql: &str, enabled: Option<bool>) -> Result<()> {
    let mut args = vec![name.into()];
    if let Some(enabled) = enabled {
        args.extend([enabled.into(), (fault::now().timestamp_micros() as f64).into()]);
    }
    // Without a limit: one that is reached ends the statement before its triggers.
    let touched = understood(|| {
        Spi::connect_mut(|client| client.update(sql, None, &args).map(|table| table.len()))
    });
    match touched? {
        0 => Err(no_schedule(name)),
        _ => Ok(()),
    }
}

/// A schedule; None when there is none of this name.
pub fn entry(schema: &str, name: &str) -> Result<Option<Entry>> {
    let found = one::<JsonB>(&schedules::one(schema), &[name.into()])?;
    found.map(|JsonB(value)| Entry::from_json(value)).transpose()
}

/// What a schedule is told to do, as the audit keeps it; None when there is none of this name.
pub fn definition(schema: &str, name: &str) -> Result<Option<serde_json::Value>> {
    let sql = format!(
        "SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(s)) \
                - '{{last_due,attempt,retry_at,missed,requested_by,home}}'::text[] \
           FROM {} s WHERE s.name = $1",
        table(schema)
    );
    Ok(one::<JsonB>(&sql, &[name.into()])?.map(|definition| definition.0))
}

/// The good backups of a schedule.
pub fn candidates(schema: &str, entry: &Entry) -> Result<Vec<Candidate>> {
    understood(|| {
        Spi::connect(|client| {
            let table = client.select(
                &retention::candidates(schema),
                None,
                &[entry.name.as_str().into(), entry.database.as_str().into()],
            )?;
            table
                .into_iter()
                .map(|row| {
                    let (id, at) = (row.get::<i64>(1)?, row.get::<i64>(2)?);
                    let (pinned, busy) = (row.get::<bool>(3)?, row.get::<bool>(4)?);
                    let no = |flag: Option<bool>| flag.unwrap_or(false);
                    let (id, at) = (id.unwrap_or(0), at.unwrap_or(0));
                    Ok(retention::candidate(id, at, no(pinned), no(busy)))
                })
                .collect()
        })
    })
}

/// How the schedules of this database are.
#[derive(Debug, Default)]
pub struct Health {
    pub active: i64,
    /// Paused, or a copy of another database's.
    pub idle: i64,
    /// One that should have run by now.
    pub overdue: Option<String>,
    /// One whose last run failed.
    pub failed: Option<String>,
}

/// Counts them, and names the worst.
pub fn health(schema: &str) -> Result<Health> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE state = 'active'), \
                count(*) FILTER (WHERE state <> 'active'), \
                min(name) FILTER (WHERE next_run < pg_catalog.now() - interval '5 minutes'), \
                min(name) FILTER (WHERE state = 'active' \
                                    AND last_status IN ('failed', 'interrupted')) \
           FROM {}",
        qualified(schema, "backup_schedules")
    );
    understood(|| {
        Spi::connect(|client| {
            let table = client.select(&sql, Some(1), &[])?;
            let Some(row) = table.into_iter().next() else { return Ok(Health::default()) };
            Ok(Health {
                active: row.get(1)?.unwrap_or(0),
                idle: row.get(2)?.unwrap_or(0),
                overdue: row.get(3)?,
                failed: row.get(4)?,
            })
        })
    })
}

fn table(schema: &str) -> String {
    qualified(schema, "backup_schedule_entries")
}
