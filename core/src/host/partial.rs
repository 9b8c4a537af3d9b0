//! A file that does not count until it is published: `.<name>.partial`, then `<name>`.
//!
//! In: a folder of ours and the final name. Out: a file to write, and a durable path. What must
//! hold: the final name appears at once, complete and fsynced, and never replaces anything; the
//! owner holds an exclusive flock on the partial for all its life, so that [`super::sweep`] can
//! tell the dead from the living without pids; whatever fails, nothing of ours stays behind.

mod lock;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use lock::{Lock, gate, is_at, lock_pausing, lock_within, open_existing, try_lock};
pub use work::WorkDir;
pub(crate) use work::{is_work_dir, open_lock};

use crate::decide::naming::partial_name;
use crate::error::{Class, Failure, Result};
use crate::host::dir::{is_plain_name, kind, sync_folder};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The mode of every file that we make: a dump holds every secret of the database.
pub(crate) const FILE_MODE: u32 = 0o600;

/// How often a file is made again after a sweeper took it. Only where folders cannot be locked
/// (see [`lock::gate`]), and seldom: 0.5 % of the files made beside a sweep in an endless loop
/// were lost, though up to seven in a row (measured, ext4, 18,000 files).
const ATTEMPTS: u32 = 20;

/// A file under its partial name. Dropping it removes it.
#[derive(Debug)]
pub struct Partial {
    file: File,
    /// Where the file is now.
    path: PathBuf,
    final_path: PathBuf,
    folder: PathBuf,
    /// The file is to be removed when this is dropped.
    doomed: bool,
    with_folder: bool,
}

impl Partial {
    /// Makes `.<final_name>.partial` in `folder`, mode 0600, readable and writable, and locks it.
    /// A sweep after a crash knows it by its name: one of [`crate::decide::naming::archive_name`].
    ///
    /// Errors: `DuplicateFile` when either name exists, as whatever; `Internal` for a name that
    /// is a path; else those of `open(2)` and `flock(2)`.
    pub fn create(folder: &Path, final_name: &str) -> Result<Self> {
        let final_path = vacant(folder, final_name)?;
        let path = folder.join(partial_name(final_name));
        let _turn = gate(folder);
        for _ in 0..ATTEMPTS {
            let partial = Self {
                file: create_new(&path)?,
                path: path.clone(),
                final_path: final_path.clone(),
                folder: folder.to_owned(),
                doomed: true,
                with_folder: false,
            };
            if lock::acquire(&partial.file, &partial.path)? {
                return Ok(partial);
            }
        }
        Err(contended(&path))
    }

    /// Given up, it takes its folder along when there is nothing else in it. Whoever makes files
    /// there uses [`super::dir::BackupDir::in_folder`].
    pub fn with_folder(mut self) -> Self {
        self.with_folder = true;
        self
    }

    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The partial name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that [`Self::publish`] gives it.
    pub fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Gives the file its final name, durably: fsync, rename without replacing, fsync of the
    /// folder. On any error neither name is left.
    ///
    /// Errors: `DuplicateFile` when the final name exists meanwhile, `Damaged` when the partial
    /// is not our file any more, else those of `fsync(2)` and `renameat2(2)`.
    pub fn publish(mut self) -> Result<PathBuf> {
        if !is_at(&self.file, &self.path) {
            let message = format!("\"{}\" was replaced or removed", self.path.display());
            return Err(Failure::new(Class::Damaged, message)
                .detail("Somebody else changed the file's name while it was written."));
        }
        self.file.sync_all().map_err(|e| self.failure("fsync", &e))?;
        rename_new(&self.path, &self.final_path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => exists(&self.final_path),
            _ => self.failure("rename", &e),
        })?;
        self.path.clone_from(&self.final_path);
        // A name that may be gone after a power loss is no backup: an error here removes it.
        sync_folder(&self.folder)?;
        self.doomed = false;
        Ok(self.path.clone())
    }

    /// Removes the file, unless its name belongs to another one by now.
    ///
    /// Errors: those of `unlink(2)`.
    pub fn discard(mut self) -> Result<()> {
        self.remove()
    }

    fn remove(&mut self) -> Result<()> {
        let doomed = std::mem::replace(&mut self.doomed, false);
        if !doomed || !is_at(&self.file, &self.path) {
            return Ok(());
        }
        fs::remove_file(&self.path).map_err(|e| self.failure("remove", &e))?;
        if self.with_folder && fs::remove_dir(&self.folder).is_ok() {
            return Ok(());
        }
        // A partial that comes back after a power loss is swept: not worth a failure.
        sync_folder(&self.folder).ok();
        Ok(())
    }

    fn failure(&self, doing: &str, error: &io::Error) -> Failure {
        Failure::io(format_args!("{doing} file \"{}\"", self.path.display()), error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nobody is left to tell; the next sweep tries again.
        self.remove().ok();
    }
}

/// The path of a name that nothing has yet.
fn vacant(folder: &Path, name: &str) -> Result<PathBuf> {
    if !is_plain_name(name) {
        let message = format!("\"{name}\" cannot be the name of a file");
        return Err(Failure::new(Class::Internal, message));
    }
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(_) => Err(exists(&path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(path),
        Err(e) => Err(Failure::io(format_args!("look at \"{}\"", path.display()), &e)),
    }
}

/// O_EXCL refuses every name that is taken, also a dangling link's; std adds O_CLOEXEC.
fn create_new(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(FILE_MODE);
    options.custom_flags(OFlag::O_NOFOLLOW.bits());
    options.open(path).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Failure::io(format_args!("create file \"{}\"", path.display()), &e),
    })
}

/// Renames, but never over anything. A file system without RENAME_NOREPLACE gets `link(2)`,
/// which does not replace either, and `unlink(2)`.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL | Errno::ENOSYS) => link_new(from, to),
        renamed => Ok(renamed?),
    }
}

fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from).inspect_err(|_| {
        // Both names are there: take back the one that must not be, and report the first error.
        fs::remove_file(to).ok();
    })
}

fn exists(path: &Path) -> Failure {
    let failure =
        Failure::new(Class::DuplicateFile, format!("\"{}\" exists already", path.display()))
            .hint("pg_backup replaces no file. Find out whose it is, and move it away.");
    match fs::symlink_metadata(path) {
        Ok(meta) => failure.detail(format!("It is {}.", kind(meta.file_type()))),
        Err(_) => failure,
    }
}

fn contended(path: &Path) -> Failure {
    let message = format!("could not lock \"{}\"", path.display());
    Failure::new(Class::Concurrent, message)
        .detail("Another process holds its lock, or removed it, again and again.")
}
