//! What calls mean: arguments, transactions, waiting.

use pg_backup_tests::{Cluster, LIMIT, sample, wait_until};

fn count(cluster: &Cluster, condition: &str) -> String {
    cluster.value("postgres", &format!("SELECT count(*) FROM backup_history WHERE {condition}"))
}

/// Rows of a table in the newest backup of `postgres`, by its manifest.
fn rows_of(cluster: &Cluster, table: &str) -> String {
    let sql = format!(
        "SELECT coalesce((SELECT t ->> 'rows' FROM backup_manifest m, \
         jsonb_array_elements(m.manifest -> 'tables') t WHERE t ->> 'name' = '{table}' \
         AND m.id = backup_latest()), 'none')"
    );
    cluster.value("postgres", &sql)
}

#[test]
fn wrong_arguments_are_refused_with_a_hint_and_leave_no_row() {
    let cluster = Cluster::start();
    for (arguments, sqlstate) in [
        ("format => 'tar'", "22023"),
        ("format => ''", "22023"),
        ("compression => 'lz4'", "22023"),
        ("compression => 'zstd:0'", "22023"),
        ("compression => 'zstd:20'", "22023"),
        ("compression => 'gzip:10'", "22023"),
        ("compression => 'none:1'", "22023"),
        ("jobs => 0", "22023"),
        ("jobs => -1", "22023"),
        ("jobs => 65", "22023"),
        ("jobs => 2, format => 'custom'", "22023"),
        ("jobs => 2, format => 'plain'", "22023"),
        ("tables => '{a,NULL}'", "22023"),
        ("tables => '{a.b.c.d}'", "22023"),
        ("tables => '{\"\"}'", "22023"),
        ("schemas => '{a.b}'", "22023"),
        ("exclude_table_data => ARRAY['\"open']", "22023"),
        ("attach => '{etc/passwd}'", "22023"),
        ("database => 'nope'", "3D000"),
        ("database => ''", "3D000"),
    ] {
        let error = cluster.error("postgres", &format!("SELECT backup_create({arguments})"));
        assert_eq!(error.sqlstate, sqlstate, "{arguments}: {error}");
        assert!(error.sqlstate == "3D000" || !error.hint.is_empty(), "{arguments}: {error}");
    }
    assert_eq!(count(&cluster, "true"), "0");
    let error = cluster.error("postgres", "SELECT backup_create(tables => '{nosuch}')");
    assert!(error.detail.contains("nosuch") && error.hint.contains("pattern"), "{error}");
}

#[test]
fn patterns_choose_what_is_dumped() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE SCHEMA s; CREATE TABLE s.a AS SELECT 1 i; CREATE TABLE s.b AS SELECT 1 i; \
         CREATE TABLE s.\"Mixed\" AS SELECT 1 i; CREATE TABLE c AS SELECT 1 i",
    );
    for (arguments, a, b, mixed, c) in sample([
        ("", "1", "1", "1", "1"),
        ("schemas => '{s}'", "1", "1", "1", "none"),
        ("schemas => '{S}'", "1", "1", "1", "none"),
        ("tables => '{s.a,c}'", "1", "none", "none", "1"),
        ("tables => ARRAY['s.\"Mixed\"']", "none", "none", "1", "none"),
        ("tables => '{s.*}', exclude_tables => '{s.?}'", "none", "none", "1", "none"),
        ("schemas => '{s}', exclude_table_data => '{s.a}'", "none", "1", "1", "none"),
        ("tables => '{s.a,c}', jobs => 2", "1", "none", "none", "1"),
        ("tables => '{s.a,c}', format => 'plain'", "1", "none", "none", "1"),
    ]) {
        cluster.sql("postgres", &format!("SELECT backup_create({arguments})"));
        let found = ["a", "b", "Mixed", "c"].map(|table| rows_of(&cluster, table));
        assert_eq!(found, [a, b, mixed, c], "{arguments}");
    }
}

#[test]
fn a_transaction_that_has_written_cannot_wait() {
    let cluster = Cluster::start();
    for write in ["CREATE TABLE w ()", "SELECT txid_current()"] {
        let sql = format!("BEGIN; {write}; SELECT backup_create(); COMMIT");
        let error = cluster.error("postgres", &sql);
        assert_eq!(error.sqlstate, "25001", "{error}");
        assert!(error.hint.contains("wait => false"), "{error}");
    }
    assert_eq!(count(&cluster, "true"), "0");
}

