//! Locks: of others, of the caller, in front of pg_dump; and what a dump holds meanwhile.

use pg_backup_tests::{Cluster, LIMIT, sample, wait_until};

fn cluster_with_table() -> Cluster {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u AS SELECT 1 AS a; CREATE SEQUENCE s; \
         CREATE VIEW v AS SELECT 1 AS a",
    );
    cluster
}

#[test]
fn a_lock_of_another_session_ends_in_lock_timeout_and_names_it() {
    let cluster = cluster_with_table();
    let mut other = cluster.connect("postgres");
    let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    for lock in sample([
        "LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
        "DROP VIEW v",
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS a",
        "DROP SEQUENCE s",
        "ALTER TABLE t ADD b int",
    ]) {
        other.batch_execute(&format!("BEGIN; {lock}")).unwrap();
        let sql = "SET pg_backup.lock_timeout = '1s'; SELECT backup_create()";
        let error = cluster.error("postgres", sql);
        assert_eq!(error.sqlstate, "55P03", "{lock}: {error}");
        assert!(error.detail.contains(&pid.to_string()), "{lock}: {error}");
        assert_eq!(cluster.last_backup().status, "failed");
        other.batch_execute("ROLLBACK").unwrap();
        cluster.assert_nothing_left();
    }
    cluster.assert_next_backup_works();
}

#[test]
fn a_lock_that_is_released_in_time_delays_the_backup_only() {
    let cluster = cluster_with_table();
    let mut other = cluster.connect("postgres");
    let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    other.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let call = cluster.call("postgres", "SELECT backup_create()");
    wait_until("the blocker to be shown", LIMIT, || {
        cluster.value("postgres", "SELECT count(*) FROM backup_progress WHERE blocked_by <> '{}'")
            == "1"
    });
    let shown = cluster.value("postgres", "SELECT blocked_by FROM backup_progress");
    assert_eq!(shown, format!("{{{pid}}}"));
    other.batch_execute("COMMIT").unwrap();
    call.end().unwrap();
}

#[test]
fn a_caller_in_the_way_of_its_own_backup_fails_at_once() {
    let cluster = cluster_with_table();
    let mut caller = cluster.connect("postgres");
    let mut other = cluster.connect("postgres");
    caller.batch_execute("BEGIN; SELECT * FROM t").unwrap();
    let queued = std::thread::spawn(move || other.batch_execute("ALTER TABLE t ADD b int"));
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    wait_until("the ALTER TABLE to queue", LIMIT, || cluster.value("postgres", waits) == "1");
    let error = caller.batch_execute("SELECT backup_create()").unwrap_err();
    let error = pg_backup_tests::DbError::of(&error);
    assert_eq!(error.sqlstate, "40P01", "{error}");
    assert!(error.hint.contains("wait => false"), "{error}");
    caller.batch_execute("ROLLBACK").unwrap();
    queued.join().unwrap().unwrap();
    assert_eq!(cluster.last_backup().status, "failed");
    cluster.assert_nothing_left();
    cluster.assert_next_backup_works();
}

#[test]
fn a_session_that_waits_for_a_job_it_blocks_ends_the_deadlock() {
    let cluster = cluster_with_table();
    let id = cluster.value("postgres", "SELECT backup_create()");
    assert_eq!(id, "1");
    let mut other = cluster.connect("postgres");
    other.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let id = cluster.value("postgres", "SELECT backup_create(wait => false)");
    let status: String = {
        let row = other.query_one(&format!("SELECT backup_wait({id})"), &[]);
        row.unwrap().get(0)
    };
    assert_eq!(status, "failed");
    assert!(cluster.last_backup().error.contains("waits for it"), "{:?}", cluster.last_backup());
}

#[test]
fn a_table_that_is_truncated_while_the_dump_starts_is_not_empty_in_it() {
    let cluster = cluster_with_table();
    cluster.sql("postgres", "CREATE TABLE victim AS SELECT i FROM generate_series(1, 1000) i");
    let mut blocker = cluster.connect("postgres");
    blocker.batch_execute("BEGIN; LOCK TABLE u IN ACCESS EXCLUSIVE MODE").unwrap();
    let call = cluster.call("postgres", "SELECT backup_create()");
    wait_until("the backup to wait", LIMIT, || {
        cluster.value("postgres", "SELECT count(*) FROM backup_progress WHERE blocked_by <> '{}'")
            == "1"
    });
    // The dump waits for u; victim is locked before or after, but its rows are all there.
    let truncate = cluster.call(
        "postgres",
        "BEGIN; TRUNCATE victim; INSERT INTO victim SELECT i FROM generate_series(1, 1000) i; COMMIT",
    );
    wait_until("the TRUNCATE to be done or to wait", LIMIT, || {
        truncate.has_ended()
            || cluster.value("postgres", "SELECT count(*) > 1 FROM pg_locks WHERE NOT granted")
                == "t"
    });
    blocker.batch_execute("COMMIT").unwrap();
    call.end().unwrap();
    truncate.end().unwrap();
    let rows = "SELECT rows FROM backup_contents(backup_latest()) WHERE name = 'victim' AND rows IS NOT NULL";
    assert_eq!(cluster.value("postgres", rows), "1000");
}
