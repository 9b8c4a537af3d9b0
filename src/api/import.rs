//! `backup_import()` and `backup_scan()`: archives that were not made here.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use pg_backup_core::decide::request::{Import, Request, Scan, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::scan::Finding;
use pgrx::prelude::*;

use super::{audited_home, ensure_superuser, not_null, waited};
use crate::error::unwrap;
use crate::worker::call;
use crate::{pg, settings};

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_import(path: Option<String>, comment: default!(Option<String>, "NULL")) -> i64 {
    unwrap(not_null("path", path).and_then(|path| import(&path, comment)))
}

fn import(path: &str, comment: Option<String>) -> Result<i64> {
    ensure_superuser("import a file")?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_import()")?;
    let found = importable(path, &settings::import_directories()?)?;
    let file = found.to_str().ok_or_else(|| {
        Failure::new(Class::InvalidArgument, "the name of the file is not UTF-8").hint("Rename it.")
    })?;
    let task = Task::Import(Import {
        path: file.to_owned(),
        filename: path.to_owned(),
        origin: "import".to_owned(),
        comment,
        sha256: None,
        take: false,
        limits: settings::limits(),
    });
    waited(&Request { home: audited_home("backup_import", 0)?, task })
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_scan() -> TableIterator<
    'static,
    (name!(file, String), name!(action, String), name!(id, Option<i64>), name!(detail, String)),
> {
    let rows = unwrap(scan());
    TableIterator::new(rows.into_iter().map(|row| (row.file, row.action, row.id, row.detail)))
}

fn scan() -> Result<Vec<Finding>> {
    ensure_superuser("scan the backup directory")?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_scan()")?;
    let findings = Findings::new()?;
    let path = findings.0.to_string_lossy().into_owned();
    let task = Task::Scan(Scan { findings: path, limits: settings::limits() });
    call::run(&Request { home: audited_home("backup_scan", 0)?, task })?;
    findings.read()
}

/// A file for what a scan finds, which is more than a job slot holds. It lies where the server
/// puts its own temporary files, and has a name that a starting server removes.
struct Findings(PathBuf);

impl Findings {
    fn new() -> Result<Self> {
        let folder = pg::data_directory().join("base/pgsql_tmp");
        let failed = |e| Failure::io(format_args!("create directory \"{}\"", folder.display()), &e);
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
        let findings = Self(folder.join(format!("pgsql_tmp_pg_backup_scan.{}", pg::my_pid())));
        // Of an earlier process with this id.
        fs::remove_file(&findings.0).ok();
        Ok(findings)
    }

    fn read(&self) -> Result<Vec<Finding>> {
        let failed = |e: std::io::Error| Failure::io("read what was found", &e);
        let text = fs::read_to_string(&self.0).map_err(failed)?;
        let read = |line: &str| serde_json::from_str(line).map_err(|e| failed(e.into()));
        text.lines().map(read).collect()
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Where the file really is, when that is below one of the directories. What is outside is not
/// even looked at: an error must not tell whether it exists.
fn importable(path: &str, directories: &[PathBuf]) -> Result<PathBuf> {
    if directories.is_empty() {
        return Err(Failure::new(Class::NotReady, "no directory is set to import from")
            .detail("pg_backup.import_directories is empty.")
            .hint(
                "ALTER SYSTEM SET pg_backup.import_directories = '/a/directory'; then SELECT \
                 pg_reload_conf().",
            ));
    }
    let wanted = Path::new(path);
    let plain = |part| !matches!(part, std::path::Component::ParentDir);
    if !wanted.is_absolute() || !wanted.components().all(plain) {
        return Err(Failure::new(
            Class::InvalidArgument,
            format!("\"{path}\" is not an absolute path without \"..\""),
        )
        .hint("Name the file as the server sees it, from the root directory on."));
    }
    let real = directories.iter().filter_map(|directory| fs::canonicalize(directory).ok());
    let real: Vec<PathBuf> = real.collect();
    let is_below = |path: &Path, roots: &[PathBuf]| {
        roots.iter().any(|root| path.starts_with(root) && path != root)
    };
    if !is_below(wanted, directories) && !is_below(wanted, &real) {
        return Err(outside(path, directories));
    }
    let found =
        fs::canonicalize(wanted).map_err(|e| Failure::io(format_args!("open \"{path}\""), &e))?;
    if is_below(&found, &real) { Ok(found) } else { Err(outside(path, directories)) }
}

fn outside(path: &str, directories: &[PathBuf]) -> Failure {
    let list = directories.iter().map(|d| format!("\"{}\"", d.display()));
    Failure::new(
        Class::InsufficientPrivilege,
        format!("\"{path}\" is not below a directory to import from"),
    )
    .detail(format!(
        "pg_backup.import_directories is {}. A symbolic link does not lead out of it.",
        list.collect::<Vec<_>>().join(", ")
    ))
    .hint("Copy the file there, or add its directory to the setting.")
}
