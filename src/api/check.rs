//! `backup_check()`: the doctor. What this backend sees itself, then what a runner sees.

use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::{Failure, Result};
use pg_backup_core::job::ReportRow;
use pgrx::prelude::*;

use super::home;
use crate::catalog::schedules::Health;
use crate::error::unwrap;
use crate::worker::{call, slots};
use crate::{catalog, pg};

/// Without a good backup for longer than this, the doctor warns.
const OLD_SECONDS: f64 = 26.0 * 3600.0;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_check() -> TableIterator<
    'static,
    (
        name!(check_name, String),
        name!(status, String),
        name!(detail, String),
        name!(hint, Option<String>),
    ),
> {
    let rows = unwrap(check());
    TableIterator::new(rows.into_iter().map(|row| {
        let hint = (!row.hint.is_empty()).then_some(row.hint);
        (row.subject, row.status, row.detail, hint)
    }))
}

fn check() -> Result<Vec<ReportRow>> {
    let mut rows = vec![preload()];
    if slots::is_ready() && !pg::in_recovery() {
        let request = Request { home: home(0)?, task: Task::Check };
        match call::run(&request) {
            Ok(report) => {
                rows.push(ReportRow::ok("launcher", "running, and starts runners"));
                rows.extend(report.rows);
            }
            Err(failure) => rows.push(blocker("launcher", &failure)),
        }
    } else if pg::in_recovery() {
        let hint = "Backups are made on the primary; schedules begin here after promotion.";
        rows.push(ReportRow::new("recovery", "warning", "this server is a standby", hint));
    }
    let schema = catalog::schema()?;
    rows.push(last_backup(catalog::last_good(&schema)?));
    rows.push(schedules(&catalog::schedules::health(&schema)?));
    Ok(rows)
}

/// What the schedules of this database are worth.
fn schedules(health: &Health) -> ReportRow {
    let Health { active, idle, overdue, failed } = health;
    let row = |status, detail: String, hint: &str| {
        ReportRow::new("schedules", status, detail, if status == "ok" { "" } else { hint })
    };
    if let Some(name) = overdue {
        let hint = "See the server log: the launcher may not be running, or cannot connect.";
        return row("warning", format!("schedule \"{name}\" is overdue"), hint);
    }
    if let Some(name) = failed {
        let hint = "See error, error_detail and error_hint in backup_history.";
        return row("warning", format!("the last run of schedule \"{name}\" failed"), hint);
    }
    match (active, idle) {
        (0, 0) => row("warning", "none".into(), "Make one: CALL backup_schedule(…)."),
        (0, _) => row("warning", format!("none active, {idle} not"), "See backup_schedules."),
        (_, 0) => row("ok", format!("{active} active"), ""),
        _ => row("ok", format!("{active} active, {idle} paused or copies"), ""),
    }
}

fn preload() -> ReportRow {
    if slots::is_ready() {
        return ReportRow::ok("preload", "in shared_preload_libraries");
    }
    blocker("preload", &call::not_preloaded())
}

fn blocker(subject: &str, failure: &Failure) -> ReportRow {
    ReportRow::new(subject, "blocker", failure.message.clone(), failure.hint.clone())
}

fn last_backup(age: Option<f64>) -> ReportRow {
    let hint = "Run SELECT backup_create(), and schedule it.";
    match age {
        None => {
            let detail = "no good backup of this database";
            ReportRow::new("last_backup", "warning", detail, hint)
        }
        Some(age) => {
            let detail = format!("{:.1} hours old", age / 3600.0);
            let status = if age > OLD_SECONDS { "warning" } else { "ok" };
            ReportRow::new("last_backup", status, detail, if status == "ok" { "" } else { hint })
        }
    }
}
