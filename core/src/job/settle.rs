//! The end of runs that did not succeed: told by the job itself, or by the launcher for a job
//! that died. The truth about a run is its row, its slot and its file together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::restore::Leftover;
use super::wait::{LAST_WORDS, joined, last_words};
use crate::catalog::history::{History, NewRun};
use crate::catalog::history_unfinished::Unfinished;
use crate::decide::request::{Home, Task};
use crate::decide::verify_level::Level;
use crate::error::{Class, Failure, Result};
use crate::host::archive::follow::Follow;
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::Tail;
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::host::threads;

/// How long the launcher waits for a lock: others wait for it meanwhile.
pub const LAUNCHER_LOCK_TIME: Duration = Duration::from_millis(200);

/// The word for how a run ended.
pub fn status_of(failure: &Failure) -> &'static str {
    match failure.class {
        Class::Cancelled => "cancelled",
        Class::Interrupted => "interrupted",
        Class::Concurrent => "skipped",
        _ => "failed",
    }
}

/// Writes the end of run `id` and gives the failure back. When the job's own session is gone, a
/// new one is tried; when that fails too, the host is told to settle later.
pub async fn record(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    id: i64,
    failure: Failure,
) -> Failure {
    let control = last_words(context.control, LAST_WORDS);
    let status = status_of(&failure);
    let same = history.with_control(&control);
    let mut told = same.ended(id, status, &failure).await;
    if matches!(&told, Err(untold) if untold.class == Class::Cancelled) {
        // Our own cancel request came late and hit this statement.
        told = same.ended(id, status, &failure).await;
    }
    if history.server.is_closed() && told.is_err() {
        told = again(context, &same, home, id, &failure).await;
    }
    match told {
        Ok(()) => failure,
        Err(untold) => untold_failure(context, failure, &untold),
    }
}

/// The same through a new session.
async fn again(
    context: &Context<'_>,
    history: &History<'_>,
    home: &Home,
    id: i64,
    failure: &Failure,
) -> Result<()> {
    let access = &context.settings.access;
    let control = history.control;
    let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
    history.with_server(&server).ended(id, status_of(failure), failure).await
}

fn untold_failure(context: &Context<'_>, failure: Failure, untold: &Failure) -> Failure {
    // The row may be gone with its database or the extension, or be in another database by now,
    // which has taken the place of the one that it was in: the launcher looks.
    context.control.unrecorded();
    let detail = format!("{} The history was not told: {}.", failure.detail, untold.message);
    Failure { detail: detail.trim_start().to_owned(), ..failure }
}

/// Ends the row that a caller who did not wait has left, if the job failed before it could begin
/// it. When that cannot be told, the launcher settles it.
pub async fn record_unbegun(context: &Context<'_>, home: &Home, failure: &Failure) {
    let control = last_words(context.control, LAST_WORDS);
    let access = &context.settings.access;
    let told = async {
        let server = Server::connect(access, &control, &home.database, "pg_backup job").await?;
        let history = History::open(&server, &control, home).await?;
        match history.is_queued(home.id).await? {
            true => history.ended(home.id, status_of(failure), failure).await,
            false => Ok(()),
        }
    };
    if told.await.is_err() {
        context.control.unrecorded();
    }
}

/// A whole row for a job that never ran: skipped, or without a worker. Gives its id.
pub async fn record_unstarted(
    context: &Context<'_>,
    home: &Home,
    task: &Task,
    failure: &Failure,
) -> Result<i64> {
    let access = &context.settings.access;
    let control = context.control;
    let server = Server::connect(access, control, &home.database, "pg_backup launcher").await?;
    let history = History::open_within(&server, control, home, LAUNCHER_LOCK_TIME).await?;
    if let Task::Scheduled(scheduled) = task {
        return super::scheduled::record_refused(&history, home, scheduled, failure).await;
    }
    let (origin, comment) = match task {
        Task::Backup(backup) => (backup.origin.as_str(), backup.comment.as_deref()),
        _ => ("manual", None),
    };
    let new = NewRun {
        kind: task.kind(),
        database: task.database().unwrap_or(&home.database),
        origin,
        schedule: task.schedule(),
        comment,
        subject: None,
    };
    let id = history.begin(home, &new, "queued").await?;
    history.ended(id, status_of(failure), failure).await?;
    Ok(id)
}

