//! What the launcher tells for jobs that could not: the row of one that never ran, and the true end
//! of those that died. The truth about a run is its row, its slot and its file together.

use std::time::Duration;

use super::context::Context;
use super::ending::status_of;
use super::restore::Leftover;
use super::whole::hash;
use crate::catalog::history::{History, NewRun};
use crate::catalog::history_unfinished::Unfinished;
use crate::decide::request::{Home, Task};
use crate::decide::verify_level::Level;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::dir::BackupDir;
use crate::host::server::Server;

/// How long the launcher waits for a lock: others wait for it meanwhile.
pub const LAUNCHER_LOCK_TIME: Duration = Duration::from_millis(200);

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
    let place = BackupDir::existing(&settings.directory, &settings.data_directory);
    let mut failures = Vec::new();
    let unfinished = history.unfinished().await?;
    fault::point("settling");
    let alive = alive();
    for run in unfinished {
        if alive.contains(&run.id) {
            continue;
        }
        if alive.contains(&0) {
            // Its row may be there, and its slot does not know it yet.
            return Err(just_beginning());
        }
        // It may have ended since it was read, and its job is gone for that. Besides, what is done
        // for a row that cannot be written would be done again and again: archives are large.
        if !history.is_unfinished(run.id).await? {
            continue;
        }
        match published(context, place.as_ref(), &run).await? {
            Published::Whole => {
                history.succeeded(run.id, Level::Read.as_str()).await?;
                if let Some(schedule) = &run.schedule {
                    history.schedule_succeeded(schedule).await?;
                }
                continue;
            }
            Published::Unknown(failure) => {
                failures.push(unknown(run.id, failure));
                continue;
            }
            Published::Not => {}
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
    for target in history.undropped().await? {
        if let Leftover::Stuck(name, failure) =
            super::restore::leftover(context, history, &target).await?
        {
            failures.push(stuck(&name, &failure));
        }
    }
    if let Ok(place) = &place {
        failures.extend(super::prune::finish_deletions(history, place, None).await?);
    }
    Ok(failures)
}

fn just_beginning() -> Failure {
    Failure::new(Class::Concurrent, "a job of this database is just beginning")
}

/// What became of the archive of a run that died while publishing.
enum Published {
    /// It has its name and its hash.
    Whole,
    /// It is not there, or another file is.
    Not,
    /// It cannot be looked at now.
    Unknown(Failure),
}

/// Looks at it. Errors: told to stop.
async fn published(
    context: &Context<'_>,
    place: Result<&BackupDir, &Failure>,
    run: &Unfinished,
) -> Result<Published> {
    let (true, Some(file), Some(sha256)) = (run.verifying, &run.file, &run.sha256) else {
        return Ok(Published::Not);
    };
    let (place, path) = match place.map(|place| (place, place.resolve(file))) {
        Ok((place, Ok(path))) => (place, path),
        Ok((_, Err(failure))) => return Ok(Published::Unknown(failure)),
        Err(failure) => return Ok(Published::Unknown(failure.clone())),
    };
    fault::point("settle_hash");
    match hash(context, &path).await {
        Ok(found) if found == *sha256 => Ok(Published::Whole),
        Ok(_) => Ok(Published::Not),
        Err(failure) => match failure.class {
            Class::Cancelled | Class::Interrupted => Err(failure),
            Class::UndefinedFile if place.has_folder_of(file) => Ok(Published::Not),
            _ => Ok(Published::Unknown(failure)),
        },
    }
}

fn unknown(id: i64, why: Failure) -> Failure {
    let Failure { class, message, detail, .. } = why;
    Failure::new(class, format!("could not find out what became of run {id}: {message}"))
        .detail(detail)
        .hint("Look whether its disk is mounted. It is looked at again when the server starts.")
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
