//! `backup_schedule()` and its kin. Everything is checked here, by the code that will use it.

use pg_backup_core::decide::request::{Cause, Request, Scheduled, Task};
use pg_backup_core::decide::schedule_entry::Entry;
use pg_backup_core::decide::zone::Zone;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::backup::new_run;
use pg_backup_core::job::prune::no_schedule;
use pg_backup_core::job::scheduled::backup_of;
use pgrx::prelude::*;
use pgrx::{JsonB, datum::Interval};

use super::schedule_arguments::{Arguments, no_name};
use super::{home, waited};
use crate::catalog::schedules::{self, Checked};
use crate::error::{notice, unwrap};
use crate::worker::{call, pending};
use crate::{catalog, pg, settings};

/// Runs that a NOTICE names.
const NAMED_RUNS: usize = 3;

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_schedule(
    name text, cron text, timezone text DEFAULT NULL, database text DEFAULT NULL,
    keep_last integer DEFAULT NULL, keep_daily integer DEFAULT NULL,
    keep_weekly integer DEFAULT NULL, keep_monthly integer DEFAULT NULL,
    keep_yearly integer DEFAULT NULL, keep_within interval DEFAULT NULL,
    enabled boolean DEFAULT true, on_overlap text DEFAULT 'skip',
    catch_up interval DEFAULT '1 day', retries integer DEFAULT 2,
    at_start boolean DEFAULT false, max_runtime interval DEFAULT NULL,
    verify text DEFAULT NULL, options jsonb DEFAULT NULL)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
"#)]
#[expect(clippy::too_many_arguments, reason = "the contract of the SQL procedure")]
fn backup_schedule(
    name: Option<String>,
    cron: Option<String>,
    timezone: Option<String>,
    database: Option<String>,
    keep_last: Option<i32>,
    keep_daily: Option<i32>,
    keep_weekly: Option<i32>,
    keep_monthly: Option<i32>,
    keep_yearly: Option<i32>,
    keep_within: Option<Interval>,
    enabled: Option<bool>,
    on_overlap: Option<String>,
    catch_up: Option<Interval>,
    retries: Option<i32>,
    at_start: Option<bool>,
    max_runtime: Option<Interval>,
    verify: Option<String>,
    options: Option<JsonB>,
) {
    let keep = [keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly];
    unwrap(schedule(Arguments {
        name,
        cron,
        timezone,
        database,
        keep,
        keep_within,
        enabled,
        on_overlap,
        catch_up,
        retries,
        at_start,
        max_runtime,
        verify,
        options,
    }));
}

fn schedule(arguments: Arguments) -> Result<()> {
    call::ensure_ready()?;
    let checked = arguments.check()?;
    let schema = catalog::schema()?;
    schedules::upsert(&schema, &checked)?;
    audited("backup_schedule", &checked.name)?;
    notice(&announcement(&checked));
    if checked.policy.is_empty() {
        notice(&format!(
            "schedule \"{}\" keeps every backup: none of keep_last, keep_daily, keep_weekly, \
             keep_monthly, keep_yearly and keep_within was given",
            checked.name
        ));
    }
    Ok(())
}

