//! Copies one archive out of the backup directory: `backup_export()`. Leaves no row of the history,
//! and nothing on the disk unless it is complete and what was written.

mod script;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::context::Context;
use super::copied_out::{
    Room, Sink, Source, allowed, copied, decoded, publish, pump, source, text, unpack,
    write_failure,
};
use super::wait::deadline;
use super::{CopiedOut, Report};
use crate::decide::archive_spec::{MANIFEST, MANIFEST_MAX, payload_member};
use crate::decide::directories::is_absolute;
use crate::decide::export::{Export, Layout, manifest_name};
use crate::decide::manifest::{Manifest, Member};
use crate::decide::pieces::{pieces, unpacked};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::archive::checked::Checked;
use crate::host::archive::hex;
use crate::host::archive::reader::{Archive, damaged, open_file};
use crate::host::fresh::{Fresh, Parent};
use crate::host::stoppable::{Stop, Stoppable};

/// What every layout works with.
struct Work<'a> {
    context: &'a Context<'a>,
    export: &'a Export,
    source: Source,
    archive: Archive,
    manifest: Manifest,
    parent: Parent,
    room: Room,
    /// Progress of all threads.
    stop: Stop,
}

/// Exports.
pub async fn run(context: &Context<'_>, home: &Home, export: &Export) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(export.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    context.control.report(&Progress { phase: Phase::Exporting, ..Progress::default() });
    let work = prepare(context, home, export).await?;
    export.layout.ensure_fits(&work.manifest)?;
    let copied = match export.layout {
        Layout::Zip => vec![zip(&work).await?],
        Layout::Dump => dump(work).await?,
        Layout::Script => vec![script::script(work).await?],
        Layout::Directory => vec![directory(work).await?],
    };
    Ok(Report { copied, ..Report::default() })
}

async fn prepare<'a>(
    context: &'a Context<'a>,
    home: &Home,
    export: &'a Export,
) -> Result<Work<'a>> {
    let path = Path::new(&export.directory);
    if !is_absolute(path) {
        let message = format!("invalid directory: \"{}\"", export.directory.escape_debug());
        return Err(Failure::new(Class::InvalidArgument, message).hint(
            "Give the absolute path of a directory that exists, in or below one of \
             pg_backup.export_directories.",
        ));
    }
    let source = source(context, home, export.backup).await?;
    let parent = Parent::open(path, &allowed(context), &source.guarded)?;
    let mut archive = Archive::open(&source.path)?;
    let manifest = archive.manifest()?;
    let reserve = context.settings.min_free_space;
    let room = Room { place: parent.path().to_owned(), reserve };
    let stop = Stop::default();
    Ok(Work { context, export, source, archive, manifest, parent, room, stop })
}

impl Work<'_> {
    /// The name of the copy.
    fn name(&self) -> String {
        let started = self.manifest.created_at.start;
        self.export.layout.file_name(&self.source.row.database, started)
    }

    /// Waits for a thread that copies `total` bytes.
    async fn copied<T: Send + 'static>(&self, total: u64, thread: Stoppable<T>) -> Result<T> {
        let stall = self.export.limits.stall;
        copied(self.context, (Phase::Exporting, total), stall, &self.stop, thread).await
    }

    /// The one payload member of a custom or plain dump.
    fn payload(&self) -> Result<Member> {
        let members = self.manifest.members.iter();
        let mut members = members.filter(|member| payload_member(&member.name).is_some());
        match (members.next(), members.next()) {
            (Some(member), None) => Ok(member.clone()),
            _ => Err(Failure::new(Class::Damaged, "the archive does not hold exactly one dump")),
        }
    }
}

/// The archive as it is.
async fn zip(work: &Work<'_>) -> Result<CopiedOut> {
    let fresh = Fresh::file(&work.parent, OsStr::new(&work.name()))?;
    let (path, row) = (work.source.path.clone(), &work.source.row);
    let (file, room, total) = (fresh.handle()?, work.room.clone(), row.size_bytes.unsigned_abs());
    let thread = Stoppable::spawn("pg_backup export", &work.stop, move |stop| {
        let mut sink = Sink::new(file, &room, stop);
        let failed = |_: &_, e: &std::io::Error| Failure::io("read the archive", e);
        pump(&mut open_file(&path)?, &mut sink, failed)?;
        Ok((sink.written, sink.sha256()))
    })?;
    let (bytes, sha256) = work.copied(total, thread).await?;
    if !row.sha256.is_empty() && sha256 != row.sha256 {
        return Err(damaged(&work.source.path, "has changed since it was written")
            .detail(format!("Its SHA-256 is {sha256}, recorded is {}.", row.sha256)));
    }
    let path = text(&publish(work.context, fresh, false).await?);
    Ok(CopiedOut { path, files: 1, bytes, sha256: Some(sha256) })
}

