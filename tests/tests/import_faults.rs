//! Imports that are killed, cancelled, or run out of space: the row tells the truth, and no file is
//! left that no row knows.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, names_below, signal, tmpfs, wait_until};
use std::fs;
use std::path::PathBuf;

const SETTING: &str = "pg_backup.import_directories";
/// Nothing has the archive's name yet.
const BEFORE: [&str; 3] = ["import_copied", "archive_unfinished", "before_rename"];

/// A script to import, with some data.
fn script(cluster: &Cluster) -> (PathBuf, String) {
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set(SETTING, &place.display().to_string());
    let file = place.join("a.sql");
    fs::write(&file, "CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n2\n\\.\n").unwrap();
    let sql = format!("SELECT backup_import('{}')", file.display());
    (file, sql)
}

fn files(cluster: &Cluster) -> Vec<String> {
    let names = names_below(&cluster.backup_dir()).into_iter();
    names.filter(|name| name.contains(".zip")).collect()
}

fn last(cluster: &Cluster) -> String {
    let sql = "SELECT concat_ws(' ', kind, status, file_state) FROM backup_history LIMIT 1";
    cluster.ask("postgres", sql).unwrap_or_default()
}

/// Whatever was before, an import works now.
fn assert_works(cluster: &Cluster, sql: &str) {
    let id = cluster.value("postgres", sql);
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
    assert_eq!(cluster.value("postgres", &verify), "t");
}

#[test]
fn a_crash_before_the_rename_keeps_nothing_and_one_after_it_keeps_the_archive() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let (file, sql) = script(&cluster);
    let bytes = fs::read(&file).unwrap();
    for point in BEFORE {
        faults.plant(point);
        let call = cluster.call("postgres", &sql);
        let runner = faults.wait(point);
        cluster.kill_with_runner(runner);
        faults.lift(point);
        call.error();
        cluster.start_again();
        let ended = || last(&cluster) == "import interrupted";
        wait_until(&format!("the end of the import killed at {point}"), LIMIT, ended);
        wait_until("the sweep", LIMIT, || files(&cluster).is_empty());
    }
    faults.plant("after_rename");
    let call = cluster.call("postgres", &sql);
    let runner = faults.wait("after_rename");
    cluster.kill_with_runner(runner);
    faults.lift("after_rename");
    call.error();
    cluster.start_again();
    wait_until("the end of the import", LIMIT, || last(&cluster) == "import succeeded available");
    assert_eq!(files(&cluster).len(), 1);
    assert_works(&cluster, &sql);
    assert_eq!(fs::read(&file).unwrap(), bytes, "the file itself is never changed");
}

#[test]
fn a_crash_while_a_directory_is_imported_leaves_no_copy_of_it() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let (file, _) = script(&cluster);
    let dump = file.with_file_name("dump");
    let target = format!("--file={}", dump.display());
    cluster.tool("pg_dump", &["--dbname=postgres", "--format=directory", &target]);
    let readable = ["-R", "a+rX", &dump.display().to_string()];
    pg_backup_tests::run_tool(std::path::Path::new("/bin/chmod"), &readable);
    let sql = format!("SELECT backup_import('{}')", dump.display());
    faults.plant("import_copied");
    let call = cluster.call("postgres", &sql);
    let runner = faults.wait("import_copied");
    assert!(!files(&cluster).is_empty(), "a copy is there");
    cluster.kill_with_runner(runner);
    faults.lift("import_copied");
    call.error();
    cluster.start_again();
    wait_until("the end of it", LIMIT, || last(&cluster) == "import interrupted");
    wait_until("the sweep", LIMIT, || files(&cluster).is_empty());
    assert_works(&cluster, &sql);
}

#[test]
fn an_import_that_is_cancelled_or_terminated_leaves_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let (_, sql) = script(&cluster);
    for (point, wanted) in
        [("import_copied", "import cancelled"), ("before_rename", "import cancelled")]
    {
        faults.plant(point);
        let call = cluster.call("postgres", &sql);
        faults.wait(point);
        call.cancel();
        // The session lets go at once, the job when it looks up.
        call.error();
        faults.lift(point);
        wait_until("the end of the import", LIMIT, || last(&cluster) == wanted);
        assert!(files(&cluster).is_empty());
    }
    faults.plant("import_copied");
    let call = cluster.call("postgres", &sql);
    let runner = faults.wait("import_copied");
    signal(runner, Signal::SIGTERM);
    faults.lift("import_copied");
    call.error();
    wait_until("the end of the import", LIMIT, || last(&cluster) == "import interrupted");
    assert!(files(&cluster).is_empty());
    assert_works(&cluster, &sql);
}

#[test]
fn a_full_disk_keeps_nothing() {
    let Some(disk) = tmpfs(24) else { return };
    let cluster = Cluster::start();
    let (file, sql) = script(&cluster);
    cluster.set("pg_backup.directory", &disk.path().display().to_string());
    cluster.set("pg_backup.min_free_space", "8MB");
    // Digits of a generator: what is random does not compress.
    let mut rows = String::from("CREATE TABLE t (a text);\nCOPY t FROM stdin;\n");
    let mut state = 1u64;
    while rows.len() < 60 << 20 {
        for _ in 0..8 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            rows.push_str(&format!("{:016x}", state ^ (state >> 29)));
        }
        rows.push('\n');
    }
    rows.push_str("\\.\n");
    fs::write(&file, rows).unwrap();
    let error = cluster.error("postgres", &sql);
    assert_eq!(error.sqlstate, "53100", "{error}");
    let left = names_below(disk.path()).into_iter().filter(|name| name.contains(".zip")).count();
    assert_eq!((last(&cluster).as_str(), left), ("import failed", 0));
    fs::write(&file, "CREATE TABLE t (a int);\n").unwrap();
    assert_works(&cluster, &sql);
}
