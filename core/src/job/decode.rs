//! Decodes every byte of an archive's payload and counts the rows that it holds.
//!
//! In: a reader that follows the file, and for a custom-format dump a running pg_restore that
//! turns it into SQL. Out: first the rows per table, then the size and hash of the file as it was
//! read. A dump that ends too early, anywhere, is an error: pg_restore misses its entries, a
//! script its last line, a data file its terminator.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use crate::decide::archive_spec::{Codec, Content, payload_member, table_data_id};
use crate::decide::copy_rows::{DataCounter, RowCounter, TableRows};
use crate::error::{Class, Failure, Result};
use crate::host::archive::follow::{Follow, ReadBack};
use crate::host::custom::MAGIC;
use crate::host::pipe::Batched;

/// zstd windows above 2^24 bytes are refused: levels up to 19 use 2^23 at most.
const ZSTD_WINDOW_LOG: u32 = 24;
/// Moved at once between decoder and sink.
const CHUNK: usize = 256 << 10;

/// What the payload holds.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rows by table, from a script.
    pub tables: Vec<TableRows>,
    /// Rows and bytes by dump id, from the data files of a directory-format dump.
    pub data_files: HashMap<u32, (u64, u64)>,
    /// Payload members that were decoded.
    pub members: usize,
    /// A script need not end as those of pg_dump end.
    by_hand: bool,
}

/// Decodes what `follow` gives and reads on to the end of the file. `restore` takes a
/// custom-format dump. Counts are sent as soon as the payload is through.
pub fn decode(
    mut follow: Follow,
    mut restore: Option<ChildStdin>,
    by_hand: bool,
    counted: &SyncSender<Counts>,
) -> Result<ReadBack> {
    let mut counts = Counts::default();
    while let Some(span) = follow.next_member().map_err(|e| read_failure(&e))? {
        let (codec, content) = payload_member(&span.name).unwrap_or((Codec::Plain, Content::Other));
        let mut reader = decoder(codec, follow.member()).map_err(|e| broken(&span.name, &e))?;
        counts.by_hand = by_hand;
        member(&span.name, content, &mut reader, &mut restore, &mut counts)?;
        io::copy(&mut reader, &mut io::sink()).map_err(|e| broken(&span.name, &e))?;
        counts.members += 1;
    }
    drop(restore);
    // Nobody waits for the counts of an archive that was given up.
    let _ = counted.send(counts);
    follow.finish().map_err(|e| read_failure(&e))
}

/// A reader of decoded bytes.
pub fn decoder<'a>(
    codec: Codec,
    reader: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match codec {
        Codec::Plain => Box::new(reader),
        Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(reader)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

fn member(
    name: &str,
    content: Content,
    reader: &mut dyn Read,
    restore: &mut Option<ChildStdin>,
    counts: &mut Counts,
) -> Result<()> {
    match content {
        Content::CustomDump => {
            // Closed behind the member: pg_restore ends, and with it the count of its script.
            let mut sink = restore.take().ok_or_else(|| no_restore(name))?;
            // As it is in the archive: nothing of ours stands between it and its judge.
            let mut is_tar = None;
            each_chunk(name, reader, |chunk| {
                let is_tar = *is_tar.get_or_insert_with(|| !chunk.starts_with(MAGIC));
                match sink.write_all(chunk) {
                    // It does not read the script that is the last in a tar, and says the rest.
                    Err(error) if is_tar && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    written => written.map_err(|e| sink_failure(&e)),
                }
            })
        }
        Content::Script => {
            let mut counter = RowCounter::new();
            each_chunk(name, reader, |chunk| {
                counter.feed(chunk);
                Ok(())
            })?;
            let trailer = counter.saw_trailer();
            let counted = counter.finish();
            counts.tables = counted.tables;
            match counts.by_hand {
                true if !counted.complete => Err(cut_script()),
                by_hand => ensure_complete(name, counted.complete && (trailer || by_hand)),
            }
        }
        Content::TableData => {
            let mut counter = DataCounter::new();
            each_chunk(name, reader, |chunk| {
                counter.feed(chunk);
                Ok(())
            })?;
            let counted = counter.finish();
            let id = table_data_id(name).unwrap_or_default();
            counts.data_files.insert(id, (counted.rows, counted.bytes));
            ensure_complete(name, counted.complete)
        }
        Content::Other => each_chunk(name, reader, |_| Ok(())),
    }
}

/// Counts the rows in the script that pg_restore writes.
pub fn count_script(script: ChildStdout, moved: &AtomicU64) -> Result<Vec<TableRows>> {
    let mut script = Batched::new(script);
    let mut counter = RowCounter::new();
    each_chunk("database.dump", &mut script, |chunk| {
        moved.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        counter.feed(chunk);
        Ok(())
    })?;
    let trailer = counter.saw_trailer();
    let counted = counter.finish();
    ensure_complete("database.dump", counted.complete && trailer)?;
    Ok(counted.tables)
}

fn each_chunk(
    name: &str,
    reader: &mut dyn Read,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(name, &error)),
        }
    }
}

fn ensure_complete(name: &str, complete: bool) -> Result<()> {
    if complete {
        return Ok(());
    }
    Err(Failure::new(Class::Damaged, format!("member \"{name}\" ends before its end"))
        .detail("The last line that pg_dump writes is not there.")
        .hint("pg_dump stopped early without saying so: look for a full disk or a replaced tool."))
}

/// What is said of a script of somebody that is not whole.
pub fn cut_script() -> Failure {
    Failure::new(Class::Damaged, "the script ends before its end")
        .detail("A statement, or the data of a table, is not complete.")
        .hint("It was cut when it was made or copied. Make it again.")
}

fn broken(name: &str, error: &io::Error) -> Failure {
    if let Some(failure) = Failure::inside(error) {
        return failure;
    }
    Failure::new(Class::Damaged, format!("member \"{name}\" cannot be decoded"))
        .detail(format!("{error}."))
        .hint("The bytes are not what was written. Do not rely on this archive.")
}

fn read_failure(error: &io::Error) -> Failure {
    Failure::inside(error).unwrap_or_else(|| Failure::io("read the archive back", error))
}

/// Of class `ToolFailed`: pg_restore itself can say more.
fn sink_failure(error: &io::Error) -> Failure {
    Failure::new(Class::ToolFailed, "pg_restore stopped reading before the end of the dump")
        .detail(format!("{error}."))
}

fn no_restore(name: &str) -> Failure {
    Failure::new(Class::Damaged, format!("member \"{name}\" was not expected"))
        .hint("An archive holds one dump.")
}
