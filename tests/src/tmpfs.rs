//! A small file system that a test may fill.

use crate::ability::skipped;
use crate::place::{give_to_server, run_dir, unique_name};
use crate::server::plain;
use nix::unistd::Uid;
use std::fs;
use std::path::{Path, PathBuf};

/// A mounted tmpfs that belongs to the server's user. Unmounted and removed when it goes; declare
/// it before the cluster that uses it, so that it goes after.
pub struct Tmpfs {
    path: PathBuf,
}

/// Mounts a tmpfs of `size_mb` megabytes. None, with the reason told, where that is not
/// possible: only root may mount, and not in every container.
pub fn tmpfs(size_mb: u32) -> Option<Tmpfs> {
    if !Uid::effective().is_root() {
        skipped("only root can mount a tmpfs");
        return None;
    }
    let path = run_dir().join(unique_name());
    fs::create_dir(&path).expect("the run directory is ours");
    let mut mount = plain(PathBuf::from("mount"));
    mount.args(["-t", "tmpfs", "-o", &format!("size={size_mb}m,mode=0700"), "pg_backup_test"]);
    let output = mount.arg(&path).output();
    match output {
        Ok(output) if output.status.success() => {
            give_to_server(&path);
            Some(Tmpfs { path })
        }
        failed => {
            skipped(&format!("could not mount a tmpfs: {failed:?}"));
            let _ = fs::remove_dir(&path);
            None
        }
    }
}

impl Tmpfs {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.path);
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("could not remove {}: {error}", self.path.display());
        }
    }
}

/// Unmounts what is mounted at `path`, if anything; lazily, for a process may still be in there.
pub fn unmount(path: &Path) {
    let _ = plain(PathBuf::from("umount")).arg("--lazy").arg(path).output();
}
