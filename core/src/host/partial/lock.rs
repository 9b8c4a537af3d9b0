//! Who owns a partial: the holder of its flock, which the kernel gives up for the dead.
//!
//! In: an open file and the path that it was opened by. Out: whether it is ours. What must hold:
//! a lock says something only while the path still leads to the same file, so every holder
//! looks again after locking; between its making and its locking a file looks like a dead
//! one's, so makers and sweepers take turns at the folder's gate; nobody waits without a limit.

use crate::error::{Failure, Result};
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for another maker or a sweeper. They hold a lock for a few system calls; a
/// slow disk, or a large working directory to remove, makes that long.
const LIMIT: Duration = Duration::from_secs(5);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(2);

/// What a try to lock gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Taken,
    HeldByAnother,
}

/// Tries once. Errors: those of `flock(2)`: a file system that has no locks.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<Lock> {
    match file.try_lock() {
        Ok(()) => Ok(Lock::Taken),
        Err(TryLockError::WouldBlock) => Ok(Lock::HeldByAnother),
        Err(TryLockError::Error(e)) => {
            Err(Failure::io(format_args!("lock \"{}\"", path.display()), &e)
                .hint("Backups need a file system with locks; NFS needs its lock service."))
        }
    }
}

/// The turn at a folder, until it is dropped: the flock of the directory itself, which leaves no
/// file behind. `None`: go on without. NFS locks no directory (EBADF, flock(2)), and one who
/// holds it too long must not stop a backup; then a maker may lose its file to a sweeper, which
/// [`acquire`] tells, and makes it again.
pub(crate) fn gate(folder: &Path) -> Option<File> {
    let directory = File::open(folder).ok()?;
    let taken = lock_within(&directory, folder).ok()?;
    (taken == Lock::Taken).then_some(directory)
}

/// Locks a file that was just made. `false`: a sweeper was faster and has removed it, or holds
/// on to it.
pub(super) fn acquire(file: &File, path: &Path) -> Result<bool> {
    Ok(lock_within(file, path)? == Lock::Taken && is_at(file, path))
}

/// Waits for the lock, at most [`LIMIT`].
pub(crate) fn lock_within(file: &File, path: &Path) -> Result<Lock> {
    lock_pausing(file, path, std::thread::sleep)
}

/// The same for somebody who knows a better way to pause, which may also not come back.
pub(crate) fn lock_pausing(file: &File, path: &Path, pause: fn(Duration)) -> Result<Lock> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let lock = try_lock(file, path)?;
        if lock == Lock::Taken || Instant::now() >= deadline {
            return Ok(lock);
        }
        pause(PAUSE);
    }
}

/// Whether `path` itself, not what a link points to, is still the open file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Opens what is there, whatever it is: follows no link, waits for no other end of a FIFO. For
/// writing, because NFS gives an exclusive lock to writers only.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)
}
