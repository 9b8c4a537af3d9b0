//! The backup directory: where it is, whether it can be trusted, and the names of what lies in it.
//!
//! In: the setting `pg_backup.directory` and the server's data directory. Out: a [`BackupDir`],
//! whose path has no symbolic link in it, and paths below it. What must hold: only the server's
//! user can write there, so that nobody else plants a name between our look and our use; nothing
//! is ever created outside the data directory but below a directory that an administrator made;
//! a stored name never leads out of the directory.

mod check;
#[cfg(test)]
mod tests;

pub(crate) use check::kind;

use crate::error::{Class, Failure, Result};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// The mode of every directory that we make: a dump holds every secret of the database.
pub(crate) const FOLDER_MODE: u32 = 0o700;

/// How often a folder is made that another job takes away in the moment before it is used.
const FOLDER_ATTEMPTS: u32 = 10;

/// A backup directory that was found usable. Plain data: a disk can still go away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupDir {
    path: PathBuf,
}

impl BackupDir {
    /// Checks the directory that is configured; a relative one lies under `data_directory` and is
    /// made (mode 0700) when `create` says so. An absolute one is never made.
    ///
    /// Errors: `UndefinedFile` (missing, dangling link), `InvalidArgument` (no directory, or a
    /// path that cannot be meant), `NotReady` (wrong owner or mode), `DiskFull`, `Io`.
    pub fn open(configured: &Path, data_directory: &Path, create: bool) -> Result<Self> {
        let below_data = configured.is_relative();
        let wanted = if below_data {
            let names = names_below(configured)?;
            if create {
                make_all(data_directory, &names)?;
            }
            data_directory.join(configured)
        } else {
            configured.to_owned()
        };
        Ok(Self { path: check::usable(&wanted, below_data)? })
    }

    /// The same for one that is only read, or was found usable before: nothing is tried out.
    ///
    /// Errors: those of [`Self::open`], but for `DiskFull`.
    pub fn existing(configured: &Path, data_directory: &Path) -> Result<Self> {
        let below_data = configured.is_relative();
        let wanted = match below_data {
            true => data_directory.join(names_below(configured)?.iter().collect::<PathBuf>()),
            false => configured.to_owned(),
        };
        Ok(Self { path: check::ours(&wanted, below_data)? })
    }

    /// The directory, absolute and without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of all archives of one cluster; it may not exist.
    pub(crate) fn system_folder(&self, system_id: u64) -> PathBuf {
        self.path.join(system_id.to_string())
    }

    /// The folder of one database's archives, made (mode 0700) where missing. `safe_database` is
    /// a name of [`crate::decide::naming::safe_name`].
    ///
    /// Errors: `DuplicateFile` when something else has the name (a symbolic link too),
    /// `NotReady` when the folder is not ours alone, `Internal` for a name that is no safe one.
    pub fn folder(&self, system_id: u64, safe_database: &str) -> Result<PathBuf> {
        if !is_plain_name(safe_database) {
            let message = format!("\"{safe_database}\" cannot be the name of a folder");
            return Err(Failure::new(Class::Internal, message));
        }
        let system = self.system_folder(system_id);
        ensure_folder(&system)?;
        let folder = system.join(safe_database);
        ensure_folder(&folder)?;
        Ok(folder)
    }

    /// Makes something in the folder of one database's archives. The folder is made again when
    /// another job, whose file was the last in it, has just taken it along.
    ///
    /// Errors: those of [`Self::folder`] and of `make`.
    pub fn in_folder<T>(
        &self,
        system_id: u64,
        safe_database: &str,
        mut make: impl FnMut(&Path) -> Result<T>,
    ) -> Result<T> {
        let mut made = make(&self.folder(system_id, safe_database)?);
        for _ in 1..FOLDER_ATTEMPTS {
            if !matches!(&made, Err(failure) if failure.class == Class::UndefinedFile) {
                break;
            }
            made = make(&self.folder(system_id, safe_database)?);
        }
        made
    }

