//! Whether a directory can hold backups: each reason against it has its own message and hint.
//!
//! In: a path. Out: the path without symbolic links, or the first reason against it. What must
//! hold: nothing is left behind by the test for writing, not even by a crash.

use crate::error::{Class, Failure, Result};
use nix::libc::ELOOP;
use nix::unistd::{Uid, User, geteuid};
use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Who else may write: group and others. Such a directory lets a stranger plant names.
const WRITABLE_BY_OTHERS: u32 = 0o022;

const PERMISSIONS: u32 = 0o7777;

const MAKE_IT: &str = "Create it first, with mode 0700 and owned by the server's user. It is not \
    created automatically: when a disk is not mounted, its backups would fill another one.";
const MADE_LATER: &str = "The first backup creates it.";
const NO_DIRECTORY: &str = "Set pg_backup.directory to a directory.";

/// All checks of a backup directory, which is `wanted` as it was configured. `below_data`: it
/// will be made by us where it is missing.
pub(super) fn usable(wanted: &Path, below_data: bool) -> Result<PathBuf> {
    let path = ours(wanted, below_data)?;
    // Symlinks are resolved: what was checked is what is used, also when a link changes later.
    fs::read_dir(&path).map_err(|e| no_access("read", wanted, &e))?;
    tempfile::tempfile_in(&path).map_err(|e| no_access("write to", wanted, &e))?;
    Ok(path)
}

/// Those that need no access to what is in it.
pub(super) fn ours(wanted: &Path, below_data: bool) -> Result<PathBuf> {
    let missing = if below_data { MADE_LATER } else { MAKE_IT };
    let path = fs::canonicalize(wanted).map_err(|e| not_found(wanted, &e, missing))?;
    let meta = fs::symlink_metadata(&path).map_err(|e| not_found(wanted, &e, missing))?;
    if !meta.is_dir() {
        let message =
            format!("backup directory \"{}\" is {}", wanted.display(), kind(meta.file_type()));
        return Err(Failure::new(Class::InvalidArgument, message).hint(NO_DIRECTORY));
    }
    ours_alone(wanted, &meta)?;
    Ok(path)
}

/// The checks of a folder of ours that is there already.
pub(super) fn own_folder(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path)
        .map_err(|e| Failure::io(format_args!("look at \"{}\"", path.display()), &e))?;
    if !meta.is_dir() {
        let found = kind(meta.file_type());
        let message = format!("\"{}\" is {found}, not a folder of backups", path.display());
        return Err(Failure::new(Class::DuplicateFile, message)
            .hint("Find out who put it there, and move it away."));
    }
    ours_alone(path, &meta)
}

/// What a thing in the file system is, with its article.
pub(crate) fn kind(found: FileType) -> &'static str {
    match found {
        t if t.is_dir() => "a directory",
        t if t.is_symlink() => "a symbolic link",
        t if t.is_fifo() => "a FIFO",
        t if t.is_socket() => "a socket",
        t if t.is_block_device() || t.is_char_device() => "a device",
        _ => "a file",
    }
}

fn not_found(wanted: &Path, error: &io::Error, missing: &str) -> Failure {
    let shown = wanted.display();
    let is_link = fs::symlink_metadata(wanted).is_ok_and(|meta| meta.is_symlink());
    let is_loop = error.raw_os_error() == Some(ELOOP);
    match error.kind() {
        kind if is_loop || is_link && kind == ErrorKind::NotFound => {
            let message = format!("backup directory \"{shown}\" is a dangling symbolic link");
            Failure::new(Class::UndefinedFile, message)
                .hint("Mount or create what it points to, or set pg_backup.directory anew.")
        }
        ErrorKind::NotFound => {
            let message = format!("backup directory \"{shown}\" does not exist");
            Failure::new(Class::UndefinedFile, message).hint(missing)
        }
        ErrorKind::NotADirectory => {
            let message = format!("backup directory \"{shown}\" lies below a file");
            Failure::new(Class::InvalidArgument, message).hint(NO_DIRECTORY)
        }
        _ => no_access("open", wanted, error),
    }
}

/// Owned by the server's user, and writable by nobody else.
fn ours_alone(path: &Path, meta: &Metadata) -> Result<()> {
    let shown = path.display();
    if meta.uid() != geteuid().as_raw() {
        let (found, expected) = (user(meta.uid()), user(geteuid().as_raw()));
        return Err(Failure::new(Class::NotReady, format!("\"{shown}\" has the wrong owner"))
            .detail(format!("It is owned by {found}, and the server runs as {expected}."))
            .hint("Give it to the server's user with chown, or choose another directory."));
    }
    if meta.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = meta.mode() & PERMISSIONS;
        let message = format!("\"{shown}\" is writable by group or others");
        return Err(Failure::new(Class::NotReady, message)
            .detail(format!("Its mode is {mode:04o}."))
            .hint("Set its mode with \"chmod 0700\"."));
    }
    Ok(())
}

/// A user as people name it: `postgres (uid 999)`.
fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}

pub(super) fn no_access(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => "Its file system is mounted read-only.",
        ErrorKind::PermissionDenied => {
            "Let the server's user read, write and enter it (\"chmod 0700\"), and enter the \
             directories above it."
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "Free space, or choose another directory."
        }
        _ => "",
    };
    // The path in tempfile's own text is that of a file nobody knows.
    let plain = error.raw_os_error().map(io::Error::from_raw_os_error);
    let error = plain.as_ref().unwrap_or(error);
    Failure::io(format_args!("{doing} backup directory \"{}\"", path.display()), error).hint(hint)
}
