//! Packs a directory-format dump while pg_dump writes it with several connections.
//!
//! pg_dump writes one file a table, uncompressed, into a work directory of ours. The kernel tells
//! which files begin and which are closed (inotify); the packer follows one file after the other,
//! also while it grows, compresses it into a member and deletes it: the work directory holds what
//! the packer has not caught up with, not the whole dump.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::pack::{Pack, copy};
use crate::decide::archive_spec::DIRECTORY;
use crate::decide::format::Method;
use crate::error::{Failure, Result};
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::given_up;
use crate::host::archive::writer::{ArchiveWriter, Storage};

/// The table of contents: written last by pg_dump, kept for `pg_restore -l`.
const TOC: &str = "toc.dat";
/// Between two looks at a file that grows.
const PAUSE: Duration = Duration::from_millis(5);
/// Closed files below this are compressed without threads of their own.
const SMALL: u64 = 4 << 20;

/// The directory that pg_dump writes to, watched from before its start.
pub struct Watched {
    path: PathBuf,
    events: Inotify,
    /// Files that began and are not packed, in that order.
    waiting: VecDeque<String>,
    seen: HashSet<String>,
    closed: HashSet<String>,
}

impl Watched {
    /// Creates the directory and watches it.
    pub fn new(path: &Path) -> Result<Watched> {
        let doing = || format!("create work directory \"{}\"", path.display());
        std::fs::create_dir(path).map_err(|e| Failure::io(doing(), &e))?;
        Self::existing(path)
    }

    /// The same for one that is there already, with files in it.
    pub fn existing(path: &Path) -> Result<Watched> {
        let watch = || -> nix::Result<Inotify> {
            let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE;
            events.add_watch(path, flags)?;
            Ok(events)
        };
        let events = watch().map_err(|e| Failure::io("watch the work directory", &e.into()))?;
        Ok(Watched {
            path: path.to_owned(),
            events,
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            closed: HashSet::new(),
        })
    }

    /// Takes what the kernel has to tell; after the end of pg_dump, what lies there.
    fn look(&mut self, ended: bool) -> Result<()> {
        while let Ok(events) = self.events.read_events() {
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    self.list()?;
                }
                let Some(name) = event.name.and_then(|name| name.into_string().ok()) else {
                    continue;
                };
                if event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE) {
                    self.closed.insert(name.clone());
                }
                self.found(name);
            }
        }
        if ended { self.list() } else { Ok(()) }
    }

    fn found(&mut self, name: String) {
        if self.seen.insert(name.clone()) {
            self.waiting.push_back(name);
        }
    }

    fn list(&mut self) -> Result<()> {
        let failure = |e: io::Error| Failure::io("read the work directory", &e);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failure)? {
            names.push(entry.map_err(failure)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        names.into_iter().for_each(|name| self.found(name));
        Ok(())
    }
}

/// Packs every file until pg_dump has `ended` and nothing is left.
pub fn pack(mut pack: Pack, mut watched: Watched, ended: &AtomicBool) -> Result<ArchiveWriter> {
    let tail = pack.tail.clone();
    let packed = (|| {
        loop {
            let all_there = ended.load(Ordering::Relaxed);
            watched.look(all_there)?;
            match watched.waiting.pop_front() {
                Some(name) => file(&mut pack, &mut watched, &name, ended)?,
                None if all_there => break,
                None if tail.is_aborted() => return Err(given_up()),
                None => std::thread::sleep(PAUSE),
            }
        }
        pack.writer.end_payload();
        Ok(pack.writer)
    })();
    packed.inspect_err(|_| tail.abort())
}

fn file(pack: &mut Pack, watched: &mut Watched, name: &str, ended: &AtomicBool) -> Result<()> {
    let path = watched.path.join(name);
    let file = open_file(&path)?;
    let small = watched.closed.contains(name) && file.metadata().is_ok_and(|m| m.len() < SMALL);
    let ours = pack.compression.method == Method::Zstd && is_data(name);
    let ending = if ours { ".zst" } else { "" };
    pack.writer.begin(&format!("{DIRECTORY}{name}{ending}"), Storage::Payload)?;
    let mut growing = Growing { file, name, watched, ended, tail: pack.tail.clone() };
    if ours {
        pack.member(&mut growing, small)?;
    } else {
        copy(&mut growing, &mut pack.writer, &pack.bytes)?;
    }
    pack.writer.end()?;
    if name != TOC {
        std::fs::remove_file(&path).map_err(|e| Failure::io("remove a packed file", &e))?;
    }
    Ok(())
}

/// Data of tables and large objects, not the tables of contents.
fn is_data(name: &str) -> bool {
    name.ends_with(".dat") && name != TOC
}

/// A file that may still grow: it ends where its writer closed it.
struct Growing<'a> {
    file: File,
    name: &'a str,
    watched: &'a mut Watched,
    ended: &'a AtomicBool,
    tail: crate::host::archive::tail::Tail,
}

impl Read for Growing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Closed before this look: what the look does not find will never come.
            let complete =
                self.watched.closed.contains(self.name) || self.ended.load(Ordering::Relaxed);
            let count = self.file.read(buffer)?;
            if count > 0 || complete {
                return Ok(count);
            }
            if self.tail.is_aborted() {
                return Err(io::Error::other(given_up()));
            }
            self.watched.look(false).map_err(io::Error::other)?;
            if !self.watched.closed.contains(self.name) {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::format::Compression;
    use crate::host::archive::tail::Tail;

    #[test]
    fn whoever_waits_sees_every_byte_move_however_it_is_compressed() {
        for method in [Method::None, Method::Gzip, Method::Zstd] {
            let place = tempfile::tempdir().unwrap();
            let dump = place.path().join("dump");
            std::fs::create_dir(&dump).unwrap();
            std::fs::write(dump.join(TOC), [1; 10]).unwrap();
            std::fs::write(dump.join("7.dat"), [2; 1000]).unwrap();
            let file = File::create_new(place.path().join("a.zip")).unwrap();
            let (tail, now) = (Tail::default(), chrono::Utc::now());
            let writer = ArchiveWriter::new(file, place.path().to_owned(), 0, now, tail.clone());
            let bytes = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
            let compression = Compression { method, level: 1 };
            let threads = 0;
            let packing = Pack { writer, compression, threads, bytes: bytes.clone(), tail };
            let watched = Watched::existing(&dump).unwrap();
            pack(packing, watched, &AtomicBool::new(true)).unwrap();
            assert_eq!(bytes.load(Ordering::Relaxed), 1010, "{method:?}");
        }
    }
}
