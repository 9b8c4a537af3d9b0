//! The harness itself: starts, ends, faults, and the check that nothing is left.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Cluster, DbError, Mode, bin, children_of, command_line, is_alive, processes_with, signal,
    sqlstate, tmpfs, wait_until,
};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_cluster_starts_with_the_extension_and_leaves_nothing() {
    let begin = Instant::now();
    let cluster = Cluster::start();
    println!("start: {:?}", begin.elapsed());
    let query = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_backup'";
    assert_eq!(cluster.value("postgres", query), "1");
    assert_eq!(cluster.psql("postgres", "SHOW listen_addresses"), "");
    let (home, name) = (cluster.data_dir(), cluster.name().to_owned());
    assert!(processes_with(&name).contains(&cluster.pid()));
    let begin = Instant::now();
    drop(cluster);
    println!("end: {:?}", begin.elapsed());
    assert!(!home.exists());
    assert_eq!(processes_with(&name), Vec::<i32>::new());
}

#[test]
fn settings_and_environment_reach_the_server() {
    let cluster = Cluster::builder()
        .conf(&["max_worker_processes = 3"])
        .env(&[("PGOPTIONS", "-c work_mem=1MB")])
        .start();
    assert_eq!(cluster.value("postgres", "SHOW max_worker_processes"), "3");
    let environment = fs::read(format!("/proc/{}/environ", cluster.pid())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("PGOPTIONS=-c work_mem=1MB"));
    assert!(!environment.contains("HOME="), "the developer's environment stays outside");

    cluster.append_conf(&["work_mem = '7MB'"]);
    cluster.reload();
    assert_eq!(cluster.value("postgres", "SHOW work_mem"), "7MB");
}

#[test]
fn data_survive_every_way_to_stop_a_server() {
    let mut cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS a");
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        cluster.restart(mode);
        assert_eq!(cluster.value("postgres", "SELECT a FROM t"), "1", "{mode:?}");
    }
    let old = cluster.pid();
    cluster.kill_postmaster();
    assert!(!is_alive(old));
    assert!(cluster.data_dir().join("postmaster.pid").exists(), "as after a crash");
    cluster.start_again();
    assert_eq!(cluster.value("postgres", "SELECT a FROM t"), "1");
    assert!(cluster.log().contains("automatic recovery in progress"));
}

#[test]
fn a_fresh_cluster_has_its_own_system_identifier_and_no_extension() {
    let query = "SELECT system_identifier FROM pg_control_system()";
    let (copied, fresh) = (Cluster::start(), Cluster::builder().fresh().start());
    assert_ne!(copied.value("postgres", query), fresh.value("postgres", query));
    fresh.sql("postgres", "CREATE EXTENSION pg_backup");
}

#[test]
fn nothing_of_a_test_is_seen_by_the_next() {
    let first = Cluster::start();
    first.sql("postgres", "CREATE TABLE t AS SELECT 1 AS a");
    first.sql("postgres", "CREATE DATABASE other");
    first.sql("postgres", "ALTER SYSTEM SET work_mem = '7MB'");
    fs::create_dir(first.backup_dir()).unwrap();
    drop(first);
    let second = Cluster::start();
    assert_eq!(second.value("postgres", "SELECT count(*) FROM pg_database"), "3");
    assert_eq!(second.value("postgres", "SELECT to_regclass('t') IS NULL"), "t");
    assert_eq!(second.value("postgres", "SHOW work_mem"), "4MB");
    assert!(!second.backup_dir().exists());
}

#[test]
fn a_server_that_cannot_start_gives_its_reason() {
    let mut cluster = Cluster::start();
    cluster.stop(Mode::Fast);
    cluster.append_conf(&["shared_buffers = 'many'"]);
    assert!(cluster.try_start().unwrap_err().contains("did not start"));
    assert!(cluster.log().contains("invalid value for parameter \"shared_buffers\""));
}

