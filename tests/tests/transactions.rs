//! Transactions of callers: read-only ones, blocks of PL/pgSQL, triggers, procedures that commit,
//! drivers that commit by themselves, and what is left of a call that fails in them.

use pg_backup_tests::{Cluster, DbError, LIMIT, wait_until};

const DONE: &str = "SELECT count(*) FROM backup_history WHERE status = 'succeeded'";
const ALL: &str = "SELECT count(*) FROM backup_history";

/// How many rows table `w` has in the newest backup, by its manifest.
const ROWS: &str = "SELECT t ->> 'rows' FROM backup_manifest m, \
                    jsonb_array_elements(m.manifest -> 'tables') t \
                    WHERE t ->> 'name' = 'w' AND m.id = backup_latest()";

fn cluster() -> Cluster {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE w AS SELECT 1 AS i");
    cluster
}

#[test]
fn a_read_only_transaction_may_wait_but_not_leave_a_backup_behind() {
    let cluster = cluster();
    for begin in [
        "BEGIN READ ONLY",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
        "SET default_transaction_read_only = on; BEGIN ISOLATION LEVEL REPEATABLE READ",
    ] {
        cluster.psql("postgres", &format!("{begin}; SELECT backup_create(); COMMIT"));
        let sql = format!("{begin}; SELECT backup_create(wait => false); COMMIT");
        let (_, said) = cluster.psql_err("postgres", &sql);
        assert!(said.contains("read-only transaction"), "{begin}: {said}");
    }
    assert_eq!(cluster.value("postgres", ALL), "3");
    assert_eq!(cluster.value("postgres", DONE), "3");
    cluster.assert_clean();
}

#[test]
fn a_backup_of_every_database_in_one_query_gives_one_id_each() {
    let cluster = cluster();
    cluster.sql("postgres", "CREATE DATABASE other");
    let sql = "SELECT backup_create(database => datname) FROM pg_database WHERE datallowconn \
               AND NOT datistemplate ORDER BY datname";
    assert_eq!(cluster.psql("postgres", sql), "1\n2");
    let sql = "SELECT backup_create(database => datname, wait => false) FROM pg_database \
               WHERE datallowconn AND NOT datistemplate ORDER BY datname";
    assert_eq!(cluster.psql("postgres", sql), "3\n4");
    wait_until("four backups", LIMIT, || cluster.value("postgres", DONE) == "4");
    let databases = "SELECT string_agg(database, ' ' ORDER BY id) FROM backup_history";
    assert_eq!(cluster.value("postgres", databases), "other postgres other postgres");
}

#[test]
fn a_query_that_has_not_written_yet_may_wait_and_one_that_has_may_not() {
    let cluster = cluster();
    cluster.sql("postgres", "CREATE TABLE ids (id bigint)");
    cluster.sql("postgres", "INSERT INTO ids SELECT backup_create()");
    assert_eq!(cluster.psql("postgres", "COPY (SELECT backup_create()) TO STDOUT"), "2");
    assert_eq!(cluster.value("postgres", "SELECT id FROM ids"), "1");
    for sql in [
        "CREATE TABLE copied AS SELECT backup_create()",
        "INSERT INTO ids SELECT backup_create() FROM generate_series(1, 2)",
        "INSERT INTO ids VALUES (0); SELECT backup_create()",
        "SELECT * FROM w FOR UPDATE; SELECT backup_create()",
        "WITH x AS (DELETE FROM ids RETURNING id) SELECT backup_create() FROM x",
    ] {
        let error = cluster.error("postgres", sql);
        assert_eq!(error.sqlstate, "25001", "{sql}: {error}");
        assert!(error.hint.contains("wait => false"), "{sql}: {error}");
    }
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM ids"), "1");
    cluster.assert_clean();
}

#[test]
fn a_trigger_cannot_wait_but_leave_a_backup_that_holds_the_row() {
    let cluster = cluster();
    cluster.sql(
        "postgres",
        "CREATE FUNCTION now() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN PERFORM backup_create(wait => TG_ARGV[0]::boolean); RETURN NULL; END $$; \
         CREATE TABLE waits (i int); CREATE TRIGGER t AFTER INSERT ON waits \
           FOR EACH ROW EXECUTE FUNCTION public.now('true'); \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON w DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION public.now('false')",
    );
    assert_eq!(cluster.error("postgres", "INSERT INTO waits VALUES (1)").sqlstate, "25001");
    cluster.sql("postgres", "INSERT INTO w VALUES (2)");
    wait_until("the backup", LIMIT, || cluster.value("postgres", DONE) == "1");
    assert_eq!(cluster.value("postgres", ROWS), "2");
    assert_eq!(cluster.value("postgres", ALL), "1");
}

