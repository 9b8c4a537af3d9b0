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
use crate::decide::attachments::member_name;
use crate::error::{Class, Failure, Result};

/// Files and folders of one backup: each is a line of the manifest and a member of the archive.
pub const ENTRIES_MAX: u64 = 100_000;
/// Bytes of the names of their members, which stand in the manifest twice; its size is limited.
const NAME_BYTES_MAX: u64 = 8 << 20;
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

/// Takes what is found: the path below the root (empty for the root), the name of its member, what
/// it is, and its metadata.
pub type Visit<'a> = &'a mut dyn FnMut(&Path, &str, Item, &FileStat) -> Result<()>;

/// A thing that is attached: where it is, and its name in the archive.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub path: &'a Path,
    pub name: &'a str,
}

impl Place<'_> {
    /// Where something below it is.
    pub fn full(&self, path: &Path) -> PathBuf {
        // Joining nothing would put a slash behind the name of a file.
        if path.as_os_str().is_empty() { self.path.to_owned() } else { self.path.join(path) }
    }
}

/// What all walks of one backup have met.
#[derive(Debug, Default)]
pub struct Met {
    entries: u64,
    name_bytes: u64,
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

    /// Counts one entry and gives the name of its member.
    fn count(&mut self, place: Place<'_>, path: &Path) -> Result<String> {
        let member = member_name(place.name, path)?;
        self.entries += 1;
        self.name_bytes += member.len() as u64;
        if self.entries <= ENTRIES_MAX && self.name_bytes <= NAME_BYTES_MAX {
            return Ok(member);
        }
        let message = format!("\"{}\" holds too much to be attached", shown(place.path));
        Err(Failure::new(Class::LimitExceeded, message)
            .detail(format!(
                "A backup attaches at most {ENTRIES_MAX} files and folders, and {NAME_BYTES_MAX} \
                 bytes of names."
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

/// Visits `root`, which was opened at `place`, and all that is below it.
pub fn walk(
    root: Opened,
    place: Place<'_>,
    guarded: &Guarded,
    met: &mut Met,
    visit: Visit<'_>,
) -> Result<()> {
    let top = PathBuf::new();
    let mut levels: Vec<Level> = taken(root, top, place, met, visit)?.into_iter().collect();
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        let path = level.path.join(&name);
        let full = place.full(&path);
        let Some(opened) = find(&level.fd, &name, &full, met)? else { continue };
        guarded.check(&opened.stat, &full)?;
        let below = taken(opened, path, place, met, visit)?;
        if below.is_some() && levels.len() >= DEPTH_MAX {
            return Err(too_deep(&full));
        }
        levels.extend(below);
    }
    Ok(())
}

/// Gives one thing to the visitor; a folder is walked next.
fn taken(
    opened: Opened,
    path: PathBuf,
    place: Place<'_>,
    met: &mut Met,
    visit: Visit<'_>,
) -> Result<Option<Level>> {
    let member = met.count(place, &path)?;
    if !opened.is_folder() {
        visit(&path, &member, Item::File(File::from(opened.fd)), &opened.stat)?;
        return Ok(None);
    }
    visit(&path, &member, Item::Folder, &opened.stat)?;
    let names = names(&opened.fd).map_err(|e| unreadable(&place.full(&path), e))?;
    Ok(Some(Level { fd: opened.fd, path, names }))
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