/// Puts the history of one database right after a crash: every run that says it is alive and is
/// not in `alive` gets its true end, deletions that were begun are finished. Gives what could not
/// be finished.
pub async fn settle(
    context: &Context<'_>,
    history: &History<'_>,
    alive: &dyn Fn() -> Vec<i64>,
) -> Result<Vec<Failure>> {
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false).ok();
    let unfinished = history.unfinished().await?;
    let alive = alive();
    for run in unfinished {
        if alive.contains(&run.id) {
            continue;
        }
        if alive.contains(&0) {
            // Its row may be there, and its slot does not know it yet.
            return Err(just_beginning());
        }
        if is_published(context, place.as_ref(), &run).await {
            history.succeeded(run.id, Level::Read.as_str()).await?;
            if let Some(schedule) = &run.schedule {
                history.schedule_succeeded(schedule).await?;
            }
            continue;
        }
        let failure = match &run.target {
            None => interrupted(),
            Some(target) => match super::restore::leftover(context, history, target).await? {
                Leftover::Finished => {
                    history.done(run.id).await?;
                    continue;
                }
                Leftover::Here => continue,
                Leftover::Gone => interrupted_restore(),
                Leftover::Taken(name) => taken_over(&name),
                Leftover::Stuck(name, failure) => stuck(&name, &failure),
            },
        };
        history.ended(run.id, "interrupted", &failure).await?;
        if let Some(schedule) = &run.schedule {
            super::scheduled::retry(history, schedule).await?;
        }
    }
    let mut failures = Vec::new();
    for target in history.undropped().await? {
        if let Leftover::Stuck(name, failure) =
            super::restore::leftover(context, history, &target).await?
        {
            failures.push(stuck(&name, &failure));
        }
    }
    if let Some(place) = &place {
        failures.extend(super::prune::finish_deletions(history, place, None).await?);
    }
    Ok(failures)
}

fn just_beginning() -> Failure {
    Failure::new(Class::Concurrent, "a job of this database is just beginning")
}

/// Whether the archive of a run that died while publishing has its name and its hash.
async fn is_published(context: &Context<'_>, place: Option<&BackupDir>, run: &Unfinished) -> bool {
    let (Some(place), Some(file), Some(sha256)) = (place, &run.file, &run.sha256) else {
        return false;
    };
    let Ok(path) = place.resolve(file) else { return false };
    run.verifying && hash(context, &path).await.is_ok_and(|found| found == *sha256)
}

/// SHA-256 of a file, computed beside the thread that has to look up.
pub async fn hash(context: &Context<'_>, path: &Path) -> Result<String> {
    let file = open_file(path)?;
    let size = file.metadata().map_err(|e| Failure::io("inspect the archive", &e))?.len();
    let tail = Tail::default();
    tail.finish(size);
    let hashing = threads::spawn("pg_backup hash", move || {
        let read = Follow::new(file, tail, Arc::default()).finish();
        read.map(|read| read.sha256).map_err(|e| Failure::io("read the archive", &e))
    })?;
    joined(context.control, hashing).await
}

/// The same for a restore.
fn interrupted_restore() -> Failure {
    Failure {
        detail:
            "The server, or the process that did the work, stopped. Live databases are as they \
                 were; what was being made is gone. Tables for a schema are in it, all or none."
                .to_owned(),
        ..interrupted()
    }
}

/// The same for one whose database is in the way of its own end.
fn stuck(name: &str, failure: &Failure) -> Failure {
    let Failure { message, detail, .. } = failure;
    Failure {
        detail: format!(
            "The server, or the process that did the work, stopped. Live databases are as they \
             were. Database \"{name}\" could not be dropped or closed: {message}. {detail}"
        )
        .trim_end()
        .to_owned(),
        ..interrupted()
    }
    .hint("Remove what is in the way: it is tried again when the server starts. Start it again.")
}

/// The same for one whose database is somebody's now.
fn taken_over(name: &str) -> Failure {
    Failure {
        detail: format!(
            "The server, or the process that did the work, stopped. Live databases are as they \
             were. The database that was being made is \"{name}\" now: somebody has renamed or \
             opened it, so it was left as it is, whole or not."
        ),
        ..interrupted()
    }
    .hint(format!("Look into \"{name}\", and drop it if nobody needs it. Start it again."))
}

/// The end of a job whose process ended without a word.
pub fn interrupted() -> Failure {
    Failure::new(Class::Interrupted, "the job ended before it could finish")
        .detail("The server, or the process that did the work, stopped. Nothing was kept.")
        .hint("Start it again.")
}
