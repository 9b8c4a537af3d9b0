//! Everything that lies in the backup directory, three levels deep: `<system
//! id>/<database>/<file>`.
//!
//! In: the directory. Out: its entries, told apart by name and type. What must hold: nothing is
//! opened, changed, or followed.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::dir::{BackupDir, kind};
use super::partial::is_work_dir;
use super::upload::FOLDER;
use crate::decide::naming::{is_partial, parse_archive_name};
use crate::error::{Class, Failure, Result};

/// The most entries: hourly backups of twenty years.
pub const MAX_ENTRIES: usize = 200_000;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Named and made like an archive, with its size in bytes.
    Archive(u64),
    /// What jobs and uploads are at work on, or have left to be swept.
    Work,
    /// None of ours, with what it is.
    Stranger(&'static str),
}

/// All entries, each by its name below the directory, sorted.
///
/// Errors: `LimitExceeded`, those of `readdir(3)` and `stat(2)`.
pub fn list(dir: &BackupDir) -> Result<Vec<(String, Entry)>> {
    let mut found = Vec::new();
    for (system, entry) in entries(dir.path(), &mut found)? {
        let is_id = system.bytes().all(|byte| byte.is_ascii_digit());
        if !is_id || !is_dir(&entry)? {
            add(&mut found, system, &entry)?;
            continue;
        }
        for (database, entry) in entries(&entry.path(), &mut found)? {
            let name = format!("{system}/{database}");
            if database == FOLDER {
                found.push((name, Entry::Work));
            } else if !is_dir(&entry)? {
                add(&mut found, name, &entry)?;
            } else {
                files(&mut found, &name, &entry.path())?;
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn files(found: &mut Vec<(String, Entry)>, folder: &str, path: &Path) -> Result<()> {
    for (file, entry) in entries(path, found)? {
        let name = format!("{folder}/{file}");
        let kind = entry.file_type().map_err(|e| failed(&entry.path(), &e))?;
        if kind.is_file() && parse_archive_name(&file).is_some() {
            match entry.metadata() {
                Ok(meta) => found.push((name, Entry::Archive(meta.len()))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(&entry.path(), &e)),
            }
        } else if kind.is_file() && is_partial(&file) || kind.is_dir() && is_work_dir(&file) {
            found.push((name, Entry::Work));
        } else {
            add(found, name, &entry)?;
        }
    }
    Ok(())
}

fn entries(path: &Path, found: &mut [(String, Entry)]) -> Result<Vec<(String, DirEntry)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| failed(path, &e))? {
        let entry = entry.map_err(|e| failed(path, &e))?;
        if found.len() + entries.len() == MAX_ENTRIES {
            let message = format!("more than {MAX_ENTRIES} files in the backup directory");
            return Err(Failure::new(Class::LimitExceeded, message));
        }
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry));
    }
    Ok(entries)
}

fn is_dir(entry: &DirEntry) -> Result<bool> {
    Ok(entry.file_type().map_err(|e| failed(&entry.path(), &e))?.is_dir())
}

fn add(found: &mut Vec<(String, Entry)>, name: String, entry: &DirEntry) -> Result<()> {
    let kind = kind(entry.file_type().map_err(|e| failed(&entry.path(), &e))?);
    found.push((name, Entry::Stranger(kind)));
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("read \"{}\"", path.display()), error)
}
