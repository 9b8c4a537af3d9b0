//! Writes an archive as one stream: zip members one after the other, the SHA-256 of every member
//! and a fingerprint of the file on the way, the free space watched. Sizes come behind the data
//! (data descriptors), so nothing is ever written twice and the fingerprint of the stream is the
//! file's.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};
use zip::{CompressionMethod, DateTime};

use super::hex;
pub use super::storage::{Meta, Storage};
use super::structure;
use super::tail::{Tail, given_up};
use crate::decide::manifest::Member;
use crate::error::{Class, Failure, Result};
use crate::host::space::free_bytes;

/// Free space is looked at once in so many bytes.
const SPACE_EVERY: u64 = 4 << 20;
/// The reader hears of progress once in so many bytes.
const TELL_EVERY: u64 = 128 << 10;
/// Deflate level of the small members.
const DEFLATE_LEVEL: i64 = 6;

/// What a finished archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub size: u64,
    /// XXH3, 128 bits: tells whether the same bytes come back, at a tenth of the cost of a
    /// SHA-256, which the reader computes from what it reads.
    pub fingerprint: u128,
}

/// An archive under way.
pub struct ArchiveWriter {
    /// None once it is finished.
    zip: Option<ZipWriter<StreamWriter<HashedFile>>>,
    abandoned: Arc<AtomicBool>,
    position: Arc<AtomicU64>,
    tail: Tail,
    member: Option<OpenMember>,
    members: Vec<Member>,
    name_bytes: usize,
    modified: DateTime,
    sink: Arc<std::sync::Mutex<Xxh3>>,
}

struct OpenMember {
    name: String,
    storage: Storage,
    start: u64,
    size: u64,
    hash: Sha256,
}

impl ArchiveWriter {
    /// A writer to `file`, whose free space is watched at `place` and kept above `reserve` bytes.
    pub fn new(
        file: File,
        place: PathBuf,
        reserve: u64,
        modified: chrono::DateTime<chrono::Utc>,
        tail: Tail,
    ) -> Self {
        let position = Arc::new(AtomicU64::new(0));
        let sink = Arc::new(std::sync::Mutex::new(Xxh3::new()));
        let abandoned = Arc::new(AtomicBool::new(false));
        let file = HashedFile {
            abandoned: abandoned.clone(),
            file,
            hash: sink.clone(),
            position: position.clone(),
            told: 0,
            next_space: 0,
            place,
            reserve,
            tail: tail.clone(),
        };
        let modified = DateTime::try_from(modified.naive_utc()).unwrap_or_default();
        let zip = ZipWriter::new_stream(file);
        Self {
            zip: Some(zip),
            abandoned,
            position,
            tail,
            member: None,
            members: Vec::new(),
            name_bytes: 0,
            modified,
            sink,
        }
    }

    /// Begins a member. Errors: a name, or so many members, that no reader would take.
    pub fn begin(&mut self, name: &str, storage: Storage) -> Result<()> {
        self.begin_file(name, storage, Meta::default())
    }

