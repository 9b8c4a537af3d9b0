//! `backup_restore()`, what tells before it what it will do, and the ways out of a replace:
//! `backup_rollback()` and `backup_accept()`.

use std::ffi::CStr;

use pg_backup_core::catalog::history::NewRun;
use pg_backup_core::catalog::history_files::no_backup;
use pg_backup_core::catalog::restore_steps::steps;
use pg_backup_core::decide::manifest::Manifest;
use pg_backup_core::decide::request::{KeptEnd, Request, Restore, Rollback, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::ReportRow;
use pgrx::prelude::*;

use super::restore_arguments::{Asked, replaces_own};
use super::{audited_home, ensure_superuser, home, waited};
use crate::error::{notice, unwrap};
use crate::worker::call;
use crate::{catalog, pg};

/// The column of what CALL gives back: the run, in backup_history.
const RUN_ID: &CStr = c"run_id";

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_restore(id bigint, target text DEFAULT NULL, replace text DEFAULT NULL,
                                tables text[] DEFAULT NULL, schemas text[] DEFAULT NULL,
                                into_schema text DEFAULT NULL, safety text DEFAULT NULL,
                                jobs integer DEFAULT 1, trusted boolean DEFAULT false,
                                force boolean DEFAULT false, allow_foreign boolean DEFAULT false,
                                globals boolean DEFAULT false, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
#[expect(clippy::too_many_arguments, reason = "the contract of the SQL procedure")]
fn backup_restore(
    id: Option<i64>,
    target: Option<String>,
    replace: Option<String>,
    tables: Option<Vec<Option<String>>>,
    schemas: Option<Vec<Option<String>>>,
    into_schema: Option<String>,
    safety: Option<String>,
    jobs: Option<i32>,
    trusted: Option<bool>,
    force: Option<bool>,
    allow_foreign: Option<bool>,
    globals: Option<bool>,
    _run_id: Option<i64>,
) -> pgrx::composite_type!('static, "record") {
    let run = unwrap(restore(Asked {
        id,
        target,
        replace,
        tables,
        schemas,
        into_schema,
        safety,
        jobs,
        trusted,
        force,
        allow_foreign,
        globals,
    }));
    pg::row(RUN_ID, run)
}

fn restore(asked: Asked) -> Result<i64> {
    ensure_superuser("restore a backup")?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_restore()")?;
    let restore = asked.restore()?;
    let backup = restore.backup;
    if replaces_own(&restore) {
        let database = restore.database().to_owned();
        let id = begin_at_commit(Task::Restore(restore), &database, "manual", backup)?;
        notice(&format!(
            "run {id} restores backup {backup} and replaces this database: this session ends when \
             it is swapped in; see backup_progress, and backup_history after reconnecting"
        ));
        return Ok(id);
    }
    let told = told(&restore);
    let home = audited_home("backup_restore", 0)?;
    let run = waited(&Request { home, task: Task::Restore(restore) })?;
    notice(&format!("run {run} restored backup {backup} {told}"));
    Ok(run)
}

/// Where the backup went.
fn told(restore: &Restore) -> String {
    match (&restore.replace, &restore.into_schema) {
        (Some(live), _) => format!("in the place of database \"{live}\""),
        (_, Some(into)) => {
            format!("into schema \"{}\" of database \"{}\"", into.schema, into.database)
        }
        _ => format!("into database \"{}\"", restore.target),
    }
}

/// A job that ends the session that asks for it: its row is there at commit, and tells of it.
fn begin_at_commit(task: Task, database: &str, origin: &str, subject: i64) -> Result<i64> {
    let id = catalog::next_id(&catalog::schema()?)?;
    let (call, comment) = match &task {
        Task::Rollback(_) => ("backup_rollback", format!("restore {subject}")),
        _ => ("backup_restore", format!("backup {subject}")),
    };
    let home = audited_home(call, id)?;
    let (comment, subject) = (Some(comment.as_str()), Some(subject));
    let run = NewRun { kind: "restore", database, origin, comment, subject, ..NewRun::default() };
    catalog::insert_queued(&home, &run)?;
    call::run_at_commit(&Request { home, task })?;
    Ok(id)
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_rollback(restore_id bigint, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_rollback(
    restore_id: Option<i64>,
    _run_id: Option<i64>,
) -> pgrx::composite_type!('static, "record") {
    pg::row(RUN_ID, unwrap(rollback(restore_id, KeptEnd::Rollback)))
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_accept(restore_id bigint, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_accept(
    restore_id: Option<i64>,
    _run_id: Option<i64>,
) -> pgrx::composite_type!('static, "record") {
    pg::row(RUN_ID, unwrap(rollback(restore_id, KeptEnd::Accept)))
}

fn rollback(restore_id: Option<i64>, end: KeptEnd) -> Result<i64> {
    let back = end == KeptEnd::Rollback;
    ensure_superuser(if back { "roll a restore back" } else { "accept a restore" })?;
    call::ensure_ready()?;
    call::ensure_nothing_written(if back { "backup_rollback()" } else { "backup_accept()" })?;
    let restore = super::not_null("restore_id", restore_id)?;
    let (database, kept) = catalog::kept(&catalog::schema()?, restore)?;
    let task = Task::Rollback(Rollback { restore, database: database.clone(), end });
    if back && database == pg::database_name() {
        let id = begin_at_commit(task, &database, "rollback", restore)?;
        notice(&format!(
            "run {id} swaps database \"{kept}\" back into the place of this one: this session \
             ends then; see backup_history after reconnecting"
        ));
        return Ok(id);
    }
    let home = audited_home(if back { "backup_rollback" } else { "backup_accept" }, 0)?;
    let run = waited(&Request { home, task })?;
    notice(&match back {
        true => format!("run {run} swapped database \"{kept}\" back: it is \"{database}\" again"),
        false => format!("run {run} dropped database \"{kept}\": restore {restore} is accepted"),
    });
    Ok(run)
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "those of backup_restore()")]
fn backup_restore_check(
    id: Option<i64>,
    target: default!(Option<String>, "NULL"),
    replace: default!(Option<String>, "NULL"),
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
    into_schema: default!(Option<String>, "NULL"),
    safety: default!(Option<String>, "NULL"),
    jobs: default!(Option<i32>, "1"),
    trusted: default!(Option<bool>, "false"),
    force: default!(Option<bool>, "false"),
    allow_foreign: default!(Option<bool>, "false"),
    globals: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(check_name, String),
        name!(status, String),
        name!(detail, String),
        name!(hint, Option<String>),
    ),
> {
    let rows = unwrap(check(Asked {
        id,
        target,
        replace,
        tables,
        schemas,
        into_schema,
        safety,
        jobs,
        trusted,
        force,
        allow_foreign,
        globals,
    }));
    TableIterator::new(rows.into_iter().map(|row| {
        let hint = (!row.hint.is_empty()).then_some(row.hint);
        (row.subject, row.status, row.detail, hint)
    }))
}

fn check(asked: Asked) -> Result<Vec<ReportRow>> {
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_restore_check()")?;
    let restore = asked.restore()?;
    let transaction = ReportRow::ok("transaction", "this one has written nothing");
    let rows = call::run(&Request { home: home(0)?, task: Task::RestoreCheck(restore) })?.rows;
    Ok(std::iter::once(transaction).chain(rows).collect())
}

#[pg_extern(stable, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "those of backup_restore()")]
fn backup_restore_plan(
    id: Option<i64>,
    target: default!(Option<String>, "NULL"),
    replace: default!(Option<String>, "NULL"),
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
    into_schema: default!(Option<String>, "NULL"),
    safety: default!(Option<String>, "NULL"),
    jobs: default!(Option<i32>, "1"),
    trusted: default!(Option<bool>, "false"),
    force: default!(Option<bool>, "false"),
    allow_foreign: default!(Option<bool>, "false"),
    globals: default!(Option<bool>, "false"),
) -> TableIterator<'static, (name!(step, i32), name!(action, String), name!(command, String))> {
    let steps = unwrap(plan(Asked {
        id,
        target,
        replace,
        tables,
        schemas,
        into_schema,
        safety,
        jobs,
        trusted,
        force,
        allow_foreign,
        globals,
    }));
    TableIterator::new(steps.into_iter().zip(1..).map(|((a, c), number)| (number, a, c)))
}

fn plan(asked: Asked) -> Result<Vec<(String, String)>> {
    let restore = asked.restore()?;
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