#[test]
fn a_block_that_catches_the_error_learns_all_of_it_and_goes_on() {
    let cluster = cluster();
    cluster.use_tool("pg_dump", "#!/bin/sh\necho 'pg_dump: error: no such luck' >&2\nexit 1");
    let notice = "DO $$ DECLARE d text; h text; s text; BEGIN \
        BEGIN PERFORM backup_create(); \
        EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, \
          h = PG_EXCEPTION_HINT, s = RETURNED_SQLSTATE; \
          INSERT INTO caught VALUES (s, d, h); END; END $$";
    cluster.sql("postgres", "CREATE TABLE caught (s text, d text, h text)");
    cluster.sql("postgres", notice);
    let caught = "SELECT s || ' ' || (d LIKE '%no such luck%') || ' ' || (h <> '') FROM caught";
    assert_eq!(cluster.value("postgres", caught), "38000 true true");
    assert_eq!(cluster.last_backup().status, "failed");
    // What was caught before does not count as written, but what the handler wrote does.
    let twice = "DO $$ BEGIN FOR i IN 1..2 LOOP BEGIN PERFORM backup_create(); \
                 EXCEPTION WHEN external_routine_exception THEN NULL; END; END LOOP; END $$";
    cluster.sql("postgres", twice);
    assert_eq!(cluster.value("postgres", ALL), "3");
    cluster.use_real_tools();
    let pending = "DO $$ BEGIN BEGIN PERFORM backup_create(wait => false); RAISE 'no'; \
                   EXCEPTION WHEN raise_exception THEN NULL; END; END $$";
    cluster.sql("postgres", pending);
    cluster.assert_clean();
    assert_eq!(cluster.value("postgres", ALL), "3", "what was rolled back started nothing");
    cluster.assert_next_backup_works();
}

#[test]
fn a_procedure_that_commits_may_wait_again_and_again() {
    let cluster = cluster();
    cluster.sql(
        "postgres",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ DECLARE id bigint; BEGIN \
           FOR i IN 1..2 LOOP \
             INSERT INTO w VALUES (i); COMMIT; \
             PERFORM backup_create(); \
             INSERT INTO w VALUES (i); id := backup_create(wait => false); COMMIT; \
             IF backup_wait(id) <> 'succeeded' THEN RAISE 'not done'; END IF; \
           END LOOP; END $$",
    );
    cluster.sql("postgres", "CALL p()");
    assert_eq!(cluster.value("postgres", DONE), "4");
    assert_eq!(cluster.value("postgres", ROWS), "5");
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN").unwrap();
    let error = session.batch_execute("CALL p()").unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "2D000", "no COMMIT in a transaction block");
    drop(session);
    cluster.assert_clean();
}

#[test]
fn a_driver_that_opens_a_transaction_for_everything_works() {
    let cluster = cluster();
    let mut session = cluster.connect("postgres");
    let mut transaction = session.transaction().unwrap();
    let id: i64 = transaction.query_one("SELECT backup_create($1)", &[&"mine"]).unwrap().get(0);
    let prepared = transaction.prepare("SELECT backup_wait($1)").unwrap();
    let status: String = transaction.query_one(&prepared, &[&id]).unwrap().get(0);
    assert_eq!(status, "succeeded");
    let mut inner = transaction.transaction().unwrap();
    inner.query_one("SELECT backup_create(wait => false)", &[]).unwrap();
    inner.rollback().unwrap();
    let kept: i64 =
        transaction.query_one("SELECT backup_create(wait => false)", &[]).unwrap().get(0);
    transaction.commit().unwrap();
    // The session may end at once: the backup was asked for, and goes on.
    drop(session);
    let wait = format!("SELECT backup_wait({kept})");
    assert_eq!(cluster.value("postgres", &wait), "succeeded");
    assert_eq!(cluster.value("postgres", ALL), "2");
}

#[test]
fn too_many_backups_in_one_transaction_are_refused_and_nothing_is_left() {
    let cluster = cluster();
    let sql = "SELECT backup_create(wait => false) FROM generate_series(1, 500)";
    let error = cluster.error("postgres", sql);
    assert_eq!(error.sqlstate, "53400", "{error}");
    assert!(!error.hint.is_empty(), "{error}");
    assert_eq!(cluster.value("postgres", ALL), "0");
    cluster.assert_clean();
    cluster.assert_next_backup_works();
}

#[test]
fn a_backup_that_is_cancelled_before_its_commit_is_recorded_as_cancelled() {
    let cluster = cluster();
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN; SELECT backup_create(wait => false)").unwrap();
    assert_eq!(cluster.value("postgres", "SELECT backup_cancel(1)"), "t");
    session.batch_execute("COMMIT").unwrap();
    drop(session);
    cluster.assert_survived("cancelled");
}

#[test]
fn a_session_that_ends_in_a_transaction_takes_its_backup_with_it() {
    let cluster = cluster();
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN; SELECT backup_create(wait => false)").unwrap();
    drop(session);
    cluster.assert_clean();
    assert_eq!(cluster.value("postgres", ALL), "0");
    cluster.assert_next_backup_works();
}

#[test]
fn a_statement_timeout_of_the_caller_cancels_the_backup_it_waits_for() {
    let cluster = cluster();
    let hold = cluster.hold_dumps();
    let sql = "SET statement_timeout = '1s'; SELECT backup_create()";
    let error: DbError = cluster.error("postgres", sql);
    assert_eq!(error.sqlstate, "57014", "{error}");
    drop(hold);
    let run = cluster.assert_survived("cancelled");
    assert!(!run.error.is_empty(), "{run:?}");
}
