//! Runs pg_dump and moves its bytes into the archive, with verification right behind it.
//!
//! Threads: `pack` takes pg_dump's bytes, compresses and writes; `Decoding` reads behind it. The
//! job's own thread watches all of them and asks the server for facts meanwhile. Whichever part
//! fails first stops the others; the failure that explains most is the one that is reported.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::directory;
use super::facts::{self, Gathered};
use super::globals::Globals;
use super::pack::{self, Pack};
use super::snapshot::Locked;
use super::watch::Watch;
use super::{Phase, Work, dump_application};
use crate::decide::dump_plan::{environment, pg_dump};
use crate::decide::format::Format;
use crate::decide::naming::{archive_name, safe_name};
use crate::decide::progress::{Meter, PlannedTable, Progress};
use crate::decide::redact::{redact, warnings};
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::{Tail, is_given_up};
use crate::host::archive::writer::ArchiveWriter;
use crate::host::child::{Child, Ended, Outcome, Stdout, Tool};
use crate::host::dir::BackupDir;
use crate::host::partial::{Partial, WorkDir};
use crate::host::pipe::Batched;
use crate::host::threads;
use crate::job::context::Context;
use crate::job::decode::Counts;
use crate::job::decoding::{Decoding, Expected};
use crate::job::tools::tool;
use crate::job::wait::{both, joined};

/// Names that are tried when an archive of that name exists already.
const NAME_ATTEMPTS: u32 = 10;
/// Between two looks at the threads and children.
const PAUSE: Duration = Duration::from_millis(5);

/// A complete payload in a partial archive, decoded and counted.
pub struct Dumped {
    pub partial: Partial,
    pub writer: ArchiveWriter,
    pub decoding: Decoding,
    pub counts: Counts,
    pub gathered: Gathered,
    pub globals: Option<Vec<u8>>,
    /// The text of `pg_restore -l`; None for a plain dump.
    pub contents: Option<Vec<u8>>,
    pub warnings: Vec<String>,
}

/// Everything that runs at the same time.
struct Running {
    dump: Child,
    /// Bytes that came out of pg_dump.
    bytes: Arc<AtomicU64>,
    /// Told to the packer of a directory: no file grows any more.
    dump_ended: Arc<AtomicBool>,
    pack: Option<JoinHandle<Result<ArchiveWriter>>>,
    decoding: Decoding,
    tail: Tail,
    work_dir: Option<WorkDir>,
}

/// Dumps into a new partial archive under `place`.
pub async fn run(work: &Work<'_>, place: &BackupDir, locked: &Locked) -> Result<Dumped> {
    let database = &work.backup.database;
    let partial = new_partial(work.context, place, database, work.started, work.id)?;
    let globals = Globals::start(work)?;
    let mut running = start(work, place, &partial, locked)?;
    let supervise = supervise(work, &mut running, locked);
    let (outcome, gathered) = both(supervise, facts::gather(work, locked)).await?;
    let writer = running.pack.take().ok_or_else(|| Failure::new(Class::Internal, "no packer"))?;
    let writer = joined(work.context.control, writer).await?;
    let counts = running.decoding.counts(work.context).await?;
    let contents = contents(work, &partial, &running).await?;
    let globals = globals.finish(work).await?;
    let mut warnings: Vec<String> = locked.warnings.clone();
    warnings.extend(self::warnings(&redact(&outcome.stderr)));
    let decoding = running.decoding;
    Ok(Dumped { partial, writer, decoding, counts, gathered, globals, contents, warnings })
}

/// A new partial file; the name gets a number when it is taken. Of one that is given up, no empty
/// folder stays.
pub(in crate::job) fn new_partial(
    context: &Context<'_>,
    place: &BackupDir,
    database: &str,
    started: DateTime<Utc>,
    id: i64,
) -> Result<Partial> {
    let identifier = context.settings.system_identifier;
    place.in_folder(identifier, &safe_name(database), |folder| {
        let mut last = None;
        for attempt in 0..NAME_ATTEMPTS {
            let name = archive_name(database, started, id, attempt);
            match Partial::create(folder, &name) {
                Err(failure) if failure.class == Class::DuplicateFile => last = Some(failure),
                other => return other.map(Partial::with_folder),
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(Class::Internal, "no name was tried")))
    })
}

fn start(
    work: &Work<'_>,
    place: &BackupDir,
    partial: &Partial,
    locked: &Locked,
) -> Result<Running> {
    let tail = Tail::default();
    let settings = work.context.settings;
    let copy = |e| Failure::io("share the archive's file", &e);
    let file = partial.file().try_clone().map_err(copy)?;
    pack::flush(partial.path(), &tail)?;
    let root = place.path().to_owned();
    let reserve = settings.min_free_space;
    let writer = ArchiveWriter::new(file, root, reserve, work.started, tail.clone());
    let custom = work.backup.format == Format::Custom;
    let expected = Expected { custom, by_hand: false };
    let reading = open_file(partial.path())?;
    let stall = Duration::from_millis(work.backup.limits.stall);
    let decoding = Decoding::start(work.context, reading, &tail, expected, stall)?;
    let work_dir = work_dir(work, partial)?;
    let target = work_dir.as_ref().map(|dir| dir.path().join("dump"));
    let watch = target.as_deref().map(directory::Watched::new).transpose()?;
    let mut dump = spawn(work, locked, target.as_deref())?;
    let (bytes, dump_ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let pack = Pack {
        writer,
        compression: work.backup.compression,
        threads: settings.compression_threads,
        bytes: bytes.clone(),
        tail: tail.clone(),
    };
    let name = crate::decide::archive_spec::payload_name(work.backup.format, pack.compression);
    let ended = dump_ended.clone();
    let stdout = dump.take_stdout();
    let pack = threads::spawn("pg_backup pack", move || match (watch, stdout) {
        (Some(watch), _) => directory::pack(pack, watch, &ended),
        (None, Some(stdout)) => pack::stream(pack, name, Batched::new(stdout)),
        (None, None) => Err(Failure::new(Class::Internal, "pg_dump has no output")),
    })?;
    Ok(Running { dump, bytes, dump_ended, pack: Some(pack), decoding, tail, work_dir })
}

fn work_dir(work: &Work<'_>, partial: &Partial) -> Result<Option<WorkDir>> {
    if work.backup.format != Format::Directory {
        return Ok(None);
    }
    let path = partial.final_path();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new(Class::Internal, "the archive has no folder"));
    };
    let made = WorkDir::create(folder, &name.to_string_lossy())?;
    Ok(Some(made.with_folder()))
}

