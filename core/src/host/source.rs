//! Files of others that are read once, to be taken over: opened where they are said to be, or not
//! at all.
//!
//! In: an absolute path without any symbolic link, as the caller has resolved it. Out: an open
//! regular file or directory. What must hold: whatever is put in its way meanwhile, nothing else
//! is read; a FIFO or a device does not hang us.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use super::archive::hex;
use super::dir::kind;
use super::space::free_bytes;
use crate::error::{Class, Failure, Result};

/// Moved at once.
const CHUNK: usize = 256 << 10;
/// Free space is looked at once in so many bytes.
const SPACE_EVERY: u64 = 4 << 20;
/// Most files of a directory: two for each of 500,000 tables.
pub const MAX_FILES: usize = 1_000_000;

/// What lies at a path.
#[derive(Debug)]
pub enum Source {
    File(File),
    Directory(File),
}

/// Opens what lies at `path`.
///
/// Errors: `UndefinedFile`, `Io` (no permission, a symbolic link in the path), `InvalidArgument`
/// for what is neither a file nor a directory.
pub fn open(path: &Path) -> Result<Source> {
    let doing = || format!("open \"{}\"", path.display());
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    // Looked at first: opening a device may do something.
    let found = fs::symlink_metadata(path).map_err(|e| Failure::io(doing(), &e))?;
    if !found.is_file() && !found.is_dir() {
        let what = kind(found.file_type());
        let message = format!("\"{}\" is {what}", path.display());
        return Err(Failure::new(Class::InvalidArgument, message)
            .hint("Give a regular file, or the directory of a dump."));
    }
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|e| Failure::io(doing(), &e))?;
    let is = fs::read_link(handle(&file)).map_err(|e| Failure::io(doing(), &e))?;
    if is != path {
        let message = format!("\"{}\" is not where it was looked for", path.display());
        return Err(Failure::new(Class::Io, message)
            .detail(format!("It was found at \"{}\".", is.display()))
            .hint("Somebody has changed the path meanwhile. Try again."));
    }
    let meta = file.metadata().map_err(|e| Failure::io(doing(), &e))?;
    match (meta.is_file(), meta.is_dir()) {
        (true, _) => Ok(Source::File(file)),
        (_, true) => Ok(Source::Directory(file)),
        _ => Err(Failure::new(Class::InvalidArgument, "it is no regular file any more")),
    }
}

/// Names of what lies in an open directory, sorted.
///
/// Errors: `LimitExceeded` beyond [`MAX_FILES`], else those of `readdir(3)`.
pub fn names(directory: &File) -> Result<Vec<String>> {
    let failed = |e: io::Error| Failure::io("read the directory", &e);
    let mut names = Vec::new();
    for entry in fs::read_dir(handle(directory)).map_err(failed)? {
        if names.len() == MAX_FILES {
            let message = format!("more than {MAX_FILES} files in the directory");
            return Err(Failure::new(Class::LimitExceeded, message));
        }
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where copies go: how much is to stay free, and a count for others to see.
#[derive(Debug, Clone)]
pub struct Room {
    pub place: PathBuf,
    pub reserve: u64,
    pub moved: Arc<AtomicU64>,
}

/// Copies all of a stream. Gives its SHA-256, hexadecimal, and its size.
///
/// Errors: `DiskFull` before the reserve is touched, else those of reading and writing.
pub fn copy(mut from: impl Read, mut to: impl Write, room: &Room) -> Result<(String, u64)> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
    let (mut done, mut next_space) = (0, 0);
    loop {
        if done >= next_space {
            ensure_space(room)?;
            next_space = done + SPACE_EVERY;
        }
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hash.finalize()), done)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_failure(&error)),
        };
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(|e| Failure::io("write the copy", &e))?;
        done += count as u64;
        room.moved.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn read_failure(error: &io::Error) -> Failure {
    Failure::inside(error).unwrap_or_else(|| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Failure::new(Class::Damaged, "the file cannot be decompressed")
                .detail(format!("{error}."))
                .hint("It is damaged, or was not copied to its end.")
        }
        _ => Failure::io("read the file", error),
    })
}

fn ensure_space(room: &Room) -> Result<()> {
    let free = free_bytes(&room.place)?;
    if free >= room.reserve {
        return Ok(());
    }
    Err(Failure::new(Class::DiskFull, "the backup directory is running out of space")
        .detail(format!(
            "{free} bytes are free, pg_backup.min_free_space keeps {} bytes.",
            room.reserve
        ))
        .hint("Free space, or point pg_backup.directory to another file system; nothing was kept."))
}

/// A script without the byte order mark that some editors put before it: psql skips one only where
/// nothing comes before it.
pub fn without_mark(mut script: impl Read) -> io::Result<impl Read> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut start = Vec::with_capacity(MARK.len());
    script.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(script))
}

/// A stream that hashes what is read from it.
#[derive(Debug)]
pub struct Hashed<R> {
    inner: R,
    hash: Arc<std::sync::Mutex<Sha256>>,
}

impl<R: Read> Hashed<R> {
    /// A stream, and what tells its hash once it is read.
    pub fn new(inner: R) -> (Self, impl FnOnce() -> String + Send + 'static) {
        let hash = Arc::new(std::sync::Mutex::new(Sha256::new()));
        let told = hash.clone();
        let tell = move || {
            let hash = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            hex(&hash.clone().finalize())
        };
        (Self { inner, hash }, tell)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(io::Error::other(read_failure(&error)));
            }
            read => read?,
        };
        let mut hash = self.hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_goes_and_nothing_else() {
        for (script, wanted) in
            [("\u{feff}SELECT 1", "SELECT 1"), ("SELECT 1", "SELECT 1"), ("", ""), ("x", "x")]
        {
            let mut text = String::new();
            without_mark(script.as_bytes()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn only_what_lies_at_the_very_path_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("a"), "x").unwrap();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/a"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("d"), root.join("link")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(open(&root.join("a")), Ok(Source::File(_))));
        assert!(matches!(open(&root.join("d")), Ok(Source::Directory(_))));
        assert_eq!(open(&root.join("link/a")).unwrap_err().class, Class::Io);
        assert_eq!(open(&root.join("link")).unwrap_err().class, Class::InvalidArgument);
        assert_eq!(open(&root.join("fifo")).unwrap_err().class, Class::InvalidArgument);
        assert_eq!(open(&root.join("none")).unwrap_err().class, Class::UndefinedFile);
    }
}
