//! Lists for `pg_restore --use-list`, in files of a private directory beside the archives.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Work;
use super::extract::{LISTS, work_dir};
use crate::error::{Failure, Result};
use crate::host::partial::WorkDir;

/// The directory; gone when it is dropped.
pub struct Lists(WorkDir);

impl Lists {
    /// Makes it. A restore has one.
    pub fn new(work: &Work<'_>) -> Result<Lists> {
        work_dir(work, LISTS).map(Lists)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a list under a name that is not there yet.
    pub fn write(&self, name: &str, list: &str) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(list.as_bytes()));
        let failed = |e| Failure::io(format_args!("write \"{}\"", path.display()), &e);
        written.map_err(failed).map(|()| path)
    }
}
