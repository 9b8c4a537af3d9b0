//! A new file or folder outside of the backup directory, in a directory of an administrator.
//!
//! In: a directory that an allow-list permits, and a name. Out: something to fill, private to the
//! server's user, and at the end a durable path. What must hold: nothing that exists is replaced;
//! the name appears at once and complete; whatever fails, nothing stays; what a crash leaves is
//! named `.<name>.pg_backup.partial`, and the next try for the same name removes it.

mod fill;
#[cfg(test)]
mod tests;

pub use fill::{create_file, make_folders, restore_meta};

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, syncfs, unlinkat};

use super::reach::{AllowList, Found, Guarded, open_below, open_exact, shown};
use crate::error::{Class, Failure, Result};

/// Longest name, bytes: with what is put around it, it fits the 255 of common file systems.
const NAME_MAX: usize = 200;
/// Only the server's user sees what is written: it may hold every secret of a database.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o600);
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o700);
/// The second try comes after a leftover was removed.
const ATTEMPTS: u32 = 2;

/// A directory to write into, held open: what was checked is what is used.
#[derive(Debug)]
pub struct Parent {
    fd: OwnedFd,
    path: PathBuf,
}

impl Parent {
    /// Opens a directory in or below one that `allowed` lists.
    ///
    /// Errors: those of [`AllowList::resolve`] and [`open_exact`], `InvalidArgument` for what is
    /// no directory.
    pub fn open(path: &Path, allowed: &AllowList<'_>, guarded: &Guarded) -> Result<Parent> {
        let path = allowed.resolve(path)?;
        let opened = open_exact(&path, guarded)?;
        if !opened.is_folder() {
            let message = format!("\"{}\" is not a directory", shown(&path));
            return Err(Failure::new(Class::InvalidArgument, message));
        }
        Ok(Parent { fd: opened.fd, path })
    }

    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file of ours with exactly these bytes lies here under this name.
    pub fn holds(&self, name: &OsStr, bytes: &[u8]) -> bool {
        let Ok(Found::Opened(found)) = open_below(&self.fd, name) else { return false };
        let ours = found.stat.st_uid == geteuid().as_raw() && !found.is_folder();
        // Read no further than tells them apart.
        let mut read = Vec::new();
        let whole = File::from(found.fd).take(bytes.len() as u64 + 1).read_to_end(&mut read);
        ours && whole.is_ok() && read == bytes
    }

    fn look(&self, name: &OsStr) -> nix::Result<FileStat> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    fn ensure_vacant(&self, name: &OsStr) -> Result<()> {
        match self.look(name) {
            Err(Errno::ENOENT) => Ok(()),
            Ok(_) => Err(self.exists(name)),
            Err(errno) => Err(self.failure("look at", name, errno)),
        }
    }

    fn exists(&self, name: &OsStr) -> Failure {
        let message = format!("\"{}\" exists already", shown(&self.path.join(name)));
        Failure::new(Class::DuplicateFile, message)
            .detail("pg_backup replaces nothing; it was not touched.")
            .hint("Choose another name, or move away what is there.")
    }

    fn failure(&self, doing: &str, name: &OsStr, errno: Errno) -> Failure {
        let failure = Failure::io(
            format_args!("{doing} \"{}\"", shown(&self.path.join(name))),
            &errno.into(),
        );
        match errno {
            Errno::EACCES | Errno::EPERM | Errno::EROFS => {
                failure.hint("Let the server's operating system user write in that directory.")
            }
            _ => failure,
        }
    }
}

/// A file or folder under its partial name. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Fresh<'a> {
    parent: &'a Parent,
    name: OsString,
    /// Where it is now.
    current: OsString,
    file: File,
    folder: bool,
    doomed: bool,
}

impl<'a> Fresh<'a> {
    /// Makes a folder that will be called `name`.
    ///
    /// Errors: `DuplicateFile` when `name` exists, as whatever; `Concurrent` when somebody is just
    /// making it; `InvalidArgument` for a name that is too long; else those of `mkdir(2)`.
    pub fn folder(parent: &'a Parent, name: &OsStr) -> Result<Self> {
        Self::create(parent, name, true)
    }

    /// The same for a file, open for reading and writing.
    pub fn file(parent: &'a Parent, name: &OsStr) -> Result<Self> {
        Self::create(parent, name, false)
    }

    fn create(parent: &'a Parent, name: &OsStr, folder: bool) -> Result<Self> {
        if name.len() > NAME_MAX {
            let message = format!("the name of \"{}\" is too long", shown(&parent.path.join(name)));
            return Err(Failure::new(Class::InvalidArgument, message)
                .hint(format!("Names of new files and folders have at most {NAME_MAX} bytes.")));
        }
        parent.ensure_vacant(name)?;
        let mut partial = OsString::from(".");
        partial.push(name);
        partial.push(".pg_backup.partial");
        for _ in 0..ATTEMPTS {
            let made = match make(parent, &partial, folder) {
                Err(Errno::EEXIST) => {
                    remove_leftover(parent, &partial, folder)?;
                    continue;
                }
                made => made.map_err(|errno| parent.failure("create", name, errno))?,
            };
            let (name, current, file) = (name.to_owned(), partial.clone(), File::from(made));
            let fresh = Self { parent, name, current, file, folder, doomed: true };
            // Without locks (NFS has none for directories) a leftover is not told from the
            // living, and stays.
            let locked = fresh.file.try_lock();
            if !matches!(locked, Err(TryLockError::WouldBlock)) && fresh.is_there() {
                return Ok(fresh);
            }
        }
        Err(concurrent(parent, &partial))
    }

