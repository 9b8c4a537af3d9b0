//! Removes a published archive, durably, and nothing else.

use std::path::Path;

use super::dir::BackupDir;
use crate::error::{Class, Failure, Result};

/// Removes an archive by its stored name and makes that durable; false when it was gone already.
/// Anything that is not a regular file is left alone.
pub fn remove(place: &BackupDir, file: &str) -> Result<bool> {
    let path = match place.resolve(file) {
        Err(failure) if failure.class == Class::UndefinedFile => return Ok(false),
        other => other?,
    };
    let doing = || format!("delete archive \"{}\"", path.display());
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::io(doing(), &error)),
        Ok(meta) if !meta.is_file() => {
            return Err(Failure::new(Class::Io, format!("could not {}", doing()))
                .detail("It is not a regular file, so pg_backup did not make it.")
                .hint("Look at it and remove it by hand."));
        }
        Ok(_) => {}
    }
    std::fs::remove_file(&path).map_err(|e| Failure::io(doing(), &e))?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let synced = std::fs::File::open(parent).and_then(|folder| folder.sync_all());
    synced.map(|()| true).map_err(|e| Failure::io(doing(), &e))
}
