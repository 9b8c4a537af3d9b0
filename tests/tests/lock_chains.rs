//! Locks that are harder to see: of the caller itself, of several connections of pg_dump, and what
//! ends the wait for them.

use pg_backup_tests::{Cluster, DbError, Gate, LIMIT, sample, wait_until};

const IN_THE_WAY: &str = "SELECT blocked_by FROM backup_progress";
const BLOCKED: &str = "SELECT count(*) FROM backup_progress WHERE blocked_by <> '{}'";

fn cluster_with(conf: &[&str]) -> Cluster {
    let cluster = Cluster::with(conf);
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT i FROM generate_series(1, 100) i; \
         CREATE TABLE p (i int) PARTITION BY RANGE (i); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); \
         CREATE TABLE child (j int) INHERITS (t); \
         CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
    );
    cluster
}

fn wait_until_blocked(cluster: &Cluster) {
    wait_until("the backup to wait", LIMIT, || cluster.value("postgres", BLOCKED) == "1");
}

#[test]
fn a_caller_that_locks_without_writing_fails_at_once() {
    // With less than wal_level = replica, LOCK TABLE assigns no transaction id.
    let cluster = cluster_with(&["wal_level = minimal", "max_wal_senders = 0"]);
    let mut caller = cluster.connect("postgres");
    for table in ["t", "p1", "child"] {
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        caller.batch_execute(&lock).unwrap();
        let error = caller.batch_execute("SELECT backup_create()").unwrap_err();
        let error = DbError::of(&error);
        assert_eq!(error.sqlstate, "40P01", "{table}: {error}");
        assert!(error.hint.contains("wait => false"), "{table}: {error}");
        caller.batch_execute("ROLLBACK").unwrap();
    }
    // With no conflict there is nothing to complain about.
    caller.batch_execute("BEGIN; LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE").unwrap();
    caller.batch_execute("SELECT backup_create(); COMMIT").unwrap();
    cluster.assert_clean();
    let failed = "SELECT count(*) FROM backup_history WHERE status = 'failed'";
    assert_eq!(cluster.value("postgres", failed), "3");
}

#[test]
fn a_caller_in_a_longer_chain_fails_at_once_too() {
    let cluster = cluster_with(&[]);
    let mut caller = cluster.connect("postgres");
    caller.batch_execute("BEGIN; SELECT * FROM t").unwrap();
    // The dump waits for p, which a session holds that waits for t, which the caller holds.
    let chain = "BEGIN; LOCK TABLE p IN ACCESS EXCLUSIVE MODE; ALTER TABLE t ADD b int; COMMIT";
    let between = cluster.call("postgres", chain);
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    wait_until("the chain", LIMIT, || cluster.value("postgres", waits) == "1");
    let error = caller.batch_execute("SELECT backup_create()").unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "40P01");
    caller.batch_execute("ROLLBACK").unwrap();
    assert_eq!(between.end(), Ok(()));
    cluster.assert_survived("failed");
}

#[test]
fn a_wait_without_limit_ends_when_somebody_ends_it() {
    let cluster = cluster_with(&["pg_backup.lock_timeout = 0"]);
    let mut other = cluster.connect("postgres");
    for lock in sample(["LOCK TABLE p1 IN ACCESS EXCLUSIVE MODE", "DROP MATERIALIZED VIEW m"]) {
        other.batch_execute(&format!("BEGIN; {lock}")).unwrap();
        let call = cluster.call("postgres", "SELECT backup_create()");
        wait_until_blocked(&cluster);
        let id = cluster.value("postgres", "SELECT id FROM backup_progress");
        assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({id})")), "t");
        assert_eq!(call.error().sqlstate, "57014", "{lock}: backup_cancel");
        let call = cluster.call("postgres", "SELECT backup_create()");
        wait_until_blocked(&cluster);
        call.cancel();
        assert_eq!(call.error().sqlstate, "57014", "{lock}: Ctrl-C");
        cluster.wait_for_status("cancelled");
        cluster.assert_clean();
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        assert_eq!(cluster.value("postgres", waiting), "0", "{lock}");
        other.batch_execute("ROLLBACK").unwrap();
    }
    let sql = "SET pg_backup.max_runtime = '1s'; SELECT backup_create()";
    other.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    let error = cluster.error("postgres", sql);
    assert_eq!(error.sqlstate, "57014", "{error}");
    assert!(error.to_string().contains("max_runtime"), "{error}");
    other.batch_execute("ROLLBACK").unwrap();
    cluster.assert_survived("failed");
}

