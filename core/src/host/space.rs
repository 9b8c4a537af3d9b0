//! How much fits on a disk.
//!
//! In: a path that exists. Out: bytes. What must hold: the number is what this process may write,
//! not what the disk has left for root.

use crate::error::{Failure, Result};
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// Bytes that an ordinary user can still write on the file system that `path` lies on:
/// `f_bavail * f_frsize` of `statvfs(3)`. Quotas are not seen.
///
/// Errors: `UndefinedFile` when `path` does not exist, else `Io`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let stat = statvfs(path).map_err(|errno| {
        Failure::io(format_args!("read the free space of \"{}\"", path.display()), &errno.into())
    })?;
    // A file system that reports nonsense (some FUSE ones do) must not wrap to a small number.
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_disk_that_tests_run_on_has_free_space() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
    }

    #[test]
    fn a_file_system_that_stores_nothing_has_none() {
        assert_eq!(free_bytes(Path::new("/proc")), Ok(0));
    }

    #[test]
    fn a_missing_path_is_named() {
        let failure = free_bytes(Path::new("/nonexistent/\u{e9}")).unwrap_err();
        assert_eq!(failure.class, Class::UndefinedFile);
        assert!(failure.message.contains("\"/nonexistent/\u{e9}\""), "{}", failure.message);
    }
}
