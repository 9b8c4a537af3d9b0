//! Walks an attached file or folder, name by name in a fixed order, following no link.
//!
//! In: an opened root. Out: every regular file, open, and every folder, given to a visitor;
//! everything else is counted as skipped. What must hold: entries, depth, names and open files are
//! bounded; what cannot be read is an error, never left out in silence.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode};

use super::reach::{Found, Guarded, Opened, open_below, shown};
use crate::error::{Class, Failure, Result};

/// Files and folders of one backup: each is a line of the manifest and a member of the archive.
pub const ENTRIES_MAX: u64 = 100_000;
/// Bytes of all their paths: they stand in the manifest, whose size is limited.
const PATH_BYTES_MAX: u64 = 8 << 20;
/// Folders inside each other; each is an open file while it is walked.
const DEPTH_MAX: usize = 64;
/// Warnings that are written out; of more there is the number.
const WARNINGS_MAX: u64 = 50;

/// What is found.
pub enum Item {
    Folder,
    /// Open for reading.
    File(File),
}

/// Takes what is found: the path below the root (empty for the root), what it is, and its
/// metadata.
pub type Visit<'a> = &'a mut dyn FnMut(&Path, Item, &FileStat) -> Result<()>;

/// What all walks of one backup have met.
#[derive(Debug, Default)]
pub struct Met {
    entries: u64,
    path_bytes: u64,
    warnings: Vec<String>,
    unwritten: u64,
}

impl Met {
    /// Notes what was not taken as it is.
    pub fn warn(&mut self, text: String) {
        match (self.warnings.len() as u64) < WARNINGS_MAX {
            true => self.warnings.push(text),
            false => self.unwritten += 1,
        }
    }

    /// All that was noted.
    pub fn into_warnings(self) -> Vec<String> {
        let mut warnings = self.warnings;
        if self.unwritten > 0 {
            warnings.push(format!("and {} more of attached files", self.unwritten));
        }
        warnings
    }

    fn count(&mut self, source: &Path, path: &Path) -> Result<()> {
        self.entries += 1;
        self.path_bytes += path.as_os_str().len() as u64;
        if self.entries <= ENTRIES_MAX && self.path_bytes <= PATH_BYTES_MAX {
            return Ok(());
        }
        let message = format!("\"{}\" holds too much to be attached", shown(source));
        Err(Failure::new(Class::LimitExceeded, message)
            .detail(format!(
                "A backup attaches at most {ENTRIES_MAX} files and folders, and {PATH_BYTES_MAX} \
                 bytes of paths."
            ))
            .hint("Attach fewer folders, or pack small files into one."))
    }
}

/// A folder that is being walked.
struct Level {
    fd: OwnedFd,
    path: PathBuf,
    /// Names that are not visited, the next one last.
    names: Vec<OsString>,
}

/// Visits `root`, which was opened at `source`, and all that is below it.
pub fn walk(
    root: Opened,
    source: &Path,
    guarded: &Guarded,
    met: &mut Met,
    visit: Visit<'_>,
) -> Result<()> {
    met.count(source, Path::new(""))?;
    if !root.is_folder() {
        return visit(Path::new(""), Item::File(File::from(root.fd)), &root.stat);
    }
    visit(Path::new(""), Item::Folder, &root.stat)?;
    let mut levels = vec![level(root.fd, PathBuf::new(), source)?];
    while let Some(level_now) = levels.last_mut() {
        let Some(name) = level_now.names.pop() else {
            levels.pop();
            continue;
        };
        let path = level_now.path.join(&name);
        let full = source.join(&path);
        let opened = match find(&level_now.fd, &name, &full, met)? {
            Some(opened) => opened,
            None => continue,
        };
        guarded.check(&opened.stat, &full)?;
        met.count(source, &path)?;
        if !opened.is_folder() {
            visit(&path, Item::File(File::from(opened.fd)), &opened.stat)?;
            continue;
        }
        visit(&path, Item::Folder, &opened.stat)?;
        if levels.len() >= DEPTH_MAX {
            return Err(too_deep(&full));
        }
        levels.push(level(opened.fd, path, source)?);
    }
    Ok(())
}

/// Opens a name, or notes why there is nothing to take.
fn find(parent: &OwnedFd, name: &OsStr, full: &Path, met: &mut Met) -> Result<Option<Opened>> {
    match open_below(parent, name) {
        Ok(Found::Opened(opened)) => Ok(Some(opened)),
        Ok(Found::Other(what)) => {
            met.warn(format!("\"{}\" was not attached: it is {what}", shown(full)));
            Ok(None)
        }
        Err(Errno::ENOENT) => {
            met.warn(format!("\"{}\" was not attached: it has just been removed", shown(full)));
            Ok(None)
        }
        Err(errno) => Err(unreadable(full, errno)),
    }
}

fn level(fd: OwnedFd, path: PathBuf, source: &Path) -> Result<Level> {
    let names = names(&fd).map_err(|errno| unreadable(&source.join(&path), errno))?;
    Ok(Level { fd, path, names })
}

/// The names in a directory, the first one last. There are no more of them than the limit on
/// entries and one, which is then found to be too much.
fn names(fd: &OwnedFd) -> nix::Result<Vec<OsString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::openat(fd, ".", flags, Mode::empty())?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
        if names.len() as u64 > ENTRIES_MAX {
            break;
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// What cannot be read is no small matter: a backup without it would not be the one that was asked
/// for.
pub fn unreadable(path: &Path, error: impl Into<std::io::Error>) -> Failure {
    Failure::io(format_args!("read \"{}\"", shown(path)), &error.into())
        .detail("A backup that misses an attached file is not kept.")
        .hint("Let the server's operating system user read it, or attach less.")
}

fn too_deep(path: &Path) -> Failure {
    let message = format!("\"{}\" lies too deep to be attached", shown(path));
    Failure::new(Class::LimitExceeded, message)
        .detail(format!("Folders inside each other are followed {DEPTH_MAX} deep."))
}

#[cfg(test)]
mod tests;
