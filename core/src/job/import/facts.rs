//! What a dump tells of the database that it is of.
//!
//! In: the table of contents (`pg_restore --list`), the script that pg_restore makes of the dump,
//! or the script itself; the metadata of Tracearr. What nobody tells stays empty: a restore then
//! takes what this server has.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Work, too_new};
use crate::decide::archive_spec::{CONTENTS_MAX, Codec};
use crate::decide::dump_plan::{pg_restore_list, pg_restore_script};
use crate::decide::import::Kind;
use crate::decide::progress::Phase;
use crate::decide::script::facts::{Facts as Told, Reader};
use crate::error::{Class, Failure, Result};
use crate::host::archive::range::RangeReader;
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::Tail;
use crate::host::child::{Child, Stdin, Tool};
use crate::host::pipe::Batched;
use crate::host::source;
use crate::host::threads;
use crate::job::decode::{cut_script, decoder};
use crate::job::tools::{output, tool};
use crate::job::wait::until;

/// So much of a script is looked at for the name of its database.
const HEAD_MAX: u64 = 256 << 10;
/// Moved at once.
const CHUNK: usize = 256 << 10;
/// Endings that are no part of a database's name.
const ENDINGS: [&str; 8] = [".zip", ".gz", ".zst", ".sql", ".dump", ".tar", ".backup", ".meta"];

/// What is known beside the dump's own script.
#[derive(Debug, Default)]
pub struct Known {
    /// The text of `pg_restore --list`.
    pub list: Option<Vec<u8>>,
    /// What the head of a script tells.
    pub head: Told,
    pub metadata: Option<Value>,
    /// When the file was written.
    pub modified: Option<DateTime<Utc>>,
}

/// What the first lines of a script tell.
pub fn head(codec: Codec, file: File) -> Result<Told> {
    let failed = |e: std::io::Error| Failure::io("read the file", &e);
    let mut bytes = Vec::new();
    let reader = decoder(codec, file).and_then(source::without_mark).map_err(failed)?;
    reader.take(HEAD_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let mut reader = Reader::default();
    reader.feed(&bytes);
    Ok(reader.finish().0)
}

/// The table of contents of a dump in custom or tar format.
pub async fn list(work: &Work<'_>, dump: impl Read + Send + 'static) -> Result<Vec<u8>> {
    let list = tool(work.context, "pg_restore", pg_restore_list(None), Vec::new());
    let feed: Option<Box<dyn Read + Send>> = Some(Box::new(dump));
    let listed = output(work.context, &list, feed, CONTENTS_MAX, "list the dump").await;
    listed.map_err(damaged)
}

fn damaged(failure: Failure) -> Failure {
    let class = if failure.class == Class::ToolFailed { Class::Damaged } else { failure.class };
    too_new(Failure { class, ..failure })
}

/// The name of the database: as the dump tells it, else that of the file.
pub fn database(import: &crate::decide::request::Import, known: &Known) -> String {
    let list = known.list.as_deref().map(String::from_utf8_lossy);
    let told = list.as_deref().and_then(|list| line(list, "dbname"));
    told.map(str::to_owned).or_else(|| known.head.database.clone()).unwrap_or_else(|| {
        let name = import.filename.rsplit('/').find(|part| !part.is_empty());
        let mut name = name.unwrap_or("imported");
        while let Some(stem) = ENDINGS.iter().find_map(|end| name.strip_suffix(end)) {
            name = stem;
        }
        crate::decide::naming::cut_name(if name.is_empty() { "imported" } else { name }, "")
    })
}

/// The value of a line `;     key: value` of the list's head.
pub fn line<'t>(list: &'t str, key: &str) -> Option<&'t str> {
    list.lines().take_while(|line| line.starts_with(';')).find_map(|line| {
        let (found, value) = line.trim_start_matches([';', ' ']).split_once(": ")?;
        (found == key).then(|| value.trim())
    })
}

