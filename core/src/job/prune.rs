//! Applies the policy of a schedule: verdicts first, then one archive after the other. Each row
//! says `deleting` before its file goes and `pruned` after it, so that a crash in between is
//! finished later; a file that cannot be removed now is tried again at the next time.

use super::Report;
use super::context::Context;
use super::wait::{LAST_WORDS, last_words};
use crate::catalog::history::{History, NewRun};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Home, Prune};
use crate::decide::retention::verdicts;
use crate::decide::schedule_entry::Entry;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::dir::BackupDir;
use crate::host::removal::remove;
use crate::host::server::Server;

/// `CALL backup_prune()`.
pub async fn run(context: &Context<'_>, home: &Home, prune: &Prune) -> Result<Report> {
    let access = &context.settings.access;
    let control = context.control;
    let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&server, control, home).await?;
    named(&history, &prune.schedule).await?;
    history.lock_retention().await?;
    // Another retention may have taken its time.
    let entry = named(&history, &prune.schedule).await?;
    apply(context, home, &history, &entry, "manual").await
}

/// A schedule whose policy can be applied.
async fn named(history: &History<'_>, name: &str) -> Result<Entry> {
    let entry = history.schedule(name).await?.ok_or_else(|| no_schedule(name))?;
    entry.policy.validate()?;
    Ok(entry)
}

/// What comes after a run of the schedule that `ran`. The run may have taken hours: the policy of
/// now counts, and one that is gone, keeps everything or backs up another database prunes nothing.
pub async fn after_run(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    ran: &Entry,
    origin: &str,
) -> Result<Report> {
    if of_now(history, ran).await?.is_none() {
        return Ok(Report::default());
    }
    history.lock_retention().await?;
    match of_now(history, ran).await? {
        Some(entry) => apply(context, home, history, &entry, origin).await,
        None => Ok(Report::default()),
    }
}

async fn of_now(history: &History<'_>, ran: &Entry) -> Result<Option<Entry>> {
    let found = history.schedule(&ran.name).await?;
    Ok(found.filter(|now| now.database == ran.database && !now.policy.is_empty()))
}

/// A schedule that does not exist.
pub fn no_schedule(name: &str) -> Failure {
    Failure::new(Class::UndefinedObject, format!("schedule \"{name}\" does not exist"))
        .hint("See backup_schedules for the schedules of this database.")
}

fn copied(name: &str) -> Failure {
    Failure::new(Class::NotReady, format!("schedule \"{name}\" is in a copy of its database"))
        .detail("The archives that the history names belong to the original, which still exists.")
        .hint("Make the schedule anew with CALL backup_schedule(…) to have backups of its own.")
}

/// Prunes what the policy does not keep, under the lock of retention. Leaves no row when there is
/// nothing to do.
async fn apply(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    entry: &Entry,
    origin: &str,
) -> Result<Report> {
    if entry.copy {
        return Err(copied(&entry.name));
    }
    let (_, zone) = entry.times()?;
    let candidates = history.candidates(entry).await?;
    let verdicts = verdicts(&entry.policy, zone.tz(), fault::now(), &candidates);
    let doomed: Vec<i64> = verdicts.iter().filter(|v| !v.keep).map(|v| v.id).collect();
    let left = history.deleting(Some(&entry.name)).await?;
    if doomed.is_empty() && left.is_empty() {
        return Ok(Report::default());
    }
    let new = NewRun {
        kind: "prune",
        database: &entry.database,
        origin,
        schedule: Some(&entry.name),
        comment: None,
        subject: None,
    };
    let id = history.begin(home, &new, "running").await?;
    context.control.started(id);
    context.control.report(&Progress { phase: Phase::Deleting, ..Progress::default() });
    match steps(context, history, &entry.name, &doomed).await {
        Ok(()) => {
            history.done(id).await?;
            Ok(Report { id, ..Report::default() })
        }
        Err(failure) => Err(super::ending::record(context, home, history, id, failure).await),
    }
}

async fn steps(
    context: &Context<'_>,
    history: &History<'_>,
    schedule: &str,
    doomed: &[i64],
) -> Result<()> {
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let mut failed = finish_deletions(history, &place, Some(schedule)).await?;
    for id in doomed {
        context.control.proceed()?;
        // One that was pinned, or is in use, since the verdict stays.
        let Some(file) = history.begin_prune(*id).await? else { continue };
        fault::point("before_prune");
        match remove(&place, &file) {
            Ok(was_there) => {
                fault::point("after_prune");
                // The file is gone: its row must say so, also when we are told to stop just now.
                let last_words = last_words(context.control, LAST_WORDS);
                let history = history.with_control(&last_words);
                let told = match was_there {
                    true => history.removed(*id, "pruned").await.map(|()| false),
                    false => history.missing(*id).await,
                };
                if told.inspect_err(|_| context.control.unrecorded())? {
                    failed.push(not_there(*id, &file));
                }
            }
            Err(failure) => failed.push(failure),
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(left_over(first, failed.len())),
    }
}

/// Removes the files of rows that say `deleting`: all, or those of one schedule. Gives what could
/// not be removed.
pub async fn finish_deletions(
    history: &History<'_>,
    place: &BackupDir,
    schedule: Option<&str>,
) -> Result<Vec<Failure>> {
    let mut failed = Vec::new();
    for doomed in history.deleting(schedule).await? {
        match remove(place, &doomed.file) {
            // Gone already: the crash came after the unlink.
            Ok(_) => history.removed(doomed.id, &doomed.removal).await?,
            Err(failure) => failed.push(failure),
        }
    }
    Ok(failed)
}

/// It may lie on a disk that is not mounted, or in a directory that the setting no longer names:
/// nobody would ever remove it if its row said that it is gone.
fn not_there(id: i64, file: &str) -> Failure {
    Failure::new(Class::UndefinedFile, format!("the archive of backup {id} was not there"))
        .detail(format!("\"{file}\" is missing below pg_backup.directory; file_state says so."))
        .hint("Look whether the right disk is mounted, and whether the setting was changed.")
}

fn left_over(first: &Failure, count: usize) -> Failure {
    let all = if count == 1 { "1 archive".to_owned() } else { format!("{count} archives") };
    let hint = match first.hint.as_str() {
        "" => "Put it right; the next retention run tries again.",
        hint => hint,
    };
    Failure::new(first.class, first.message.clone())
        .detail(format!("{all} could not be removed. {}", first.detail))
        .hint(hint)
}
