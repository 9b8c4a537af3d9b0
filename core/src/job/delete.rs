//! Deletes the archive of one backup. The row says `deleting` first and `deleted` last, so that a
//! crash in between is finished by the launcher; the row itself stays.

use std::time::Duration;

use super::Report;
use super::context::Context;
use super::wait::last_words;
use crate::catalog::history::{History, NewRun};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Delete, Home};
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::dir::BackupDir;
use crate::host::removal::remove;
use crate::host::server::Server;

/// How long a deletion that was told to stop may take to come to its end.
const FINISH_TIME: Duration = Duration::from_secs(15);

/// Deletes and records it.
pub async fn run(context: &Context<'_>, home: &Home, delete: &Delete) -> Result<Report> {
    let access = &context.settings.access;
    let control = context.control;
    let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&server, control, home).await?;
    let archive = history.archive(delete.backup).await?;
    if matches!(archive.file_state.as_str(), "deleted" | "pruned") {
        return Err(Failure::new(
            Class::UndefinedObject,
            format!("backup {} has no archive", delete.backup),
        )
        .detail(format!("It was {} before.", archive.file_state)));
    }
    if archive.pinned {
        return Err(pinned(delete.backup));
    }
    let new = NewRun {
        kind: "prune",
        database: &archive.database,
        origin: "manual",
        schedule: None,
        comment: None,
        subject: Some(delete.backup),
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    match steps(context, &history, delete.backup, &archive.file).await {
        Ok(()) => {
            let last_words = last_words(control, FINISH_TIME);
            history.with_control(&last_words).done(id).await?;
            Ok(Report { id, ..Report::default() })
        }
        Err(failure) => Err(super::ending::record(context, home, &history, id, failure).await),
    }
}

async fn steps(
    context: &Context<'_>,
    history: &History<'_>,
    backup: i64,
    file: &str,
) -> Result<()> {
    context.control.report(&Progress { phase: Phase::Deleting, ..Progress::default() });
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    if !history.begin_delete(backup).await? {
        return Err(pinned(backup));
    }
    // From here on there is no way back, only an end.
    let last_words = last_words(context.control, FINISH_TIME);
    fault::point("before_unlink");
    remove(&place, file).map(drop)?;
    fault::point("after_unlink");
    let told = history.with_control(&last_words).removed(backup, "deleted").await;
    told.inspect_err(|_| context.control.unrecorded())
}

fn pinned(id: i64) -> Failure {
    Failure::new(Class::Concurrent, format!("backup {id} is pinned"))
        .hint(format!("Unpin it first: CALL backup_pin({id}, false)."))
}
