//! Loads the dump: pg_restore once for each section, or psql for a plain dump; then counts.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::timescale::{self, Timescale};
use super::{Work, extract, lanes, part};
use crate::catalog::restore::{ANALYZE, DUMP_CONDITIONS, count};
use crate::decide::dump_plan::{environment, restricted_environment};
use crate::decide::progress::{Phase, Progress};
use crate::decide::restore;
use crate::decide::restore::lanes::is_shared_out;
use crate::decide::restore::part::is_part;
use crate::decide::restore::plan::{Load, Section, pg_restore};
use crate::decide::settings::Access;
use crate::error::{Class, Failure, Result};
use crate::host::child::{Child, Outcome, Stdin, Stdout, Tool};
use crate::host::control::Control;
use crate::host::server::Server;
use crate::host::threads;
use crate::job::tools::tool;
use crate::job::wait::{both, moving, until};

/// Moved at once from the archive to the tool.
const CHUNK: usize = 256 << 10;

/// Loads everything.
pub async fn load(work: &mut Work<'_>) -> Result<()> {
    if is_shared_out(&work.manifest, work.restore)
        && let Some(plan) = lanes::plan(work).await?
    {
        return lanes::load(work, &plan).await;
    }
    let unpacked = match work.manifest.dump.format.as_str() {
        "plain" => None,
        "custom" | "tar" if work.restore.jobs <= 1 => None,
        _ => Some(extract::unpack(work).await?),
    };
    let unpacked = unpacked.as_ref().map(|unpacked| unpacked.path.as_path());
    let timescale = timescale::begin(work, unpacked).await?;
    match work.manifest.dump.format.as_str() {
        "plain" => {
            super::script::load(work).await?;
        }
        _ => sections(work, unpacked, timescale.as_ref()).await?,
    }
    match timescale {
        Some(timescale) => timescale.finish(work).await,
        None => Ok(()),
    }
}

async fn sections(
    work: &mut Work<'_>,
    unpacked: Option<&Path>,
    timescale: Option<&Timescale>,
) -> Result<()> {
    if is_part(work.restore) {
        return part::load(work, unpacked).await;
    }
    for load in parts(work, unpacked, timescale) {
        let section = load.section;
        let restore = loader(work, pg_restore(&work.restore.target, &load), load.trusted);
        match unpacked {
            None => fed(work, restore, phase_of(section)).await?,
            Some(_) => alone(work, &restore, phase_of(section)).await?,
        }
        crate::fault::point(point(section));
    }
    Ok(())
}

/// One run of pg_restore each.
fn parts<'a>(
    work: &Work<'_>,
    source: Option<&'a Path>,
    timescale: Option<&'a Timescale>,
) -> Vec<Load<'a>> {
    let (jobs, trusted) = (work.restore.jobs, work.restore.trusted);
    let load = |section| Load { section, jobs, trusted, source, list: None };
    match timescale.and_then(Timescale::lists) {
        Some(lists) => restore::timescale::parts(load, lists.paths()),
        None => Section::ALL.map(load).to_vec(),
    }
}

pub(super) fn phase_of(section: Section) -> Phase {
    match section {
        Section::PreData => Phase::PreData,
        Section::Data => Phase::Data,
        Section::PostData => Phase::PostData,
    }
}

pub(super) fn point(section: Section) -> &'static str {
    match section {
        Section::PreData => "after_pre_data",
        Section::Data => "after_data",
        Section::PostData => "after_post_data",
    }
}

/// A tool that connects to the new database.
pub(super) fn client(work: &Work<'_>, name: &'static str, args: Vec<OsString>) -> Tool {
    tool(work.context, name, args, envs(work, environment))
}

/// pg_restore, which loads what many roles have written: none of their code gets the rights of the
/// superuser unless it is trusted.
pub(super) fn loader(work: &Work<'_>, args: Vec<OsString>, trusted: bool) -> Tool {
    guarded(work, "pg_restore", args, trusted)
}

/// The same for psql.
pub(super) fn guarded(
    work: &Work<'_>,
    name: &'static str,
    args: Vec<OsString>,
    trusted: bool,
) -> Tool {
    let envs = match trusted {
        true => envs(work, environment),
        false => envs(work, restricted_environment),
    };
    Tool { stdout: Stdout::Null, ..tool(work.context, name, args, envs) }
}

type Envs = Vec<(OsString, OsString)>;

fn envs(work: &Work<'_>, make: impl Fn(&Access, &str, &str) -> Envs) -> Envs {
    let application = format!("pg_backup restore {}", work.id);
    make(&work.context.settings.access, &work.restore.target, &application)
}

/// Runs a tool that reads the dump by itself.
pub(super) async fn alone(work: &Work<'_>, tool: &Tool, phase: Phase) -> Result<()> {
    work.phase(phase).await;
    judged(ended(work, tool).await?, phase)
}

/// Runs a tool to its end.
pub(super) async fn ended(work: &Work<'_>, tool: &Tool) -> Result<Outcome> {
    let mut child = Child::spawn(tool, work.context.harden)?;
    until(work.context.control, || child.try_wait()).await
}

