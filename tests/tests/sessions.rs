//! The job's own sessions end, or what they work on is dropped: a clear error, a true row, no
//! file, and the next backup works.

use pg_backup_tests::{Cluster, Gate, LIMIT, sample, wait_until};

const CREATE: &str = "SELECT backup_create(database => 'app')";
/// What the one backup holds.
const COUNTS: &str = "SELECT string_agg(t ->> 'name' || ' ' || (t ->> 'rows'), ', ' ORDER BY 1) \
                      FROM backup_manifest, jsonb_array_elements(manifest -> 'tables') t";

/// A cluster with a database that is larger than a pipe, and a pg_dump that waits in the middle.
fn with_gate() -> (Cluster, Gate) {
    let cluster = Cluster::start();
    cluster.fill("app", 2, 1);
    let gate = Gate::new(&cluster, "gate");
    cluster.use_tool("pg_dump", &gate.script(20_000));
    (cluster, gate)
}

fn terminate(cluster: &Cluster, condition: &str) {
    let sql =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {condition}");
    assert_ne!(cluster.value("postgres", &sql), "0", "no session with {condition}");
}

#[test]
fn each_session_of_a_job_that_is_terminated_fails_the_backup_and_is_told() {
    for name in sample(["pg_backup job %", "pg_backup dump %"]) {
        let (cluster, gate) = with_gate();
        let call = cluster.call_until_dumping("postgres", CREATE);
        terminate(&cluster, &format!("application_name LIKE '{name}'"));
        gate.open();
        let error = call.error();
        let run = cluster.last_backup();
        assert!(["failed", "interrupted"].contains(&run.status.as_str()), "{name}: {run:?}");
        assert_eq!(run.error, error.message, "{name}");
        assert!(!error.hint.is_empty(), "{name}: {error}");
        let status = run.status;
        cluster.assert_survived(&status);
    }
}

#[test]
fn a_snapshot_that_pg_dump_has_taken_over_is_not_needed_any_more() {
    let (cluster, gate) = with_gate();
    let call = cluster.call_until_dumping("postgres", CREATE);
    terminate(&cluster, "application_name LIKE 'pg_backup snapshot %'");
    cluster.sql("app", "INSERT INTO t2 VALUES (0, 'too late')");
    gate.open();
    assert_eq!(call.end(), Ok(()));
    assert_eq!(cluster.value("postgres", COUNTS), "t1 128, t2 128");
    cluster.assert_clean();
}

#[test]
fn all_sessions_of_a_job_at_once_can_be_terminated() {
    let (cluster, gate) = with_gate();
    let call = cluster.call_until_dumping("postgres", CREATE);
    terminate(&cluster, "application_name LIKE 'pg\\_backup%'");
    gate.open();
    call.error();
    let status = cluster.last_backup().status;
    assert!(["failed", "interrupted"].contains(&status.as_str()), "{status}");
    cluster.assert_survived(&status);
}

#[test]
fn the_dumped_database_cannot_be_dropped_meanwhile_and_the_backup_is_fine() {
    let (cluster, gate) = with_gate();
    let call = cluster.call_until_dumping("postgres", CREATE);
    assert_eq!(cluster.error("postgres", "DROP DATABASE app").sqlstate, "55006");
    gate.open();
    assert_eq!(call.end(), Ok(()));
    cluster.assert_clean();
    cluster.sql("postgres", "DROP DATABASE app");
}

#[test]
fn the_dumped_database_dropped_by_force_fails_the_backup_at_once() {
    let (cluster, gate) = with_gate();
    let call = cluster.call_until_dumping("postgres", CREATE);
    cluster.sql("postgres", "DROP DATABASE app WITH (FORCE)");
    gate.open();
    let error = call.error();
    assert!(!error.hint.is_empty(), "{error}");
    cluster.assert_survived("failed");
    let error = cluster.error("postgres", CREATE);
    assert_eq!(error.sqlstate, "3D000", "{error}");
}

