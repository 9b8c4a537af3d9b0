//! A backup, from the row that announces it to the row that says it can be restored.
//!
//! In: the request. Out: a published archive, or a failure and nothing but a row. Whatever ends
//! this function early drops the partial file, the children and the sessions on its way out.

mod attach;
mod describe;
pub(in crate::job) mod directory;
mod dump;
mod facts;
mod globals;
pub(in crate::job) mod pack;
mod publish;
mod snapshot;
mod watch;

pub use attach::guarded;
pub(super) use describe::by_dump_id;
pub(super) use dump::new_partial;
pub(super) use publish::manifest_text;

use std::cell::Cell;
use std::time::Duration;

use chrono::Utc;

use super::Report;
use super::context::Context;
use super::hooks;
use super::wait::{LAST_WORDS, deadline, last_words, patient};
use crate::catalog::history::{History, NewRun};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Backup, Home};
use crate::error::{Class, Failure, Result};
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::host::signing;
use crate::host::space::free_bytes;

/// What every step of one backup works with.
struct Work<'a> {
    context: &'a Context<'a>,
    backup: &'a Backup,
    history: &'a History<'a>,
    id: i64,
    started: chrono::DateTime<Utc>,
    /// The archive has its name: from here on a failure must not say that nothing was kept.
    published: Cell<bool>,
}

/// Makes a backup and records it.
pub async fn run(context: &Context<'_>, home: &Home, backup: &Backup) -> Result<Report> {
    phase(context, Phase::Connecting);
    let name = format!("pg_backup job {}", backup.database);
    let access = &context.settings.access;
    let limit = Duration::from_millis(backup.limits.runtime);
    let limited = deadline(context.control, limit);
    let context = &Context { control: &limited, ..*context };
    let session = Server::connect(access, context.control, &home.database, &name).await?;
    let history = History::open(&session, context.control, home).await?;
    let id = history.begin(home, &new_run(backup), "running").await?;
    begun(context, home, &history, id, backup).await
}

/// The row of a backup that begins.
pub fn new_run(backup: &Backup) -> NewRun<'_> {
    NewRun {
        kind: "backup",
        database: &backup.database,
        origin: &backup.origin,
        schedule: backup.schedule.as_deref(),
        comment: backup.comment.as_deref(),
        subject: None,
    }
}

/// Makes the backup whose row says that it runs, with the hooks before and after it.
pub async fn begun(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    id: i64,
    backup: &Backup,
) -> Result<Report> {
    context.control.started(id);
    let started = Utc::now();
    let published = Cell::new(false);
    let work = Work { context, backup, history, id, started, published };
    let facts = hooks::Facts::of_backup(id, backup);
    let before = hooks::run(context, home, history, hooks::Event::BeforeBackup, &facts).await;
    let made = match before {
        Ok(()) => steps(&work).await,
        Err(failure) => Err(failure),
    };
    let mut report = Report { id, ..Report::default() };
    match made {
        Ok(()) => report.warnings.extend(succeeded(&work, home, facts).await),
        Err(failure) if work.published.get() => return Err(failure),
        Err(failure) => {
            let failure = super::ending::record(context, home, history, id, failure).await;
            on_failure(&work, home, facts, &failure).await;
            return Err(failure);
        }
    }
    Ok(report)
}

/// Hooks after a backup: what goes wrong in them is a warning, the backup is good.
async fn succeeded(work: &Work<'_>, home: &Home, facts: hooks::Facts) -> Option<Failure> {
    let Work { context, history, id, .. } = *work;
    let ran = async {
        let archive = history.archive(id).await?;
        let facts = facts
            .with("status", "succeeded")
            .with("file", archive.file)
            .with("size_bytes", archive.size_bytes.to_string())
            .with("sha256", archive.sha256);
        hooks::run(context, home, history, hooks::Event::AfterBackup, &facts).await
    };
    warned(work, ran.await).await
}

/// Hooks after a failure. One that was asked for by a shutdown leaves no time for them.
async fn on_failure(work: &Work<'_>, home: &Home, facts: hooks::Facts, failure: &Failure) {
    if matches!(failure.class, Class::Interrupted | Class::Cancelled) {
        return;
    }
    let Work { context, history, .. } = *work;
    let facts = facts.with("status", "failed").with("error", failure.message.clone());
    // The run may have used up its own time; that of each hook is limited by itself.
    let unlimited = patient(context.control);
    let context = &Context { control: &unlimited, ..*context };
    let history = &history.with_control(&unlimited);
    let ran = hooks::run(context, home, history, hooks::Event::OnFailure, &facts).await;
    warned(work, ran).await;
}

/// Writes what a hook failed of into the run's row.
async fn warned(work: &Work<'_>, ran: Result<()>) -> Option<Failure> {
    let failure = ran.err()?;
    let text = format!("{}: {}", failure.message, failure.detail);
    let control = last_words(work.context.control, LAST_WORDS);
    // When the row cannot be told, the log is.
    let _ = work.history.with_control(&control).warn(work.id, &[text]).await;
    Some(failure)
}

/// The steps. Each takes what the one before it gives; nothing is kept of a run that stops.
async fn steps(work: &Work<'_>) -> Result<()> {
    let place = place(work)?;
    // Whoever has set a key believes that his archives are signed.
    let keys = signing::keys(work.context.settings.signing_key_file.as_deref())?;
    let attached = attach::plan(work, &place).await?;
    let (locked, mut dumped) = locked_and_dumped(work, &place).await?;
    let mut manifest = describe::manifest(work, &locked, &mut dumped)?;
    drop(locked);
    let dumped = attach::add(work, attached, dumped, &mut manifest).await?;
    phase(work.context, Phase::Verifying);
    let sealed = publish::seal(work, dumped, manifest, keys.as_ref()).await?;
    phase(work.context, Phase::Publishing);
    publish::publish(work, &place, sealed).await
}

/// Locks, snapshot and dump; all of it anew when DDL of another session came in between.
async fn locked_and_dumped(
    work: &Work<'_>,
    place: &BackupDir,
) -> Result<(snapshot::Locked, dump::Dumped)> {
    /// Each attempt lets the DDL through that was in the way.
    const ATTEMPTS: u32 = 3;
    let mut attempt = 1;
    loop {
        let locked = snapshot::take(work).await?;
        match dump::run(work, place, &locked).await {
            Err(failure) if watch::is_between(&failure) && attempt < ATTEMPTS => attempt += 1,
            dumped => return Ok((locked, dumped?)),
        }
    }
}

/// The directory of this backup, once there is room in it.
fn place(work: &Work<'_>) -> Result<BackupDir> {
    let settings = work.context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, true)?;
    let free = free_bytes(place.path())?;
    if free < settings.min_free_space {
        return Err(Failure::new(Class::DiskFull, "too little free space for a backup")
            .detail(format!(
                "\"{}\" has {free} bytes free, pg_backup.min_free_space keeps {} bytes.",
                place.path().display(),
                settings.min_free_space
            ))
            .hint("Free space, or point pg_backup.directory to another file system."));
    }
    Ok(place)
}

/// Shows a phase that has no numbers of its own.
fn phase(context: &Context<'_>, phase: Phase) {
    context.control.report(&Progress { phase, ..Progress::default() });
}

/// `application_name` of the sessions that pg_dump opens for run `id`.
fn dump_application(id: i64) -> String {
    format!("pg_backup dump {id}")
}
