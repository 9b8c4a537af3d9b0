//! Everything that can run out: disk, workers, connections, locks, and the queue.

use pg_backup_tests::{Cluster, LIMIT, sample, tmpfs, wait_until};
use std::collections::HashMap;
use std::path::Path;

fn backups_go_to(cluster: &Cluster, path: &Path, reserve: &str) {
    let directory = format!("pg_backup.directory = '{}'", path.display());
    cluster.append_conf(&[&directory, &format!("pg_backup.min_free_space = '{reserve}'")]);
    cluster.reload();
}

#[test]
fn a_full_disk_fails_the_backup_and_gets_its_space_back() {
    for megabytes in sample([1, 8]) {
        let Some(disk) = tmpfs(megabytes) else { return };
        let cluster = Cluster::start();
        cluster.fill("big", 2, 12);
        backups_go_to(&cluster, disk.path(), "0");
        let ballast = disk.path().join("ballast");
        for (database, options) in [
            ("big", "compression => 'none'"),
            ("big", "compression => 'zstd:1'"),
            ("big", "jobs => 2"),
            ("big", "format => 'plain'"),
            ("postgres", "compression => 'zstd:3'"),
        ] {
            if database == "postgres" {
                // A tiny database: leave it less than its dump needs.
                let free = nix::sys::statvfs::statvfs(disk.path()).unwrap();
                let free = free.blocks_available() * free.fragment_size();
                std::fs::write(&ballast, vec![0; free as usize]).unwrap();
            }
            let sql = format!("SELECT backup_create(database => '{database}', {options})");
            let error = cluster.error("postgres", &sql);
            assert_eq!(error.sqlstate, "53100", "{options}: {error}");
            assert!(!error.hint.is_empty(), "{error}");
            assert_eq!(cluster.last_backup().status, "failed");
            cluster.assert_nothing_left();
            let left = pg_backup_tests::names_below(disk.path());
            assert!(!left.iter().any(|name| name.contains("zip")), "{left:?}");
        }
        let _ = std::fs::remove_file(&ballast);
        cluster.sql("postgres", "SELECT backup_create()");
    }
}

#[test]
fn the_reserve_is_kept_free() {
    let Some(disk) = tmpfs(32) else { return };
    let cluster = Cluster::start();
    cluster.fill("big", 2, 12);
    backups_go_to(&cluster, disk.path(), "64MB");
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(
        (error.sqlstate.as_str(), cluster.last_backup().status.as_str()),
        ("53100", "failed")
    );
    backups_go_to(&cluster, disk.path(), "24MB");
    let sql = "SELECT backup_create(database => 'big', compression => 'none')";
    let error = cluster.error("postgres", sql);
    assert!(error.detail.contains("min_free_space"), "{error}");
    cluster.assert_nothing_left();
}

#[test]
fn without_a_free_worker_the_call_fails_with_the_setting_to_raise() {
    // Room for the launchers of logical replication and of pg_backup only.
    let cluster = Cluster::with(&["max_worker_processes = 2"]);
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "53400", "{error}");
    assert!(error.hint.contains("max_worker_processes"), "{error}");
    assert_eq!(cluster.last_backup().status, "failed");
}

#[test]
fn without_a_launcher_the_call_fails_with_the_setting_to_raise() {
    let cluster = Cluster::with(&["max_worker_processes = 0"]);
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "55000", "{error}");
    assert!(error.hint.contains("max_worker_processes"), "{error}");
}

#[test]
fn without_a_free_connection_the_call_fails_and_later_works() {
    let cluster = Cluster::with(&["max_connections = 6", "superuser_reserved_connections = 1"]);
    let caller = cluster.connect("postgres");
    let mut others = Vec::new();
    while let Ok(client) = cluster.config("postgres").connect(postgres::NoTls) {
        others.push(client);
    }
    let mut caller = caller;
    let error = caller.batch_execute("SELECT backup_create()").unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "53300", "{error:?}");
    others.clear();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    wait_until("the end of the others", LIMIT, || {
        caller.query_one(sessions, &[]).unwrap().get::<_, i64>(0) == 1
    });
    caller.batch_execute("SELECT backup_create()").unwrap();
}

#[test]
fn a_small_lock_table_is_a_warning_or_a_clear_error() {
    let cluster = Cluster::with(&["max_locks_per_transaction = 10", "max_connections = 10"]);
    let tables = |from: u32, to: u32| {
        let sql = format!(
            "DO $$ BEGIN FOR i IN {from}..{to} LOOP EXECUTE format('CREATE TABLE l%s (i int)', i); \
             COMMIT; END LOOP; END $$"
        );
        cluster.sql("postgres", &sql);
    };
    tables(1, 90);
    cluster.assert_next_backup_works();
    assert!(cluster.last_backup().warnings.contains("max_locks_per_transaction"));
    tables(91, 4000);
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "53400", "{error}");
    assert!(error.hint.contains("max_locks_per_transaction"), "{error}");
    cluster.assert_nothing_left();
}

#[test]
fn a_hundred_calls_at_once_are_all_accounted_for() {
    let cluster = Cluster::with(&["max_connections = 120"]);
    cluster.fill("big", 1, 8);
    let sql = "SELECT backup_create(database => 'big')";
    let calls: Vec<_> = (0..100).map(|_| cluster.call("postgres", sql)).collect();
    let mut outcomes: HashMap<String, u32> = HashMap::new();
    for call in calls {
        let outcome = call.end().map_or_else(|error| error.sqlstate, |()| "ok".to_owned());
        *outcomes.entry(outcome).or_default() += 1;
    }
    let good = outcomes.get("ok").copied().unwrap_or(0);
    let skipped = outcomes.get("55006").copied().unwrap_or(0);
    assert!(good >= 1 && good + skipped == 100, "{outcomes:?}");
    let count = |condition: &str| {
        let sql = format!("SELECT count(*) FROM backup_history WHERE {condition}");
        cluster.value("postgres", &sql)
    };
    assert_eq!(count("status = 'succeeded'"), good.to_string());
    assert_eq!(count("status = 'skipped' AND error = 'concurrent'"), skipped.to_string());
    assert_eq!(count("true"), "100");
    cluster.assert_nothing_left();
}

