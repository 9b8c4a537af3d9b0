//! Reads an archive in chunks, to be sent to a client.
//!
//! In: an open archive and the size that its row tells. Out: ranges to read. Must hold: what is
//! read is one file from the first to the last byte: it is opened once, and one that changes
//! meanwhile is an error.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::archive::reader::{damaged, open_file};
use crate::error::{Class, Failure, Result};

/// The smallest and the largest chunk, bytes. The largest is far below the 1 GB that a value of
/// PostgreSQL may have, as text needs twice the bytes, and so that memory stays small.
pub const CHUNK_RANGE: std::ops::RangeInclusive<i32> = 1024..=16 << 20;

/// An archive on its way to a client.
#[derive(Debug)]
pub struct Download {
    file: File,
    path: std::path::PathBuf,
    size: u64,
    stamp: Stamp,
    chunk: u64,
    /// The chunk that comes next.
    next: u64,
}

/// What changes with a file: inode, size, time of the last change.
type Stamp = (u64, u64, i64, i64);

/// A chunk: its number, where it begins, its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    pub number: u64,
    pub at: u64,
    pub length: usize,
}

impl Download {
    /// Opens the archive at `path`, which has to have `size` bytes, to be read from chunk `first`
    /// on.
    ///
    /// Errors: those of [`open_file`], `Damaged` for another size, `InvalidArgument`.
    pub fn open(path: &Path, size: u64, chunk_bytes: i32, first: i64) -> Result<Self> {
        let refused = |what: &str| Failure::new(Class::InvalidArgument, what);
        if !CHUNK_RANGE.contains(&chunk_bytes) {
            let (least, most) = (CHUNK_RANGE.start(), CHUNK_RANGE.end());
            return Err(refused("invalid chunk_bytes")
                .detail(format!("It is {chunk_bytes}, allowed are {least} to {most}."))
                .hint("Leave it out for the default."));
        }
        let next = u64::try_from(first).map_err(|_| {
            refused("from_chunk must not be negative").hint("The first chunk has the number 0.")
        })?;
        let file = open_file(path)?;
        let stamp = stamp(&file, path)?;
        if stamp.1 != size {
            return Err(damaged(path, "does not have the size that it was written with")
                .detail(format!("It has {} bytes, recorded are {size}.", stamp.1)));
        }
        Ok(Self { file, path: path.to_owned(), size, stamp, chunk: chunk_bytes as u64, next })
    }

    /// The chunk to read now; None at the end. Errors: `Damaged` when the file was changed.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        if stamp(&self.file, &self.path)? != self.stamp {
            return Err(self.changed());
        }
        let at = self.next.saturating_mul(self.chunk);
        if at >= self.size {
            return Ok(None);
        }
        let chunk =
            Chunk { number: self.next, at, length: self.chunk.min(self.size - at) as usize };
        self.next += 1;
        Ok(Some(chunk))
    }

    /// The file to read it from.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The failure of reading a chunk.
    pub fn failure(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.changed(),
            _ => Failure::io(format_args!("read archive \"{}\"", self.path.display()), error),
        }
    }

    /// The bytes of a chunk.
    pub fn read(&self, chunk: Chunk) -> Result<Vec<u8>> {
        let mut bytes = vec![0; chunk.length];
        let read = self.file.read_exact_at(&mut bytes, chunk.at);
        read.map(|()| bytes).map_err(|e| self.failure(&e))
    }

    fn changed(&self) -> Failure {
        damaged(&self.path, "was changed while it was read")
    }
}

fn stamp(file: &File, path: &Path) -> Result<Stamp> {
    let meta: Metadata = file
        .metadata()
        .map_err(|e| Failure::io(format_args!("look at archive \"{}\"", path.display()), &e))?;
    Ok((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn archive(size: usize) -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let bytes: Vec<u8> = (0..size).map(|i| ((i * 31) >> 3) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        (folder, path, bytes)
    }

    fn all(mut download: Download) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut chunks = Vec::new();
        while let Some(chunk) = download.next_chunk()? {
            chunks.push((chunk.number, download.read(chunk)?));
        }
        Ok(chunks)
    }

    #[test]
    fn chunks_are_the_file_whatever_their_size() {
        let (_folder, path, bytes) = archive(5000);
        for (chunk, count) in [(1024, 5), (2500, 2), (5000, 1), (5001, 1)] {
            let chunks = all(Download::open(&path, 5000, chunk, 0).unwrap()).unwrap();
            assert_eq!(chunks.len(), count, "{chunk}");
            assert!(chunks.iter().enumerate().all(|(at, (number, _))| at as u64 == *number));
            assert_eq!(chunks.into_iter().flat_map(|(_, data)| data).collect::<Vec<_>>(), bytes);
        }
    }

    #[test]
    fn a_download_goes_on_where_another_one_broke() {
        let (_folder, path, bytes) = archive(5000);
        let rest = all(Download::open(&path, 5000, 1024, 3).unwrap()).unwrap();
        assert_eq!(rest[0], (3, bytes[3072..4096].to_vec()));
        for beyond in [5, 6, i64::MAX] {
            assert_eq!(all(Download::open(&path, 5000, 1024, beyond).unwrap()), Ok(vec![]));
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_an_error() {
        let (_folder, path, _) = archive(5000);
        for change in [|p: &Path| fs::write(p, vec![1; 5000]), |p: &Path| fs::write(p, "short")] {
            fs::write(&path, vec![0; 5000]).unwrap();
            let old = std::time::SystemTime::UNIX_EPOCH;
            File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            let mut download = Download::open(&path, 5000, 1024, 0).unwrap();
            download.next_chunk().unwrap();
            change(&path).unwrap();
            let failure = download.next_chunk().unwrap_err();
            assert!(failure.message.contains("was changed"), "{failure:?}");
        }
    }

    #[test]
    fn wrong_sizes_and_numbers_are_refused() {
        let (_folder, path, _) = archive(5000);
        let class =
            |size, chunk, first| Download::open(&path, size, chunk, first).unwrap_err().class;
        assert_eq!(class(5001, 1024, 0), Class::Damaged);
        assert_eq!(class(5000, 1023, 0), Class::InvalidArgument);
        assert_eq!(class(5000, (16 << 20) + 1, 0), Class::InvalidArgument);
        assert_eq!(class(5000, -1, 0), Class::InvalidArgument);
        assert_eq!(class(5000, 1024, -1), Class::InvalidArgument);
        assert_eq!(
            Download::open(&path.with_extension("none"), 1, 1024, 0).unwrap_err().class,
            Class::UndefinedFile
        );
    }
}
