//! A restore that runs out of disk or of connections: the staging database goes, the live one
//! stays, and the server can write its checkpoints.

use pg_backup_tests::{Cluster, Faults, LIMIT, NEW, OLD, sample, tmpfs, wait_until};
use std::io::Write;
use std::path::Path;

/// What is left free when the disk is filled: less than the rows of the archive need.
const LEFT: u64 = 64 << 10;
/// Written at once until it is full.
const CHUNK: usize = 16 << 10;

fn fill_disk(path: &Path) {
    let mut ballast = std::fs::File::create(path.join("ballast")).unwrap();
    let chunk = vec![0; CHUNK];
    while ballast.write_all(&chunk).is_ok() {}
    let length = ballast.metadata().unwrap().len();
    ballast.set_len(length.saturating_sub(LEFT)).unwrap();
}

#[test]
fn a_disk_that_fills_while_restoring_gets_its_space_back() {
    let Some(disk) = tmpfs(200) else { return };
    let faults = Faults::default();
    let cluster = faults.cluster(&["pg_backup.min_free_space = '1MB'"]);
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display());
    cluster.sql("postgres", &place);
    cluster.make_aged();
    cluster.sql(
        "app",
        "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS x \
                        FROM generate_series(1, 8000) i; ALTER TABLE big ADD PRIMARY KEY (i)",
    );
    cluster.sql("postgres", "ALTER DATABASE app SET TABLESPACE small");
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    for point in sample(["after_pre_data", "after_data"]) {
        faults.plant(point);
        let sql = format!("CALL backup_restore({id}, replace => 'app')");
        let call = cluster.call("postgres", &sql);
        faults.wait(point);
        fill_disk(disk.path());
        faults.lift(point);
        let error = call.error();
        assert!(error.detail.contains("No space left on device"), "{point}: {error}");
        assert_eq!(cluster.databases(), "app", "{point}");
        std::fs::remove_file(disk.path().join("ballast")).unwrap();
        cluster.sql("postgres", "CHECKPOINT");
        assert_eq!(cluster.age("app"), NEW);
        cluster.assert_clean();
    }
    cluster.replace_app("postgres", &id);
    assert_eq!(cluster.value("app", "SELECT count(*) FROM big"), "8000");
}

#[test]
fn a_disk_that_is_too_small_is_a_blocker() {
    let Some(disk) = tmpfs(24) else { return };
    let cluster = Cluster::start();
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display());
    cluster.sql("postgres", &place);
    cluster.sql("postgres", "CREATE DATABASE app TABLESPACE small");
    cluster.sql("app", "CREATE TABLE big AS SELECT repeat('x', 900) FROM generate_series(1, 9000)");
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    let sql = format!("CALL backup_restore({id}, replace => 'app')");
    let error = cluster.error("postgres", &sql);
    assert_eq!(error.sqlstate, "55000", "{error}");
    assert!(error.detail.contains("space") || error.detail.contains("free"), "{error}");
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn without_a_free_connection_a_restore_fails_and_leaves_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&["max_connections = 12", "superuser_reserved_connections = 1"]);
    let id = cluster.make_aged();
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    faults.wait("after_data");
    let mut others = Vec::new();
    while let Ok(client) = cluster.config("postgres").connect(postgres::NoTls) {
        others.push(client);
    }
    faults.lift("after_data");
    call.error();
    others.clear();
    let free = || cluster.ask("postgres", "SELECT 1").is_some();
    wait_until("a free connection", LIMIT, free);
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    wait_until("that nothing is left", LIMIT, || cluster.databases() == "app");
    assert_eq!(cluster.age("app"), NEW);
    cluster.replace_app("postgres", &id);
    assert_eq!(cluster.age("app"), OLD);
}
