//! Writes the gathered schema of the scratch database into the live one: pg_dump of each section
//! into one psql, which commits when all have ended well.
//!
//! What must hold: what ends early, for whatever reason, leaves nothing; what was committed is told
//! as done, whoever wanted to end it meanwhile.

use std::io::{Cursor, Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Work;
use super::session::{session_in, session_name};
use crate::catalog::gather::{AFTER_SECTION, Counted, begin, end};
use crate::catalog::into_schema::{SCHEMA_SAYS, SESSIONS};
use crate::decide::dump_plan::{environment, restricted_environment};
use crate::decide::request::IntoSchema;
use crate::decide::restore::plan::{Section, pg_dump, psql};
use crate::error::{Failure, Result};
use crate::fault;
use crate::host::child::{Child, Stdin, Stdout, Tool};
use crate::host::control::Control;
use crate::host::threads;
use crate::job::context::Context;
use crate::job::tools::tool;
use crate::job::wait::{joined, last_words, moving, until};

/// Moved at once from pg_dump to psql.
const CHUNK: usize = 256 << 10;
/// How long the session of a psql that is gone may take to end: the server looks for its client
/// every second, and a commit takes less.
const COMMIT_TIME: Duration = Duration::from_secs(20);
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// pg_dump of each section into one psql, which counts the rows.
pub async fn pour(work: &Work<'_>, into: &IntoSchema, counts: &[Counted]) -> Result<()> {
    let script = client(work, "psql", psql(), &into.database);
    let script = Tool { stdin: Stdin::Pipe, stdout: Stdout::Null, ..script };
    let mut live = Child::spawn(&script, work.context.harden)?;
    let major = work.context.settings.access.major;
    let begun = Box::new(Cursor::new(begin(major)));
    let mut sink = copied(work.context, begun, live.take_stdin(), &Arc::default()).await?;
    for section in Section::ALL {
        sink = dumped(work, into, section, &mut live, sink).await?;
        fault::point(point(section));
    }
    work.context.control.proceed()?;
    let end = Cursor::new(end(&into.schema, counts, &origin(work)));
    drop(copied(work.context, Box::new(end), sink, &Arc::default()).await?);
    let ended = until(work.context.control, || live.try_wait()).await;
    fault::point("committed");
    let failure = match ended {
        Ok(outcome) if outcome.success() => return Ok(()),
        Ok(outcome) => refused(into, outcome.into_load_failure("write into the live database")),
        Err(failure) => failure,
    };
    // What ends psql now may have come too late.
    drop(live);
    match is_committed(work, into).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failure),
        Err(unknown) => Err(undecided(into, failure, &unknown)),
    }
}

/// What the schema says of itself. It tells ours from one that somebody has made at that moment.
fn origin(work: &Work<'_>) -> String {
    format!("restored from backup {} by run {}", work.restore.backup, work.id)
}

/// Whether our schema is there, once no session of psql is left that could still make it.
async fn is_committed(work: &Work<'_>, into: &IntoSchema) -> Result<bool> {
    let control = last_words(work.context.control, COMMIT_TIME);
    let name = session_name(work.id);
    while work.server.one(&control, SESSIONS, &[&into.database, &name]).await?.get::<_, i64>(0) > 0
    {
        control.proceed()?;
        tokio::time::sleep(PAUSE).await;
    }
    let context = &Context { control: &control, ..*work.context };
    let live = session_in(context, &into.database, work.id).await?;
    Ok(live.one(&control, SCHEMA_SAYS, &[&into.schema, &origin(work)]).await?.get(0))
}

fn undecided(into: &IntoSchema, failure: Failure, unknown: &Failure) -> Failure {
    let detail = format!(
        "{} Whether schema \"{}\" of \"{}\" was made could not be found out: {}.",
        failure.detail, into.schema, into.database, unknown.message
    );
    Failure { detail: detail.trim_start().to_owned(), ..failure }
}

/// One section. Gives the pipe back when pg_dump has ended well.
async fn dumped(
    work: &Work<'_>,
    into: &IntoSchema,
    section: Section,
    live: &mut Child,
    sink: Option<ChildStdin>,
) -> Result<Option<ChildStdin>> {
    let args = pg_dump(&into.schema, section, work.restore.trusted);
    let dump = client(work, "pg_dump", args, &work.restore.target);
    let mut dump = Child::spawn(&dump, work.context.harden)?;
    let script: Box<dyn Read + Send> = match dump.take_stdout() {
        Some(stdout) => Box::new(stdout.chain(AFTER_SECTION.as_bytes())),
        None => Box::new(std::io::empty()),
    };
    let moved = Arc::<AtomicU64>::default();
    let stall = Duration::from_millis(work.restore.limits.stall);
    let control = moving(work.context.control, "psql", &moved, stall);
    let patient = &Context { control: &control, ..*work.context };
    let sink = copied(patient, script, sink, &moved).await?;
    let outcome = until(&control, || dump.try_wait()).await?;
    if outcome.success() {
        return Ok(sink);
    }
    // pg_dump ends badly too when psql does, which has more to say then.
    drop(sink);
    let written = until(&control, || live.try_wait()).await?;
    Err(match written.success() {
        true => outcome.into_failure("read the scratch database"),
        false => refused(into, written.into_load_failure("write into the live database")),
    })
}

fn point(section: Section) -> &'static str {
    match section {
        Section::PreData => "poured_pre_data",
        Section::Data => "poured_data",
        Section::PostData => "poured_post_data",
    }
}

/// Copies all, and gives the pipe back while somebody reads it: a tool that has stopped reading is
/// judged by how it ends.
async fn copied(
    context: &Context<'_>,
    mut from: Box<dyn Read + Send>,
    to: Option<ChildStdin>,
    moved: &Arc<AtomicU64>,
) -> Result<Option<ChildStdin>> {
    let moved = moved.clone();
    let copying = threads::spawn("pg_backup pour", move || {
        let Some(mut to) = to else { return Ok(None) };
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(Some(to)),
                Ok(count) if to.write_all(&buffer[..count]).is_err() => return Ok(None),
                Ok(_) => moved.fetch_add(1, Ordering::Relaxed),
                Err(error) => return Err(Failure::io("read what pg_dump writes", &error)),
            };
        }
    })?;
    joined(context.control, copying).await
}

fn client(
    work: &Work<'_>,
    name: &'static str,
    args: Vec<std::ffi::OsString>,
    database: &str,
) -> Tool {
    let access = &work.context.settings.access;
    let envs = match name == "psql" && !work.restore.trusted {
        true => restricted_environment(access, database, &session_name(work.id)),
        false => environment(access, database, &session_name(work.id)),
    };
    tool(work.context, name, args, envs)
}

fn refused(into: &IntoSchema, failure: Failure) -> Failure {
    let IntoSchema { database, schema } = into;
    let message = format!("could not put the tables into schema \"{schema}\" of \"{database}\"");
    let detail = format!("{}: {} Nothing was changed there.", failure.message, failure.detail);
    let hint = "Functions, sequences and roles that the tables use must be there. Else restore \
                them into a new database with target => '…'.";
    Failure { message, detail, hint: hint.to_owned(), ..failure }
}
