//! `xtask install`: library, control file and scripts into the directories of one PostgreSQL.
//!
//! In: the options and the workspace. Out: pg_backup.so, pg_backup.control,
//! pg_backup--VERSION.sql, those of released versions and the upgrade scripts, for every user.
//! Must hold: a running server that has mapped the old library keeps the old inode; a file whose
//! content is the same is left alone, so that what depends on it need not be made again.

use crate::Result;
use crate::args::Install;
use crate::pg_config::PgConfig;
use crate::{cargo, release, schema};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The version of the workspace, which is the version of the extension.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A library is executable by habit (dpkg, PGXS); neither file may depend on the umask.
const LIBRARY_MODE: u32 = 0o755;
const TEXT_MODE: u32 = 0o644;

/// Builds unless told not to, and installs. Prints every file that changed.
///
/// # Errors
/// The build failed, or a directory does not exist or may not be written.
pub fn run(options: &Install) -> Result<()> {
    let target = PgConfig::read(&options.pg_config)?;
    let library = cargo::library(options, &target)?;
    let control = control_file(cargo::root())?;
    let script = schema::install_script(&library, &control, cargo::root())?;

    let lib_dir = under(options.destdir.as_deref(), &target.pkglibdir);
    let extension_dir = under(options.destdir.as_deref(), &target.sharedir.join("extension"));
    println!("pg_backup {VERSION} ({}) for {}", options.profile, target.version);
    if options.destdir.is_some() {
        fs::create_dir_all(&lib_dir)?;
        fs::create_dir_all(&extension_dir)?;
    }
    put(&lib_dir.join("pg_backup.so"), &fs::read(&library)?, LIBRARY_MODE)?;
    put(&extension_dir.join("pg_backup.control"), control.as_bytes(), TEXT_MODE)?;
    let current = format!("pg_backup--{VERSION}.sql");
    put(&extension_dir.join(&current), script.as_bytes(), TEXT_MODE)?;
    for (name, text) in release::scripts(cargo::root(), VERSION)? {
        if name != current {
            put(&extension_dir.join(name), text.as_bytes(), TEXT_MODE)?;
        }
    }
    Ok(())
}

/// The control file, version marks replaced.
pub fn control_file(root: &Path) -> Result<String> {
    let text = fs::read_to_string(root.join("pg_backup.control"))
        .map_err(|error| format!("could not read pg_backup.control: {error}"))?;
    Ok(text.replace("@CARGO_VERSION@", VERSION))
}

/// `DESTDIR/usr/lib/…`, as PGXS does it.
fn under(destdir: Option<&Path>, dir: &Path) -> PathBuf {
    match destdir {
        Some(destdir) => destdir.join(dir.strip_prefix("/").unwrap_or(dir)),
        None => dir.to_owned(),
    }
}

/// Writes a file beside its place and renames it into place, unless it is there already.
fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    if is_same(path, content, mode) {
        return Ok(());
    }
    let partial = path.with_extension(format!("partial{}", std::process::id()));
    let written = fs::write(&partial, content)
        .and_then(|()| fs::set_permissions(&partial, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&partial, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(refused(path, &error).into());
    }
    println!("  {}", path.display());
    Ok(())
}

fn is_same(path: &Path, content: &[u8], mode: u32) -> bool {
    // A symlink (in a private tree, to the system's file) is never ours to keep.
    fs::symlink_metadata(path).is_ok_and(|meta| {
        meta.is_file()
            && meta.len() == content.len() as u64
            && meta.permissions().mode() & 0o7777 == mode
            && fs::read(path).is_ok_and(|old| old == content)
    })
}

fn refused(path: &Path, error: &std::io::Error) -> String {
    let mut text = format!("could not write \"{}\": {error}", path.display());
    if error.kind() == ErrorKind::PermissionDenied
        && let Ok(exe) = std::env::current_exe()
    {
        let words: Vec<String> = std::env::args().skip(2).filter(|w| w != "--no-build").collect();
        text.push_str(&format!(
            "\nThe library is built. As a user who may write there, run:\n  \
             sudo {} install --no-build {}",
            exe.display(),
            words.join(" ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destdir_goes_in_front_of_the_whole_path() {
        let dir = Path::new("/usr/share/postgresql/15");
        assert_eq!(under(None, dir), dir);
        let staged = under(Some(Path::new("/out")), dir);
        assert_eq!(staged, Path::new("/out/usr/share/postgresql/15"));
    }

    #[test]
    fn an_unchanged_file_keeps_its_inode_and_a_changed_one_gets_a_new_one() {
        use std::os::unix::fs::MetadataExt;
        let dir = std::env::temp_dir().join(format!("xtask-put-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pg_backup.control");
        put(&path, b"one", TEXT_MODE).unwrap();
        let held = fs::File::open(&path).unwrap();
        put(&path, b"one", TEXT_MODE).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), held.metadata().unwrap().ino());
        put(&path, b"two", TEXT_MODE).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), held.metadata().unwrap().ino());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no partial file is left");
        fs::remove_dir_all(&dir).unwrap();
    }
}
