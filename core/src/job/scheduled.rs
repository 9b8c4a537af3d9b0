//! A schedule that is looked at: its row decides whether a backup is made, made up for, tried
//! again, or recorded as missed. What comes after a backup (verification, retention) is here too.
//!
//! A due time is claimed and the run's row written in one transaction: a crash before it leaves
//! the due time to the next look, a crash after it leaves a row that tells of it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::ending::status_of;
use super::wait::{LAST_WORDS, deadline, last_words};
use super::{Report, backup, prune, verify};
use crate::catalog::history::{History, NewRun};
use crate::decide::backup_options::{Asked, Defaults};
use crate::decide::due::{Step, step};
use crate::decide::request::{Backup, Cause, Home, Scheduled, Verify};
use crate::decide::retry::{is_transient, next_attempt};
use crate::decide::schedule::COUNT_MAX;
use crate::decide::schedule_entry::Entry;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::server::Server;

/// Looks at the schedule and does what its row says.
pub async fn run(context: &Context<'_>, home: &Home, scheduled: &Scheduled) -> Result<Report> {
    let access = &context.settings.access;
    let control = context.control;
    let name = format!("pg_backup job {}", scheduled.database);
    let session = Server::connect(access, control, &home.database, &name).await?;
    let history = History::open(&session, control, home).await?;
    let found = history.schedule(&scheduled.schedule).await?;
    let Some(entry) = found.filter(|entry| entry.database == scheduled.database) else {
        return changed(context, scheduled);
    };
    let now = fault::now();
    match step(&entry, scheduled.cause, looked_at(home), now)? {
        Step::Nothing => Ok(Report::default()),
        Step::Missed { due, count } => missed(&history, home, &entry, due, count).await,
        Step::Run { due, origin, attempt } => {
            let due = Due { at: due, origin, attempt };
            make(context, home, &history, scheduled, &entry, due).await
        }
    }
}

/// When the launcher took the look.
fn looked_at(home: &Home) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(home.queued_at).unwrap_or_default()
}

/// A run that is to be made.
struct Due {
    /// Due times up to here are dealt with by it; None when it deals with none.
    at: Option<DateTime<Utc>>,
    origin: &'static str,
    /// Failed attempts before this one.
    attempt: i32,
}

/// The schedule is another one by now: whoever planned this must read it again.
fn changed(context: &Context<'_>, scheduled: &Scheduled) -> Result<Report> {
    context.control.schedules_changed();
    if scheduled.cause != Cause::Manual {
        return Ok(Report::default());
    }
    Err(Failure::new(
        Class::UndefinedObject,
        format!("schedule \"{}\" was changed or removed meanwhile", scheduled.schedule),
    )
    .hint("See backup_schedules, and call it again."))
}

async fn make(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    scheduled: &Scheduled,
    entry: &Entry,
    due: Due,
) -> Result<Report> {
    let backup = match backup_of(entry, due.origin, scheduled.defaults.clone()) {
        Ok(backup) => backup,
        Err(failure) => {
            // It would fail at every look: the due time is dealt with, and a row says why.
            let id = record_refused(history, home, scheduled, &failure).await?;
            context.control.started(id);
            return Err(failure);
        }
    };
    let home = &at_due(home, due.at);
    let run = backup::new_run(&backup);
    let id = match due.at {
        None => history.begin(home, &run, "running").await?,
        Some(at) => match history.begin_claimed(entry, at, due.attempt, home, &run).await? {
            Some(id) => id,
            // Somebody else was faster: the row says what is due now.
            None => return Ok(Report::default()),
        },
    };
    let limited = deadline(context.control, Duration::from_millis(backup.limits.runtime));
    let limited = &Context { control: &limited, ..*context };
    let same = history.with_control(limited.control);
    match backup::begun(limited, home, &same, id, &backup).await {
        Ok(report) => after(context, home, entry, &backup, report).await,
        Err(failure) => {
            if due.at.is_some() {
                plan_retry(context, home, &entry.name, &failure).await;
            }
            Err(failure)
        }
    }
}

/// The run's row tells when it was due.
fn at_due(home: &Home, due: Option<DateTime<Utc>>) -> Home {
    let queued_at = due.map_or(home.queued_at, |due| due.timestamp_micros());
    Home { queued_at, ..home.clone() }
}

/// The backup that a schedule says.
pub fn backup_of(entry: &Entry, origin: &str, defaults: Defaults) -> Result<Backup> {
    let mut defaults = defaults;
    if let Some(seconds) = entry.max_runtime {
        defaults.limits.runtime = (seconds * 1000.0) as u64;
    }
    let asked = Asked {
        database: entry.database.clone(),
        origin: origin.to_owned(),
        schedule: Some(entry.name.clone()),
    };
    entry.options.clone().backup(asked, defaults)
}

/// Due times passed and their window too: one row tells of all of them.
async fn missed(
    history: &History<'_>,
    home: &Home,
    entry: &Entry,
    due: DateTime<Utc>,
    count: u32,
) -> Result<Report> {
    let (home, failure) = (at_due(home, Some(due)), missed_failure(entry, due, count));
    let run = NewRun {
        kind: "backup",
        database: &entry.database,
        origin: "schedule",
        schedule: Some(&entry.name),
        comment: entry.options.comment.as_deref(),
        subject: None,
    };
    let Some(id) = history.begin_claimed_as(entry, due, 0, &home, &run, "queued").await? else {
        return Ok(Report::default());
    };
    history.count_missed(&entry.name, count).await?;
    history.ended(id, "missed", &failure).await?;
    Ok(Report { id, ..Report::default() })
}

