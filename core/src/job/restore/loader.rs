//! Runs the tools of a restore, and feeds those that read the dump from their standard input.
//!
//! What must hold: a tool that loads what many roles have written gets none of the superuser's
//! rights for their code, unless it is trusted; one that stops reading is judged by how it ends,
//! and what could not be read from the archive is told before that.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::session::session_name;
use super::{Work, extract};
use crate::decide::dump_plan::{environment, restricted_environment};
use crate::decide::progress::{Phase, Progress};
use crate::decide::restore::plan::Section;
use crate::decide::settings::Access;
use crate::error::{Failure, Result};
use crate::host::child::{Child, Outcome, Stdin, Stdout, Tool};
use crate::host::control::Control;
use crate::host::custom::Merged;
use crate::host::threads;
use crate::job::tools::tool;
use crate::job::wait::{joined, moving, until};

/// Moved at once from the archive to the tool.
const CHUNK: usize = 256 << 10;

/// The phase that a section is shown as.
pub(super) fn phase_of(section: Section) -> Phase {
    match section {
        Section::PreData => Phase::PreData,
        Section::Data => Phase::Data,
        Section::PostData => Phase::PostData,
    }
}

/// The fault point behind a section.
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
    make(&work.context.settings.access, &work.restore.target, &session_name(work.id))
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
    let reader = extract::reader(&path, &member)?;
    let reader = match phase {
        Phase::Data => Box::new(Merged::new(reader)),
        _ => reader,
    };
    fed_by(work, tool, phase, reader).await
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
    let fed = Fed { reader, moved: moved.clone(), ended: Arc::default() };
    judged(piped(work, tool, fed, &checked, shown).await?, phase)
}

/// What a tool is fed with.
pub(super) struct Fed {
    pub(super) reader: Box<dyn Read + Send>,
    /// Counts the bytes.
    pub(super) moved: Arc<AtomicU64>,
    /// Set when the tool has ended: nobody needs the rest.
    pub(super) ended: Arc<AtomicBool>,
}

/// Runs a tool and feeds it, as long as `checked` lets it.
pub(super) async fn piped(
    work: &Work<'_>,
    tool: Tool,
    fed: Fed,
    checked: &dyn Control,
    shown: impl Fn(),
) -> Result<Outcome> {
    let tool = Tool { stdin: Stdin::Pipe, ..tool };
    let mut child = Child::spawn(&tool, work.context.harden)?;
    let Fed { reader, moved, ended } = fed;
    let feeding = feed(reader, child.take_stdin(), moved)?;
    let outcome = until(checked, || {
        shown();
        child.try_wait()
    })
    .await?;
    ended.store(true, Ordering::Relaxed);
    // What could not be read on is the reason; the tool only saw the end.
    joined(work.context.control, feeding).await?;
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

/// A tool that ended badly is a failure.
pub(super) fn judged(outcome: Outcome, phase: Phase) -> Result<()> {
    if outcome.success() {
        return Ok(());
    }
    Err(outcome.into_load_failure(&format!("restore the section {}", phase.as_str())))
}