/// The dump as pg_restore reads it, and the manifest beside it.
async fn dump(work: Work<'_>) -> Result<Vec<CopiedOut>> {
    let member = work.payload()?;
    let beside = manifest_name(&work.source.row.database, work.manifest.created_at.start);
    let bytes = work.archive.read_member(MANIFEST, MANIFEST_MAX)?;
    let beside = OsStr::new(&beside);
    // A job that died between the two names has left its manifest, or the dump was moved away.
    let manifest = match work.parent.holds(beside, &bytes) {
        true => None,
        false => Some(Fresh::file(&work.parent, beside)?),
    };
    let fresh = Fresh::file(&work.parent, OsStr::new(&work.name()))?;
    let (file, room, total) = (fresh.handle()?, work.room.clone(), member.size);
    let path = work.source.path.clone();
    let thread = Stoppable::spawn("pg_backup export", &work.stop, move |stop| {
        let mut sink = Sink::new(file, &room, stop);
        let mut archive = Archive::open(&path)?;
        write_payload(&mut archive, &member, &mut sink)?;
        Ok((sink.written, sink.sha256()))
    })?;
    let (written, sha256) = work.copied(total, thread).await?;
    // The manifest first: where the dump is, there is its manifest.
    let made = match manifest {
        Some(manifest) => Some(write_beside(&work, manifest, &bytes).await?),
        None => None,
    };
    let dump = publish(work.context, fresh, false).await.inspect_err(|_| {
        // Half of it is nothing. We made this file a moment ago.
        made.as_ref().map(std::fs::remove_file);
    })?;
    let copied = |path: &Path, bytes, sha256| CopiedOut {
        path: text(path),
        files: 1,
        bytes,
        sha256: Some(sha256),
    };
    let (beside, size) = (work.parent.path().join(beside), bytes.len() as u64);
    let manifest = copied(&beside, size, hex(&Sha256::digest(&bytes)));
    Ok(vec![copied(&dump, written, sha256), manifest])
}

async fn write_beside(work: &Work<'_>, fresh: Fresh<'_>, bytes: &[u8]) -> Result<PathBuf> {
    let mut sink = Sink::new(fresh.handle()?, &work.room, &work.stop);
    sink.write_all(bytes).map_err(|e| write_failure(&e))?;
    publish(work.context, fresh, false).await
}

/// The decoded dump, held against the manifest.
fn write_payload(archive: &mut Archive, member: &Member, sink: &mut impl Write) -> Result<()> {
    let codec = payload_member(&member.name).map(|(codec, _)| codec);
    let codec = codec.ok_or_else(|| Failure::new(Class::Internal, "not a dump"))?;
    let mut checked = Checked::new(archive.member(&member.name, member.size)?, member);
    decoded(codec, &mut checked, sink)?;
    checked.finish()
}

/// Everything, unpacked: a hot copy.
async fn directory(work: Work<'_>) -> Result<CopiedOut> {
    let fresh = Fresh::folder(&work.parent, OsStr::new(&work.name()))?;
    let pieces = unpacked(pieces(&work.manifest, "")?);
    let total = work.manifest.members.iter().map(|member| member.size).sum();
    let (root, room, path) = (fresh.handle()?, work.room.clone(), work.source.path.clone());
    let thread = Stoppable::spawn("pg_backup export", &work.stop, move |stop| {
        unpack(&mut Archive::open(&path)?, &pieces, &root, true, &room, stop)
    })?;
    let totals = work.copied(total, thread).await?;
    let path = text(&publish(work.context, fresh, true).await?);
    Ok(CopiedOut { path, files: totals.files, bytes: totals.bytes, sha256: None })
}
