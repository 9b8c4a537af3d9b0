//! What becomes of the database of a restore whose last step failed.
//!
//! What must hold: one that is in its place stays, and so does one that somebody has opened, or of
//! which nobody can say where it stands; any other goes.

use super::leftover::{discard, now};
use super::{DROP_TIME, Work, outside};
use crate::catalog::ROLLBACK;
use crate::decide::restore::standing::{Now, Standing, Target, standing};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::{clearing, last_words};

/// How the steps of a restore ended that has not failed.
pub(super) enum End {
    /// All is done.
    Whole,
    /// Whether all is done could not be found out; and what failed.
    Unknown(Failure),
}

/// Sees to the database after `failure`, which is given back where the restore has failed by it.
pub(super) async fn end(work: &Work<'_>, failure: Failure) -> Result<End> {
    let control = last_words(work.context.control, DROP_TIME);
    let context = &Context { control: &control, ..*work.context };
    // What failed may have been a statement within a transaction.
    let _ = work.server.batch(&control, ROLLBACK).await;
    if let Ok(now) = now(&work.server, &control, work.target).await {
        return judged(work, context, &work.server, now, failure).await;
    }
    // Somebody has ended our session: another one does it.
    let asked = async {
        let server = outside(context, work.restore).await?;
        let now = now(&server, &control, work.target).await?;
        Ok::<_, Failure>((server, now))
    };
    match asked.await {
        Ok((server, now)) => judged(work, context, &server, now, failure).await,
        Err(unknown) => Ok(End::Unknown(undecided(&work.restore.target, failure, &unknown))),
    }
}

async fn judged(
    work: &Work<'_>,
    context: &Context<'_>,
    server: &Server,
    now: Option<Now>,
    failure: Failure,
) -> Result<End> {
    let Some(now) = now else { return Err(failure) };
    let target = Target {
        id: work.target,
        name: work.restore.target.clone(),
        database: work.restore.database().to_owned(),
        is_kept: false,
        is_whole: work.is_whole.get(),
    };
    match standing(&target, &now) {
        // The word that it is opened, or has its name, was lost; that it is so was not.
        Standing::Finished => {
            if let Some(live) = &work.restore.replace {
                context.control.home_replaced(live, work.target);
            }
            Ok(End::Whole)
        }
        Standing::Taken if now.is_open => Err(taken(failure, &now.name)),
        _ => {
            let control = clearing(work.context.control, DROP_TIME);
            let context = &Context { control: &control, ..*context };
            match discard(context, server, &now.name).await {
                Ok(()) => Err(failure),
                Err(left) => Err(stays(failure, &now.name, &left)),
            }
        }
    }
}

/// What is said of a database of which nobody can say where it stands.
pub(super) fn undecided(name: &str, failure: Failure, unknown: &Failure) -> Failure {
    let detail = format!(
        "{} What has become of the database \"{name}\" could not be found out: {}.",
        detail(&failure),
        unknown.message
    );
    let hint = "It is seen to when the server can be reached again; backup_history tells then.";
    Failure { detail: detail.trim_start().to_owned(), hint: hint.to_owned(), ..failure }
}

/// The detail of a failure that leaves something. Of a job that was told to stop it says that
/// nothing was kept.
fn detail(failure: &Failure) -> &str {
    match failure.class {
        Class::Cancelled | Class::Interrupted => "",
        _ => &failure.detail,
    }
}

fn taken(failure: Failure, name: &str) -> Failure {
    let detail = format!(
        "{} Somebody has opened the unfinished database \"{name}\" meanwhile: it stays as it is.",
        detail(&failure)
    );
    let hint = format!("It is not whole. Drop it if nobody needs it. {}", failure.hint);
    Failure { detail: detail.trim_start().to_owned(), hint: hint.trim_end().to_owned(), ..failure }
}

fn stays(failure: Failure, name: &str, left: &Failure) -> Failure {
    let detail = format!(
        "{} The unfinished database \"{name}\" could not be dropped: {}.",
        detail(&failure),
        left.message
    );
    let hint = match failure.class {
        Class::Interrupted => "It is removed when the server is up again.".to_owned(),
        _ => format!(
            "DROP DATABASE it by hand, or let it be tried again when the server starts. {}",
            failure.hint
        ),
    };
    Failure { detail: detail.trim_start().to_owned(), hint: hint.trim_end().to_owned(), ..failure }
}