/// What the payload of an archive tells: reads all of it once more, as a script.
pub async fn of_payload(work: &Work<'_>, path: &Path, tail: &Tail, kind: Kind) -> Result<Told> {
    work.show(Phase::Verifying);
    let (name, start, end) = tail
        .last_closed()
        .ok_or_else(|| Failure::new(Class::Internal, "the dump has no end yet"))?;
    let range = RangeReader::new(open_file(path)?, start, end);
    let codec = crate::decide::archive_spec::payload_member(&name).map(|(codec, _)| codec);
    let reader = decoder(codec.unwrap_or(Codec::Plain), range);
    let reader = reader.map_err(|e| Failure::io("read the archive", &e))?;
    if kind != Kind::Script {
        return restored(work, pg_restore_script(), Some(Box::new(reader))).await;
    }
    let moved = work.moved.clone();
    let (told, whole) = work.beside(move || read(reader, &moved)).await?;
    ensure_usable(&told, whole)?;
    Ok(told)
}

/// What a dump in directory format tells.
pub async fn of_directory(work: &Work<'_>, dump: &Path) -> Result<Told> {
    work.show(Phase::Verifying);
    let mut args = pg_restore_script();
    args.extend(["--format=directory".into(), "--".into(), dump.into()]);
    restored(work, args, None).await
}

/// The script that pg_restore makes of a dump.
async fn restored(
    work: &Work<'_>,
    args: Vec<std::ffi::OsString>,
    feed: Option<Box<dyn Read + Send>>,
) -> Result<Told> {
    let tool = tool(work.context, "pg_restore", args, Vec::new());
    let stdin = if feed.is_some() { Stdin::Pipe } else { Stdin::Null };
    let mut child = Child::spawn(&Tool { stdin, ..tool }, work.context.harden)?;
    let feeder = match (feed, child.take_stdin()) {
        (Some(feed), Some(sink)) => Some(feeding(feed, sink)?),
        _ => None,
    };
    let out = child.take_stdout();
    let out = out.ok_or_else(|| Failure::new(Class::Internal, "pg_restore has no output"))?;
    let moved = work.moved.clone();
    let read = work.beside(move || read(Batched::new(out), &moved)).await;
    let outcome = until(work.context.control, || child.try_wait()).await?;
    if let Some(feeder) = feeder {
        threads::join(feeder)?;
    }
    if !outcome.success() {
        return Err(damaged(outcome.into_failure("read the dump")));
    }
    Ok(read?.0)
}

fn feeding(
    mut feed: Box<dyn Read + Send>,
    mut sink: std::process::ChildStdin,
) -> Result<std::thread::JoinHandle<()>> {
    threads::spawn("pg_backup feed", move || {
        let mut buffer = vec![0; CHUNK];
        // One that stops reading early is judged by how it ends.
        while let Ok(count @ 1..) = feed.read(&mut buffer) {
            if sink.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

fn read(script: impl Read, moved: &std::sync::atomic::AtomicU64) -> Result<(Told, bool)> {
    let mut reader = Reader::default();
    let room = source::Room {
        place: "/".into(),
        reserve: 0,
        moved: std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)),
    };
    let script = source::without_mark(script);
    let script = script.map_err(|e| Failure::io("read the script", &e))?;
    source::copy(script, Feed { reader: &mut reader, moved }, &room)?;
    Ok(reader.finish())
}

/// What is written here is read as a script.
struct Feed<'a> {
    reader: &'a mut Reader,
    moved: &'a std::sync::atomic::AtomicU64,
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.reader.feed(bytes);
        self.moved.fetch_add(bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A script that a restore could not run is refused now.
fn ensure_usable(told: &Told, whole: bool) -> Result<()> {
    if told.is_cluster || told.connects > 1 {
        return Err(Failure::new(Class::NotReady, "the script holds several databases")
            .detail("It is what pg_dumpall writes.")
            .hint("Dump each database with pg_dump, or split the script at its \\connect lines."));
    }
    if !whole || (told.is_of_pg_dump && !told.is_complete) {
        return Err(cut_script());
    }
    Ok(())
}
