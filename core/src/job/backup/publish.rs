//! The end of a backup: last members, read-back compared, the row told, then the name.
//!
//! The order is the promise. The archive's hash as read back equals the hash as written; the row
//! says `verifying` with size and hash before the file gets its name; the name is given without
//! replacing anything and made durable; only then the row says `succeeded`. A crash in between
//! leaves either a partial file or a published one whose row tells its hash.

use std::time::Duration;

use super::dump::Dumped;
use super::{Phase, Work, phase};
use crate::catalog::history::ArchiveFacts;
use crate::decide::archive_spec::{CONTENTS, GLOBALS, MANIFEST, MANIFEST_MAX, SIGNATURE};
use crate::decide::manifest::Manifest;
use crate::decide::verify_level::Level;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::archive::follow::ReadBack;
use crate::host::dir::BackupDir;
use crate::host::partial::Partial;
use crate::host::signing::Keys;
use crate::host::threads;
use crate::job::members;
use crate::job::wait::{joined, last_words};

/// How long the disk may take to make an archive durable. Most of it is there already; a disk that
/// hangs must not hold up a shutdown for ever.
const PUBLISH_TIME: Duration = Duration::from_secs(120);

/// A complete archive, read back and found equal, still under its partial name.
pub struct Sealed {
    partial: Partial,
    archive: ReadBack,
    /// JSON as text.
    manifest: String,
    warnings: Vec<String>,
    database_size: i64,
}

/// Adds the last members, ends the zip and compares what is read back.
pub async fn seal(
    work: &Work<'_>,
    dumped: Dumped,
    manifest: Manifest,
    keys: Option<&Keys>,
) -> Result<Sealed> {
    let Dumped { partial, mut writer, decoding, contents, globals, warnings, .. } = dumped;
    for (name, bytes) in [(CONTENTS, contents), (GLOBALS, globals)] {
        if let Some(bytes) = bytes {
            writer.add(name, &bytes)?;
        }
    }
    let (members, signed) = (writer.members().to_vec(), keys.is_some());
    let manifest = Manifest { members, signed, ..manifest };
    let json = manifest_text(&manifest, MANIFEST_MAX)?;
    writer.add(MANIFEST, &json)?;
    if let Some(keys) = keys {
        writer.add(SIGNATURE, &keys.sign(&json)?)?;
    }
    drop(json);
    let database_size = manifest.facts.database.size_bytes;
    let has_attachments = !manifest.attachments.is_empty();
    let json = serde_json::to_string(&manifest).map_err(|e| unwritable(&e))?;
    let others = if has_attachments { members::others(manifest) } else { Vec::new() };
    fault::point("archive_unfinished");
    let written = writer.finish()?;
    let read = decoding.finish(work.context).await?;
    if read.written != written {
        return Err(Failure::new(Class::Damaged, "the archive reads back differently")
            .detail(format!(
                "Written: {} bytes, fingerprint {:x}. Read: {} bytes, fingerprint {:x}.",
                written.size, written.fingerprint, read.written.size, read.written.fingerprint
            ))
            .hint("Memory or disk of this machine is not reliable. Nothing was kept."));
    }
    if has_attachments {
        // The dump was decoded while it was written, these were not.
        let stall = Duration::from_millis(work.backup.limits.stall);
        members::check(work.context, partial.path(), others, stall).await?;
    }
    Ok(Sealed { partial, archive: read, manifest: json, warnings, database_size })
}

/// The manifest for people to read, or just short enough to be read at all.
pub(in crate::job) fn manifest_text(manifest: &Manifest, cap: u64) -> Result<Vec<u8>> {
    let fits = |text: &Vec<u8>| text.len() as u64 <= cap;
    let pretty = serde_json::to_vec_pretty(manifest).map_err(|e| unwritable(&e))?;
    if fits(&pretty) {
        return Ok(pretty);
    }
    let short = serde_json::to_vec(manifest).map_err(|e| unwritable(&e))?;
    if fits(&short) {
        return Ok(short);
    }
    let tables = manifest.tables.len();
    Err(Failure::new(Class::LimitExceeded, "the manifest of this backup would be too large")
        .detail(format!("It has {} bytes and tells of {tables} tables.", short.len()))
        .hint("Use format => 'custom', or exclude tables."))
}

/// Tells the row, gives the archive its name, and tells the row again.
pub async fn publish(work: &Work<'_>, place: &BackupDir, sealed: Sealed) -> Result<()> {
    phase(work.context, Phase::Publishing);
    let file = place.relative(sealed.partial.final_path());
    let facts = ArchiveFacts {
        file: &file,
        size_bytes: sealed.archive.written.size as i64,
        database_size_bytes: sealed.database_size,
        sha256: &sealed.archive.sha256,
        warnings: &sealed.warnings,
        manifest: &sealed.manifest,
    };
    work.history.verifying(work.id, &facts).await?;
    fault::point("before_rename");
    work.context.control.proceed()?;
    // From here on there is no way back, only an end: a cancel in between would leave a file
    // without a row or a row without its file.
    let control = last_words(work.context.control, PUBLISH_TIME);
    let partial = sealed.partial;
    let published = threads::spawn("pg_backup sync", move || partial.publish())?;
    let path = match joined(&control, published).await {
        Err(failure) if failure.class == Class::Timeout => return Err(leave(work, failure)),
        path => path?,
    };
    work.published.set(true);
    fault::point("after_rename");
    match work.history.with_control(&control).succeeded(work.id, Level::Read.as_str()).await {
        Ok(()) => Ok(()),
        Err(failure) => Err(keep(work, &path, failure)),
    }
}

/// The disk did not answer in time: what became of the file shows when it does.
fn leave(work: &Work<'_>, failure: Failure) -> Failure {
    work.published.set(true);
    work.context.control.unrecorded();
    failure
}

/// The archive is published but its row could not be told: it stays, and the launcher will find
/// the row and the file and put them together. Where the row is gone for good, so is the file.
fn keep(work: &Work<'_>, path: &std::path::Path, failure: Failure) -> Failure {
    let kept = format!("{} The archive is complete: \"{}\".", failure.detail, path.display());
    if failure.class != Class::UndefinedObject {
        work.context.control.unrecorded();
    }
    Failure { detail: kept.trim_start().to_owned(), ..failure }
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(Class::Internal, format!("could not write the manifest: {error}"))
}
