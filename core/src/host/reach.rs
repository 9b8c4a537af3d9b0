//! Opens what an allow-list of directories permits, and nothing that a link leads to.
//!
//! In: a path, the allowed directories, and the places that are never given away. Out: an open
//! file or directory. What must hold: between the check of a path and its use nobody can put a
//! link in its way, because it is opened from the root name by name, and no name is followed; what
//! lies in a guarded place is not reached, whatever route leads there (a bind mount too).

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::decide::attachments::is_below;
use crate::decide::directories::directory_list;
use crate::error::{Class, Failure, Result};

/// A setting that lists directories.
#[derive(Debug, Clone, Copy)]
pub struct AllowList<'a> {
    /// Its name, for messages.
    pub setting: &'static str,
    pub value: &'a str,
}

impl AllowList<'_> {
    /// The path without links, if it is in or below an allowed directory that exists.
    ///
    /// Errors: `UndefinedFile` when it does not exist, `InsufficientPrivilege` when it is not
    /// allowed, `InvalidArgument` when the setting cannot be read, else `Io`.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let set = directory_list(self.setting, self.value)?;
        // A directory that does not exist allows nothing.
        let real: Vec<_> = set.iter().filter_map(|dir| fs::canonicalize(dir).ok()).collect();
        match fs::canonicalize(path) {
            Ok(resolved) if is_below(&resolved, &real) => Ok(resolved),
            // What lies elsewhere is not told of, not even whether it exists.
            Err(error) if is_below(path, &set) => Err(unreachable(path, &error)),
            _ => Err(self.refused(path)),
        }
    }

    fn refused(&self, path: &Path) -> Failure {
        let setting = self.setting;
        let message = format!("\"{}\" is not in an allowed directory", shown(path));
        let failure = Failure::new(Class::InsufficientPrivilege, message);
        match self.value.trim() {
            "" => failure.detail(format!("The setting {setting} is empty: none is allowed.")).hint(
                format!(
                    "As a superuser: ALTER SYSTEM SET {setting} = '/the/directory'; \
                               SELECT pg_reload_conf();"
                ),
            ),
            value => failure
                .detail(format!(
                    "The setting {setting} lists: {value}. Links count by where they \
                                 lead."
                ))
                .hint(format!(
                    "Choose a path below one of them, or add its directory to \
                               {setting}."
                )),
        }
    }
}

fn unreachable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::io(format_args!("open \"{}\"", shown(path)), error);
    match error.kind() {
        ErrorKind::NotFound => failure.hint("Check the path, and that its disk is mounted."),
        ErrorKind::PermissionDenied => {
            failure.hint("Let the server's operating system user read it.")
        }
        _ => failure,
    }
}

/// A path for a message: on one line, whatever it holds.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Places whose files no job reads or writes for anybody: the data, the archives, password and
/// keys. Known by what they are, not by name.
#[derive(Debug, Clone, Default)]
pub struct Guarded(Vec<(u64, u64)>);

impl Guarded {
    /// Those of `paths` that exist.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Guarded {
        let identity = |path: &Path| {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
        };
        Guarded(paths.into_iter().filter_map(identity).collect())
    }

    /// Errors when `stat` is one of them; `path` is for the message.
    pub fn check(&self, stat: &FileStat, path: &Path) -> Result<()> {
        if !self.0.contains(&(stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        let message = format!("\"{}\" belongs to the server itself", shown(path));
        Err(Failure::new(Class::InsufficientPrivilege, message)
            .detail(
                "The data directory, tablespaces, the backup directory, the password file and \
                 the signing keys hold secrets of the whole server.",
            )
            .hint("Choose files of the application, in a directory that does not hold these."))
    }
}

/// What was opened.
#[derive(Debug)]
pub struct Opened {
    pub fd: OwnedFd,
    pub stat: FileStat,
}

impl Opened {
    /// Whether it is a directory; else it is a regular file.
    pub fn is_folder(&self) -> bool {
        kind(&self.stat) == SFlag::S_IFDIR
    }
}

/// The type of a file.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Opens a path of [`AllowList::resolve`] for reading: a directory or a regular file.
///
/// Errors: `InsufficientPrivilege` for what is guarded, `Damaged` when a link lies on the way (it
/// did not when the path was resolved), else those of `open(2)`.
pub fn open_exact(path: &Path, guarded: &Guarded) -> Result<Opened> {
    let failed = |e: Errno| match e {
        Errno::ELOOP | Errno::ENOTDIR => changed(path),
        e => unreachable(path, &e.into()),
    };
    let stat_of = |fd: &OwnedFd| fstat(fd).map_err(failed);
    let mut names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let last = names.next_back().ok_or_else(|| not_a_file(path))?;
    let mut on_the_way = open("/", passing_flags(), Mode::empty()).map_err(failed)?;
    for name in names {
        guarded.check(&stat_of(&on_the_way)?, path)?;
        on_the_way = openat(&on_the_way, name, passing_flags(), Mode::empty()).map_err(failed)?;
    }
    guarded.check(&stat_of(&on_the_way)?, path)?;
    match open_below(&on_the_way, last).map_err(failed)? {
        Found::Opened(opened) => guarded.check(&opened.stat, path).map(|()| opened),
        Found::Other(_) => Err(not_a_file(path)),
    }
}

fn changed(path: &Path) -> Failure {
    Failure::new(Class::Damaged, format!("\"{}\" was changed while it was opened", shown(path)))
        .detail("A symbolic link lies on the way now.")
}

fn not_a_file(path: &Path) -> Failure {
    let message = format!("\"{}\" is neither a file nor a folder", shown(path));
    Failure::new(Class::InvalidArgument, message)
}

/// What lies under a name.
#[derive(Debug)]
pub enum Found {
    Opened(Opened),
    /// Neither a regular file nor a directory: what it is, with its article.
    Other(&'static str),
}

/// Opens one name of a directory, following no link and waiting for nobody. What is neither a
/// regular file nor a directory is not opened.
pub fn open_below(parent: &OwnedFd, name: &OsStr) -> nix::Result<Found> {
    let before = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let flags = match kind(&before) {
        SFlag::S_IFDIR => folder_flags(),
        SFlag::S_IFREG => file_flags(),
        SFlag::S_IFLNK => return Ok(Found::Other("a symbolic link")),
        SFlag::S_IFIFO => return Ok(Found::Other("a FIFO")),
        SFlag::S_IFSOCK => return Ok(Found::Other("a socket")),
        _ => return Ok(Found::Other("a device")),
    };
    let fd = match openat(parent, name, flags, Mode::empty()) {
        // It became a link, or something else, after the look.
        Err(Errno::ELOOP | Errno::ENOTDIR) => return Ok(Found::Other("a symbolic link")),
        fd => fd?,
    };
    let stat = fstat(&fd)?;
    match kind(&stat) {
        SFlag::S_IFDIR | SFlag::S_IFREG => Ok(Found::Opened(Opened { fd, stat })),
        _ => Ok(Found::Other("a FIFO or device")),
    }
}

/// For a directory that is only passed: it need not be readable.
fn passing_flags() -> OFlag {
    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn file_flags() -> OFlag {
    // Not for a regular file, but for the FIFO that somebody may have put in its place.
    OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC
}

#[cfg(test)]
mod tests;