#[test]
fn a_transaction_that_has_only_read_may_wait_more_than_once() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.psql(
        "postgres",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class; \
         SELECT backup_create(); SELECT backup_create(); COMMIT; \
         SELECT backup_create(database => datname) FROM pg_database WHERE NOT datistemplate",
    );
    assert_eq!(count(&cluster, "status = 'succeeded'"), "4");
    cluster.sql("postgres", "DO $$ BEGIN PERFORM backup_create(); END $$");
    assert_eq!(count(&cluster, "status = 'succeeded'"), "5");
}

#[test]
fn without_waiting_a_backup_begins_at_commit_and_holds_what_was_committed() {
    let cluster = Cluster::start();
    let mut session = cluster.connect("postgres");
    session
        .batch_execute(
            "BEGIN; CREATE TABLE w AS SELECT 1 AS a; SELECT backup_create(wait => false)",
        )
        .unwrap();
    assert_eq!(count(&cluster, "true"), "0");
    let error = session.batch_execute("SAVEPOINT s; SELECT backup_wait(1)").unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "25001");
    session.batch_execute("ROLLBACK TO s; INSERT INTO w VALUES (2); COMMIT").unwrap();
    assert_eq!(cluster.value("postgres", "SELECT backup_wait(1)"), "succeeded");
    assert_eq!(rows_of(&cluster, "w"), "2");
}

#[test]
fn a_rollback_starts_nothing() {
    let cluster = Cluster::start();
    for sql in [
        "BEGIN; SELECT backup_create(wait => false); ROLLBACK",
        "BEGIN; SAVEPOINT a; SELECT backup_create(wait => false); ROLLBACK TO a; COMMIT",
        "BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT backup_create(wait => false); RELEASE b; \
         ROLLBACK TO a; COMMIT",
    ] {
        cluster.psql("postgres", sql);
        cluster.assert_nothing_left();
        assert_eq!(count(&cluster, "true"), "0", "{sql}");
    }
    cluster.psql(
        "postgres",
        "BEGIN; SAVEPOINT a; SELECT backup_create(wait => false); RELEASE a; COMMIT",
    );
    wait_until("the one backup", LIMIT, || count(&cluster, "status = 'succeeded'") == "1");
}

#[test]
fn a_transaction_with_a_pending_backup_cannot_be_prepared() {
    let cluster = Cluster::with(&["max_prepared_transactions = 2"]);
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN; SELECT backup_create(wait => false)").unwrap();
    let error = session.batch_execute("PREPARE TRANSACTION 'x'").unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "25001");
    assert_eq!(count(&cluster, "true"), "0");
    cluster.assert_next_backup_works();
}

#[test]
fn backup_wait_waits_gives_up_in_time_and_knows_what_does_not_exist() {
    let cluster = Cluster::start();
    let hold = cluster.hold_dumps();
    let id = cluster.value("postgres", "SELECT backup_create(wait => false)");
    let wait = |timeout: &str| {
        cluster.value("postgres", &format!("SELECT backup_wait({id}, '{timeout}')"))
    };
    for timeout in ["0", "200 milliseconds"] {
        let status = wait(timeout);
        assert!(["queued", "running"].contains(&status.as_str()), "{status}");
    }
    let error = cluster.error("postgres", &format!("SELECT backup_wait({id}, '-1 second')"));
    assert_eq!(error.sqlstate, "22023");
    let waiting = cluster.call("postgres", &format!("SELECT backup_wait({id})"));
    drop(hold);
    waiting.end().unwrap();
    assert_eq!(wait("1 second"), "succeeded");
    assert_eq!(cluster.error("postgres", "SELECT backup_wait(4711)").sqlstate, "42704");
    assert_eq!(cluster.value("postgres", "SELECT backup_cancel(4711)"), "f");
}

