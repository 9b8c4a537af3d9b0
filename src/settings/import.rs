//! Where files may be imported from.

use std::path::PathBuf;

use pg_backup_core::error::{Class, Failure, Result};
use pgrx::{GucContext, GucFlags, GucRegistry};

use super::{Text, text};

static IMPORT_DIRECTORIES: Text = Text::new(None);

/// Registers it.
pub(super) fn define() {
    GucRegistry::define_string_guc(
        c"pg_backup.import_directories",
        c"Directories that backup_import() may read from, separated by commas.",
        c"Absolute paths. Empty: nothing can be imported.",
        &IMPORT_DIRECTORIES,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
}

/// The directories. Errors: one that is not absolute.
pub fn import_directories() -> Result<Vec<PathBuf>> {
    let list = text(&IMPORT_DIRECTORIES).unwrap_or_default();
    let paths = list.split(',').map(|path| path.trim().trim_matches('"'));
    let paths: Vec<PathBuf> = paths.filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(relative) => Err(Failure::new(
            Class::InvalidArgument,
            format!("\"{}\" in pg_backup.import_directories is not absolute", relative.display()),
        )
        .hint("Name the directory from the root directory on.")),
        None => Ok(paths),
    }
}