    /// Begins a member that has permissions and a time of its own.
    pub fn begin_file(&mut self, name: &str, storage: Storage, meta: Meta) -> Result<()> {
        let modified = meta.modified.and_then(|m| DateTime::try_from(m.naive_utc()).ok());
        let options = SimpleFileOptions::default()
            .large_file(true)
            .unix_permissions(meta.mode)
            .last_modified_time(modified.unwrap_or(self.modified));
        let options = match storage {
            Storage::Payload | Storage::Stored => {
                options.compression_method(CompressionMethod::Stored)
            }
            Storage::Deflated => options
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(DEFLATE_LEVEL)),
        };
        structure::check_next(self.members.len(), self.name_bytes, name)?;
        self.name_bytes += name.len();
        self.zip()?.start_file(name, options).map_err(zip_failure)?;
        let start = self.position.load(Ordering::Relaxed);
        if storage == Storage::Payload {
            self.tail.open(name, start);
        }
        let hash = Sha256::new();
        self.member = Some(OpenMember { name: name.to_owned(), storage, start, size: 0, hash });
        Ok(())
    }

    /// Ends the member that is open.
    pub fn end(&mut self) -> Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        if member.storage == Storage::Payload {
            self.tail.close(member.start + member.size);
        }
        let sha256 = hex(&member.hash.finalize());
        self.members.push(Member { name: member.name, size: member.size, sha256 });
        Ok(())
    }

    /// All payload members are written.
    pub fn end_payload(&mut self) {
        self.tail.end_payload();
    }

    /// A whole small member.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.begin(name, Storage::Deflated)?;
        self.write_all(bytes).map_err(|e| archive_failure(&e))?;
        self.end()
    }

    fn zip(&mut self) -> Result<&mut ZipWriter<StreamWriter<HashedFile>>> {
        self.zip.as_mut().ok_or_else(finished)
    }

    /// Members that are complete, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Writes the directory of the zip and gives the size and fingerprint of the file. The file is
    /// not synced: that belongs to publishing.
    pub fn finish(mut self) -> Result<Written> {
        let zip = self.zip.take().ok_or_else(finished)?;
        zip.finish().map_err(zip_failure)?;
        let size = self.position.load(Ordering::Relaxed);
        let fingerprint = lock(&self.sink).digest128();
        self.tail.finish(size);
        Ok(Written { size, fingerprint })
    }
}

/// The zip library ends its file when it is dropped, and complains on standard error, which is
/// the server's log, when it cannot: let it write into nothing.
impl Drop for ArchiveWriter {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

fn finished() -> Failure {
    Failure::new(Class::Internal, "the archive is finished already")
}

impl Write for ArchiveWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.zip().map_err(io::Error::other)?.write_all(bytes)?;
        if let Some(member) = &mut self.member {
            member.hash.update(bytes);
            member.size += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn zip_failure(error: ZipError) -> Failure {
    match error {
        ZipError::Io(error) => archive_failure(&error),
        other => Failure::new(Class::Internal, format!("could not write the archive: {other}")),
    }
}

/// The failure behind an error of writing the archive.
pub fn archive_failure(error: &io::Error) -> Failure {
    if let Some(failure) = Failure::inside(error) {
        return failure;
    }
    let failure = Failure::io("write the archive", error);
    match failure.class {
        Class::DiskFull => failure.hint(
            "Free space in pg_backup.directory, or point it to another file system; nothing \
             was kept of this backup.",
        ),
        _ => failure,
    }
}

fn lock(hash: &std::sync::Mutex<Xxh3>) -> std::sync::MutexGuard<'_, Xxh3> {
    hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The file below the zip: hashes and counts what goes through, and stops before the reserve.
struct HashedFile {
    /// Nobody wants what is still to be written.
    abandoned: Arc<AtomicBool>,
    file: File,
    hash: Arc<std::sync::Mutex<Xxh3>>,
    position: Arc<AtomicU64>,
    told: u64,
    next_space: u64,
    place: PathBuf,
    reserve: u64,
    tail: Tail,
}

impl HashedFile {
    fn check_space(&mut self, position: u64) -> io::Result<()> {
        if self.reserve == 0 || position < self.next_space {
            return Ok(());
        }
        self.next_space = position + SPACE_EVERY;
        let free = free_bytes(&self.place).map_err(io::Error::other)?;
        if free >= self.reserve {
            return Ok(());
        }
        Err(io::Error::other(
            Failure::new(Class::DiskFull, "the backup directory is running out of space")
                .detail(format!(
                    "{free} bytes are free, pg_backup.min_free_space keeps {} bytes.",
                    self.reserve
                ))
                .hint(
                    "Free space, point pg_backup.directory to another file system, or lower \
                       pg_backup.min_free_space; nothing was kept of this backup.",
                ),
        ))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Ok(bytes.len());
        }
        if self.tail.is_aborted() {
            return Err(io::Error::other(given_up()));
        }
        self.check_space(self.position.load(Ordering::Relaxed))?;
        self.file.write_all(bytes)?;
        lock(&self.hash).update(bytes);
        let position =
            self.position.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if position >= self.told + TELL_EVERY {
            self.told = position;
            self.tail.advance(position);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
