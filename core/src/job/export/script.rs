//! A script for psql, compressed by gzip: a plain dump as it is, any other by pg_restore, which is
//! connected to nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::ChildStdin;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Work, write_payload};
use crate::decide::archive_spec::{Content, DIRECTORY, payload_member};
use crate::decide::dump_plan::pg_restore_script;
use crate::decide::manifest::Member;
use crate::decide::pieces::{pieces, unpacked};
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::child::{Child, Stdin, Tool};
use crate::host::fresh::Fresh;
use crate::host::pipe::Batched;
use crate::host::stoppable::{Stop, Stoppable};
use crate::job::CopiedOut;
use crate::job::copied_out::{Room, Sink, publish, pump, text, unpack, write_failure};
use crate::job::tools::tool;
use crate::job::wait::until;

/// A script that was written: bytes and SHA-256 of the file.
type Written = (u64, String);

/// Writes the script.
pub(super) async fn script(work: Work<'_>) -> Result<CopiedOut> {
    let fresh = Fresh::file(&work.parent, OsStr::new(&work.name()))?;
    let file = fresh.handle()?;
    let (bytes, sha256) = match work.manifest.dump.format.as_str() {
        "directory" => of_directory(&work, file).await?,
        _ => {
            let member = work.payload()?;
            match payload_member(&member.name).map(|(_, content)| content) {
                Some(Content::CustomDump) => of_custom(&work, member, file).await?,
                Some(Content::Script) => of_plain(&work, member, file).await?,
                _ => return Err(unknown(&member)),
            }
        }
    };
    let path = text(&publish(work.context, fresh, false).await?);
    Ok(CopiedOut { path, files: 1, bytes, sha256: Some(sha256) })
}

fn unknown(member: &Member) -> Failure {
    let name = member.name.escape_debug();
    let message = format!("the dump \"{name}\" cannot be turned into a script");
    Failure::new(Class::InvalidArgument, message)
        .hint("Use layout => 'zip' or 'directory', which take every archive.")
}

async fn of_plain(work: &Work<'_>, member: Member, file: File) -> Result<Written> {
    let (path, room, total) = (work.source.path.clone(), work.room.clone(), member.size);
    let thread = Stoppable::spawn("pg_backup export", &work.stop, move |stop| {
        let mut archive = Archive::open(&path)?;
        let mut gzip = GzEncoder::new(Sink::new(file, &room, stop), Compression::default());
        write_payload(&mut archive, &member, &mut gzip)?;
        finished(gzip)
    })?;
    work.copied(total, thread).await
}

/// Through pg_restore, whose input is held against the manifest.
async fn of_custom(work: &Work<'_>, member: Member, file: File) -> Result<Written> {
    let restore = tool(work.context, "pg_restore", pg_restore_script(), Vec::new());
    let restore = Tool { stdin: Stdin::Pipe, ..restore };
    let (path, total) = (work.source.path.clone(), member.size);
    // A stop of its own: progress is counted where the script is written.
    let fed = Stop::default();
    restored(work, file, total, restore, |stdin| {
        let feed =
            Stoppable::spawn("pg_backup feed", &fed, move |stop| feed(path, member, stdin, stop))?;
        Ok(Some(feed))
    })
    .await
}

fn feed(path: PathBuf, member: Member, stdin: Option<ChildStdin>, stop: &Stop) -> Result<()> {
    let Some(stdin) = stdin else { return Err(Failure::new(Class::Internal, "no pipe")) };
    let mut archive = Archive::open(&path)?;
    let mut pipe = Pipe { stdin: Some(stdin), stop };
    write_payload(&mut archive, &member, &mut pipe)
}

/// pg_restore's input. When it reads no further, what is left is read all the same: whether the
/// member is what was written is told by all of it, and how pg_restore ended tells the rest.
struct Pipe<'a> {
    stdin: Option<ChildStdin>,
    stop: &'a Stop,
}

impl std::io::Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stop.moved(bytes.len()).map_err(std::io::Error::other)?;
        if self.stdin.as_mut().is_some_and(|stdin| stdin.write_all(bytes).is_err()) {
            self.stdin = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From the unpacked files, because pg_restore goes back and forth in them.
async fn of_directory(work: &Work<'_>, file: File) -> Result<Written> {
    let folder = Fresh::folder(&work.parent, OsStr::new(&format!("{}.work", work.name())))?;
    let dump = unpacked(pieces(&work.manifest, DIRECTORY)?);
    let (root, room, path) = (folder.handle()?, work.room.clone(), work.source.path.clone());
    let total = work.manifest.members.iter().map(|member| member.size).sum::<u64>();
    let unpacking = Stoppable::spawn("pg_backup unpack", &work.stop, move |stop| {
        unpack(&mut Archive::open(&path)?, &dump, &root, true, &room, stop)
    })?;
    work.copied(total, unpacking).await?;
    let mut args = pg_restore_script();
    args.push("--format=directory".into());
    args.push(OsString::from(folder.partial_path()));
    let restore = tool(work.context, "pg_restore", args, Vec::new());
    restored(work, file, total, restore, |_| Ok(None)).await
}

/// Runs pg_restore and compresses what it writes.
async fn restored(
    work: &Work<'_>,
    file: File,
    total: u64,
    restore: Tool,
    start: impl FnOnce(Option<ChildStdin>) -> Result<Option<Stoppable<()>>>,
) -> Result<Written> {
    // Declared first, it goes last: a child that has ended lets go of the thread that feeds it.
    let mut feed;
    let mut child = Child::spawn(&restore, work.context.harden)?;
    feed = start(child.take_stdin())?;
    let (stdout, room) = (child.take_stdout(), work.room.clone());
    let writing = Stoppable::spawn("pg_backup export", &work.stop, move |stop| {
        let stdout = stdout.ok_or_else(|| Failure::new(Class::Internal, "no pipe"))?;
        compress(Batched::new(stdout), file, &room, stop)
    })?;
    let written = work.copied(total, writing).await?;
    if let Some(feed) = &mut feed {
        until(work.context.control, || feed.try_join()).await?;
    }
    let outcome = until(work.context.control, || child.try_wait()).await?;
    match outcome.success() {
        true => Ok(written),
        false => Err(outcome.into_failure("turn the dump into a script")),
    }
}

fn compress(mut script: impl Read, file: File, room: &Room, stop: &Stop) -> Result<Written> {
    let mut gzip = GzEncoder::new(Sink::new(file, room, stop), Compression::default());
    let failed = |_: &_, e: &std::io::Error| Failure::io("read from pg_restore", e);
    pump(&mut script, &mut gzip, failed)?;
    finished(gzip)
}

fn finished(gzip: GzEncoder<Sink<'_>>) -> Result<Written> {
    let mut sink = gzip.finish().map_err(|e| write_failure(&e))?;
    Ok((sink.written, sink.sha256()))
}
