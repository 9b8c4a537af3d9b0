//! Restores that fail, are cancelled or die: nothing is left of them.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, OLD, crash_at, sample, wait_until};

#[test]
fn a_restore_that_fails_leaves_no_database() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    // Dies when it has written the rows.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n\"$REAL\" \"$@\" || exit 1\n[[ \"$*\" == *section=data* ]] && exit 1\nexit 0",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "38000", "{error}");
    assert!(error.message.contains("pg_restore"), "{error}");
    assert_eq!(cluster.databases(), "app");
    cluster.use_real_tools();
    // Says that all is well, and has not written any.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n[[ \"$*\" == *section=data* ]] && { cat >/dev/null; exit 0; }\nexec \"$REAL\" \"$@\"",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "XX001", "{error}");
    assert!(error.detail.contains("0 rows, not"), "{error}");
    assert_eq!(cluster.databases(), "app");
    cluster.use_real_tools();
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    cluster.assert_clean();
}

#[test]
fn a_restore_is_seen_and_can_be_cancelled() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    faults.wait("after_data");
    let seen = "SELECT concat_ws(' ', kind, database, phase) FROM backup_progress";
    assert_eq!(cluster.value("postgres", seen), "restore copy data");
    let closed = "SELECT datconnlimit FROM pg_database WHERE datname = 'copy'";
    assert_eq!(cluster.value("postgres", closed), "0");
    call.cancel();
    faults.lift("after_data");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(cluster.databases(), "app");
    assert!(cluster.last_restore("postgres").starts_with("manual cancelled"));
}

/// What the server does when a restore stands at `point`.
fn nothing_stays_of(point: &str) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    let content = cluster.fingerprint("app");
    faults.plant(point);
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    let runner = faults.wait(point);
    cluster.kill_with_runner(runner);
    faults.lift(point);
    call.error();
    cluster.start_again();
    cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
    assert_eq!(cluster.databases(), "app", "{point}");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.fingerprint("copy"), content);
    cluster.restart(Mode::Fast);
    assert_eq!(cluster.databases(), "app copy", "a restore that succeeded stays");
}

#[test]
fn a_crash_before_the_database_is_there_leaves_nothing() {
    nothing_stays_of("before_create");
}

#[test]
fn a_crash_right_after_the_database_was_made_leaves_nothing() {
    nothing_stays_of("after_create");
}

#[test]
fn a_crash_between_the_sections_leaves_nothing() {
    nothing_stays_of("after_pre_data");
}

#[test]
fn a_crash_before_the_database_is_opened_leaves_nothing() {
    nothing_stays_of("loaded");
}

#[test]
fn nothing_stays_of_a_restore_that_dies_before_it_opens_the_database() {
    nothing_stays_of("whole");
}

/// A restore of `app` into `copy` dies at `point`: all of the server, or the runner first.
fn dies_at(point: &str, runner_only: bool) -> (Faults, Cluster, String) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    let call = format!("CALL backup_restore({id}, target => 'copy')");
    crash_at(&mut cluster, &faults, &call, point, runner_only);
    (faults, cluster, id)
}

#[test]
fn a_database_that_was_opened_when_the_server_or_the_runner_died_is_whole_and_stays() {
    for runner_only in sample([false, true]) {
        let (_faults, mut cluster, id) = dies_at("opened", runner_only);
        cluster.wait_for_restore("postgres", &["manual succeeded".to_owned()]);
        assert_eq!(cluster.age("copy"), OLD, "{runner_only}");
        cluster.restart(Mode::Fast);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'other')"));
        assert_eq!(cluster.databases(), "app copy other", "{runner_only}");
    }
}

#[test]
fn a_crash_while_a_restore_is_rehearsed_leaves_no_scratch_database() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
    let runner = faults.wait("after_data");
    assert!(cluster.databases().contains("pg_backup_verify_"));
    cluster.kill_with_runner(runner);
    faults.lift("after_data");
    call.error();
    cluster.start_again();
    wait_until("the end of recovery", LIMIT, || cluster.databases() == "app");
    let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &state), "available");
}

#[test]
fn a_rehearsal_whose_session_is_ended_leaves_no_scratch_database_and_tells_of_none() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    for point in ["before_create", "after_data"] {
        faults.plant(point);
        let call = cluster.call("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
        faults.wait(point);
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE application_name LIKE 'pg_backup swap%'";
        assert_eq!(cluster.value("postgres", ended), "1", "{point}");
        faults.lift(point);
        let outcome = call.end();
        assert_eq!(outcome.is_ok(), point == "after_data", "{outcome:?}");
        assert_eq!(cluster.databases(), "app", "{point}");
        let warnings = "SELECT coalesce(array_to_string(warnings, ' '), '') FROM backup_history \
                        WHERE kind = 'verify' LIMIT 1";
        assert_eq!(cluster.value("postgres", warnings), "", "{point}");
    }
}

