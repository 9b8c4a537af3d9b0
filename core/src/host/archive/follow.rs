//! Reads an archive behind its writer: every byte of the file goes through the hash, the bytes of
//! payload members are handed out for decoding. What it reads comes back from the file, not from
//! the writer's memory, so that a hash that is equal speaks of the file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::hex;
use super::tail::{Span, Tail};
use super::writer::Written;

/// Read at once; large enough to keep system calls few, small enough to stay in the cache.
const CHUNK: usize = 256 << 10;

/// An archive as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBack {
    /// To compare with what the writer says.
    pub written: Written,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// The reader of a growing archive.
pub struct Follow {
    file: File,
    tail: Tail,
    position: u64,
    hash: Sha256,
    fingerprint: Box<Xxh3>,
    buffer: Vec<u8>,
    /// Counts the bytes that were read, for others to see.
    moved: Arc<AtomicU64>,
}

impl Follow {
    /// Follows `file` from its start, as far as `tail` says; `moved` counts what was read.
    pub fn new(file: File, tail: Tail, moved: Arc<AtomicU64>) -> Self {
        Self {
            file,
            tail,
            position: 0,
            hash: Sha256::new(),
            fingerprint: Box::default(),
            buffer: vec![0; CHUNK],
            moved,
        }
    }

    /// Goes to the next payload member; None at the end of the file's payload.
    pub fn next_member(&mut self) -> io::Result<Option<Span>> {
        let Some(span) = self.tail.next_span()? else { return Ok(None) };
        while self.position < span.start {
            let readable = self.tail.readable(self.position)?.min(span.start);
            self.pass(readable)?;
        }
        Ok(Some(span))
    }

    /// The bytes of the member that `next_member` went to.
    pub fn member(&mut self) -> MemberReader<'_> {
        MemberReader { follow: self }
    }

    /// Reads to the end of the file and gives its size and hashes.
    pub fn finish(mut self) -> io::Result<ReadBack> {
        loop {
            let readable = self.tail.readable(self.position)?;
            if readable == self.position {
                let sha256 = hex(&self.hash.finalize());
                let fingerprint = self.fingerprint.digest128();
                let written = Written { size: self.position, fingerprint };
                return Ok(ReadBack { written, sha256 });
            }
            self.pass(readable)?;
        }
    }

    /// Hashes the bytes up to `end`.
    fn pass(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = (|| {
            while self.position < end {
                self.read_some(&mut buffer, end)?;
            }
            Ok(())
        })();
        self.buffer = buffer;
        result
    }

    fn read_some(&mut self, buffer: &mut [u8], end: u64) -> io::Result<usize> {
        let wanted = (end - self.position).min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(&buffer[..count]);
        self.fingerprint.update(&buffer[..count]);
        self.position += count as u64;
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// One payload member, ending where the writer ended it.
pub struct MemberReader<'a> {
    follow: &'a mut Follow,
}

impl Read for MemberReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.follow.position;
        let end = self.follow.tail.readable_in_span(position)?;
        if end == position { Ok(0) } else { self.follow.read_some(buffer, end) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::writer::{ArchiveWriter, Storage};
    use super::*;

    fn archive(tail: &Tail) -> (tempfile::NamedTempFile, ArchiveWriter) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let handle = file.reopen().unwrap();
        let place = file.path().parent().unwrap().to_owned();
        (file, ArchiveWriter::new(handle, place, 0, chrono::Utc::now(), tail.clone()))
    }

    #[test]
    fn the_reader_behind_the_writer_sees_every_member_and_the_same_hash() {
        let tail = Tail::default();
        let (file, mut writer) = archive(&tail);
        let follow = Follow::new(file.reopen().unwrap(), tail.clone(), Arc::default());
        let reader = std::thread::spawn(move || {
            let (mut follow, mut seen) = (follow, Vec::new());
            while let Some(span) = follow.next_member().unwrap() {
                let mut bytes = Vec::new();
                follow.member().read_to_end(&mut bytes).unwrap();
                seen.push((span.name, bytes));
            }
            (seen, follow.finish().unwrap())
        });
        let large: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
        for (name, bytes) in [("a", &large[..]), ("empty", &[]), ("b", &large[..7])] {
            writer.begin(name, Storage::Payload).unwrap();
            bytes.chunks(70_001).for_each(|chunk| writer.write_all(chunk).unwrap());
            writer.end().unwrap();
        }
        writer.add("manifest.json", b"{}").unwrap();
        let written = writer.finish().unwrap();
        let (seen, read) = reader.join().unwrap();
        assert_eq!(read.written, written);
        assert_eq!(written.size, file.path().metadata().unwrap().len());
        let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "empty", "b"]);
        assert!(seen[0].1 == large && seen[1].1.is_empty() && seen[2].1 == large[..7]);
    }

    #[test]
    fn giving_up_wakes_the_reader_and_stops_the_writer() {
        let tail = Tail::default();
        let (file, mut writer) = archive(&tail);
        let mut follow = Follow::new(file.reopen().unwrap(), tail.clone(), Arc::default());
        let reader = std::thread::spawn(move || follow.next_member().is_err());
        tail.abort();
        assert!(reader.join().unwrap());
        assert!(writer.begin("a", Storage::Payload).is_err());
    }
}
