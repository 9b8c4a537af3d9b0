//! Versions of the SQL: what was released, and the way from the last release to now.
//!
//! In: `sql/released`, whose files are never edited, and `sql/unreleased/NNN_slug.sql`, what has
//! changed since. Out: the scripts that are installed beside the current install script; with
//! `xtask release`, the files that this version is from then on; with `xtask upgrades`, copies of
//! the upgrade scripts in `sql/`, the only place where cargo-pgrx looks for some.
//! Must hold: from every released version there is a way to the current one, whoever packages it.

use crate::Result;
use crate::args::Install;
use crate::pg_config::PgConfig;
use crate::{cargo, install, schema};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// SHA-256 of each released script, as `sha256sum` writes and checks it.
const SUMS: &str = "SHA256SUMS";
const UPGRADE_HEADER: &str = "\
\\echo Use \"ALTER EXTENSION pg_backup UPDATE\" to load this file. \\quit
";

/// A trigger has the launcher read this database again, also where it could not before.
const TELL_LAUNCHER: &str = "\
-- Touches no row.
UPDATE @extschema@.backup_schedule_entries SET name = name WHERE false;
";

/// `major.minor.patch`, in the order of versions.
type Version = (u32, u32, u32);

/// Names and contents of all scripts but the current install script: the released ones, and the
/// upgrade from the last release to `version` where that is another.
///
/// # Errors
/// A file in `sql/unreleased` that is no fragment, or fragments in a version that is released.
pub fn scripts(root: &Path, version: &str) -> Result<BTreeMap<String, String>> {
    let mut scripts = released(root)?;
    let fragments = fragments(root)?;
    match last(&scripts) {
        Some(last) if last == version && !fragments.is_empty() => Err(format!(
            "version {version} is released and sql/unreleased is not empty: raise the version in \
             Cargo.toml"
        )
        .into()),
        Some(last) if last != version => {
            let name = format!("pg_backup--{last}--{version}.sql");
            scripts.insert(name, upgrade(&fragments));
            Ok(scripts)
        }
        _ => Ok(scripts),
    }
}

/// `xtask release`: freezes the version of the workspace.
///
/// # Errors
/// It is released already, or the build failed.
pub fn run(options: &Install, version: &str) -> Result<()> {
    let root = cargo::root();
    let mut files = scripts(root, version)?;
    let name = format!("pg_backup--{version}.sql");
    if files.contains_key(&name) {
        return Err(format!("version {version} is released already").into());
    }
    let library = cargo::library(options, &PgConfig::read(&options.pg_config)?)?;
    let script = schema::install_script(&library, &install::control_file(root)?, root)?;
    files.insert(name, frozen(&script));
    let dir = root.join("sql/released");
    for (name, text) in &files {
        fs::write(dir.join(name), text)?;
    }
    fs::write(dir.join(SUMS), sums(&files))?;
    for name in fragments(root)?.keys() {
        fs::remove_file(root.join("sql/unreleased").join(name))?;
    }
    write_upgrades(root, version)?;
    println!(
        "pg_backup {version} is frozen in sql/released; commit that, then raise the version in \
         Cargo.toml and META.json and run cargo xtask upgrades"
    );
    Ok(())
}

/// `xtask upgrades`: `sql/` has the upgrade scripts that [`scripts`] has, and no other.
///
/// # Errors
/// Those of [`scripts`], or `sql/` may not be written.
pub fn write_upgrades(root: &Path, version: &str) -> Result<()> {
    let (wanted, found) =
        (upgrades(scripts(root, version)?), upgrades(read_all(&root.join("sql"))?));
    for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(root.join("sql").join(name))?;
    }
    for (name, text) in wanted.iter().filter(|&(name, text)| found.get(name) != Some(text)) {
        fs::write(root.join("sql").join(name), text)?;
        println!("  sql/{name}");
    }
    Ok(())
}

/// Only `pg_backup--a--b.sql`.
fn upgrades(mut scripts: BTreeMap<String, String>) -> BTreeMap<String, String> {
    scripts.retain(|name, _| name.matches("--").count() == 2);
    scripts
}

/// Every script in `sql/released`.
fn released(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut scripts = read_all(&root.join("sql/released"))?;
    scripts.remove(SUMS);
    Ok(scripts)
}

/// The fragments in their order.
fn fragments(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut fragments = read_all(&root.join("sql/unreleased"))?;
    fragments.remove("README.md");
    match fragments.keys().find(|name| !is_fragment(name)) {
        Some(name) => Err(format!("sql/unreleased/{name} is not called NNN_slug.sql").into()),
        None => Ok(fragments),
    }
}

fn read_all(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(&path)?);
    }
    Ok(files)
}

fn is_fragment(name: &str) -> bool {
    let slug = name.strip_suffix(".sql").and_then(|name| name.split_once('_'));
    slug.is_some_and(|(number, slug)| {
        number.len() == 3
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !slug.is_empty()
            && slug.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789_".contains(&byte))
    })
}

