//! Moves what pg_dump writes to its standard output into one member of the archive, compressed
//! by us where pg_dump does not do it itself.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decide::format::{Compression, Method};
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::Tail;
use crate::host::archive::writer::{ArchiveWriter, Storage, archive_failure};
use crate::host::threads;

/// Moved at once.
const CHUNK: usize = 256 << 10;
/// Input of one zstd job. The library's own choice (four windows, 8 MiB at level 3) would keep
/// some 60 MB in flight; with 2 MiB the archive grows by less than one percent.
const ZSTD_JOB: u32 = 2 << 20;

/// The writing half of a dump.
pub struct Pack {
    pub writer: ArchiveWriter,
    pub compression: Compression,
    pub threads: u32,
    /// Bytes taken from pg_dump, for others to see.
    pub bytes: Arc<AtomicU64>,
    pub tail: Tail,
}

/// Sends the archive at `path` to the disk while it grows, so that publishing does not wait for all
/// of it at once. It is opened anew: a failed write is told once to each who has opened the file,
/// and has to be told to who syncs it for good (fsync(2), since Linux 4.13).
pub fn flush(path: &Path, tail: &Tail) -> Result<()> {
    /// Large against one request of the disk, small against what a second of dump writes.
    const STEP: u64 = 16 << 20;
    let (file, tail) = (open_file(path)?, tail.clone());
    let flush = move || {
        let mut wanted = STEP;
        while let Ok((written, false)) = tail.grown_to(wanted) {
            if file.sync_data().is_err() {
                break;
            }
            wanted = written + STEP;
        }
    };
    threads::spawn("pg_backup flush", flush).map(drop)
}

/// Packs a stream as member `name`. On failure the reader behind is told to stop.
pub fn stream(mut pack: Pack, name: &str, source: impl Read) -> Result<ArchiveWriter> {
    let tail = pack.tail.clone();
    let packed = (|| {
        pack.writer.begin(name, Storage::Payload)?;
        pack.member(source, false)?;
        pack.writer.end()?;
        pack.writer.end_payload();
        Ok(pack.writer)
    })();
    packed.inspect_err(|_| tail.abort())
}

impl Pack {
    /// Moves `reader` into the open member. `small` inputs are compressed on this thread.
    pub fn member(&mut self, reader: impl Read, small: bool) -> Result<()> {
        match self.compression.method {
            Method::Zstd => self.compressed(reader, small),
            Method::None | Method::Gzip => {
                copy(reader, &mut self.writer, &self.bytes)?;
                Ok(())
            }
        }
    }

    fn compressed(&mut self, reader: impl Read, small: bool) -> Result<()> {
        let explain = |error| archive_failure(&error);
        let level = self.compression.level;
        let mut encoder = zstd::Encoder::new(&mut self.writer, level).map_err(explain)?;
        encoder.include_checksum(true).map_err(explain)?;
        if self.threads > 0 && !small {
            use zstd::zstd_safe::CParameter;
            encoder.multithread(self.threads).map_err(explain)?;
            encoder.set_parameter(CParameter::JobSize(ZSTD_JOB)).map_err(explain)?;
        }
        copy(reader, &mut encoder, &self.bytes)?;
        encoder.finish().map_err(explain)?;
        Ok(())
    }
}

/// Counts what it copies in `bytes`: whoever waits sees that something moves.
pub fn copy(mut reader: impl Read, writer: &mut impl Write, bytes: &AtomicU64) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                writer.write_all(&buffer[..count]).map_err(|e| archive_failure(&e))?;
                bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::inside(&error).unwrap_or_else(|| {
                    Failure::new(Class::ToolFailed, "could not read from pg_dump")
                        .detail(format!("{error}."))
                }));
            }
        }
    }
}