fn spawn(work: &Work<'_>, locked: &Locked, target: Option<&Path>) -> Result<Child> {
    let access = &work.context.settings.access;
    let args = pg_dump(work.backup, &locked.encoding, Some(&locked.snapshot), target);
    let envs = environment(access, &work.backup.database, &dump_application(work.id));
    let dump = tool(work.context, "pg_dump", args, envs);
    let stdout = if target.is_some() { Stdout::Null } else { Stdout::Pipe };
    Child::spawn(&Tool { stdout, ..dump }, work.context.harden)
}

/// Until pg_dump has ended and its bytes are packed. Gives pg_dump's outcome.
async fn supervise(work: &Work<'_>, running: &mut Running, locked: &Locked) -> Result<Outcome> {
    let mut watch = Watch::new(work, Phase::Dumping, locked.session.pid);
    watch.meter = Meter::new(planned(locked));
    let mut outcome = None;
    loop {
        if outcome.is_none() {
            outcome = running.dump.try_wait()?;
            running.dump_ended.store(outcome.is_some(), Ordering::Relaxed);
        }
        match &outcome {
            Some(ended) if !ended.success() => return Err(dump_failure(work, running, ended).await),
            Some(ended) if is_packed(running) && !running.tail.is_aborted() => {
                let progress = watch.meter.finished();
                let progress = Progress { phase: Phase::Verifying, ..progress };
                work.context.control.report(&progress);
                return Ok(ended.clone());
            }
            _ if running.tail.is_aborted() => return Err(archive_failure(work, running).await),
            _ => {}
        }
        work.context.control.proceed()?;
        watch.look_if_due(running.bytes.load(Ordering::Relaxed)).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_packed(running: &Running) -> bool {
    running.pack.as_ref().is_none_or(JoinHandle::is_finished)
}

/// pg_dump failed. When the archive failed first (full disk), that is the reason: pg_dump only
/// saw its pipe close. With pg_dump gone the packer ends by itself and tells.
async fn dump_failure(work: &Work<'_>, running: &mut Running, outcome: &Outcome) -> Failure {
    let own = outcome.clone().into_failure(&format!("dump database \"{}\"", work.backup.database));
    let packed = match running.pack.take() {
        Some(handle) => joined(work.context.control, handle).await.map(drop),
        None => Ok(()),
    };
    let reason = match packed {
        Err(failure) if is_given_up(&failure) => archive_failure(work, running).await,
        Err(failure) => failure,
        Ok(()) => return own,
    };
    // A dump that is cut because pg_dump died is no news. That pg_dump died of its closed pipe is
    // none either.
    let of_the_pipe = outcome.ended == Ended::Signal(nix::libc::SIGPIPE);
    let is_own = is_given_up(&reason) || (reason.class == Class::Damaged && !of_the_pipe);
    if is_own { own } else { reason }
}

/// The archive was given up: by the side that writes it, or by the one that reads it back. The
/// one that failed first has the reason, the other one only saw it.
async fn archive_failure(work: &Work<'_>, running: &mut Running) -> Failure {
    running.dump.stop();
    let written = match running.pack.take() {
        Some(handle) => joined(work.context.control, handle).await.err(),
        None => None,
    };
    match written {
        Some(failure) if !is_given_up(&failure) => failure,
        _ => running.decoding.failure(work.context).await,
    }
}

fn planned(locked: &Locked) -> Vec<PlannedTable> {
    let planned = |table: &crate::catalog::snapshot::Table| PlannedTable {
        oid: table.oid,
        label: format!("{}.{}", table.schema, table.name),
        size_bytes: table.size_bytes,
        rows_estimate: table.rows_estimate,
    };
    locked.tables.iter().map(planned).collect()
}

/// The table of contents of a dump that pg_restore can read.
async fn contents(
    work: &Work<'_>,
    partial: &Partial,
    running: &Running,
) -> Result<Option<Vec<u8>>> {
    let directory = running.work_dir.as_ref().map(|dir| dir.path().join("dump"));
    match work.backup.format {
        Format::Plain => Ok(None),
        Format::Custom => {
            let file = open_file(partial.path())?;
            crate::job::contents::of_stream(work.context, file, &running.tail).await.map(Some)
        }
        Format::Directory => {
            crate::job::contents::of_directory(work.context, directory.as_deref()).await.map(Some)
        }
    }
}