/// What was to be found out is found out: what is left is told, and goes when it can.
#[test]
fn a_scratch_database_that_cannot_be_dropped_takes_nothing_from_what_was_rehearsed() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&["max_prepared_transactions = 2"]);
    cluster.make_aged();
    faults.plant("after_data");
    let call = cluster.call("postgres", "SELECT bool_and(ok) FROM backup_verify(1, 'restore')");
    faults.wait("after_data");
    let scratch = cluster.databases().replace("app ", "");
    cluster.sql(&scratch, "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    faults.lift("after_data");
    call.end().unwrap();
    let row = "SELECT status || ': ' || warnings[1] FROM backup_history WHERE kind = 'verify'";
    let told = cluster.value("postgres", row);
    let said = format!("succeeded: database \"{scratch}\" could not be dropped: database ");
    assert!(told.starts_with(&said), "{told}");
    assert!(told.ends_with("; it is tried again when the server starts"), "{told}");
    cluster.sql(&scratch, "ROLLBACK PREPARED 'in the way'");
    cluster.restart(Mode::Fast);
    wait_until("the end of the scratch database", LIMIT, || cluster.databases() == "app");
}

#[test]
fn schedules_in_a_database_begin_when_its_restore_is_complete_and_not_before() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.make_everything("app");
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    cluster.schedule("app", "'s', 'hourly', 'UTC'");
    let id = cluster.back_up_app("");
    cluster.sql("postgres", "DROP DATABASE app WITH (FORCE)");
    // In the copy it is due at once.
    faults.set_time(&cluster, "2027-01-10 04:30:00+00");
    // A look at the schedule of the dropped database holds its name for a moment.
    cluster.settle_schedules();
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    faults.wait("after_data");
    // The launcher has been told of the rows, and has had the time to look.
    cluster.sql("postgres", "CALL backup_schedule('t', 'hourly', timezone => 'UTC')");
    cluster.sql("postgres", "SELECT backup_run('t')");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM backup_runs"), "0");
    faults.lift("after_data");
    call.end().unwrap();
    let runs = cluster.wait_for_runs("app", "s", 1);
    assert_eq!((runs.len(), runs[0].status.as_str()), (1, "succeeded"), "{runs:?}");
}

/// The rows are there, so it is not lost for its statistics, nor are those of the other tables.
#[test]
fn what_cannot_be_analyzed_is_told_and_the_restore_succeeds() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE FUNCTION shy(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_query() LIKE 'ANALYZE%' THEN RAISE 'not while you look'; END IF;
            RETURN i; END $$;
        CREATE TABLE first AS SELECT generate_series(1, 9000) AS i;
        CREATE TABLE \"Second\" AS SELECT generate_series(1, 900) AS i;
        CREATE TABLE third AS SELECT generate_series(1, 90) AS i;
        CREATE INDEX ON \"Second\" (shy(i));
        CREATE TABLE split (i int) PARTITION BY RANGE (i);
        CREATE TABLE low PARTITION OF split FOR VALUES FROM (0) TO (50);
        CREATE TABLE top PARTITION OF split FOR VALUES FROM (50) TO (100);
        INSERT INTO split SELECT generate_series(0, 99);
        CREATE INDEX ON low (shy(i))";
    cluster.psql("app", tables);
    let id = cluster.back_up_app("");
    let told = "not analyzed: public.Second, public.low, public.split; the server said first: \
                not while you look (in database \"copy\")";
    let warnings = "SELECT warnings[1] FROM backup_history WHERE kind = 'restore' \
                    ORDER BY id DESC LIMIT 1";
    let analyzed = "SELECT string_agg(DISTINCT tablename, ' ' ORDER BY tablename) FROM pg_stats \
                    WHERE schemaname = 'public'";
    for jobs in sample(["", ", jobs => 3"]) {
        let call = format!("CALL backup_restore({id}, target => 'copy'{jobs})");
        let said = cluster.psql_says("postgres", &call);
        assert!(said.contains(&format!("WARNING:  {told}\n")), "{said}");
        assert_eq!(cluster.value("postgres", warnings), told, "{jobs}");
        let waited = "SELECT backup_wait(max(id)) FROM backup_history";
        assert!(cluster.psql_says("postgres", waited).contains(&format!("WARNING:  {told}\n")));
        assert_eq!(cluster.value("copy", analyzed), "first split third top", "{jobs}");
        assert_eq!(cluster.value("copy", "SELECT count(*) FROM \"Second\""), "900");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
    cluster.assert_clean();
}