#[test]
fn cancelling_backup_wait_does_not_cancel_the_backup() {
    let cluster = Cluster::start();
    let hold = cluster.hold_dumps();
    let id = cluster.value("postgres", "SELECT backup_create(wait => false)");
    let waiting = cluster.call("postgres", &format!("SELECT backup_wait({id})"));
    cluster.wait_for_phase("dumping");
    waiting.cancel();
    assert_eq!(waiting.error().sqlstate, "57014");
    drop(hold);
    assert_eq!(cluster.value("postgres", &format!("SELECT backup_wait({id})")), "succeeded");
}

#[test]
fn progress_is_seen_from_every_database_with_the_extension_and_ends() {
    let cluster = Cluster::start();
    cluster.fill("big", 3, 2);
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.sql("other", "CREATE EXTENSION pg_backup");
    cluster.sql("big", "ANALYZE");
    let hold = cluster.hold_dumps();
    let call = cluster.call("postgres", "SELECT backup_create(database => 'big')");
    cluster.wait_for_phase("dumping");
    let sql = "SELECT kind || ' ' || database || ' ' || relations_total || ' ' || \
               (bytes_total > 6000000) || ' ' || (pid IS NOT NULL) || ' ' || \
               (elapsed > '0') FROM backup_progress";
    wait_until("the totals", LIMIT, || {
        cluster.value("other", sql) == "backup big 3 true true true"
    });
    wait_until("the table at hand", LIMIT, || {
        cluster.value("other", "SELECT relation FROM backup_progress") == "public.t1"
    });
    drop(hold);
    call.end().unwrap();
    assert_eq!(cluster.value("other", "SELECT count(*) FROM backup_progress"), "0");
}

#[test]
fn the_newest_good_backup_is_found_by_database_and_by_file() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let first = cluster.last_backup();
    cluster.assert_next_backup_works();
    let run = cluster.last_backup();
    let id = run.id.to_string();
    let name = run.file.rsplit('/').next().unwrap();
    assert_eq!(cluster.value("postgres", "SELECT backup_latest()"), id);
    assert_eq!(cluster.value("postgres", "SELECT backup_latest('postgres')"), id);
    assert_eq!(cluster.value("postgres", "SELECT backup_latest('nope')"), "");
    for file in [name, &run.file] {
        assert_eq!(cluster.value("postgres", &format!("SELECT backup_find('{file}')")), id);
    }
    assert_eq!(cluster.value("postgres", "SELECT backup_find('zip')"), "");
    cluster.psql("postgres", &format!("CALL backup_delete({id})"));
    let latest = cluster.value("postgres", "SELECT backup_latest()");
    assert_eq!(latest, first.id.to_string());
}

#[test]
fn without_preload_every_call_says_what_to_add() {
    let cluster = Cluster::with(&["shared_preload_libraries = ''"]);
    for sql in [
        "SELECT backup_create()",
        "SELECT backup_create(wait => false)",
        "SELECT backup_verify(1)",
        "CALL backup_delete(1)",
    ] {
        let error = cluster.error("postgres", sql);
        assert_eq!(error.sqlstate, "55000", "{sql}: {error}");
        assert!(error.hint.contains("shared_preload_libraries = 'pg_backup'"), "{error}");
    }
    let sql = "SELECT status FROM backup_check() WHERE check_name = 'preload'";
    assert_eq!(cluster.value("postgres", sql), "blocker");
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_progress"), "0");
    assert_eq!(cluster.value("postgres", "SELECT backup_cancel(1)"), "f");
}

#[test]
fn a_standby_says_so_and_works_after_promotion() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let standby = cluster.standby(&[]);
    for sql in [
        "SELECT backup_create()",
        "SELECT backup_create(wait => false)",
        "SELECT backup_verify(1)",
        "CALL backup_delete(1)",
    ] {
        let error = standby.error("postgres", sql);
        assert_eq!(error.sqlstate, "25006", "{sql}: {error}");
        assert!(error.hint.contains("primary"), "{error}");
    }
    wait_until("the history to arrive", LIMIT, || {
        standby.value("postgres", "SELECT count(*) FROM backup_history") == "1"
    });
    let sql = "SELECT status FROM backup_check() WHERE check_name = 'recovery'";
    assert_eq!(standby.value("postgres", sql), "warning");
    let launcher =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_backup launcher'";
    assert_eq!(standby.value("postgres", launcher), "0");
    standby.sql("postgres", "SELECT pg_promote()");
    standby.assert_next_backup_works();
}
