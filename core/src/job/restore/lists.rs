//! Lists for `pg_restore --use-list`, in files of a private directory beside the archives; and the
//! table of contents that they are made from.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Work;
use super::extract::{LISTS, reader, stream, work_dir};
use crate::decide::archive_spec::CONTENTS_MAX;
use crate::decide::encoding::decode;
use crate::decide::restore::plan::pg_restore_verbose_contents;
use crate::error::{Class, Failure, Result};
use crate::host::partial::WorkDir;
use crate::job::tools::{output, tool};

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

/// The table of contents of the dump, with what each entry depends on.
pub async fn contents(work: &mut Work<'_>, unpacked: Option<&Path>) -> Result<String> {
    let feed = match unpacked {
        Some(_) => None,
        None => {
            let (path, member) = stream(work)?;
            Some(reader(&path, &member)?)
        }
    };
    let args = pg_restore_verbose_contents(unpacked);
    let list = tool(work.context, "pg_restore", args, Vec::new());
    let bytes = output(work.context, &list, feed, CONTENTS_MAX, "list the dump").await?;
    Ok(decode(&bytes, &work.manifest.facts.database.encoding).into_owned())
}

/// Whether that failed because of what is in it, or its length.
pub fn is_unreadable(failure: &Failure) -> bool {
    matches!(failure.class, Class::ToolFailed | Class::LimitExceeded)
}
