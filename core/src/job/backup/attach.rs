//! Copies attached files and folders into the archive, when the dump is complete.
//!
//! They are read after the snapshot, so that a file that a row of the dump refers to is there
//! unless the application removed it meanwhile; and after the locks and the snapshot are given up,
//! so that copying holds up nobody. What cannot be read fails the backup, which is tried before
//! anything is dumped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use nix::sys::stat::FileStat;

use super::dump::Dumped;
use super::{Phase, Work};
use crate::decide::attachments::attached_name;
use crate::decide::manifest::{AttachedEntry, Attachment, Manifest};
use crate::decide::progress::Progress;
use crate::decide::settings::Settings;
use crate::error::Result;
use crate::fault;
use crate::host::archive::tail::is_given_up;
use crate::host::archive::writer::{ArchiveWriter, Meta, Storage, archive_failure};
use crate::host::dir::BackupDir;
use crate::host::reach::{AllowList, Guarded, open_exact, shown};
use crate::host::threads;
use crate::host::tree::{Item, Met, Place, unreadable, walk};
use crate::job::wait::{joined, moving, until};

/// Read at once.
const CHUNK: usize = 256 << 10;
/// The beginning of a file that tells whether compressing it is of use.
const SAMPLE: usize = 64 << 10;
/// It is, when the sample shrinks below so many percent.
const WORTH_PERCENT: usize = 95;
/// Tablespaces of one server that are looked at.
const TABLESPACES_MAX: usize = 10_000;
/// What stands still when copying does.
const ATTACHING: &str = "copying attached files";

/// What is to be attached, found readable.
#[derive(Default)]
pub struct Plan {
    sources: Vec<Source>,
    guarded: Guarded,
    /// Bytes of all files when they were looked at.
    bytes: u64,
}

/// One thing to attach.
struct Source {
    name: String,
    /// As it was asked for, and without links.
    asked: String,
    path: PathBuf,
}

impl Source {
    fn place(&self) -> Place<'_> {
        Place { path: &self.path, name: &self.name }
    }
}

/// Looks at everything that is to be attached, and opens every file once. In a thread: a network
/// disk that hangs must not hold up a shutdown.
pub async fn plan(work: &Work<'_>, place: &BackupDir) -> Result<Plan> {
    let settings = work.context.settings;
    if work.backup.attach.is_empty() {
        return Ok(Plan::default());
    }
    super::phase(work.context, Phase::Attaching);
    let guarded = guarded(settings, place.path());
    let (allowed, attach) = (settings.attach_directories.clone(), work.backup.attach.clone());
    let look = threads::spawn("pg_backup look", move || look(&attach, &allowed, guarded))?;
    joined(work.context.control, look).await
}

fn look(attach: &[String], allowed: &str, guarded: Guarded) -> Result<Plan> {
    let allowed = AllowList { setting: "pg_backup.attach_directories", value: allowed };
    let source = |asked: &String| {
        let (name, path) = (attached_name(asked)?, allowed.resolve(Path::new(asked))?);
        Ok(Source { name, asked: asked.clone(), path })
    };
    let sources = attach.iter().map(source).collect::<Result<Vec<_>>>()?;
    let (mut bytes, mut met) = (0, Met::default());
    for source in &sources {
        let root = open_exact(&source.path, &guarded)?;
        walk(root, source.place(), &guarded, &mut met, &mut |_, _, item, stat| {
            bytes += if matches!(item, Item::File(_)) { stat.st_size.unsigned_abs() } else { 0 };
            Ok(())
        })?;
    }
    Ok(Plan { sources, guarded, bytes })
}

/// What holds secrets of the server is attached by nobody: its data, wherever they lie, the
/// archives, the password file and the signing keys.
pub fn guarded(settings: &Settings, archives: &Path) -> Guarded {
    let data = &settings.data_directory;
    let spaces = std::fs::read_dir(data.join("pg_tblspc")).into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = spaces.take(TABLESPACES_MAX).map(|space| space.path()).collect();
    places.extend([data.clone(), data.join("pg_wal"), archives.to_owned()]);
    places.extend(settings.access.passfile.clone());
    places.extend(settings.signing_key_file.clone());
    Guarded::new(places.iter().map(PathBuf::as_path))
}

