//! The end of a restore: what its row says, and the hooks that follow.

use super::{rollback, timescale};
use crate::catalog::history::History;
use crate::decide::request::{Home, Restore, Safety};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::hooks::{self, Event, Facts};
use crate::job::wait::{LAST_WORDS, last_words};
use crate::job::{Report, wait};

/// Tells the row of a restore that succeeded, and does what comes after: through new sessions
/// where the home database is the one that was replaced.
pub async fn ended(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    restore: &Restore,
    id: i64,
    facts: &Facts,
) -> Result<Report> {
    let control = last_words(context.control, LAST_WORDS);
    let mut report = Report { id, ..Report::default() };
    let Some(live) = restore.replace.as_deref() else {
        history.with_control(&control).done(id).await?;
        return Ok(report);
    };
    let access = &context.settings.access;
    let mut warned: Vec<Failure> =
        timescale::start_workers(context, live).await.err().into_iter().collect();
    let told = async {
        let server = Server::connect(access, &control, &home.database, "pg_backup job").await?;
        let history = History::open(&server, &control, home).await?;
        warned.extend(after_swap(context, &history, live, facts).await);
        for warning in &warned {
            let text = format!("{}: {}", warning.message, warning.detail);
            history.warn(id, &[text]).await?;
        }
        history.done(id).await?;
        if restore.safety == Safety::None {
            rollback::drop_kept(context, &history, id).await?;
        }
        Ok::<_, Failure>(warned)
    };
    let told = told.await.inspect_err(|_| context.control.unrecorded())?;
    report.warnings.extend(told);
    Ok(report)
}

/// Hooks after the swap: what goes wrong in them is a warning, the database is in its place.
async fn after_swap(
    context: &Context<'_>,
    history: &History<'_>,
    live: &str,
    facts: &Facts,
) -> Option<Failure> {
    hooks::run_in(context, history, Event::AfterSwap, facts, live).await.err()
}

/// Hooks after a failure. One that was asked for by a shutdown leaves no time for them.
pub async fn on_failure(
    context: &Context<'_>,
    home: &Home,
    id: i64,
    facts: &Facts,
    failure: &Failure,
) {
    if matches!(failure.class, Class::Interrupted | Class::Cancelled) {
        return;
    }
    let facts = facts.clone().with("status", "failed").with("error", failure.message.clone());
    let unlimited = wait::patient(context.control);
    let context = &Context { control: &unlimited, ..*context };
    let ran = async {
        let access = &context.settings.access;
        let name = "pg_backup job";
        let server = Server::connect(access, context.control, &home.database, name).await?;
        let history = History::open(&server, context.control, home).await?;
        match hooks::run(context, home, &history, Event::OnFailure, &facts).await {
            Ok(()) => Ok(()),
            Err(hook) => history.warn(id, &[format!("{}: {}", hook.message, hook.detail)]).await,
        }
    };
    // When the row cannot be told, there is nobody else to tell.
    let _ = ran.await;
}
