//! Verifies one archive, as deep as asked, and records what it found in the history: a run of its
//! own, and the state of the backup's file. A finding that is not ok is no error of the job: the
//! rows say it.

use std::path::Path;
use std::time::Duration;

use super::context::Context;
use super::decoding::{Decoding, Expected};
use super::wait::deadline;
use super::{Report, ReportRow, contents};
use crate::catalog::history::{History, NewRun};
use crate::catalog::history_files::StoredArchive;
use crate::decide::archive_spec::{Content, payload_member};
use crate::decide::manifest::{Manifest, Member};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Home, Verify};
use crate::decide::verify_level::Level;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::{Archive, FOREIGN, LOST, open_file};
use crate::host::dir::BackupDir;
use crate::host::server::Server;

/// Verifies and records it.
pub async fn run(context: &Context<'_>, home: &Home, verify: &Verify) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(verify.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let access = &context.settings.access;
    let control = context.control;
    let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&server, control, home).await?;
    let archive = history.archive(verify.backup).await?;
    let new = NewRun {
        kind: "verify",
        database: &archive.database,
        origin: &verify.origin,
        schedule: verify.schedule.as_deref(),
        comment: None,
        subject: Some(verify.backup),
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    control.report(&Progress { phase: Phase::Verifying, ..Progress::default() });
    match look(context, &history, id, &archive, verify).await {
        Ok((rows, None)) => {
            history.done(id).await?;
            Ok(Report { id, rows, ..Report::default() })
        }
        Ok((rows, Some(defect))) => {
            history.ended(id, "failed", &defect).await?;
            Ok(Report { id, rows, ..Report::default() })
        }
        Err(failure) => Err(super::ending::record(context, home, &history, id, failure).await),
    }
}

type Found = (Vec<ReportRow>, Option<Failure>);

/// Looks at the archive and tells its row; Err only when looking itself was not possible.
async fn look(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    archive: &StoredArchive,
    verify: &Verify,
) -> Result<Found> {
    let mut rows = Vec::new();
    let mut looked = steps(context, history, archive, verify, &mut rows).await;
    if looked.is_ok() && verify.level >= Level::Restore {
        let rehearsed = super::restore::rehearse(context, history, id, verify, archive).await;
        looked = rehearsed.map(|row| rows.push(row));
    }
    let defect = match looked {
        Ok(()) => None,
        Err(failure) if is_defect(&failure) => Some(failure),
        Err(failure) => return Err(failure),
    };
    let state = match &defect {
        None => "available",
        Some(failure) if failure.class == Class::UndefinedFile => "missing",
        Some(_) => "damaged",
    };
    history.verified(archive.id, verify.level.as_str(), state).await?;
    if let Some(defect) = &defect {
        let detail = format!("{}. {}", defect.message, defect.detail);
        rows.push(ReportRow::new(subject(&rows), "blocker", detail.trim_end(), &defect.hint));
    }
    Ok((rows, defect))
}

fn is_defect(failure: &Failure) -> bool {
    matches!(failure.class, Class::Damaged | Class::UndefinedFile)
}

/// The step that comes after those that are done.
fn subject(done: &[ReportRow]) -> &'static str {
    const STEPS: [&str; 9] = [
        "file",
        "size",
        "sha256",
        "structure",
        "manifest",
        "contents",
        "payload",
        "members",
        "restore",
    ];
    STEPS.get(done.len()).copied().unwrap_or("restore")
}

async fn steps(
    context: &Context<'_>,
    history: &History<'_>,
    archive: &StoredArchive,
    verify: &Verify,
    rows: &mut Vec<ReportRow>,
) -> Result<()> {
    if matches!(archive.file_state.as_str(), "deleted" | "pruned") {
        return Err(Failure::new(
            Class::UndefinedFile,
            format!("the archive of backup {} was {}", archive.id, archive.file_state),
        ));
    }
    let stall = Duration::from_millis(verify.limits.stall);
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let path = place.resolve(&archive.file)?;
    let size = size(&path)?;
    rows.push(ReportRow::ok("file", path.display().to_string()));
    compare_size(archive, &path, size)?;
    rows.push(ReportRow::ok("size", format!("{size} bytes")));
    let sha256 = super::whole::hash(context, &path).await?;
    let unread = archive.sha256.is_empty();
    if unread {
        // Adopted by a scan: the manifest says what its members are.
        let manifest = Archive::open(&path)?.manifest()?;
        super::whole::ensure_whole(context, &path, &manifest, stall).await?;
        history.hashed(archive.id, &sha256).await?;
    }
    if !unread && sha256 != archive.sha256 {
        return Err(changed(&path)
            .detail(format!("Its SHA-256 is {sha256}, recorded is {}.", archive.sha256)));
    }
    rows.push(ReportRow::ok("sha256", sha256));
    match verify.level {
        Level::File => Ok(()),
        Level::List => list(context, &path, rows).await.map(drop),
        Level::Read | Level::Restore => read_all(context, &path, stall, rows).await,
    }
}

