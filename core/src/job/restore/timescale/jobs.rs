//! TimescaleDB's jobs and workers around a swap: what a restore has parked gets its schedules back
//! before, what the renames have stopped is started after.

use std::time::Duration;

use super::super::Work;
use crate::catalog::timescale::{INSTALLED, IS_APACHE, call, give_back};
use crate::decide::restore::timescale::{keeps_jobs, recorded};
use crate::error::{Failure, Result};
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// How long the workers may take to be told.
const START_TIME: Duration = Duration::from_secs(10);

/// Jobs get the schedules that they had, in a database that takes the name that it had. In any
/// other they stay parked: two databases with the same policies and connections to the outside are
/// not what a copy is for.
pub async fn give_jobs_back(work: &Work<'_>) -> Result<()> {
    let facts = &work.manifest.facts;
    let jobs: Vec<_> = facts.timescaledb_jobs.iter().filter(|job| job.scheduled).collect();
    if recorded(&work.manifest).is_none() || jobs.is_empty() {
        return Ok(());
    }
    let control = work.context.control;
    if !keeps_jobs(&work.manifest, work.restore) {
        let warning = format!(
            "TimescaleDB's jobs are parked in \"{}\", a copy: alter_job(…, scheduled => true) \
             starts them",
            work.restore.target
        );
        return work.history.warn(work.id, &[warning]).await;
    }
    let session = work.session_in_target().await?;
    let Some(found) = installed(work.context, &session, "stop_background_workers").await? else {
        return Ok(());
    };
    if let (Some(_), Some(functions)) = (&work.restore.replace, &found.functions) {
        // They would be stopped by the swap anyway; until then no job runs.
        session.batch(control, &call(functions, "stop_background_workers")).await?;
    }
    let ids: Vec<i32> = jobs.iter().map(|job| job.job_id).collect();
    let starts: Vec<_> = jobs.iter().map(|job| job.next_start).collect();
    let is_apache = session.one(control, IS_APACHE, &[]).await?.get(0);
    session.rows(control, &give_back(&found.schema, is_apache), &[&ids, &starts]).await?;
    Ok(())
}

/// The extension of a database.
struct Installed {
    schema: String,
    /// Schema of the function that was asked for.
    functions: Option<String>,
}

async fn installed(
    context: &Context<'_>,
    session: &Server,
    function: &str,
) -> Result<Option<Installed>> {
    let rows = session.rows(context.control, INSTALLED, &[&function]).await?;
    Ok(rows.first().map(|row| Installed { schema: row.get(0), functions: row.get(2) }))
}

/// Starts the workers of a database again: a rename stops them, whether it succeeds or not, and
/// nothing but a restart of the server would bring them back. Errors: with what to do by hand.
pub async fn start_workers(context: &Context<'_>, database: &str) -> Result<()> {
    let control = last_words(context.control, START_TIME);
    let context = &Context { control: &control, ..*context };
    let access = &context.settings.access;
    let function = "start_background_workers";
    let started = async {
        let session = Server::connect(access, &control, database, "pg_backup swap").await?;
        let found = installed(context, &session, function).await?;
        match found.and_then(|found| found.functions) {
            Some(schema) => session.batch(&control, &call(&schema, function)).await,
            None => Ok(()),
        }
    };
    started.await.map_err(|failure: Failure| {
        let what = format!("could not start TimescaleDB's workers in database \"{database}\"");
        Failure::new(failure.class, what).detail(format!("{}.", failure.message)).hint(format!(
            "SELECT _timescaledb_functions.{function}() in it, or restart the server."
        ))
    })
}