    /// The open file, or the folder for [`create_file`] and [`make_folders`].
    pub fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|e| Failure::io("share a file", &e))
    }

    /// Where it will be.
    pub fn path(&self) -> PathBuf {
        self.parent.path.join(&self.name)
    }

    /// Where it is now.
    pub fn partial_path(&self) -> PathBuf {
        self.parent.path.join(&self.current)
    }

    /// Writes everything to the disk. Takes as long as the disk does: for a thread.
    pub fn sync(file: &File, folder: bool) -> Result<()> {
        // One call for all files of a folder, instead of one for each.
        let synced = if folder { syncfs(file).map_err(Into::into) } else { file.sync_all() };
        synced.map_err(|e| Failure::io("write the copy to the disk", &e))
    }

    /// Gives it its name, durably; it must be synced. On any error nothing is left.
    ///
    /// Errors: `DuplicateFile` when the name exists meanwhile, `Damaged` when the partial is not
    /// ours any more, else those of `renameat2(2)` and `fsync(2)`.
    pub fn publish(mut self) -> Result<PathBuf> {
        if !self.is_there() {
            let message = format!("\"{}\" was replaced or removed", shown(&self.partial_path()));
            return Err(Failure::new(Class::Damaged, message));
        }
        self.rename().map_err(|errno| match errno {
            Errno::EEXIST | Errno::ENOTEMPTY => self.parent.exists(&self.name),
            errno => self.parent.failure("rename to", &self.name, errno),
        })?;
        self.current = self.name.clone();
        let synced =
            openat(&self.parent.fd, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
                .map(File::from)
                .map_err(std::io::Error::from)
                .and_then(|folder| folder.sync_all());
        match synced {
            // A file system that cannot (EINVAL) keeps names in its own way.
            Err(e) if e.kind() != std::io::ErrorKind::InvalidInput => {
                Err(Failure::io(format_args!("fsync \"{}\"", shown(&self.parent.path)), &e))
            }
            _ => {
                self.doomed = false;
                Ok(self.path())
            }
        }
    }

    /// Never over anything, also where the file system (NFS) has no such rename: a file gets a
    /// second name and loses the first; a folder takes the place of an empty one that we make.
    fn rename(&self) -> nix::Result<()> {
        let (fd, from, to) = (&self.parent.fd, &*self.current, &*self.name);
        match renameat2(fd, from, fd, to, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EINVAL | Errno::ENOSYS) if self.folder => {
                mkdirat(fd, to, FOLDER_MODE)?;
                renameat(fd, from, fd, to).inspect_err(|_| {
                    unlinkat(fd, to, UnlinkatFlags::RemoveDir).ok();
                })
            }
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                linkat(fd, from, fd, to, AtFlags::empty())?;
                unlinkat(fd, from, UnlinkatFlags::NoRemoveDir)
            }
            renamed => renamed,
        }
    }

    /// Whether the name is still that of our file.
    fn is_there(&self) -> bool {
        let (Ok(named), Ok(open)) = (self.parent.look(&self.current), fstat(&self.file)) else {
            return false;
        };
        (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if self.doomed && self.is_there() {
            // Nobody is left to tell; the next try for the same name removes it.
            remove(self.parent, &self.current, self.folder).ok();
        }
    }
}

fn make(parent: &Parent, name: &OsStr, folder: bool) -> nix::Result<OwnedFd> {
    let always = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    if folder {
        mkdirat(&parent.fd, name, FOLDER_MODE)?;
        return openat(&parent.fd, name, OFlag::O_DIRECTORY | always, Mode::empty());
    }
    openat(&parent.fd, name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | always, FILE_MODE)
}

/// Removes what a dead job left under our partial name.
fn remove_leftover(parent: &Parent, name: &OsStr, folder: bool) -> Result<()> {
    let found = open_below(&parent.fd, name);
    let opened = match found.map_err(|errno| parent.failure("open", name, errno))? {
        Found::Opened(opened) => opened,
        Found::Other(_) => return Err(parent.exists(name)),
    };
    if opened.stat.st_uid != geteuid().as_raw() || opened.is_folder() != folder {
        return Err(parent.exists(name));
    }
    match File::from(opened.fd).try_lock() {
        Ok(()) => remove(parent, name, folder),
        Err(_) => Err(concurrent(parent, name)),
    }
}

fn remove(parent: &Parent, name: &OsStr, folder: bool) -> Result<()> {
    let removed = if folder {
        // By the open directory, whatever became of its path; follows no link below it.
        let here = format!("/proc/self/fd/{}", parent.fd.as_raw_fd());
        fs::remove_dir_all(Path::new(&here).join(name))
    } else {
        unlinkat(&parent.fd, name, UnlinkatFlags::NoRemoveDir).map_err(Into::into)
    };
    removed
        .map_err(|e| Failure::io(format_args!("remove \"{}\"", shown(&parent.path.join(name))), &e))
}

fn concurrent(parent: &Parent, name: &OsStr) -> Failure {
    let message = format!("\"{}\" is in use", shown(&parent.path.join(name)));
    Failure::new(Class::Concurrent, message)
        .detail("Another job writes the same file or folder.")
        .hint("Wait for it; see backup_progress. When there is none, remove it by hand.")
}