/// Adds the files to the archive, and what is known of them to the manifest.
pub async fn add(
    work: &Work<'_>,
    plan: Plan,
    mut dumped: Dumped,
    manifest: &mut Manifest,
) -> Result<Dumped> {
    if plan.sources.is_empty() {
        return Ok(dumped);
    }
    let (bytes, total) = (Arc::<AtomicU64>::default(), plan.bytes);
    let (writer, moved) = (dumped.writer, bytes.clone());
    let copy = threads::spawn("pg_backup files", move || copy_all(&plan, writer, &moved))?;
    let stall = Duration::from_millis(work.backup.limits.stall);
    let control = moving(work.context.control, ATTACHING, &bytes, stall);
    let mut shown = None;
    until(&control, || {
        let done = bytes.load(Ordering::Relaxed);
        if shown.replace(done) != Some(done) {
            work.context.control.report(&progress(done, total.max(done)));
        }
        Ok(copy.is_finished().then_some(()))
    })
    .await?;
    let Copied { writer, attached, warnings } = match threads::join(copy)? {
        // The reader behind the writer has the reason.
        Err(failure) if is_given_up(&failure) => {
            return Err(dumped.decoding.failure(work.context).await);
        }
        copied => copied?,
    };
    manifest.attachments = attached;
    manifest.warnings.extend(warnings.iter().cloned());
    manifest.created_at.end = Utc::now();
    let warnings = [dumped.warnings, warnings].concat();
    Ok(Dumped { writer, warnings, ..dumped })
}

struct Copied {
    writer: ArchiveWriter,
    attached: Vec<Attachment>,
    warnings: Vec<String>,
}

fn copy_all(plan: &Plan, mut writer: ArchiveWriter, moved: &AtomicU64) -> Result<Copied> {
    let (mut met, mut attached) = (Met::default(), Vec::new());
    for source in &plan.sources {
        attached.push(copy_one(source, &plan.guarded, &mut writer, &mut met, moved)?);
    }
    Ok(Copied { writer, attached, warnings: met.into_warnings() })
}

fn copy_one(
    source: &Source,
    guarded: &Guarded,
    writer: &mut ArchiveWriter,
    met: &mut Met,
    moved: &AtomicU64,
) -> Result<Attachment> {
    let (name, asked) = (source.name.clone(), source.asked.clone());
    let mut found = Attachment { name, source: asked, ..Attachment::default() };
    let mut changed = Vec::new();
    let root = open_exact(&source.path, guarded)?;
    walk(root, source.place(), guarded, met, &mut |path, member, item, stat| {
        let mut member = member.to_owned();
        let (mode, modified) = (stat.st_mode & 0o7777, time(stat.st_mtime, stat.st_mtime_nsec));
        match item {
            Item::Folder => member.push('/'),
            Item::File(file) => {
                let full = source.place().full(path);
                let meta = Meta { mode, modified: Some(modified) };
                let copied = copy_file(file, &full, stat, writer, (&member, meta), moved)?;
                found.files += 1;
                found.bytes += copied.bytes;
                if copied.changed {
                    changed.push(full);
                }
                fault::point("attached");
            }
        }
        found.entries.push(AttachedEntry { member, mode: format!("{mode:04o}"), modified });
        Ok(())
    })?;
    for path in changed {
        met.warn(format!("\"{}\" changed while it was attached", shown(&path)));
    }
    Ok(found)
}

struct CopiedFile {
    bytes: u64,
    /// It was written to, cut or extended meanwhile.
    changed: bool,
}

/// Copies as much of a file as it had when it was opened: one that grows comes to an end.
fn copy_file(
    file: File,
    path: &Path,
    before: &FileStat,
    writer: &mut ArchiveWriter,
    (member, meta): (&str, Meta),
    moved: &AtomicU64,
) -> Result<CopiedFile> {
    let failed = |e: io::Error| unreadable(path, e);
    let mut sample = Vec::with_capacity(SAMPLE);
    let mut reader = (&file).take(before.st_size.unsigned_abs());
    (&mut reader).take(SAMPLE as u64).read_to_end(&mut sample).map_err(failed)?;
    writer.begin_file(member, storage(&sample), meta)?;
    let mut bytes = 0;
    let mut put = |chunk: &[u8]| -> Result<()> {
        bytes += chunk.len() as u64;
        moved.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        writer.write_all(chunk).map_err(|e| archive_failure(&e))
    };
    put(&sample)?;
    let mut buffer = sample;
    buffer.resize(CHUNK, 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => put(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    writer.end()?;
    let after = nix::sys::stat::fstat(&file).map_err(|errno| failed(errno.into()))?;
    let state = |stat: &FileStat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    let changed = state(before) != state(&after) || bytes != before.st_size.unsigned_abs();
    Ok(CopiedFile { bytes, changed })
}

/// What is compressed already (pictures, archives) is stored: deflating it costs a hundred times
/// as much as copying, for nothing.
fn storage(sample: &[u8]) -> Storage {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = encoder.write_all(sample).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) if packed.len() * 100 < sample.len() * WORTH_PERCENT => Storage::Deflated,
        _ => Storage::Stored,
    }
}

fn time(seconds: i64, nanos: i64) -> DateTime<Utc> {
    let nanos = u32::try_from(nanos).unwrap_or(0);
    DateTime::from_timestamp(seconds, nanos).unwrap_or_default()
}

fn progress(bytes_done: u64, bytes_total: u64) -> Progress {
    let relation = "attached files".to_owned();
    Progress { phase: Phase::Attaching, relation, bytes_done, bytes_total, ..Progress::default() }
}
