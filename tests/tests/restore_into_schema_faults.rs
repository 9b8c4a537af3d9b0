//! `backup_restore(…, into_schema => …)` that is cancelled or dies: all is there, or nothing.

use pg_backup_tests::{Faults, Gate, LIMIT, Mode, into_schema, sample, wait_until};

#[test]
fn a_cancel_in_the_middle_leaves_nothing() {
    for point in sample(["after_data", "gathered", "poured_pre_data", "poured_data"]) {
        let faults = Faults::default();
        let cluster = faults.cluster(&[]);
        let id = cluster.make_shop();
        let schema = cluster.schema_of("app");
        faults.plant(point);
        let running = cluster.call("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
        faults.wait(point);
        running.cancel();
        faults.lift(point);
        assert_eq!(running.error().sqlstate, "57014", "{point}");
        wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
        let ended = cluster.last_restore("postgres");
        assert!(ended.starts_with("manual cancelled"), "{point} {ended}");
        cluster.assert_untouched_shop(&schema);
        cluster.sql("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
        cluster.assert_clean();
    }
}

#[test]
fn a_cancel_just_before_the_commit_leaves_all_or_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_shop();
    let schema = cluster.schema_of("app");
    faults.plant("poured_post_data");
    let running = cluster.call("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
    faults.wait("poured_post_data");
    running.cancel();
    faults.lift("poured_post_data");
    assert_eq!(running.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    if cluster.last_restore("postgres") == "manual succeeded" {
        // The word came when the tables were there already.
        assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
        cluster.sql("app", "DROP SCHEMA saved CASCADE");
    }
    cluster.assert_untouched_shop(&schema);
}

/// The tables are there: what is left is told, and goes when it can.
#[test]
fn a_scratch_database_that_cannot_be_dropped_is_told_and_goes_later() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&["max_prepared_transactions = 2"]);
    let id = cluster.make_shop();
    faults.plant("gathered");
    let call = into_schema(&id, "ARRAY['shop.orders']", "saved");
    let running = cluster.call("postgres", &call);
    faults.wait("gathered");
    let scratch = cluster.databases().replace("app ", "");
    cluster.sql(&scratch, "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    faults.lift("gathered");
    running.end().unwrap();
    let warning = "SELECT warnings[2] FROM backup_history WHERE kind = 'restore'";
    let told = cluster.value("postgres", warning);
    assert!(told.starts_with(&format!("database \"{scratch}\" could not be dropped: ")), "{told}");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
    cluster.sql(&scratch, "ROLLBACK PREPARED 'in the way'");
    cluster.restart(Mode::Fast);
    wait_until("the end of the scratch database", LIMIT, || cluster.databases() == "app");
}

/// Who waits for the name of the schema has it as soon as ours is rolled back.
#[test]
fn a_schema_that_somebody_makes_when_ours_fails_is_not_ours() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_shop();
    faults.plant("poured_post_data");
    let call = into_schema(&id, "ARRAY['shop.orders']", "saved");
    let running = cluster.call("postgres", &call);
    faults.wait("poured_post_data");
    let other = cluster.call("app", "CREATE SCHEMA saved");
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND query = 'CREATE SCHEMA saved'";
    wait_until("the other one to wait", LIMIT, || cluster.value("postgres", waiting) == "1");
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = 'app' AND application_name LIKE 'pg_backup restore%'";
    assert_ne!(cluster.value("postgres", ours), "0");
    other.end().unwrap();
    faults.lift("poured_post_data");
    running.error();
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    let ended = cluster.last_restore("postgres");
    assert!(ended.starts_with("manual failed"), "{ended}");
    assert_eq!(
        cluster.value(
            "app",
            "SELECT count(*) FROM pg_class WHERE relnamespace = \
                                      'saved'::regnamespace"
        ),
        "0"
    );
}

#[test]
fn a_kill_in_the_middle_leaves_nothing() {
    for point in sample(["gathered", "poured_data", "poured_post_data"]) {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&[]);
        let id = cluster.make_shop();
        let schema = cluster.schema_of("app");
        faults.plant(point);
        let running = cluster.call("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
        let runner = faults.wait(point);
        cluster.kill_with_runner(runner);
        faults.lift(point);
        running.error();
        cluster.start_again();
        cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
        cluster.assert_untouched_shop(&schema);
        cluster.sql("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
        assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
    }
}

#[test]
fn a_cancel_that_comes_after_the_commit_is_too_late() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_shop();
    // Has done its work, and does not end.
    let gate = Gate::new(&cluster, "gate");
    cluster.use_tool("psql", &gate.script_after());
    let running = cluster.call("postgres", &into_schema(&id, "ARRAY['shop.orders']", "saved"));
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'saved'";
    wait_until("the commit", LIMIT, || cluster.value("app", there) == "1");
    running.cancel();
    assert_eq!(running.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(cluster.last_restore("postgres"), "manual succeeded");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%'";
    assert_eq!(cluster.value("postgres", databases), "0");
}