fn missed_failure(entry: &Entry, due: DateTime<Utc>, count: u32) -> Failure {
    let zone = entry.times().map(|(_, zone)| zone.tz()).unwrap_or_default();
    let due = due.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z");
    let times = match count {
        1 => "1 due time".to_owned(),
        COUNT_MAX => format!("{count} or more due times"),
        _ => format!("{count} due times"),
    };
    Failure::new(Class::NotReady, "missed")
        .detail(format!("{times} passed without a run, the last at {due}."))
        .hint(format!(
            "The server or its launcher did not run then. SELECT backup_run('{}') makes one now; \
             a longer catch_up makes up for it.",
            entry.name.replace('\'', "''")
        ))
}

/// What comes after a good backup: it is verified as the schedule says, then the policy applies.
async fn after(
    context: &Context<'_>,
    home: &Home,
    entry: &Entry,
    backup: &Backup,
    report: Report,
) -> Result<Report> {
    let access = &context.settings.access;
    let control = context.control;
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let home = Home { id: 0, queued_at: Utc::now().timestamp_micros(), ..home.clone() };
    let history = History::open(&session, control, &home).await?;
    history.schedule_succeeded(&entry.name).await?;
    if let Some(level) = entry.verify_level()? {
        let task = Verify {
            backup: report.id,
            level,
            origin: backup.origin.clone(),
            schedule: backup.schedule.clone(),
            limits: backup.limits,
        };
        let rows = verify::run(context, &home, &task).await?.rows;
        if let Some(row) = rows.iter().find(|row| row.status != "ok") {
            return Err(Failure::new(
                Class::Damaged,
                format!("backup {} did not pass its verification", report.id),
            )
            .detail(row.detail.clone())
            .hint("Nothing was pruned. Look at the disk, and make another backup."));
        }
    }
    match prune::after_run(context, &home, &history, entry, &backup.origin).await {
        Ok(_) => Ok(report),
        Err(failure) => {
            let mut report = report;
            report.warnings.push(failure);
            Ok(report)
        }
    }
}

/// A run of the schedule failed: when the reason is one that passes, the next attempt is planned.
/// What goes wrong here leaves the schedule to its next due time.
pub async fn plan_retry(context: &Context<'_>, home: &Home, name: &str, failure: &Failure) {
    if !is_transient(failure.class) {
        return;
    }
    let control = last_words(context.control, LAST_WORDS);
    let access = &context.settings.access;
    let planned = async {
        let session = Server::connect(access, &control, &home.database, "pg_backup job").await?;
        let history = History::open(&session, &control, home).await?;
        retry(&history, name).await
    };
    if matches!(planned.await, Ok(true)) {
        context.control.schedules_changed();
    }
}

/// Writes down the next attempt, if there is one.
pub async fn retry(history: &History<'_>, name: &str) -> Result<bool> {
    let Some(entry) = history.schedule(name).await?.filter(|entry| entry.active) else {
        return Ok(false);
    };
    let failed = entry.attempt + 1;
    let Some(at) = next_attempt(failed, entry.retries, fault::now()) else { return Ok(false) };
    history.retry_at(name, failed, at).await?;
    Ok(true)
}

/// Another job was in the way of it.
fn was_skipped(failure: &Failure) -> bool {
    failure.class == Class::Concurrent
}

/// A look that never became a run (another job was in the way, no worker was free): the due time
/// is dealt with, and a row says why. Gives its id, 0 when nothing was due any more.
pub async fn record_refused(
    history: &History<'_>,
    home: &Home,
    scheduled: &Scheduled,
    failure: &Failure,
) -> Result<i64> {
    let status = status_of(failure);
    let Some(entry) = history.schedule(&scheduled.schedule).await? else {
        if home.id != 0 {
            history.ended(home.id, status, failure).await?;
        }
        return Ok(home.id);
    };
    let (due, origin, attempt) = match step(&entry, scheduled.cause, looked_at(home), fault::now())?
    {
        Step::Nothing => return Ok(home.id),
        Step::Missed { due, .. } => (Some(due), "schedule", 0),
        Step::Run { due, origin, attempt } => (due, origin, attempt),
    };
    let run = NewRun {
        kind: "backup",
        database: &entry.database,
        origin,
        schedule: Some(&entry.name),
        comment: entry.options.comment.as_deref(),
        subject: None,
    };
    let home = &at_due(home, due);
    let id = match due {
        None => Some(history.begin(home, &run, "queued").await?),
        Some(at) => history.begin_claimed_as(&entry, at, attempt, home, &run, "queued").await?,
    };
    let Some(id) = id else { return Ok(home.id) };
    history.ended(id, status, failure).await?;
    let again = is_transient(failure.class) || (origin == "retry" && was_skipped(failure));
    if due.is_some() && again {
        retry(history, &entry.name).await?;
    }
    Ok(id)
}
