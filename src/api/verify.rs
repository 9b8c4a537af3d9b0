//! `backup_verify()`.

use pg_backup_core::decide::request::{Request, Task, Verify};
use pg_backup_core::decide::verify_level::Level;
use pg_backup_core::error::Result;
use pg_backup_core::job::ReportRow;
use pgrx::prelude::*;

use super::{home, not_null};
use crate::error::unwrap;
use crate::settings;
use crate::worker::call;

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_verify(
    id: Option<i64>,
    level: default!(Option<String>, "NULL"),
) -> TableIterator<'static, (name!(ok, bool), name!(subject, String), name!(detail, String))> {
    let rows = unwrap(not_null("id", id).and_then(|id| verify(id, level.as_deref())));
    TableIterator::new(rows.into_iter().map(|row| (row.status == "ok", row.subject, row.detail)))
}

fn verify(backup: i64, level: Option<&str>) -> Result<Vec<ReportRow>> {
    call::ensure_ready()?;
    let level = level.map(str::parse::<Level>).transpose()?.unwrap_or_else(settings::verify);
    call::ensure_nothing_written("backup_verify()")?;
    let task = Task::Verify(Verify {
        backup,
        level,
        origin: "manual".to_owned(),
        schedule: None,
        limits: settings::limits(),
    });
    Ok(call::run(&Request { home: home(0)?, task })?.rows)
}
