//! A cluster that pg_upgrade makes of another one.
//!
//! In: a cluster, and the programs of the same or of a newer major version with the extension.
//! Out: a running cluster with the same databases. Must hold: the old one is stopped, and stays as
//! it was: its archives lie in its data directory.

use crate::ability::major as own_major;
use crate::cluster::{Cluster, Mode};
use crate::everything::run_tool;
use crate::job::names_below;
use crate::place::{base, tree, tree_of};
use crate::server::{as_server, must_run};
use crate::template;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The programs of the server under test.
pub fn own_programs() -> PathBuf {
    tree().bindir.clone()
}

/// The programs of another major version that `make test-install PG=NN` has made, with the
/// extension; the reason where there are none.
pub fn programs_of(major: u32) -> Result<PathBuf, String> {
    // Those of each major version but 15 lie in a directory of its own.
    let is_ours = |name: &OsStr| name == format!("pg{}", own_major()).as_str();
    let all = match base().file_name() {
        Some(name) if is_ours(name) => base().parent().unwrap_or(base()),
        _ => base(),
    };
    let pg_config = all.join(format!("pg{major}/pg/pg_config"));
    let make = format!("run `make test-install PG={major}` for it");
    if !pg_config.is_file() {
        return Err(format!("{} does not exist: {make}", pg_config.display()));
    }
    let other = tree_of(&pg_config);
    match other.libdir.join("pg_backup.so").is_file() {
        true => Ok(other.bindir),
        false => Err(format!("{} has no pg_backup: {make}", other.libdir.display())),
    }
}

/// All that pg_upgrade and its servers have logged.
fn logs_below(folder: &Path) -> String {
    let logs = names_below(folder).into_iter().filter(|name| name.ends_with(".log"));
    let read = |name: String| fs::read(folder.join(name)).unwrap_or_default();
    logs.map(|name| String::from_utf8_lossy(&read(name)).into_owned()).collect()
}

/// Both clusters need the same answer, and since PostgreSQL 18 another one is the default.
fn checksums(programs: &Path, on: bool) -> &'static [&'static str] {
    if on {
        return &["--data-checksums"];
    }
    let help = run_tool(&programs.join("initdb"), &["--help"]);
    if help.contains("--no-data-checksums") { &["--no-data-checksums"] } else { &[] }
}

impl Cluster {
    /// Stops this cluster and upgrades it. `conf` are lines for the new postgresql.conf.
    pub fn upgraded(&mut self, programs: &Path, conf: &[&str]) -> Self {
        if programs != tree().bindir {
            self.forget_versions_of_columns();
        }
        let checksums = checksums(programs, self.value("postgres", "SHOW data_checksums") == "on");
        self.stop(Mode::Fast);
        let mut new = Self::prepare(Vec::new());
        programs.clone_into(&mut new.bindir);
        template::init_with(programs, &new.data_dir(), checksums);
        let mut upgrade = as_server(programs.join("pg_upgrade"));
        upgrade.current_dir(&new.home).arg("-b").arg(&tree().bindir).arg("-B").arg(programs);
        upgrade.arg("-d").arg(self.data_dir()).arg("-D").arg(new.data_dir());
        upgrade
            .args(["-U", "postgres", "--retain", "--no-sync", "--socketdir"])
            .arg(&new.socket_dir);
        must_run(&mut upgrade);
        let said = logs_below(&new.data_dir().join("pg_upgrade_output.d"));
        assert!(said.contains("pg_upgrade run on") || said.contains("database system is ready"));
        assert!(!said.contains("pg_backup launcher"), "it was there in between: {said}");
        let lines: Vec<String> = conf.iter().map(|&line| line.to_owned()).collect();
        new.launch(&lines);
        new
    }

    /// Newer minor versions note one in each column (`pg_attver`). A pg_upgrade from before that
    /// carries it over, and its server refuses it.
    fn forget_versions_of_columns(&self) {
        let names = "SELECT datname FROM pg_database WHERE datallowconn";
        for name in self.sql("postgres", names).into_iter().filter_map(|mut row| row.remove(0)) {
            let forget = "UPDATE pg_attribute SET attoptions = NULL \
                          WHERE attoptions::text LIKE '{pg\\_attver=%}'";
            self.sql(&name, forget);
        }
    }

    /// Moves the default backup directory of this cluster into the data directory of `new`, as the
    /// administrator does after pg_upgrade.
    pub fn move_backups_to(&self, new: &Self) {
        if new.backup_dir().exists() {
            fs::remove_dir_all(new.backup_dir()).expect("it is ours, and new");
        }
        fs::rename(self.backup_dir(), new.backup_dir()).expect("both are on one file system");
    }
}
