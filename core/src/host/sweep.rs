//! What dead jobs left behind: partial files and working directories without an owner.
//!
//! In: the backup directory and the cluster's identifier. Out: what was removed, and what could
//! not be. What must hold: a living process's partial (locked, see [`super::partial`]) stays, and
//! so does everything that is not named and made like one; no link is followed; a file is only
//! removed while we hold its lock, so that nobody takes it up meanwhile.

#[cfg(test)]
mod tests;

use crate::decide::naming::is_partial;
use crate::error::{Class, Failure, Result};
use crate::host::dir::{BackupDir, sync_folder};
use crate::host::partial::{Lock, gate, is_at, is_work_dir, open_existing, open_lock, try_lock};
use std::fs::{self, DirEntry, FileType};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The most directory entries that one sweep looks at. A cluster with more has hourly backups of
/// ten years; the sweep says so and goes on next time where the file system begins.
pub const MAX_ENTRIES: usize = 100_000;

/// What a sweep did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sweep {
    pub removed: Vec<PathBuf>,
    pub failed: Vec<Failure>,
}

/// Removes the partial files and working directories of dead jobs, one level of database folders
/// deep below the folder of this cluster. Other clusters' folders are not looked at.
pub fn sweep(dir: &BackupDir, system_id: u64) -> Sweep {
    let mut sweep = Sweep::default();
    let mut left = MAX_ENTRIES;
    let system = dir.system_folder(system_id);
    if !fs::symlink_metadata(&system).is_ok_and(|meta| meta.is_dir()) {
        return sweep;
    }
    let databases = sweep.list(&system, &mut left, |_, found| found.is_dir());
    for (folder, _) in databases {
        let leftovers = sweep.list(&folder, &mut left, is_leftover);
        sweep.remove(&folder, leftovers);
    }
    sweep
}

/// Named and made like something of ours.
fn is_leftover(name: &str, found: FileType) -> bool {
    found.is_file() && is_partial(name) || found.is_dir() && is_work_dir(name)
}

impl Sweep {
    /// The entries of a folder that are wanted, while `left` lasts. The type is that of the entry
    /// itself: a symbolic link is neither a file nor a directory.
    fn list(
        &mut self,
        folder: &Path,
        left: &mut usize,
        wanted: fn(&str, FileType) -> bool,
    ) -> Vec<(PathBuf, FileType)> {
        let mut found = Vec::new();
        let entries = fs::read_dir(folder).map_err(|e| failure("read directory", folder, &e));
        let Some(entries) = self.note(entries) else { return found };
        for entry in entries {
            let Some(rest) = left.checked_sub(1) else {
                self.failed.push(too_many(folder));
                break;
            };
            *left = rest;
            let typed = entry.and_then(typed).map_err(|e| failure("read directory", folder, &e));
            let Some((entry, kind)) = self.note(typed) else { break };
            if entry.file_name().to_str().is_some_and(|name| wanted(name, kind)) {
                found.push((entry.path(), kind));
            }
        }
        found
    }

    fn remove(&mut self, folder: &Path, leftovers: Vec<(PathBuf, FileType)>) {
        if leftovers.is_empty() {
            return;
        }
        // Nobody is just making one of them: what is not locked now is dead.
        let _turn = gate(folder);
        let before = self.removed.len();
        for (path, kind) in leftovers {
            let removed = if kind.is_dir() { remove_work_dir(&path) } else { remove_file(&path) };
            if self.note(removed) == Some(true) {
                self.removed.push(path);
            }
        }
        if self.removed.len() > before {
            // What comes back after a power loss is swept again: not worth a failure.
            sync_folder(folder).ok();
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|failure| self.failed.push(failure)).ok()
    }
}

fn typed(entry: DirEntry) -> io::Result<(DirEntry, FileType)> {
    let kind = entry.file_type()?;
    Ok((entry, kind))
}

/// Removes a partial that nobody owns; `false` when somebody does, or when it is gone already.
fn remove_file(path: &Path) -> Result<bool> {
    let file = match open_existing(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failure("open file", path, &e)),
    };
    if try_lock(&file, path)? == Lock::HeldByAnother || !is_at(&file, path) {
        return Ok(false);
    }
    fs::remove_file(path).map_err(|e| failure("remove file", path, &e))?;
    Ok(true)
}

/// The same for a working directory, whose owner holds the lock of a file in it.
fn remove_work_dir(path: &Path) -> Result<bool> {
    let (file, lock) = match open_lock(path) {
        Ok(opened) => opened,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failure("open the lock of directory", path, &e)),
    };
    if try_lock(&file, &lock)? == Lock::HeldByAnother || !is_at(&file, &lock) {
        return Ok(false);
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        // Its owner was just making it, and has made its own lock after ours went.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Ok(false)
        }
        Err(e) => Err(failure("remove directory", path, &e)),
    }
}

fn failure(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("{doing} \"{}\"", path.display()), error)
}

fn too_many(folder: &Path) -> Failure {
    let shown = folder.display();
    let message = format!("more than {MAX_ENTRIES} entries up to directory \"{shown}\"");
    Failure::new(Class::LimitExceeded, message).hint("Delete backups that are not needed.")
}