/// The newest version with an install script.
fn last(scripts: &BTreeMap<String, String>) -> Option<String> {
    let versions = scripts.keys().filter_map(|name| {
        let version = name.strip_prefix("pg_backup--")?.strip_suffix(".sql")?;
        Some((parsed(version)?, version.to_owned()))
    });
    versions.max().map(|(_, version)| version)
}

fn parsed(version: &str) -> Option<Version> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}

fn upgrade(fragments: &BTreeMap<String, String>) -> String {
    let texts = fragments.iter().map(|(name, text)| format!("\n-- {name}\n{}\n", text.trim()));
    let tell = std::iter::once(format!("\n{TELL_LAUNCHER}"));
    std::iter::once(UPGRADE_HEADER.to_owned()).chain(texts).chain(tell).collect()
}

/// Without the places in the source that pgrx notes above each object: they move.
fn frozen(script: &str) -> String {
    let is_place = |line: &&str| {
        line.strip_prefix("-- ").is_some_and(|rest| {
            rest.starts_with("pg_backup::")
                || rest.rsplit_once(".rs:").is_some_and(|(_, line)| line.parse::<u32>().is_ok())
        })
    };
    script.lines().filter(|line| !is_place(line)).map(|line| format!("{line}\n")).collect()
}

fn sums(scripts: &BTreeMap<String, String>) -> String {
    let line = |(name, text): (&String, &String)| {
        let digest = Sha256::digest(text.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}  {name}\n")
    };
    scripts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(released: &[&str], unreleased: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (folder, names) in [("sql/released", released), ("sql/unreleased", unreleased)] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            for name in names {
                fs::write(root.path().join(folder).join(name), format!("SELECT '{name}';\n"))
                    .unwrap();
            }
        }
        root
    }

    #[test]
    fn released_scripts_are_what_they_were_when_they_were_released() {
        let scripts = released(cargo::root()).unwrap();
        let sums_then = fs::read_to_string(cargo::root().join("sql/released").join(SUMS)).unwrap();
        assert_eq!(
            sums(&scripts),
            sums_then,
            "a released script was edited: people have installed it, and a change never reaches \
             them; put it into sql/unreleased"
        );
    }

    #[test]
    fn cargo_pgrx_finds_the_upgrade_scripts_that_are_installed() {
        let root = cargo::root();
        let wanted = upgrades(scripts(root, install::VERSION).unwrap());
        let found = upgrades(read_all(&root.join("sql")).unwrap());
        assert!(found == wanted, "sql/pg_backup--*--*.sql is old: run cargo xtask upgrades");
    }

    #[test]
    fn upgrade_scripts_are_written_once_and_old_ones_go() {
        let root = root_with(&["pg_backup--0.1.0.sql"], &["010_a.sql"]);
        let old = root.path().join("sql/pg_backup--0.1.0--0.1.9.sql");
        fs::write(&old, "SELECT 1;").unwrap();
        write_upgrades(root.path(), "0.2.0").unwrap();
        let text = fs::read_to_string(root.path().join("sql/pg_backup--0.1.0--0.2.0.sql")).unwrap();
        assert!(text.contains("'010_a.sql'") && !old.exists());
    }

    #[test]
    fn the_last_release_is_upgraded_by_the_fragments_in_their_order() {
        let released = ["pg_backup--0.9.0.sql", "pg_backup--0.10.0.sql"];
        let root = root_with(&released, &["020_b.sql", "010_a.sql", "README.md"]);
        let scripts = scripts(root.path(), "0.11.0").unwrap();
        let upgrade = &scripts["pg_backup--0.10.0--0.11.0.sql"];
        let (a, b) = (upgrade.find("'010_a.sql'").unwrap(), upgrade.find("'020_b.sql'").unwrap());
        assert!(a < b && upgrade.starts_with("\\echo Use \"ALTER EXTENSION"));
        assert_eq!(scripts.len(), 3, "and both released ones");
    }

    #[test]
    fn a_released_version_takes_no_fragments_and_needs_no_upgrade() {
        let root = root_with(&["pg_backup--0.1.0.sql"], &[]);
        assert_eq!(scripts(root.path(), "0.1.0").unwrap().len(), 1);
        let root = root_with(&["pg_backup--0.1.0.sql"], &["010_a.sql"]);
        assert!(scripts(root.path(), "0.1.0").unwrap_err().to_string().contains("raise"));
    }

    #[test]
    fn a_file_that_is_no_fragment_is_an_error() {
        for name in ["10_a.sql", "010_A.sql", "010_.sql", "010_a.sql.orig", "notes.txt"] {
            let root = root_with(&["pg_backup--0.1.0.sql"], &[name]);
            assert!(scripts(root.path(), "0.2.0").unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn a_frozen_script_names_no_place_in_the_source() {
        let script = "-- src/api/check.rs:19\n-- pg_backup::api::check\nSELECT 1; -- why\n";
        assert_eq!(frozen(script), "SELECT 1; -- why\n");
    }
}
