//! Applies the policy of a schedule: verdicts first, then one archive after the other. Each row
//! says `deleting` before its file goes and `pruned` after it, so that a crash in between is
//! finished later; a file that cannot be removed now is tried again at the next time.

use super::Report;
use super::context::Context;
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
    let entry = history.schedule(&prune.schedule).await?;
    let entry = entry.ok_or_else(|| no_schedule(&prune.schedule))?;
    entry.policy.validate()?;
    apply(context, home, &history, &entry, "manual").await
}

/// A schedule that does not exist.
pub fn no_schedule(name: &str) -> Failure {
    Failure::new(Class::UndefinedObject, format!("schedule \"{name}\" does not exist"))
        .hint("See backup_schedules for the schedules of this database.")
}

/// Prunes what the policy does not keep. Leaves no row when there is nothing to do.
pub async fn apply(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    entry: &Entry,
    origin: &str,
) -> Result<Report> {
    let (_, zone) = entry.times()?;
    let candidates = history.candidates(&entry.name).await?;
    let verdicts = verdicts(&entry.policy, zone.tz(), fault::now(), &candidates);
    let doomed: Vec<i64> = verdicts.iter().filter(|v| !v.keep).map(|v| v.id).collect();
    let left = history.deleting().await?;
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
    match steps(context, history, &doomed).await {
        Ok(()) => {
            history.done(id).await?;
            Ok(Report { id, ..Report::default() })
        }
        Err(failure) => Err(super::settle::record(context, home, history, id, failure).await),
    }
}

async fn steps(context: &Context<'_>, history: &History<'_>, doomed: &[i64]) -> Result<()> {
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let mut failed = finish_deletions(history, &place).await?;
    for id in doomed {
        context.control.proceed()?;
        // One that was pinned, or is in use, since the verdict stays.
        let Some(file) = history.begin_prune(*id).await? else { continue };
        fault::point("before_prune");
        match remove(&place, &file) {
            Ok(()) => {
                fault::point("after_prune");
                history.removed(*id, "pruned").await?;
            }
            Err(failure) => failed.push(failure),
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(left_over(first, failed.len())),
    }
}

/// Removes the files of rows that say `deleting`. Gives what could not be removed.
pub async fn finish_deletions(history: &History<'_>, place: &BackupDir) -> Result<Vec<Failure>> {
    let mut failed = Vec::new();
    for doomed in history.deleting().await? {
        match remove(place, &doomed.file) {
            Ok(()) => history.removed(doomed.id, &doomed.removal).await?,
            Err(failure) => failed.push(failure),
        }
    }
    Ok(failed)
}

fn left_over(first: &Failure, count: usize) -> Failure {
    let all = if count == 1 { "1 archive".to_owned() } else { format!("{count} archives") };
    let hint = match first.hint.as_str() {
        "" => "Put it right; the next retention run tries again.",
        hint => hint,
    };
    Failure::new(first.class, first.message.clone())
        .detail(format!("{all} could not be removed; file_state stays deleting. {}", first.detail))
        .hint(hint)
}
