//! `backup_verify(id, 'restore')`: what can be restored once can be restored.

use std::time::Instant;

use super::{DROP_TIME, checked, compare, create, leftover, load, outside};
use crate::catalog::history::History;
use crate::catalog::history_files::StoredArchive;
use crate::decide::request::{Restore, Verify};
use crate::error::{Class, Failure, Result};
use crate::job::ReportRow;
use crate::job::context::Context;
use crate::job::hooks::{self, Event, Facts};
use crate::job::wait::{LAST_WORDS, clearing, last_words};

/// Restores into a scratch database that is dropped again. Gives what was found. Errors: `Damaged`
/// when rows differ from the manifest, else why it could not be tried.
pub async fn rehearse(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    verify: &Verify,
    stored: &StoredArchive,
) -> Result<ReportRow> {
    if stored.is_foreign {
        return Err(foreign(stored.id));
    }
    let restore = Restore {
        backup: verify.backup,
        target: format!("pg_backup_verify_{id}"),
        jobs: 1,
        allow_foreign: true,
        limits: verify.limits,
        ..Restore::default()
    };
    let began = Instant::now();
    let mut work = checked(context, history, id, &restore, stored).await?;
    let done = async {
        create(&mut work).await?;
        load::load(&mut work).await?;
        compare::compare(&work).await?;
        let facts = Facts::new(id, "verify", &stored.database)
            .with("backup", verify.backup.to_string())
            .with("staging", restore.target.clone());
        hooks::run_in(context, history, Event::Assert, &facts, &restore.target).await
    };
    let done = done.await;
    let (tables, rows) = (work.manifest.tables.len(), work.manifest.total_rows());
    let control = clearing(context.control, DROP_TIME);
    let clearing = Context { control: &control, ..*context };
    // Somebody has ended our session: another one does it.
    if work.server.is_closed()
        && let Ok(server) = outside(&clearing, &restore).await
    {
        work.server = server;
    }
    let told = match leftover::remove(&clearing, &work.server, work.target).await {
        Ok(()) => Ok(()),
        Err(left) => {
            let control = last_words(context.control, LAST_WORDS);
            let warning = leftover::stays(&restore.target, &left);
            history.with_control(&control).warn(id, &[warning]).await
        }
    };
    // What the rehearsal itself came to is said first.
    done?;
    told?;
    let seconds = began.elapsed().as_secs_f32();
    let detail = format!("{rows} rows in {tables} tables, restored in {seconds:.1} s");
    Ok(ReportRow::ok("restore", detail))
}

/// Also in a scratch database, what is in somebody else's archive runs with a superuser's rights;
/// and who may verify, or schedules it, is not always one.
fn foreign(id: i64) -> Failure {
    Failure::new(
        Class::NotReady,
        format!("backup {id} is foreign and is not restored to verify it"),
    )
    .detail("What is in it would run with a superuser's rights. It was not restored.")
    .hint(format!(
        "Verify it at level read; or, if you trust who made it, restore it beside the others: \
             CALL backup_restore({id}, allow_foreign => true)."
    ))
}