#[test]
fn a_lock_of_a_prepared_transaction_is_named_as_such() {
    let cluster = cluster_with(&["max_prepared_transactions = 2"]);
    let sql = "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'forgotten'";
    cluster.psql("postgres", sql);
    let error =
        cluster.error("postgres", "SET pg_backup.lock_timeout = '1s'; SELECT backup_create()");
    assert_eq!(error.sqlstate, "55P03", "{error}");
    assert!(error.detail.contains("prepared transaction"), "{error}");
    assert!(error.hint.contains("pg_prepared_xacts"), "{error}");
    cluster.assert_survived_with_lock();
    cluster.psql("postgres", "ROLLBACK PREPARED 'forgotten'");
    cluster.assert_survived("failed");
}

trait AssertLock {
    fn assert_survived_with_lock(&self);
}

impl AssertLock for Cluster {
    /// The failed backup has let go of everything while the lock is still there.
    fn assert_survived_with_lock(&self) {
        assert_eq!(self.wait_for_status("failed").file, "");
        self.assert_clean();
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        assert_eq!(self.value("postgres", waiting), "0");
    }
}

#[test]
fn a_lock_on_a_parent_and_its_children_is_waited_for_in_the_order_of_ddl() {
    let cluster = cluster_with(&[]);
    let mut first = cluster.connect("postgres");
    first.batch_execute("BEGIN; SELECT * FROM t").unwrap();
    let head: i32 = first.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let queued = cluster.call("postgres", "ALTER TABLE t ADD b int");
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    wait_until("the ALTER TABLE", LIMIT, || cluster.value("postgres", waits) == "1");
    let call = cluster.call("postgres", "SELECT backup_create()");
    wait_until_blocked(&cluster);
    // The nearest first.
    assert_eq!(cluster.value("postgres", IN_THE_WAY), format!("{{{},{head}}}", queued.pid));
    first.batch_execute("COMMIT").unwrap();
    assert_eq!(queued.end(), Ok(()));
    assert_eq!(call.end(), Ok(()));
    cluster.assert_clean();
}

#[test]
fn ddl_that_comes_between_our_locks_and_those_of_pg_dump_hangs_nobody() {
    let cluster = cluster_with(&[]);
    for options in ["", "jobs => 2"] {
        let gate = Gate::new(&cluster, &format!("gate-{}", options.len()));
        cluster.use_tool("pg_dump", &gate.script_before("--format="));
        let sql = format!("SELECT backup_create({options})");
        let call = cluster.call_until_dumping("postgres", &sql);
        let alter = cluster.call("postgres", "ALTER TABLE p ADD b int; ALTER TABLE p DROP b");
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        wait_until("the ALTER TABLE", LIMIT, || cluster.value("postgres", waits) == "1");
        gate.open();
        // pg_dump queues behind the ALTER TABLE, which waits for us, who wait for pg_dump.
        wait_until("the end of the backup", LIMIT, || call.has_ended());
        wait_until("the end of the ALTER TABLE", LIMIT, || alter.has_ended());
        assert_eq!(alter.end(), Ok(()));
        if let Err(error) = call.end() {
            assert_eq!(error.sqlstate, "40P01", "{options}: {error}");
            assert!(!error.hint.is_empty(), "{options}: {error}");
            cluster.assert_survived("failed");
        }
        cluster.use_real_tools();
        cluster.assert_clean();
    }
}