/// What a verification of level `read` looks at, beside the hash.
pub(super) async fn read_all(
    context: &Context<'_>,
    path: &Path,
    stall: Duration,
    rows: &mut Vec<ReportRow>,
) -> Result<()> {
    let manifest = list(context, path, rows).await?;
    // A large manifest is large in memory, and so is what reading needs.
    let claim = Claim::of(manifest);
    read(context, path, claim, stall, rows).await
}

fn size(path: &Path) -> Result<u64> {
    let meta = open_file(path)?.metadata();
    Ok(meta.map_err(|e| Failure::io("inspect the archive", &e))?.len())
}

fn compare_size(archive: &StoredArchive, path: &Path, size: u64) -> Result<()> {
    let recorded = archive.size_bytes.unsigned_abs();
    let what = match size {
        0 => "is empty",
        _ if size < recorded => "is truncated",
        _ if size > recorded => "is longer than it was written",
        _ => return Ok(()),
    };
    // A file that is no zip of ours was put in the archive's place.
    let mut opened = (size > 0).then(|| Archive::open(path));
    if let Some(Ok(found)) = &mut opened {
        found.manifest()?;
    }
    Err(crate::host::archive::reader::damaged(path, what)
        .detail(format!("It has {size} bytes, recorded are {recorded}.")))
}

fn changed(path: &Path) -> Failure {
    let found = Archive::open(path).and_then(|mut archive| archive.manifest());
    match found {
        // The path comes first, and may hold any word.
        Err(failure) if failure.message.ends_with(FOREIGN) => failure,
        Err(failure) if failure.message.ends_with(LOST) => failure,
        _ => crate::host::archive::reader::damaged(path, "has changed since it was written"),
    }
}

/// Structure, manifest and table of contents.
async fn list(context: &Context<'_>, path: &Path, rows: &mut Vec<ReportRow>) -> Result<Manifest> {
    let mut archive = Archive::open(path)?;
    rows.push(ReportRow::ok("structure", format!("{} members", archive.count())));
    let manifest = archive.manifest()?;
    archive.holds(&manifest)?;
    rows.push(ReportRow::ok("manifest", format!("format {}", manifest.format)));
    let payload = archive.payload()?;
    let entries = match payload.first() {
        Some(first) if payload_member(&first.name).is_some_and(|p| p.1 == Content::CustomDump) => {
            let end = first.start + first.size;
            let file = open_file(path)?;
            let text = contents::of_range(context, file, &first.name, first.start, end).await?;
            text.split(|byte| *byte == b'\n').filter(|line| is_entry(line)).count()
        }
        _ => payload.len(),
    };
    rows.push(ReportRow::ok("contents", format!("{entries} entries")));
    Ok(manifest)
}

fn is_entry(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_digit)
}

/// What the manifest says that only reading all of the dump can tell.
struct Claim {
    expected: Expected,
    rows: u64,
    tables: usize,
    /// The members beside the dump.
    others: Vec<Member>,
}

impl Claim {
    fn of(manifest: Manifest) -> Self {
        let (rows, tables) = (manifest.total_rows(), manifest.tables.len());
        let expected = Expected::of(&manifest);
        Self { expected, rows, tables, others: super::members::others(manifest) }
    }
}

/// Every byte decoded, rows counted against the manifest.
async fn read(
    context: &Context<'_>,
    path: &Path,
    claim: Claim,
    stall: Duration,
    rows: &mut Vec<ReportRow>,
) -> Result<()> {
    let tail = Archive::open(path)?.tail()?;
    let mut decoding = Decoding::start(context, open_file(path)?, &tail, claim.expected, stall)?;
    let counts = decoding.counts(context).await?;
    decoding.finish(context).await?;
    let found: u64 = match counts.data_files.is_empty() {
        true => counts.tables.iter().map(|table| table.rows).sum(),
        false => counts.data_files.values().map(|(rows, _)| rows).sum(),
    };
    if found != claim.rows {
        return Err(Failure::new(
            Class::Damaged,
            format!("the dump holds {found} rows, the manifest says {}", claim.rows),
        ));
    }
    rows.push(ReportRow::ok("payload", format!("{found} rows in {} tables", claim.tables)));
    let others = claim.others.len();
    super::members::check(context, path, claim.others, stall).await?;
    rows.push(ReportRow::ok("members", format!("{others} beside the dump")));
    Ok(())
}
