//! `xtask tree`: a private PostgreSQL that an extension can be installed into.
//!
//! PostgreSQL finds its directories relative to its own binary. So the programs are copied (a
//! symlink would lead it back to the original), all else is linked, and `lib` and `extension` are
//! real directories. In: pg_config of the original. Out: DIR, and its pg_config on standard output.
//! Must hold: readable by every user (the server does not run as root); made under another name
//! and renamed; only a directory that we made is ever replaced.

use crate::Result;
use crate::pg_config::PgConfig;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Marks a tree as ours; its content says which original it was made from.
const STAMP: &str = ".xtask_tree";
/// Directories must be passable for the server's user, whatever the umask.
const DIR_MODE: u32 = 0o755;

/// Makes the tree, unless one of the same original is there.
///
/// # Errors
/// DIR is something else than a tree of ours, belongs to another user, or cannot be written.
pub fn run(dir: &Path, pg_config: &Path) -> Result<()> {
    let original = PgConfig::read(pg_config)?;
    let dir = std::path::absolute(dir)?;
    let layout = Layout::of(&original)?;
    let stamp = stamp(&original)?;
    if !is_current(&dir, &stamp)? {
        make(&dir, &layout, &original, &stamp)?;
    }
    let pg_config = layout.place(&dir, &original.bindir)?.join("pg_config");
    link_pg_config(&dir, &pg_config)?;
    let copy = PgConfig::read(&pg_config)?;
    if !copy.pkglibdir.starts_with(&dir) || !copy.sharedir.starts_with(&dir) {
        return Err(format!("{} cannot be relocated", original.version).into());
    }
    println!("{}", pg_config.display());
    Ok(())
}

/// What all directories of an installation have in common, for Debian `/usr`.
struct Layout {
    prefix: PathBuf,
}

impl Layout {
    fn of(original: &PgConfig) -> Result<Self> {
        let mut prefix = original.bindir.clone();
        while !original.pkglibdir.starts_with(&prefix) || !original.sharedir.starts_with(&prefix) {
            prefix.pop();
        }
        if prefix.parent().is_none() {
            return Err("the directories of this PostgreSQL have nothing in common".into());
        }
        Ok(Self { prefix })
    }

    fn place(&self, dir: &Path, original: &Path) -> Result<PathBuf> {
        Ok(dir.join(original.strip_prefix(&self.prefix)?))
    }
}

/// Whatever the layout, `DIR/pg_config` tells it.
fn link_pg_config(dir: &Path, pg_config: &Path) -> Result<()> {
    let link = dir.join("pg_config");
    if fs::symlink_metadata(&link).is_ok() {
        return Ok(());
    }
    Ok(symlink(pg_config.strip_prefix(dir)?, link)?)
}

/// Changes when the original is upgraded.
fn stamp(original: &PgConfig) -> Result<String> {
    let server = original.bindir.join("postgres");
    let meta = fs::metadata(&server)
        .map_err(|error| format!("could not read \"{}\": {error}", server.display()))?;
    let place = original.bindir.display();
    Ok(format!("{}\n{place}\n{} {}\n", original.version, meta.len(), meta.mtime()))
}

fn is_current(dir: &Path, stamp: &str) -> Result<bool> {
    let Ok(meta) = fs::symlink_metadata(dir) else { return Ok(false) };
    // In a temporary directory anybody may have planted what we are about to run.
    if !meta.is_dir() || meta.uid() != fs::metadata("/proc/self")?.uid() {
        return Err(format!("\"{}\" is not a directory of this user", dir.display()).into());
    }
    match fs::read_to_string(dir.join(STAMP)) {
        Ok(found) => Ok(found == stamp),
        Err(_) if fs::read_dir(dir)?.next().is_none() => Ok(false),
        Err(_) => Err(format!("\"{}\" exists and is not a tree of xtask", dir.display()).into()),
    }
}

fn make(dir: &Path, layout: &Layout, original: &PgConfig, stamp: &str) -> Result<()> {
    let parent = dir.parent().ok_or("a tree needs a parent directory")?;
    fs::create_dir_all(parent)?;
    let partial = dir.with_extension(format!("partial{}", std::process::id()));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    create_dirs(&partial, &partial)?;
    copy_programs(&original.bindir, &mkdir(&partial, layout, &original.bindir)?)?;
    link_entries(&original.pkglibdir, &mkdir(&partial, layout, &original.pkglibdir)?)?;
    link_entries(&original.sharedir, &mkdir(&partial, layout, &original.sharedir)?)?;
    let extension = original.sharedir.join("extension");
    link_entries(&extension, &mkdir(&partial, layout, &extension)?)?;
    let include = layout.prefix.join("include");
    if include.is_dir() {
        symlink(include, partial.join("include"))?;
    }
    fs::write(partial.join(STAMP), stamp)?;
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(fs::rename(&partial, dir)?)
}

fn mkdir(partial: &Path, layout: &Layout, original: &Path) -> Result<PathBuf> {
    let dir = layout.place(partial, original)?;
    create_dirs(partial, &dir)?;
    Ok(dir)
}

fn create_dirs(top: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    for step in dir.ancestors().take_while(|step| step.starts_with(top)) {
        fs::set_permissions(step, fs::Permissions::from_mode(DIR_MODE))?;
    }
    Ok(())
}

fn copy_programs(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match fs::read_link(entry.path()) {
            // postmaster -> postgres stays a link within the copy.
            Ok(link) if link.components().count() == 1 => symlink(link, target)?,
            _ => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Links every entry of a directory, except a pg_backup that is installed in the original (the
/// tree gets its own) and `extension` (a directory of its own).
fn link_entries(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("pg_backup") || name == "extension" {
            continue;
        }
        symlink(entry.path(), to.join(name))?;
    }
    Ok(())
}