#[test]
fn a_process_that_stays_behind_fails_the_test_and_is_killed() {
    let cluster = Cluster::start();
    let mut sleeper = Command::new("sleep");
    let mut sleeper = sleeper.arg("100").env("PGHOST", cluster.data_dir()).spawn().unwrap();
    let pid = sleeper.id().cast_signed();
    wait_until("the child to run sleep", LIMIT, || command_line(pid).starts_with("sleep"));
    let panic = catch_unwind(AssertUnwindSafe(|| drop(cluster))).unwrap_err();
    let text = panic.downcast::<String>().unwrap();
    assert!(text.contains(&format!("left behind:\n{pid} sleep 100")), "{text}");
    assert!(!sleeper.wait().unwrap().success());
}

#[test]
fn a_server_ends_with_the_thread_that_started_it() {
    let thread = std::thread::spawn(|| {
        let cluster = Cluster::start();
        let (name, data) = (cluster.name().to_owned(), cluster.data_dir());
        std::mem::forget(cluster);
        (name, data)
    });
    let (name, data) = thread.join().unwrap();
    wait_until("the end of the server", LIMIT, || processes_with(&name).is_empty());
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

#[test]
fn errors_come_in_parts() {
    let cluster = Cluster::start();
    let raise =
        "DO $$BEGIN RAISE 'no' USING DETAIL = 'why', HINT = 'how', ERRCODE = '42501'; END$$";
    let error = cluster.try_sql("postgres", raise).unwrap_err();
    let parts = DbError::of(&error);
    assert_eq!((sqlstate(&error), parts.message), ("42501".into(), "no".into()));
    assert_eq!((parts.detail.as_str(), parts.hint.as_str()), ("why", "how"));
    let (code, said) = cluster.psql_err("postgres", &format!("{raise};\nSELECT 1"));
    assert_eq!(code, 3);
    assert!(said.contains("DETAIL:  why") && said.contains("HINT:  how"), "{said}");
}

#[test]
fn databases_with_hostile_names_are_reached() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE \"host=nowhere --help\"");
    let query = "SELECT current_database()";
    assert_eq!(cluster.psql("host=nowhere --help", query), "host=nowhere --help");
    assert_eq!(cluster.value("host=nowhere --help", query), "host=nowhere --help");
}

#[test]
fn a_standby_follows_and_can_be_promoted() {
    let primary = Cluster::start();
    let standby = primary.standby(&["wal_receiver_status_interval = 1s"]);
    assert_eq!(standby.value("postgres", "SELECT pg_is_in_recovery()"), "t");
    primary.sql("postgres", "CREATE TABLE t AS SELECT 5 AS a");
    wait_until("the table on the standby", LIMIT, || {
        standby.try_sql("postgres", "SELECT a FROM t").is_ok()
    });
    assert_eq!(standby.value("postgres", "SELECT pg_promote()"), "t");
    assert_eq!(standby.value("postgres", "SELECT pg_is_in_recovery()"), "f");
}

#[test]
fn a_fake_tool_stands_between_the_others_and_knows_the_real_one() {
    let cluster = Cluster::start();
    let script = "#!/bin/sh\n[ \"$1\" = --twice ] && exec \"$REAL\" --version\nexit 7";
    let dir = cluster.fake_tool("pg_dump", script);
    let run = |tool: &str, word: &str| Command::new(dir.join(tool)).arg(word).output().unwrap();
    assert_eq!(run("pg_dump", "-Fc").status.code(), Some(7));
    let real = Command::new(bin("pg_dump")).arg("--version").output().unwrap();
    assert_eq!(run("pg_dump", "--twice").stdout, real.stdout);
    assert!(run("pg_restore", "--version").status.success());
}

#[test]
fn a_tmpfs_can_be_filled_by_the_server() {
    let Some(small) = tmpfs(1) else { return };
    let cluster = Cluster::start();
    let copy = |rows: u32, file: &str| {
        let path = small.path().join(file);
        let sql = format!("COPY (SELECT generate_series(1, {rows})) TO '{}'", path.display());
        cluster.try_sql("postgres", &sql)
    };
    copy(10, "few").unwrap();
    assert_eq!(sqlstate(&copy(1_000_000, "many").unwrap_err()), "53100");
}

#[test]
fn the_children_of_a_server_are_found_and_a_killed_one_is_gone() {
    let cluster = Cluster::start();
    let mut session = cluster.connect("postgres");
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    assert!(children_of(cluster.pid()).contains(&pid));
    signal(pid, Signal::SIGTERM);
    wait_until("the end of the session", LIMIT, || !is_alive(pid));
}
