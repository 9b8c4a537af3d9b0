//! `backup_check()`: the doctor. What this backend sees itself, then what a runner sees.

use pg_backup_core::decide::request::{Check, Request, Task};
use pg_backup_core::error::{Failure, Result};
use pg_backup_core::job::ReportRow;
use pgrx::prelude::*;

use super::home;
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
        let request =
            Request { home: home(0)?, task: Task::Check(Check { database: pg::database_name() }) };
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
    rows.push(last_backup(catalog::last_good(&catalog::schema()?)?));
    Ok(rows)
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
