//! `backup_restore()` and what tells before it what it will do.

use pg_backup_core::decide::manifest::Manifest;
use pg_backup_core::decide::request::{Request, Restore, Task};
use pg_backup_core::decide::restore::steps::steps;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::ReportRow;
use pgrx::prelude::*;

use super::home;
use crate::error::{notice, unwrap};
use crate::worker::call;
use crate::{catalog, pg, settings};

/// Bytes of a database's name (NAMEDATALEN - 1).
const NAME_MAX: usize = 63;
/// Connections of pg_restore.
const JOBS: std::ops::RangeInclusive<i32> = 1..=64;

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_restore(id bigint, target text DEFAULT NULL, jobs integer DEFAULT 1,
                                trusted boolean DEFAULT false)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_restore(
    id: Option<i64>,
    target: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
) {
    unwrap(restore(id, target, jobs, trusted));
}

fn restore(
    id: Option<i64>,
    target: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
) -> Result<()> {
    if !pg::caller().superuser {
        return Err(Failure::new(
            Class::InsufficientPrivilege,
            "must be superuser to restore a backup",
        ));
    }
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_restore()")?;
    let restore = request(id, target, jobs, trusted)?;
    let (backup, target) = (restore.backup, restore.target.clone());
    let run = call::run(&Request { home: home(0)?, task: Task::Restore(restore) })?.id;
    notice(&format!("run {run} restored backup {backup} into database \"{target}\""));
    Ok(())
}

fn request(
    id: Option<i64>,
    target: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
) -> Result<Restore> {
    let backup = id.ok_or_else(|| {
        Failure::new(Class::InvalidArgument, "the id of the backup must not be NULL")
    })?;
    let jobs = jobs.unwrap_or(1);
    if !JOBS.contains(&jobs) {
        return Err(Failure::new(Class::InvalidArgument, format!("invalid jobs: {jobs}"))
            .hint("Use 1 to 64 connections."));
    }
    let database = catalog::backup(&catalog::schema()?, backup)?.map(|stored| stored.database);
    let database = database.ok_or_else(|| no_backup(backup))?;
    let target = match target {
        Some(target) => checked(target)?,
        None => default_target(&database, backup),
    };
    let limits = settings::limits();
    Ok(Restore { backup, target, jobs: jobs as u16, trusted: trusted.unwrap_or(false), limits })
}

fn no_backup(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("backup {id} does not exist"))
        .hint("See backup_history for the ids of backups in this database.")
}

fn checked(target: String) -> Result<String> {
    if target.is_empty() || target.len() > NAME_MAX {
        return Err(Failure::new(Class::InvalidArgument, "invalid name of the target database")
            .hint(format!("Use 1 to {NAME_MAX} bytes.")));
    }
    Ok(target)
}

/// `<database>_restored_<id>`, the name cut where it would be too long.
fn default_target(database: &str, id: i64) -> String {
    let ending = format!("_restored_{id}");
    let mut room = NAME_MAX.saturating_sub(ending.len()).min(database.len());
    while !database.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}{ending}", &database[..room])
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_restore_check(
    id: Option<i64>,
    target: default!(Option<String>, "NULL"),
    jobs: default!(Option<i32>, "1"),
    trusted: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(check_name, String),
        name!(status, String),
        name!(detail, String),
        name!(hint, Option<String>),
    ),
> {
    let rows = unwrap(check(id, target, jobs, trusted));
    TableIterator::new(rows.into_iter().map(|row| {
        let hint = (!row.hint.is_empty()).then_some(row.hint);
        (row.subject, row.status, row.detail, hint)
    }))
}

fn check(
    id: Option<i64>,
    target: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
) -> Result<Vec<ReportRow>> {
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_restore_check()")?;
    let restore = request(id, target, jobs, trusted)?;
    Ok(call::run(&Request { home: home(0)?, task: Task::RestoreCheck(restore) })?.rows)
}

#[pg_extern(stable, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_restore_plan(
    id: Option<i64>,
    target: default!(Option<String>, "NULL"),
    jobs: default!(Option<i32>, "1"),
    trusted: default!(Option<bool>, "false"),
) -> TableIterator<'static, (name!(step, i32), name!(action, String), name!(command, String))> {
    let steps = unwrap(plan(id, target, jobs, trusted));
    TableIterator::new(steps.into_iter().zip(1..).map(|((a, c), number)| (number, a, c)))
}

fn plan(
    id: Option<i64>,
    target: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
) -> Result<Vec<(String, String)>> {
    let restore = request(id, target, jobs, trusted)?;
    let (schema, id) = (catalog::schema()?, restore.backup);
    let stored = catalog::backup(&schema, id)?.ok_or_else(|| no_backup(id))?;
    let manifest = catalog::manifest(&schema, id)?.ok_or_else(|| {
        Failure::new(Class::UndefinedObject, format!("backup {id} has no manifest"))
            .hint("Only backups that succeeded have one.")
    })?;
    let manifest: Manifest = serde_json::from_value(manifest).map_err(|error| {
        Failure::new(Class::Damaged, format!("the manifest of backup {id} cannot be read: {error}"))
    })?;
    let steps = steps(&manifest, &restore, &stored.file.unwrap_or_default());
    Ok(steps.into_iter().map(|step| (step.action, step.command)).collect())
}
