//! A restore: from an archive to a database that did not exist before.
//!
//! Nothing that is there already is touched: the database is new, closed to clients until it is
//! whole, and gone again when anything fails. Its id is in the row before it exists, so that what
//! a crash leaves behind is found and removed.

mod check;
mod extract;
mod load;
mod properties;

pub use check::run as check;

use std::time::{Duration, Instant};

use super::context::Context;
use super::wait::{deadline, last_words};
use super::{Report, ReportRow};
use crate::catalog::history::{History, NewRun};
use crate::catalog::history_files::StoredArchive;
use crate::catalog::restore::{FREE_ID, NAME_OF};
use crate::decide::manifest::Manifest;
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Home, Restore, Verify};
use crate::decide::restore::{database, plan};
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::archive::reader::Archive;
use crate::host::control::Control;
use crate::host::server::Server;

/// How long the database of a restore that failed may take to go.
const DROP_TIME: Duration = Duration::from_secs(30);

/// What every step works with.
struct Work<'a> {
    context: &'a Context<'a>,
    restore: &'a Restore,
    id: i64,
    /// A session in the database for what belongs to no database in particular.
    server: Server,
    archive: Archive,
    manifest: Manifest,
}

/// Restores and records it.
pub async fn run(context: &Context<'_>, home: &Home, restore: &Restore) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(restore.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let (access, control) = (&context.settings.access, context.control);
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    let stored = history.archive(restore.backup).await?;
    let new = NewRun {
        kind: "restore",
        database: &restore.target,
        origin: "manual",
        schedule: None,
        comment: None,
        subject: Some(restore.backup),
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    match steps(context, &history, id, restore, &stored).await {
        Ok(()) => {
            history.with_control(&last_words(control, super::settle::LAST_WORDS)).done(id).await?;
            Ok(Report { id, ..Report::default() })
        }
        Err(failure) => Err(super::settle::record(context, home, &history, id, failure).await),
    }
}

/// The steps. What fails after the database was made takes it away again.
async fn steps(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    restore: &Restore,
    stored: &StoredArchive,
) -> Result<()> {
    let mut work = prepared(context, history, id, restore, stored).await?;
    match filled(&mut work).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(undone(&work, failure).await),
    }
}

/// Checks everything, and makes the empty database.
async fn prepared<'a>(
    context: &'a Context<'a>,
    history: &History<'_>,
    id: i64,
    restore: &'a Restore,
    stored: &StoredArchive,
) -> Result<Work<'a>> {
    phase(context, Phase::Checking);
    let access = &context.settings.access;
    let connect = &access.connect_database;
    let server = Server::connect(access, context.control, connect, "pg_backup job").await?;
    let (archive, manifest) = check::passed(context, &server, restore, stored).await?;
    let target = server.one(context.control, FREE_ID, &[]).await?.get(0);
    history.set_target(id, target).await?;
    fault::point("before_create");
    phase(context, Phase::Creating);
    let sql = database::create(&restore.target, target, &manifest.facts.database);
    if let Err(failure) = server.batch(context.control, &sql).await {
        // A cancel may have come when it was there already.
        let control = last_words(context.control, DROP_TIME);
        let _ = remove_leftover(&server, &control, target).await;
        return Err(failure);
    }
    fault::point("after_create");
    Ok(Work { context, restore, id, server, archive, manifest })
}

/// Fills the new database and opens it.
async fn filled(work: &mut Work<'_>) -> Result<()> {
    load::load(work).await?;
    fault::point("loaded");
    load::compare(work).await?;
    properties::apply(work).await
}

/// Restores into a scratch database that is dropped again: what can be restored once can be
/// restored. Gives what was found. Errors: `Damaged` when rows differ from the manifest, else why
/// it could not be tried.
pub async fn rehearse(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    verify: &Verify,
    stored: &StoredArchive,
) -> Result<ReportRow> {
    let target = format!("pg_backup_verify_{id}");
    let restore =
        Restore { backup: verify.backup, target, jobs: 1, trusted: false, limits: verify.limits };
    let began = Instant::now();
    let mut work = prepared(context, history, id, &restore, stored).await?;
    let done = async {
        load::load(&mut work).await?;
        load::compare(&work).await
    };
    let done = done.await;
    let (tables, rows) = (work.manifest.tables.len(), work.manifest.total_rows());
    let control = last_words(context.control, DROP_TIME);
    let dropped = work.server.batch(&control, &plan::drop_database(&restore.target)).await;
    done?;
    dropped?;
    let seconds = began.elapsed().as_secs_f32();
    let detail = format!("{rows} rows in {tables} tables, restored in {seconds:.1} s");
    Ok(ReportRow::ok("restore", detail))
}

/// Removes the database that a restore was making when it died, if it is there.
pub async fn remove_leftover(server: &Server, control: &dyn Control, target: u32) -> Result<()> {
    let rows = server.rows(control, NAME_OF, &[&target]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    server.batch(control, &plan::drop_database(row.get(0))).await
}

/// Takes the database of a failed restore away.
async fn undone(work: &Work<'_>, failure: Failure) -> Failure {
    let Work { context, restore, server, .. } = work;
    let control = last_words(context.control, DROP_TIME);
    let dropped = server.batch(&control, &plan::drop_database(&restore.target)).await;
    let Err(left) = dropped else { return failure };
    let detail = format!(
        "{} The unfinished database \"{}\" could not be dropped: {}.",
        failure.detail, restore.target, left.message
    );
    let hint = match failure.class {
        Class::Interrupted => "It is removed when the server is up again.".to_owned(),
        _ => format!("DROP DATABASE it by hand. {}", failure.hint),
    };
    Failure { detail: detail.trim_start().to_owned(), hint, ..failure }
}

/// Shows a phase.
fn phase(context: &Context<'_>, phase: Phase) {
    context.control.report(&Progress { phase, ..Progress::default() });
}

/// The session that a step works with in the new database.
async fn session_in_target(work: &Work<'_>) -> Result<Server> {
    let access = &work.context.settings.access;
    let name = format!("pg_backup restore {}", work.id);
    Server::connect(access, work.context.control, &work.restore.target, &name).await
}
