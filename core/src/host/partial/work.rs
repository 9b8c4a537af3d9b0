//! A directory to work in, for what cannot be streamed: `.<name>.work.partial/`, with a locked
//! file `.lock` in it.
//!
//! In: a folder of ours and the archive's final name. Out: a private directory. What must hold:
//! its owner holds the lock for all its life; it goes with its owner, by drop or by a sweep, and
//! no link in it is followed then.

use super::{ATTEMPTS, FILE_MODE, contended, exists, gate, is_at, lock, vacant};
use crate::decide::naming::{parse_archive_name, partial_name};
use crate::error::{Failure, Result};
use crate::host::dir::{FOLDER_MODE, sync_folder};
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK_NAME: &str = ".lock";
const ENDING: &str = ".work.partial";

/// A private directory of one job. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Held, never read: closing it gives the directory up.
    lock: File,
    doomed: bool,
    with_folder: bool,
}

impl WorkDir {
    /// Makes `.<final_name>.work.partial` in `folder`, mode 0700, and locks it.
    ///
    /// Errors: `DuplicateFile` when it or the archive exists, as whatever; `Internal` for a name
    /// that is a path; else those of `mkdir(2)`, `open(2)` and `flock(2)`.
    pub fn create(folder: &Path, final_name: &str) -> Result<Self> {
        vacant(folder, final_name)?;
        let path = folder.join(partial_name(&format!("{final_name}.work")));
        let _turn = gate(folder);
        for _ in 0..ATTEMPTS {
            make(&path)?;
            if let Some(lock) = own(&path)? {
                return Ok(Self { path, lock, doomed: true, with_folder: false });
            }
        }
        Err(contended(&path))
    }

    /// It takes its folder along when there is nothing else in it.
    pub fn with_folder(mut self) -> Self {
        self.with_folder = true;
        self
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory with all that is in it, unless its name belongs to another by now.
    ///
    /// Errors: those of `unlink(2)` and `rmdir(2)`.
    pub fn remove(mut self) -> Result<()> {
        self.clear()
    }

    fn clear(&mut self) -> Result<()> {
        let doomed = std::mem::replace(&mut self.doomed, false);
        if !doomed || !is_at(&self.lock, &self.path.join(LOCK_NAME)) {
            return Ok(());
        }
        remove_tree(&self.path)?;
        let folder = self.path.parent();
        if self.with_folder && folder.is_some_and(|folder| fs::remove_dir(folder).is_ok()) {
            return Ok(());
        }
        // A directory that comes back after a power loss is swept: not worth a failure.
        folder.map(sync_folder);
        Ok(())
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Nobody is left to tell; the next sweep tries again.
        self.clear().ok();
    }
}

/// Whether a name is that of an archive's working directory.
pub(crate) fn is_work_dir(name: &str) -> bool {
    let archive = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(ENDING));
    archive.is_some_and(|archive| parse_archive_name(archive).is_some())
}

/// Opens the lock of a working directory, and its path. Made where it is missing: its owner died
/// before it could, or is about to, and will find it.
///
/// Errors: `NotFound` when the directory is gone, else those of `open(2)`.
pub(crate) fn open_lock(work_dir: &Path) -> io::Result<(File, PathBuf)> {
    let path = work_dir.join(LOCK_NAME);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    Ok((options.open(&path)?, path))
}

fn make(path: &Path) -> Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Failure::io(format_args!("create directory \"{}\"", path.display()), &e),
    })
}

/// Locks a directory that was just made; `None` when a sweeper has removed it. On an error it
/// is removed here: there is no owner to do it.
fn own(path: &Path) -> Result<Option<File>> {
    let locked = match open_lock(path) {
        Ok((file, lock)) => lock::acquire(&file, &lock).map(|ours| ours.then_some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => Err(Failure::io(format_args!("create \"{}/{LOCK_NAME}\"", path.display()), &e)),
    };
    locked.inspect_err(|_| {
        remove_tree(path).ok();
    })
}

/// `remove_dir_all` follows no link, also none that is put in its way meanwhile. A sweeper that
/// comes by when the lock is gone, and the directory not yet, makes one of its own and then
/// removes both: either of us may find the directory not empty once, or gone.
fn remove_tree(path: &Path) -> Result<()> {
    let mut result = fs::remove_dir_all(path);
    for _ in 1..ATTEMPTS {
        if !result.as_ref().is_err_and(|e| e.kind() == ErrorKind::DirectoryNotEmpty) {
            break;
        }
        result = fs::remove_dir_all(path);
    }
    match result {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(Failure::io(format_args!("remove directory \"{}\"", path.display()), &e))
        }
        _ => Ok(()),
    }
}