    /// Whether `other` lies on the same file system (`st_dev`): losing one loses both.
    ///
    /// Errors: those of `stat(2)`.
    pub fn shares_disk_with(&self, other: &Path) -> Result<bool> {
        let device = |path: &Path| match fs::metadata(path) {
            Ok(meta) => Ok(meta.dev()),
            Err(e) => Err(Failure::io(format_args!("look at \"{}\"", path.display()), &e)),
        };
        Ok(device(&self.path)? == device(other)?)
    }

    /// The path of a file by the name that a row of the history holds. It need not exist.
    ///
    /// Errors: `InvalidArgument` for what [`Self::relative`] never wrote (absolute, empty, with
    /// `..`, a NUL byte), `Damaged` when a symbolic link lies on the way or is the file.
    pub fn resolve(&self, relative: &str) -> Result<PathBuf> {
        if relative.is_empty() || !relative.split('/').all(is_plain_name) {
            let message =
                format!("\"{}\" is not a file of the backup directory", relative.escape_debug());
            return Err(Failure::new(Class::InvalidArgument, message));
        }
        let mut path = self.path.clone();
        for name in relative.split('/') {
            path.push(name);
            refuse_link(&path)?;
        }
        Ok(path)
    }

    /// Whether the folder is there in which a server keeps a file with this stored name, and all its
    /// others. Without it nothing can be said of the file: its disk may not be mounted.
    pub fn has_folder_of(&self, relative: &str) -> bool {
        let folder = relative.split_once('/').map_or("", |(folder, _)| folder);
        fs::symlink_metadata(self.path.join(folder)).is_ok_and(|meta| meta.is_dir())
    }

    /// The name of a file for a row of the history. A path elsewhere is given back whole, and
    /// [`Self::resolve`] refuses it.
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// Makes what is durable durable by name too: `fsync(2)` of a directory. A file system that
/// cannot (EINVAL, as PostgreSQL's own fsync_fname ignores it) keeps names in its own way.
///
/// Errors: those of `open(2)` and `fsync(2)`.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if e.kind() != ErrorKind::InvalidInput => {
            Err(Failure::io(format_args!("fsync directory \"{}\"", folder.display()), &e))
        }
        _ => Ok(()),
    }
}

/// One component of a path that says nothing but a name.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// The components of a relative setting. Whatever leads out of the data directory, or is the
/// data directory, is refused.
fn names_below(configured: &Path) -> Result<Vec<Component<'_>>> {
    let names: Vec<_> = configured.components().filter(|c| *c != Component::CurDir).collect();
    let plain = names.iter().all(|c| matches!(c, Component::Normal(_)));
    if plain && !names.is_empty() {
        return Ok(names);
    }
    let message = format!(
        "\"{}\" is not a directory below the data directory",
        configured.display().to_string().escape_debug()
    );
    Err(Failure::new(Class::InvalidArgument, message).hint(
        "Set pg_backup.directory to an absolute path, or to a name below the data directory.",
    ))
}

/// Makes each missing directory of a relative setting. What is there already, of whatever kind,
/// is left to the checks.
fn make_all(data_directory: &Path, names: &[Component<'_>]) -> Result<()> {
    let mut path = data_directory.to_owned();
    for name in names {
        path.push(name);
        match make(&path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(not_made(&path, &e)),
            Err(_) => {}
            Ok(()) => sync_parent(&path)?,
        }
    }
    Ok(())
}

/// Makes a folder below the backup directory, or makes sure that it is one of ours.
pub(crate) fn ensure_folder(path: &Path) -> Result<()> {
    match make(path) {
        Ok(()) => sync_parent(path),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => check::own_folder(path),
        Err(e) => Err(not_made(path, &e)),
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path)
}

fn not_made(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("create directory \"{}\"", path.display()), error)
}

fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

fn refuse_link(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => {
            let message = format!("\"{}\" is a symbolic link", path.display());
            Err(Failure::new(Class::Damaged, message)
                .hint("pg_backup makes none. Find out who put it there, and remove it."))
        }
        Ok(_) => Ok(()),
        // The caller's own open says better what is missing (ENOTDIR: a file on the way).
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(e) => Err(Failure::io(format_args!("look at \"{}\"", path.display()), &e)),
    }
}