fn announcement(checked: &Checked) -> String {
    let zone = checked.zone.tz();
    let runs = checked.schedule.next_runs(checked.zone, now(), NAMED_RUNS);
    let runs = runs.iter().map(|run| run.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z"));
    let runs = runs.map(|run| run.to_string()).collect::<Vec<_>>().join(", ");
    match checked.enabled {
        true => format!("schedule \"{}\" runs next at {runs}", checked.name),
        false => format!("schedule \"{}\" is paused; it would run at {runs}", checked.name),
    }
}

fn now() -> chrono::DateTime<chrono::Utc> {
    pg_backup_core::fault::now()
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_unschedule(name text)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_unschedule(name: Option<String>) {
    unwrap(named(name).and_then(|name| {
        schedules::delete(&catalog::schema()?, &name)?;
        audited("backup_unschedule", &name)
    }));
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_pause(name text)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_pause(name: Option<String>) {
    unwrap(named(name).and_then(|name| {
        schedules::enable(&catalog::schema()?, &name, false)?;
        audited("backup_pause", &name)
    }));
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_resume(name text)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_resume(name: Option<String>) {
    unwrap(named(name).and_then(|name| {
        schedules::enable(&catalog::schema()?, &name, true)?;
        audited("backup_resume", &name)
    }));
}

/// The definition as it is now, or only the name of one that is gone.
fn audited(call: &str, name: &str) -> Result<()> {
    let detail = schedules::definition(&catalog::schema()?, name)?;
    catalog::audit::record(call, detail.unwrap_or_else(|| serde_json::json!({ "name": name })))
}

fn named(name: Option<String>) -> Result<String> {
    call::ensure_ready()?;
    name.ok_or_else(no_name)
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_run(name: Option<String>, wait: default!(Option<bool>, "true")) -> i64 {
    unwrap(named(name).and_then(|name| run(&name, wait.unwrap_or(true))))
}

fn run(name: &str, wait: bool) -> Result<i64> {
    call::ensure_ready()?;
    let schema = catalog::schema()?;
    let entry = schedules::entry(&schema, name)?.ok_or_else(|| no_schedule(name))?;
    let scheduled = |entry: &Entry| -> Result<Task> {
        Ok(Task::Scheduled(Scheduled {
            schedule: name.to_owned(),
            database: entry.database.clone(),
            cause: Cause::Manual,
            defaults: settings::defaults()?,
        }))
    };
    if wait {
        call::ensure_nothing_written("backup_run()")?;
        return waited(&Request { home: home(0)?, task: scheduled(&entry)? });
    }
    let id = catalog::next_id(&schema)?;
    let home = home(id)?;
    let backup = backup_of(&entry, "manual", settings::defaults()?)?;
    catalog::insert_queued(&home, &new_run(&backup))?;
    call::run_at_commit(&Request { home, task: scheduled(&entry)? })?;
    Ok(id)
}

#[pg_extern(volatile, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_next_runs(
    cron: Option<String>,
    timezone: default!(Option<String>, "NULL"),
    n: default!(Option<i32>, "10"),
    after: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> SetOfIterator<'static, TimestampWithTimeZone> {
    let asked = cron.zip(n);
    let runs = asked.map(|(cron, n)| unwrap(next_runs(&cron, timezone, n, after)));
    SetOfIterator::new(runs.unwrap_or_default())
}

fn next_runs(
    cron: &str,
    timezone: Option<String>,
    n: i32,
    after: Option<TimestampWithTimeZone>,
) -> Result<Vec<TimestampWithTimeZone>> {
    const MOST: i32 = 100_000;
    if !(0..=MOST).contains(&n) {
        return Err(Failure::new(Class::InvalidArgument, format!("invalid n: {n}"))
            .hint(format!("Ask for 0 to {MOST} runs.")));
    }
    let schedule = pg_backup_core::decide::schedule::Schedule::parse(cron)?;
    let zone = super::schedule_arguments::zone(timezone)?;
    let after = match after {
        Some(after) => pg::instant(after).ok_or_else(|| {
            Failure::new(Class::InvalidArgument, "after is beyond the calendar")
                .hint("Use a time between the years 1970 and 9999.")
        })?,
        None => now(),
    };
    let runs = schedule.next_runs(zone, after, n as usize);
    Ok(runs.into_iter().filter_map(|run| pg::timestamp(run.timestamp_micros())).collect())
}

/// The next time of a schedule as the view shows it: NULL for one that cannot be read.
#[pg_extern(volatile, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_next_run(
    cron: Option<String>,
    timezone: Option<String>,
    last_due: Option<TimestampWithTimeZone>,
    retry_at: Option<TimestampWithTimeZone>,
) -> Option<TimestampWithTimeZone> {
    let schedule = pg_backup_core::decide::schedule::Schedule::parse(&cron?).ok()?;
    let zone = Zone::parse(&timezone?).ok()?;
    let last_due =
        pg_backup_core::decide::schedule_entry::believable(pg::instant(last_due?)?, now());
    let next = schedule.next_after(zone, last_due);
    let next = [next, retry_at.and_then(pg::instant)].into_iter().flatten().min()?;
    pg::timestamp(next.timestamp_micros())
}

/// Tells the launcher when this transaction commits; behind a trigger of the table of schedules.
#[pg_trigger]
fn backup_schedules_changed<'a>(
    _trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByRust>>, pgrx::spi::SpiError> {
    pending::schedules_change();
    Ok(None)
}

/// Id of this database.
#[pg_extern(stable, parallel_safe)]
fn backup_home_id() -> pg_sys::Oid {
    pg_sys::Oid::from(pg::database_id())
}