/// Runs a tool that reads the dump from its standard input.
pub(super) async fn fed(work: &mut Work<'_>, tool: Tool, phase: Phase) -> Result<()> {
    let (path, member) = extract::stream(work)?;
    fed_by(work, tool, phase, extract::reader(&path, &member)?).await
}

/// The same from any reader.
pub(super) async fn fed_by(
    work: &Work<'_>,
    tool: Tool,
    phase: Phase,
    reader: Box<dyn Read + Send>,
) -> Result<()> {
    work.phase(phase).await;
    let moved = Arc::<AtomicU64>::default();
    // What goes through is larger than the member where that is compressed; the table sizes say
    // how much about.
    let total: u64 = work.manifest.tables.iter().map(|table| table.bytes).sum();
    let stall = Duration::from_millis(work.restore.limits.stall);
    let checked = match phase {
        Phase::Data => moving(work.context.control, tool.name, &moved, stall),
        _ => moving(work.context.control, tool.name, &moved, Duration::ZERO),
    };
    let shown = || {
        let done = moved.load(Ordering::Relaxed).min(total);
        let (bytes_done, bytes_total) = if phase == Phase::Data { (done, total) } else { (0, 0) };
        let progress = Progress { phase, bytes_done, bytes_total, ..Progress::default() };
        work.context.control.report(&progress);
    };
    judged(piped(work, tool, reader, &moved, &checked, shown).await?, phase)
}

/// Runs a tool and feeds it, as long as `checked` lets it; `moved` counts the bytes.
pub(super) async fn piped(
    work: &Work<'_>,
    tool: Tool,
    reader: Box<dyn Read + Send>,
    moved: &Arc<AtomicU64>,
    checked: &dyn Control,
    shown: impl Fn(),
) -> Result<Outcome> {
    let tool = Tool { stdin: Stdin::Pipe, ..tool };
    let mut child = Child::spawn(&tool, work.context.harden)?;
    let feeding = feed(reader, child.take_stdin(), moved.clone())?;
    let outcome = until(checked, || {
        shown();
        child.try_wait()
    })
    .await?;
    // What could not be read on is the reason; the tool only saw the end.
    threads::join(feeding)??;
    Ok(outcome)
}

/// Feeds a tool. One that stops reading early is judged by how it ends.
fn feed(
    mut reader: Box<dyn Read + Send>,
    sink: Option<ChildStdin>,
    moved: Arc<AtomicU64>,
) -> Result<JoinHandle<Result<()>>> {
    threads::spawn("pg_backup feed", move || {
        let Some(mut sink) = sink else { return Ok(()) };
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => {
                    return Err(Failure::inside(&error)
                        .unwrap_or_else(|| Failure::io("read the archive", &error)));
                }
            };
            if sink.write_all(&buffer[..count]).is_err() {
                return Ok(());
            }
            moved.fetch_add(count as u64, Ordering::Relaxed);
        }
    })
}

pub(super) fn judged(outcome: Outcome, phase: Phase) -> Result<()> {
    if outcome.success() {
        return Ok(());
    }
    Err(outcome.into_failure(&format!("restore the section {}", phase.as_str())))
}

/// Counts the rows of every table against the manifest, and gathers statistics: beside each other,
/// but for TimescaleDB, which has to be told in between.
pub async fn compare_and_analyze(work: &Work<'_>) -> Result<()> {
    let analyze = async {
        let session = work.session_in_target().await?;
        session.batch(work.context.control, ANALYZE).await
    };
    if restore::timescale::recorded(&work.manifest).is_some() {
        compare(work).await?;
        return analyze.await;
    }
    both(compare(work), analyze).await.map(drop)
}

/// Counts the rows of every table against the manifest.
pub async fn compare(work: &Work<'_>) -> Result<()> {
    work.phase(Phase::Verifying).await;
    let control = work.context.control;
    let session = work.session_in_target().await?;
    timescale::count_as_stored(work, &session, true).await?;
    let conditions = conditions(work, &session).await?;
    let mut wrong = Vec::new();
    // A script by hand may leave the schema to its own search_path: nobody knows which it was.
    for table in work.manifest.tables.iter().filter(|table| !table.schema.is_empty()) {
        let mut sql = count(&table.schema, &table.name);
        if let Some(condition) = conditions.get(&(table.schema.clone(), table.name.clone())) {
            sql.push(' ');
            sql.push_str(condition);
        }
        let rows: i64 = session.one(control, &sql, &[]).await?.get(0);
        if rows != table.rows as i64 {
            wrong.push(format!("{}.{}: {rows} rows, not {}", table.schema, table.name, table.rows));
        }
    }
    if let Some(first) = wrong.first() {
        return Err(Failure::new(
            Class::Damaged,
            "the restored rows are not those of the manifest",
        )
        .detail(format!("{} tables differ; {first}.", wrong.len()))
        .hint(
            "Something ran while the rows were loaded: a trigger or rule that is enabled \
                   ALWAYS, or an event trigger. Look into the dump.",
        ));
    }
    timescale::count_as_stored(work, &session, false).await
}

/// Tables of extensions hold rows of their own beside those that were dumped: which were is a
/// condition that the extension has given to pg_dump.
async fn conditions(
    work: &Work<'_>,
    session: &Server,
) -> Result<HashMap<(String, String), String>> {
    let rows = session.rows(work.context.control, DUMP_CONDITIONS, &[]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}