/// A backup of `app` whose home is `home`, with a caller that waits in it.
fn with_home() -> (Cluster, Gate, pg_backup_tests::Call) {
    let (cluster, gate) = with_gate();
    cluster.sql("postgres", "CREATE DATABASE home");
    cluster.sql("home", "CREATE EXTENSION pg_backup");
    let call = cluster.call_until_dumping("home", CREATE);
    (cluster, gate, call)
}

#[test]
fn the_home_database_dropped_by_force_takes_its_backup_with_it() {
    let (cluster, _gate, call) = with_home();
    cluster.sql("postgres", "DROP DATABASE home WITH (FORCE)");
    call.error();
    cluster.assert_clean();
    cluster.use_real_tools();
    cluster.assert_next_backup_works();
}

#[test]
fn the_extension_dropped_under_a_waiting_caller_keeps_nothing() {
    let (cluster, gate, call) = with_home();
    cluster.sql("home", "SET lock_timeout = '20s'; DROP EXTENSION pg_backup");
    gate.open();
    let error = call.error();
    assert_eq!(error.sqlstate, "42704", "{error}");
    assert!(error.message.contains("dropped") && !error.hint.is_empty(), "{error}");
    cluster.assert_clean();
    cluster.sql("home", "CREATE EXTENSION pg_backup");
    cluster.use_real_tools();
    cluster.sql("home", CREATE);
    assert_eq!(cluster.value("home", "SELECT status FROM backup_history"), "succeeded");
}

#[test]
fn an_extension_that_is_dropped_and_created_again_is_another_one() {
    let (cluster, gate, call) = with_home();
    cluster.sql("home", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    cluster.use_real_tools();
    // The new history counts from 1 again: this is another run 1.
    cluster.sql("home", "SELECT backup_create(database => 'postgres')");
    let row = "SELECT id || ' ' || database || ' ' || status || ' ' || (file LIKE '%/postgres/%') \
               FROM backup_history";
    let before = cluster.value("home", row);
    gate.open();
    assert_eq!(call.error().sqlstate, "42704");
    assert_eq!(cluster.value("home", row), before, "the dead run wrote into the row of another");
    let intact = "SELECT bool_and(ok) FROM backup_verify(1, 'read')";
    assert_eq!(cluster.value("home", intact), "t");
    cluster.assert_nothing_left();
}

#[test]
fn a_table_cannot_be_dropped_or_truncated_meanwhile() {
    let (cluster, gate) = with_gate();
    let call = cluster.call_until_dumping("postgres", CREATE);
    for sql in ["DROP TABLE t2", "TRUNCATE t2", "ALTER TABLE t2 ADD more int"] {
        let error = cluster.error("app", &format!("SET lock_timeout = '100ms'; {sql}"));
        assert_eq!(error.sqlstate, "55P03", "{sql}: {error}");
    }
    let drop = cluster.call("app", "DROP TABLE t2");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND query = 'DROP TABLE t2'";
    wait_until("the waiting DROP TABLE", LIMIT, || cluster.value("postgres", waiting) == "1");
    cluster.sql("app", "INSERT INTO t1 VALUES (0, 'written meanwhile')");
    gate.open();
    assert_eq!(call.end(), Ok(()));
    assert_eq!(drop.end(), Ok(()));
    assert_eq!(cluster.value("postgres", COUNTS), "t1 128, t2 128");
    cluster.assert_clean();
}

/// To be compiled takes a statement about the catalog longer than to run; pg_dump's are its own
/// affair, and show that the server says so.
#[test]
fn statements_of_a_job_are_not_compiled() {
    let conf =
        ["jit = on", "jit_above_cost = 0", "log_min_messages = debug1", "log_disconnections = on"];
    let cluster = Cluster::with(&conf);
    cluster.value("postgres", "SELECT backup_create()");
    let compiles = |application: &str| {
        let log = cluster.log();
        log.lines().any(|line| line.contains("JIT provider") && line.contains(application))
    };
    assert!(compiles("pg_backup dump 1: "), "{}", cluster.log());
    for ours in ["pg_backup launcher: ", "pg_backup job postgres: ", "pg_backup snapshot 1: "] {
        wait_until(ours, LIMIT, || cluster.log().contains(ours));
        assert!(!compiles(ours), "{ours}");
    }
}
