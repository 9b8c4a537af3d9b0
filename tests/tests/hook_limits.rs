//! No hook holds a run for longer than `pg_backup.hook_timeout`, whatever it does.

use pg_backup_tests::{Cluster, DbError, LIMIT, wait_until};
use std::time::{Duration, Instant};

const BEFORE: &str = "before_backup";
const AFTER: &str = "after_backup";
/// Far more than the limit of one second, far less than the hooks would take.
const SOON: Duration = Duration::from_secs(15);
/// PL/pgSQL cannot be told to end: it catches the cancel request, again and again.
const STUBBORN: &str = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(600); \
                        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
const BUSY: &str = "DO $$ BEGIN LOOP BEGIN LOOP NULL; END LOOP; \
                    EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";

fn limited() -> Cluster {
    Cluster::with(&["pg_backup.hook_timeout = 1s"])
}

fn no_hook_session(cluster: &Cluster) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_backup hook'";
    wait_until("the end of the hook's session", SOON, || cluster.value("postgres", sql) == "0");
}

fn assert_stopped_in_time(cluster: &Cluster, sql: &str) {
    cluster.hook(BEFORE, "slow", sql);
    let start = Instant::now();
    let run = cluster.stopped_by_hook();
    assert!(start.elapsed() < SOON, "{sql}: {:?}", start.elapsed());
    assert_eq!(run.error, "hook \"slow\" failed at before_backup");
    let why = run.detail.contains("ran longer than") || run.detail.contains("statement timeout");
    assert!(why, "{sql}: {run:?}");
    assert!(run.hint.contains("hook_timeout"), "{sql}: {run:?}");
    no_hook_session(cluster);
    cluster.try_hook("postgres", BEFORE, "slow", None).expect("it is there");
    cluster.assert_next_backup_works();
}

#[test]
fn a_hook_that_sleeps_is_ended() {
    assert_stopped_in_time(&limited(), "SELECT pg_sleep(600)");
}

#[test]
fn a_hook_that_lifts_its_limit_is_ended() {
    let sql = "SET statement_timeout = 0; SET LOCAL statement_timeout = 0; SELECT pg_sleep(600)";
    assert_stopped_in_time(&limited(), sql);
}

#[test]
fn a_hook_that_catches_its_cancellation_is_ended() {
    assert_stopped_in_time(&limited(), STUBBORN);
}

#[test]
fn a_hook_that_computes_and_catches_its_cancellation_is_ended() {
    assert_stopped_in_time(&limited(), BUSY);
}

#[test]
fn many_short_statements_are_limited_together() {
    let sql = "SELECT pg_sleep(0.4);".repeat(100);
    assert_stopped_in_time(&limited(), &sql);
}

#[test]
fn a_hook_that_waits_for_a_lock_is_ended_and_the_holder_is_not_disturbed() {
    let cluster = limited();
    let mut holder = cluster.connect("postgres");
    holder.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1)").expect("nobody holds it");
    assert_stopped_in_time(&cluster, "SELECT pg_advisory_lock(1)");
    holder.batch_execute("COMMIT").expect("it goes on");
}

#[test]
fn a_slow_after_hook_is_a_warning() {
    let cluster = limited();
    cluster.hook(AFTER, "slow", STUBBORN);
    cluster.sql("postgres", "SELECT backup_create()");
    let run = cluster.last_backup();
    assert_eq!(run.status, "succeeded");
    assert!(run.warnings.contains("hook \\\"slow\\\" failed at after_backup"), "{run:?}");
    no_hook_session(&cluster);
    cluster.assert_clean();
}

#[test]
fn a_slow_hook_after_a_failure_ends_too() {
    let cluster = limited();
    cluster.hook("on_failure", "slow", "SELECT pg_sleep(600)");
    let start = Instant::now();
    cluster.error("postgres", "SELECT backup_create(tables => '{nothing}')");
    assert!(start.elapsed() < SOON);
    let run = cluster.last_backup();
    assert!(run.warnings.contains("hook \\\"slow\\\" failed at on_failure"), "{run:?}");
    no_hook_session(&cluster);
}

#[test]
fn a_run_that_is_cancelled_in_a_hook_is_cancelled() {
    for sql in ["SELECT pg_sleep(600)", STUBBORN] {
        let cluster = Cluster::start();
        cluster.hook(BEFORE, "slow", sql);
        let call = cluster.call("postgres", "SELECT backup_create()");
        cluster.wait_for_phase("hooks");
        let shown = "SELECT relation FROM backup_progress";
        wait_until("the hook's name", LIMIT, || cluster.value("postgres", shown) == "slow");
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait_until("the sleeping hook", LIMIT, || cluster.value("postgres", asleep) == "1");
        call.cancel();
        assert_eq!(call.error().sqlstate, "57014");
        assert_eq!(cluster.wait_for_status("cancelled").file, "");
        no_hook_session(&cluster);
        cluster.try_hook("postgres", BEFORE, "slow", None).expect("it is there");
        cluster.assert_survived("cancelled");
    }
}

#[test]
fn more_hooks_than_can_run_are_refused_when_they_are_registered() {
    let cluster = Cluster::start();
    let register = |from: u32, to: u32| {
        let sql = format!(
            "DO $$ BEGIN FOR i IN {from}..{to} LOOP \
             CALL backup_hook('after_backup', 'h' || i, 'SELECT 1'); END LOOP; END $$"
        );
        cluster.try_sql("postgres", &sql).map_err(|error| DbError::of(&error))
    };
    register(1, 100).expect("so many may run");
    let error = register(101, 101).expect_err("one more would never run");
    assert!(["22023", "53400"].contains(&error.sqlstate.as_str()), "{error}");
    assert!(!error.hint.is_empty(), "{error}");
    register(100, 100).expect("it is there already");
    cluster.hook(BEFORE, "h", "SELECT 1");
}

#[test]
fn a_hook_can_start_the_backup_of_another_database_but_not_wait_for_its_own() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE other");
    let sql = "SELECT public.backup_create(database => 'other', wait => false) \
               WHERE current_setting('backup_run.database') = 'postgres'";
    cluster.hook(AFTER, "other", sql);
    cluster.sql("postgres", "SELECT backup_create()");
    let runs = "SELECT string_agg(database || ' ' || status, ', ' ORDER BY id) FROM backup_history";
    let wanted = "postgres succeeded, other succeeded";
    wait_until(wanted, LIMIT, || cluster.value("postgres", runs) == wanted);
    cluster.hook(BEFORE, "self", "SELECT public.backup_create()");
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.message, "hook \"self\" failed at before_backup", "{error}");
    cluster.assert_nothing_left();
}
