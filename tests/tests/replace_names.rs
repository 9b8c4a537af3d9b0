//! Names, neighbours and sessions that stand in the way of a replace: names are only names, nobody
//! else's database is touched, and what cannot be done leaves everything as it was.

use pg_backup_tests::{Cluster, DbError, Faults, NEW, OLD, sample};

/// Calls a procedure with a bound text; gives the run's id.
fn call(cluster: &Cluster, sql: &str, text: &str) -> Result<i64, DbError> {
    let row = cluster.connect("postgres").query_one(sql, &[&text]);
    row.map(|row| row.get(0)).map_err(|error| DbError::of(&error))
}

#[test]
fn hostile_and_long_names_are_only_names() {
    let cluster = Cluster::start();
    let (long, wide) = ("n".repeat(63), format!("{}x", "ä".repeat(31)));
    let names = ["dbname=postgres", "--help", "a'b\\c\"d", "a b\nc", "$(x)", "NULL", &long, &wide];
    for name in sample(names) {
        let sql = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        cluster.sql("postgres", &sql);
        cluster.sql(name, "CREATE TABLE t AS SELECT 1 AS i");
        let id = call(&cluster, "SELECT backup_create(database => $1)", name).unwrap();
        cluster.sql(name, "UPDATE t SET i = 2");
        let says = || cluster.value(name, "SELECT i FROM t");
        let run = call(&cluster, &format!("CALL backup_restore({id}, replace => $1)"), name);
        let run = run.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(says(), "1", "{name}");
        let back = cluster.value("postgres", &format!("CALL backup_rollback({run})"));
        assert_eq!(says(), "2", "{name}");
        cluster.sql("postgres", &format!("CALL backup_accept({back})"));
        let count = "SELECT count(*) FROM pg_database";
        assert_eq!(cluster.value("postgres", count), "4", "{name}");
        let drop = format!("DROP DATABASE \"{}\"", name.replace('"', "\"\""));
        cluster.sql("postgres", &drop);
    }
}

#[test]
fn databases_that_have_the_names_of_staging_or_kept_ones_are_left_alone() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let names = ["app_restoring_2", "app_before_2", "app_before_3"];
    for name in names {
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        cluster.sql(name, "CREATE TABLE ours ()");
    }
    let replace = format!("CALL backup_restore({id}, replace => 'app')");
    // Whether it finds another name, or refuses, is its business.
    let _ = cluster.try_sql("postgres", &replace);
    cluster.make_new();
    cluster.sql("postgres", &replace);
    assert_eq!(cluster.age("app"), OLD);
    cluster.accept_all("postgres");
    for name in names {
        assert_eq!(cluster.value(name, "SELECT count(*) FROM ours"), "0");
    }
    assert_eq!(cluster.databases(), "app app_before_2 app_before_3 app_restoring_2");
}

#[test]
fn wrong_databases_are_refused_before_anything_is_made() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    cluster.sql("postgres", "CREATE DATABASE closed ALLOW_CONNECTIONS false");
    cluster.sql("postgres", "CREATE DATABASE model IS_TEMPLATE true");
    for (name, sqlstate) in [
        ("nowhere", "55000"),
        ("template0", "55000"),
        ("closed", "55000"),
        ("model", "55000"),
        ("", "22023"),
    ] {
        let sql = format!("CALL backup_restore({id}, replace => '{name}')");
        assert_eq!(cluster.error("postgres", &sql).sqlstate, sqlstate, "{name}");
    }
    assert_eq!(cluster.databases(), "app closed model");
    assert_eq!(cluster.age("app"), NEW);
}

#[test]
fn of_two_at_once_one_is_refused_and_one_succeeds() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    let replace = format!("CALL backup_restore({id}, replace => 'app')");
    faults.plant("before_swap");
    let first = cluster.call("postgres", &replace);
    faults.wait("before_swap");
    let second = cluster.error("postgres", &replace);
    assert_eq!(second.sqlstate, "55006", "{second}");
    assert_eq!(second.message, "another restore of database \"app\" is running");
    assert!(!second.detail.contains("recorded"), "it has no row: {second}");
    let backup = cluster.error("postgres", "SELECT backup_create(database => 'app')");
    assert_eq!(backup.message, "a restore of database \"app\" is running");
    assert!(backup.detail.ends_with("This call is recorded as skipped."), "{backup}");
    faults.lift("before_swap");
    first.end().unwrap();
    assert_eq!(cluster.age("app"), OLD);
    cluster.accept_all("postgres");
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn a_prepared_transaction_is_a_blocker() {
    let cluster = Cluster::with(&["max_prepared_transactions = 2"]);
    let id = cluster.make_aged();
    cluster.sql("app", "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    let check = format!(
        "SELECT concat_ws(' ', status, detail) FROM backup_restore_check({id}, replace => 'app') \
         WHERE check_name = 'prepared_transactions'"
    );
    let found = cluster.value("postgres", &check);
    assert!(found.starts_with("blocker") && found.contains("in the way"), "{found}");
    let replace = format!("CALL backup_restore({id}, replace => 'app')");
    assert_eq!(cluster.error("postgres", &replace).sqlstate, "55000");
    cluster.sql("app", "ROLLBACK PREPARED 'in the way'");
    cluster.replace_app("postgres", &id);
}

#[test]
fn a_prepared_transaction_that_comes_at_the_last_moment_changes_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&["max_prepared_transactions = 2"]);
    let id = cluster.make_aged();
    faults.plant("before_swap");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    faults.wait("before_swap");
    cluster.sql("app", "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    faults.lift("before_swap");
    let error = call.error();
    assert_eq!(error.sqlstate, "55006", "{error}");
    assert!(error.hint.contains("pg_prepared_xacts"), "{error}");
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
    cluster.sql("app", "ROLLBACK PREPARED 'in the way'");
    cluster.replace_app("postgres", &id);
}

#[test]
fn sessions_in_the_live_database_end_and_find_the_restored_one() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let mut sessions: Vec<_> = (0..20).map(|_| cluster.connect("app")).collect();
    sessions[0].batch_execute("BEGIN; LOCK TABLE age").unwrap();
    let busy = cluster.call("app", "SELECT pg_sleep(600)");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    busy.error();
    assert!(sessions.iter_mut().all(|session| session.batch_execute("SELECT 1").is_err()));
    assert_eq!(cluster.age("app"), OLD);
}

#[test]
fn an_interrupted_drop_of_the_kept_database_is_finished() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let run = cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    let kept = cluster.kept("postgres");
    let invalid = format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{kept}'");
    cluster.sql("postgres", &invalid);
    assert!(cluster.try_sql("postgres", &format!("CALL backup_rollback({run})")).is_err());
    assert_eq!(cluster.age("app"), OLD);
    cluster.sql("postgres", &format!("CALL backup_accept({run})"));
    assert_eq!(cluster.databases(), "app");
}
