//! Fills a new folder: folders and files by their names, never through a link, never over
//! anything.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use chrono::{DateTime, Utc};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod, futimens, mkdirat};
use nix::sys::time::TimeSpec;

use super::{FILE_MODE, FOLDER_MODE};
use crate::error::{Class, Failure, Result};

/// Opens the folder of these names below `root`, and makes what is missing. The names are plain:
/// see [`crate::decide::pieces`].
pub fn make_folders(root: &File, names: &[Vec<u8>]) -> Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let failed = |errno| failure("create folder", names, errno);
    let mut folder = root.try_clone().map(OwnedFd::from).map_err(|e| Failure::io("share", &e))?;
    for name in names {
        let name = OsStr::from_bytes(name);
        match mkdirat(&folder, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        folder = openat(&folder, name, flags, Mode::empty()).map_err(failed)?;
    }
    Ok(folder)
}

/// A new file of these names below `root`, with its folders.
pub fn create_file(root: &File, names: &[Vec<u8>]) -> Result<File> {
    let Some((name, folders)) = names.split_last() else {
        return Err(Failure::new(Class::Internal, "a file without a name"));
    };
    let folder = make_folders(root, folders)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&folder, OsStr::from_bytes(name), flags, FILE_MODE);
    file.map(File::from).map_err(|errno| failure("create file", names, errno))
}

/// Gives a file or folder its recorded permissions and time of change.
pub fn restore_meta(
    file: impl AsFd,
    mode: u32,
    modified: Option<DateTime<Utc>>,
    names: &[Vec<u8>],
) -> Result<()> {
    let failed = |errno| failure("set the permissions of", names, errno);
    fchmod(file.as_fd(), Mode::from_bits_truncate(mode)).map_err(failed)?;
    let Some(modified) = modified else { return Ok(()) };
    let time = TimeSpec::new(modified.timestamp(), modified.timestamp_subsec_nanos().into());
    futimens(file.as_fd(), &time, &time).map_err(failed)
}

fn failure(doing: &str, names: &[Vec<u8>], errno: Errno) -> Failure {
    let path = names.join(&b'/');
    let shown = String::from_utf8_lossy(&path).escape_debug().to_string();
    let failure = Failure::io(format_args!("{doing} \"{shown}\""), &errno.into());
    match failure.class {
        // In a folder that was empty: the archive names it twice.
        Class::DuplicateFile => Failure { class: Class::Damaged, ..failure },
        _ => failure,
    }
}
