//! The end of a run that did not succeed, as the job itself tells it.
//!
//! In: why it failed. Out: the row. What must hold: when the row cannot be told, the host knows, so
//! that the launcher settles it.

use super::context::Context;
use super::wait::{LAST_WORDS, last_words};
use crate::catalog::history::History;
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;

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
