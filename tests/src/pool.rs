//! Used data directories, made like new, for the next cluster.
//!
//! Only some 50 of a thousand files change in a test, so restoring those is cheaper than copying
//! all; and ext4 passes over every inode freed in the last minute when it looks for one, so that
//! a suite which keeps deleting thousands of files slows itself down (0.07 to 0.9 s per copy).
//! In: a data directory whose server is gone. Out: the same content as the template, in the pool.
//! Must hold: a directory is in the pool only when it was restored completely.

use std::collections::HashSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// More than this many tests do not run at the same time; in directories of 30 MB.
const POOL_MAX: usize = 8;

/// Moves a directory from `pool` to `data`. False when there is none.
pub fn take(pool: &Path, data: &Path) -> bool {
    let entries = fs::read_dir(pool).into_iter().flatten().flatten();
    // Another test may have taken it in the meantime: then the rename fails.
    entries.map(|entry| entry.path()).any(|path| fs::rename(path, data).is_ok())
}

/// Makes `data` like `template` again and puts it into `pool`, as `name`. False when the caller has
/// to delete it: the pool is full, the template is gone, or something could not be restored.
pub fn give_back(template: &Path, pool: &Path, data: &Path, name: &str) -> bool {
    if fs::create_dir_all(pool).is_err()
        || fs::read_dir(pool).map_or(POOL_MAX, Iterator::count) >= POOL_MAX
    {
        return false;
    }
    restore(template, data).and_then(|()| fs::rename(data, pool.join(name))).is_ok()
}

/// Makes `to` a copy of `from`, leaving alone what is the same already.
fn restore(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        names.insert(entry.file_name());
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let wanted = entry.metadata()?;
        if wanted.is_dir() {
            restore_dir(&target, &wanted)?;
            restore(&source, &target)?;
        } else if !is_same(&wanted, &target) {
            restore_file(&source, &target, &wanted)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A write after the template was made shows in the time of the last change.
fn is_same(wanted: &Metadata, target: &Path) -> bool {
    let key = |meta: &Metadata| {
        (meta.mode(), meta.uid(), meta.gid(), meta.len(), meta.mtime(), meta.mtime_nsec())
    };
    fs::symlink_metadata(target).is_ok_and(|found| key(&found) == key(wanted))
}

fn restore_dir(target: &Path, wanted: &Metadata) -> io::Result<()> {
    if !fs::symlink_metadata(target).is_ok_and(|found| found.is_dir()) {
        remove(target)?;
        fs::create_dir(target)?;
    }
    own(target, wanted)
}

fn restore_file(source: &Path, target: &Path, wanted: &Metadata) -> io::Result<()> {
    if !fs::symlink_metadata(target).is_ok_and(|found| found.is_file()) {
        remove(target)?;
    }
    let mut file = File::create(target)?;
    io::copy(&mut File::open(source)?, &mut file)?;
    own(target, wanted)?;
    file.set_modified(wanted.modified()?)
}

fn own(target: &Path, wanted: &Metadata) -> io::Result<()> {
    chown(target, Some(wanted.uid()), Some(wanted.gid()))?;
    fs::set_permissions(target, Permissions::from_mode(wanted.mode() & 0o7777))
}

/// Removes a file, a link (not what it points to) or a whole directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Names, kinds, modes, times and content of everything below a directory.
    fn picture(dir: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if meta.is_dir() {
                lines.push(format!("{name} {:o}", meta.mode()));
                lines.extend(picture(&path).into_iter().map(|line| format!("{name}/{line}")));
            } else {
                let content = fs::read_to_string(&path).unwrap();
                lines.push(format!("{name} {:o} {} {content}", meta.mode(), meta.mtime_nsec()));
            }
        }
        lines.sort();
        lines
    }

    #[test]
    fn a_used_directory_becomes_like_the_template_again() {
        let dir = tempfile::tempdir().unwrap();
        let (template, data) = (dir.path().join("template-1"), dir.path().join("data"));
        let pool = dir.path().join("pool");
        fs::create_dir_all(template.join("base/1")).unwrap();
        for name in ["base/1/100", "base/1/200", "PG_VERSION", "base/keep"] {
            fs::write(template.join(name), name).unwrap();
        }
        assert!(!take(&pool, &data));
        let copied = std::process::Command::new("cp").arg("-a").args([&template, &data]).status();
        assert!(copied.unwrap().success());

        fs::write(data.join("base/1/100"), "BASE/1/100").unwrap();
        fs::remove_file(data.join("PG_VERSION")).unwrap();
        symlink("/etc/passwd", data.join("PG_VERSION")).unwrap();
        fs::remove_dir_all(data.join("base/1")).unwrap();
        fs::write(data.join("base/1"), "a file").unwrap();
        fs::set_permissions(data.join("base/keep"), Permissions::from_mode(0o666)).unwrap();
        fs::create_dir_all(data.join("pg_backup/deep")).unwrap();
        symlink(&template, data.join("link")).unwrap();

        assert!(give_back(&template, &pool, &data, "one"));
        assert!(!data.exists() && take(&pool, &data));
        assert_eq!(picture(&data), picture(&template));
        assert!(!take(&pool, &dir.path().join("second")), "the pool is empty again");
    }

    #[test]
    fn a_full_pool_takes_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (template, pool) = (dir.path().join("template-1"), dir.path().join("pool"));
        fs::create_dir(&template).unwrap();
        for number in 0..=POOL_MAX {
            let data = dir.path().join("data");
            fs::create_dir(&data).unwrap();
            let taken = give_back(&template, &pool, &data, &number.to_string());
            assert_eq!(taken, number < POOL_MAX);
        }
    }
}