#[test]
fn no_more_than_database_jobs_run_at_a_time() {
    let cluster = Cluster::with(&["pg_backup.database_jobs = 2", "max_worker_processes = 12"]);
    for number in 1..=6 {
        cluster.fill(&format!("d{number}"), 1, 2);
    }
    let calls: Vec<_> = (1..=6)
        .map(|n| cluster.call("postgres", &format!("SELECT backup_create(database => 'd{n}')")))
        .collect();
    let mut most = 0;
    wait_until("all backups to end", LIMIT, || {
        most = most.max(cluster.runners().len());
        calls.iter().all(|call| call.has_ended())
    });
    for call in calls {
        call.end().unwrap();
    }
    assert!((1..=2).contains(&most), "{most} at a time");
}

#[test]
fn too_many_jobs_and_too_long_arguments_are_refused() {
    let cluster = Cluster::start();
    let long =
        "SELECT backup_create(tables => array_agg('table_' || i)) FROM generate_series(1, 900) i";
    assert_eq!(cluster.error("postgres", long).sqlstate, "53400");
    let many =
        "DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM backup_create(wait => false); END LOOP; END $$";
    let error = cluster.error("postgres", many);
    assert_eq!(error.sqlstate, "53400", "{error}");
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_history"), "0");
    cluster.assert_next_backup_works();
}

#[test]
fn every_number_of_free_connections_gives_a_clear_error_or_a_good_backup() {
    let cluster = Cluster::with(&["max_connections = 12", "superuser_reserved_connections = 3"]);
    // The launcher has read what there is at this start, and holds no session any more.
    cluster.settle_schedules();
    let mut caller = cluster.connect("postgres");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    wait_until("the end of all other sessions", LIMIT, || {
        caller.query_one(sessions, &[]).unwrap().get::<_, i64>(0) == 1
    });
    let mut others: Vec<_> = (0..11).map(|_| cluster.connect("postgres")).collect();
    let mut refused = 0;
    loop {
        let end = caller.batch_execute("SELECT backup_create()");
        let Err(error) = end else { break };
        let error = pg_backup_tests::DbError::of(&error);
        // Of no free connection pg_dumpall only says that it could not connect.
        let clear = match error.sqlstate.as_str() {
            "53300" => true,
            "08006" => error.message.contains("pg_dumpall"),
            _ => false,
        };
        assert!(clear, "{} sessions: {error}", others.len());
        assert!(error.hint.contains("max_connections"), "{error}");
        refused += 1;
        assert!(others.pop().is_some(), "refused with every connection free: {error}");
        wait_until("the end of the session", LIMIT, || {
            let count: i64 = caller.query_one(sessions, &[]).unwrap().get(0);
            count as usize == others.len() + 1
        });
    }
    assert!(refused >= 2, "a backup needs more than {refused} connections");
    others.clear();
    let alive = "SELECT count(*) FROM backup_history WHERE status NOT IN ('succeeded', 'failed')";
    let count: i64 = caller.query_one(alive, &[]).unwrap().get(0);
    assert_eq!(count, 0, "each refused one with a row says failed");
    cluster.assert_clean();
}

#[test]
fn every_shortage_of_space_is_a_full_disk_or_a_good_backup() {
    let Some(disk) = tmpfs(2) else { return };
    let cluster = Cluster::start();
    backups_go_to(&cluster, disk.path(), "0");
    let ballast = disk.path().join("ballast");
    let free = || {
        let disk = nix::sys::statvfs::statvfs(disk.path()).unwrap();
        disk.blocks_available() * disk.fragment_size()
    };
    for options in sample(["", "format => 'plain'", "format => 'directory', compression => 'none'"])
    {
        let sql = format!("SELECT backup_create({options})");
        // The folders are there, so that what is left is for the archive alone.
        cluster.sql("postgres", &sql);
        let good = cluster.last_backup();
        cluster.sql("postgres", &format!("CALL backup_delete({})", good.id));
        let room = free();
        let mut refused = 0;
        for left in (0..32).map(|step| step * 4096) {
            std::fs::write(&ballast, vec![0; (room - left) as usize]).unwrap();
            let end = cluster.try_sql("postgres", &sql);
            let run = cluster.last_backup();
            match end {
                Ok(_) => break,
                Err(error) => {
                    let error = pg_backup_tests::DbError::of(&error);
                    // pg_dump may stop early without a word (measured): then the hint says it.
                    let torn = error.sqlstate == "XX001" && error.hint.contains("full disk");
                    assert!(torn || error.sqlstate == "53100", "{options}, {left} left: {error}");
                    assert_eq!((run.status.as_str(), run.file.as_str()), ("failed", ""));
                    cluster.assert_nothing_left();
                }
            }
            std::fs::remove_file(&ballast).unwrap();
            assert_eq!(free(), room, "{options}: not all space came back");
            refused += 1;
        }
        let run = cluster.last_backup();
        assert_eq!(run.status, "succeeded", "{options}");
        assert!(refused > 0, "{options}");
        let verify = format!("SELECT bool_and(ok) FROM backup_verify({}, 'read')", run.id);
        assert_eq!(cluster.value("postgres", &verify), "t", "{options}");
        cluster.sql("postgres", &format!("CALL backup_delete({})", run.id));
        std::fs::remove_file(&ballast).unwrap();
    }
}
