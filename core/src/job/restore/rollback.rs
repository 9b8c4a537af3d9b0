//! The way back from a restore that was swapped in: the kept database takes its name again, by the
//! same swap; or it is dropped for good.

use super::super::{Report, ending};
use super::failed::{End, undecided};
use super::session::session_elsewhere;
use super::{leftover, show, swap, timescale};
use crate::catalog::history::{History, NewRun};
use crate::catalog::restore::DATABASE_ID;
use crate::catalog::swap::allow_connections;
use crate::decide::progress::Phase;
use crate::decide::request::{Home, KeptEnd, Rollback};
use crate::decide::restore::standing::Target;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::{LAST_WORDS, last_words};

/// Swaps back, or drops, and records it.
pub async fn run(context: &Context<'_>, home: &Home, rollback: &Rollback) -> Result<Report> {
    let (access, control) = (&context.settings.access, context.control);
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    let new = NewRun {
        kind: "restore",
        database: &rollback.database,
        origin: rollback.end.as_str(),
        comment: Some(&format!("restore {}", rollback.restore)),
        subject: Some(rollback.restore),
        ..NewRun::default()
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    let done = match rollback.end {
        KeptEnd::Rollback => back(context, &history, rollback, id).await,
        KeptEnd::Accept | KeptEnd::Expired => {
            drop_kept(context, &history, rollback.restore).await.map(|()| End::Whole)
        }
    };
    match done {
        Ok(End::Whole) => {}
        Ok(End::Unknown(failure)) => {
            control.unrecorded();
            return Err(failure);
        }
        Err(failure) => return Err(ending::record(context, home, &history, id, failure).await),
    }
    let words = last_words(control, LAST_WORDS);
    let mut warnings = Vec::new();
    if rollback.end == KeptEnd::Rollback {
        warnings.extend(timescale::start_workers(context, &rollback.database).await.err());
    }
    let told = async {
        if rollback.end != KeptEnd::Rollback {
            return history.with_control(&words).done(id).await;
        }
        // The home database may be another one now: the row was carried over.
        let server = Server::connect(access, &words, &home.database, "pg_backup job").await?;
        let history = History::open(&server, &words, home).await?;
        for warning in &warnings {
            let text = format!("{}: {}", warning.message, warning.detail);
            history.warn(id, &[text]).await?;
        }
        history.set_kept(rollback.restore, None).await?;
        history.done(id).await
    };
    told.await.inspect_err(|_| control.unrecorded())?;
    Ok(Report { id, warnings, ..Report::default() })
}

/// What is said of a restore that has kept nothing.
pub fn none_kept(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("restore {id} has kept no database"))
        .detail(
            "Only a restore with replace keeps the database that it replaced, until it is \
             accepted, swapped back, renamed or dropped, or pg_backup.rollback_keep is over.",
        )
        .hint("See backup_history for restores.")
}

/// The kept database and the live one change places.
async fn back(
    context: &Context<'_>,
    history: &History<'_>,
    rollback: &Rollback,
    id: i64,
) -> Result<End> {
    show(context, Phase::Swapping);
    let restore = rollback.restore;
    let kept = history.kept(restore).await?.ok_or_else(|| none_kept(restore))?;
    let live = &rollback.database;
    let server = session_elsewhere(context, &[live, &kept]).await?;
    let found = server.rows(context.control, DATABASE_ID, &[&kept]).await?;
    let target = found.first().map(|row| row.get(0)).ok_or_else(|| gone(restore, &kept))?;
    let new_name = swap::free_kept_name(context, &server, live, id).await?;
    history.set_target(id, target, &kept, Some(&new_name)).await?;
    server.batch(context.control, &allow_connections(&kept, true)).await?;
    fault::point("rollback_opened");
    let names = swap::Names { live, staging: &kept, kept: &new_name };
    let swapped = swap::swap(context, &names, None).await;
    fault::point("rollback_swapped");
    let Err(failure) = swapped else { return Ok(End::Whole) };
    let (name, database) = (kept.clone(), live.clone());
    let target = Target { id: target, name, database, is_kept: true, is_whole: false };
    match leftover::is_in_place(context, &[live, &kept], &target).await {
        // The word that the names are changed was lost, the names are not.
        Ok(true) => Ok(End::Whole),
        Ok(false) => {
            let words = last_words(context.control, LAST_WORDS);
            let _ = server.batch(&words, &allow_connections(&kept, false)).await;
            Err(failure)
        }
        Err(unknown) => Ok(End::Unknown(undecided(&kept, failure, &unknown))),
    }
}

fn gone(restore: i64, kept: &str) -> Failure {
    Failure::new(
        Class::UndefinedDatabase,
        format!("database \"{kept}\", which restore {restore} has kept, does not exist"),
    )
    .hint("Somebody has dropped or renamed it. See pg_database.")
}

/// Drops the database that a restore has kept, for good.
pub async fn drop_kept(context: &Context<'_>, history: &History<'_>, restore: i64) -> Result<()> {
    show(context, Phase::Deleting);
    let kept = history.kept(restore).await?.ok_or_else(|| none_kept(restore))?;
    let server = session_elsewhere(context, &[&kept]).await?;
    leftover::discard(context, &server, &kept).await?;
    fault::point("kept_dropped");
    history.set_kept(restore, None).await
}
