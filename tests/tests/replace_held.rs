//! Who holds on to the live database while it is replaced: workers that nobody ends, and backups
//! whose history is in it.

use pg_backup_tests::{Call, Cluster, Faults, LIMIT, NEW, OLD, wait_until};

/// A server whose databases can subscribe to its database `postgres`.
fn publisher(faults: &Faults) -> (Cluster, String) {
    let cluster = faults.cluster(&["wal_level = logical", "wal_retrieve_retry_interval = '60s'"]);
    let id = cluster.make_aged();
    cluster.sql("postgres", "CREATE PUBLICATION p");
    cluster.sql("postgres", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
    (cluster, id)
}

/// Gives `app` a subscription that is not enabled yet.
fn subscribe(cluster: &Cluster) {
    let server = cluster.value("postgres", "SHOW unix_socket_directories");
    let port = cluster.value("postgres", "SHOW port");
    let sql = format!(
        "CREATE SUBSCRIPTION s CONNECTION 'host={server} port={port} dbname=postgres' \
         PUBLICATION p WITH (create_slot = false, slot_name = 's', enabled = false)"
    );
    cluster.sql("app", &sql);
}

const WORKER: &str = "FROM pg_stat_activity WHERE datname = 'app' \
                      AND backend_type ~ '^logical replication (apply )?worker$'";
const RENAME: &str = "FROM pg_stat_activity WHERE application_name = 'pg_backup swap' \
                      AND state = 'active' AND query LIKE 'BEGIN; ALTER DATABASE%'";

/// A `call` that swaps `app` stands at `point`, and goes on when the worker of its subscription
/// has come.
fn held(cluster: &Cluster, faults: &Faults, call: &str, point: &str) -> Call {
    faults.plant(point);
    let call = cluster.call("postgres", call);
    faults.wait(point);
    cluster.sql("app", "ALTER SUBSCRIPTION s ENABLE");
    wait_until("the worker", LIMIT, || {
        cluster.value("postgres", &format!("SELECT count(*) {WORKER}")) == "1"
    });
    faults.lift(point);
    call
}

fn replace(id: &str) -> String {
    format!("CALL backup_restore({id}, replace => 'app')")
}

/// Waits until the names are about to be changed.
fn wait_for_rename(cluster: &Cluster) {
    wait_until("the rename", LIMIT, || {
        cluster.value("postgres", &format!("SELECT count(*) {RENAME}")) == "1"
    });
}

#[test]
fn a_worker_that_does_not_leave_keeps_all_names_as_they_are_and_is_named() {
    let faults = Faults::default();
    let (cluster, id) = publisher(&faults);
    subscribe(&cluster);
    let error = held(&cluster, &faults, &replace(&id), "before_swap").error();
    assert_eq!(error.sqlstate, "55006", "{error}");
    assert!(error.detail.starts_with("Database \"app\" is as it was."), "{error}");
    let named = ["logical replication worker", "logical replication apply worker"];
    assert!(named.iter().any(|worker| error.detail.contains(worker)), "{error}");
    assert!(error.hint.contains("pg_stat_activity"), "{error}");
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
    let failed = cluster.last_restore("postgres");
    assert!(failed.starts_with("manual failed: "), "{failed}");
    cluster.sql("app", "ALTER SUBSCRIPTION s DISABLE");
    wait_until("the worker's end", LIMIT, || {
        cluster.value("postgres", &format!("SELECT count(*) {WORKER}")) == "0"
    });
    cluster.replace_app("postgres", &id);
}

#[test]
fn a_worker_that_leaves_late_is_waited_for() {
    let faults = Faults::default();
    let (cluster, id) = publisher(&faults);
    subscribe(&cluster);
    let call = held(&cluster, &faults, &replace(&id), "before_swap");
    wait_for_rename(&cluster);
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {WORKER}"));
    call.end().unwrap();
    assert_eq!(cluster.age("app"), OLD);
    cluster.accept_all("postgres");
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn a_rollback_whose_sessions_are_ended_in_the_middle_tells_what_has_happened() {
    let faults = Faults::default();
    let (cluster, id) = publisher(&faults);
    let run = cluster.value("postgres", &replace(&id));
    subscribe(&cluster);
    let call = format!("CALL backup_rollback({run})");
    let call = held(&cluster, &faults, &call, "carried_over");
    wait_for_rename(&cluster);
    let ending = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                  WHERE application_name = 'pg_backup swap' AND query NOT LIKE 'BEGIN; ALTER%'";
    cluster.sql("postgres", ending);
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {WORKER}"));
    let said = call.end();
    let age = cluster.age("app");
    let told = cluster.last_restore("postgres");
    match age.as_str() {
        OLD => assert!(said.is_err() && told != "rollback succeeded", "{said:?} {told}"),
        _ => assert!(said.is_ok() && told == "rollback succeeded", "{said:?} {told}"),
    }
}

#[test]
fn a_backup_whose_row_is_in_the_live_database_ends_at_the_swap_and_its_schedule_tries_again() {
    let faults = Faults::default();
    // The clock of the test is weeks ahead of the row that says how long the database is kept.
    let cluster = faults.cluster(&["pg_backup.rollback_keep = -1"]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    let id = cluster.make_aged();
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    let schedule = "'s', '0 3 * * *', timezone => 'UTC', database => 'postgres', retries => 1, \
                    keep_last => 9";
    cluster.schedule("app", schedule);
    let hold = cluster.hold_dumps();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_phase("dumping");
    cluster.sql("postgres", &replace(&id));
    assert_eq!(cluster.age("app"), OLD);
    drop(hold);
    let first = &cluster.wait_for_runs("app", "s", 1)[0];
    assert_eq!(first.status, "interrupted", "{first:?}");
    faults.set_time(&cluster, "2027-01-10 04:00:00+00");
    let runs = cluster.wait_for_runs("app", "s", 2);
    assert_eq!((runs[1].status.as_str(), runs[1].origin.as_str()), ("succeeded", "retry"));
    cluster.accept_all("postgres");
    cluster.wait_until_idle();
}
