//! Removes a published archive, durably, and nothing else.

use std::path::Path;

use super::dir::BackupDir;
use crate::error::{Class, Failure, Result};

/// Removes an archive by its stored name and makes that durable; false when it was gone already.
/// Anything that is not a regular file is left alone. Errors: the folder of all archives of its
/// server is not there, among others.
pub fn remove(place: &BackupDir, file: &str) -> Result<bool> {
    let path = match place.resolve(file) {
        Err(failure) if failure.class == Class::UndefinedFile => return Ok(false),
        other => other?,
    };
    let doing = || format!("delete archive \"{}\"", path.display());
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match place.has_folder_of(file) {
                true => Ok(false),
                false => Err(no_folder(&doing())),
            };
        }
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

fn no_folder(doing: &str) -> Failure {
    Failure::new(Class::UndefinedFile, format!("could not {doing}"))
        .detail("The folder of all archives of its server is not there either.")
        .hint(
            "Look whether the right disk is mounted, and whether pg_backup.directory was changed.",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::dir::FOLDER_MODE;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_gone_only_where_the_folder_of_its_server_is() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(FOLDER_MODE)).unwrap();
        let place = BackupDir::open(root.path(), Path::new("/nonexistent"), false).unwrap();
        let failure = remove(&place, "7/app/a.zip").unwrap_err();
        assert_eq!(failure.class, Class::UndefinedFile);
        assert!(!failure.hint.is_empty());
        let folder = place.folder(7, "app").unwrap();
        assert_eq!(remove(&place, "7/app/a.zip"), Ok(false));
        fs::write(folder.join("a.zip"), "").unwrap();
        assert_eq!(remove(&place, "7/app/a.zip"), Ok(true));
        fs::remove_dir(folder).unwrap();
        assert_eq!(remove(&place, "7/app/a.zip"), Ok(false));
    }
}
