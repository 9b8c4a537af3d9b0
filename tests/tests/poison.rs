//! Settings of roles and databases that poison a dump, and search paths that lead astray: what is
//! dumped is the same with and without them.

use pg_backup_tests::{CONTENT, Cluster, DbError, assert_same_text, sample, wait_until};
use std::time::Duration;

/// Each breaks a dump, its text, or the watch over it, where it is not put back.
const POISON: [&str; 30] = [
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '1ms'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "role = weak",
    "client_encoding = 'LATIN1'",
    //CMM
    "client_min_messages = 'debug5'",
    "search_path = evil, pg_catalog",
    "row_security = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "escape_string_warning = on",
    "array_nulls = off",
    "transform_null_equals = on",
    "DateStyle = 'German'",
    "IntervalStyle = 'iso_8601'",
    "extra_float_digits = -15",
    "xmloption = 'document'",
    "session_replication_role = 'replica'",
    "exit_on_error = on",
    "track_activities = off",
    "track_counts = off",
    "synchronize_seqscans = on",
    "enable_seqscan = off",
    "work_mem = '64kB'",
    "lo_compat_privileges = on",
    "default_tablespace = 'pg_global'",
];

/// A cluster with content that shows what settings do to a dump.
fn with_content(cluster: Cluster) -> Cluster {
    cluster.make_content();
    cluster
}

#[test]
fn settings_of_the_superuser_and_of_the_database_change_nothing() {
    let cluster = with_content(Cluster::start());
    let options = sample(["", ", format => 'plain'"]);
    let wanted: Vec<String> =
        options.iter().map(|option| cluster.script_of_backup(option)).collect();
    let all = |of: &str| POISON.map(|setting| format!("ALTER {of} SET {setting}; ")).concat();
    cluster.sql("postgres", &all("DATABASE app"));
    for (option, wanted) in options.iter().zip(&wanted) {
        let found = cluster.script_of_backup(option);
        assert_same_text(&found, wanted, &format!("settings of the database, {option}"));
    }
    let mut boss = cluster.connect_as("postgres", "boss");
    boss.batch_execute(&all("ROLE postgres")).unwrap();
    let scripts: Vec<Result<(), _>> =
        options.iter().map(|option| cluster.backup_as_boss(option)).collect();
    boss.batch_execute("ALTER ROLE postgres RESET ALL").unwrap();
    for (option, done) in options.iter().zip(scripts) {
        done.unwrap_or_else(|error| panic!("of the role, {option}: {error}"));
    }
    let run = cluster.last_backup();
    assert_eq!(run.warnings, "{}", "{run:?}");
    assert_same_text(&cluster.script(&run), &wanted[wanted.len() - 1], "settings of the role");
    cluster.assert_clean();
}

#[test]
fn the_watch_over_a_dump_sees_also_where_activities_are_not_tracked() {
    let cluster = with_content(Cluster::start());
    let mut other = cluster.connect("app");
    other.batch_execute("BEGIN; DROP VIEW v").unwrap();
    let sql = "ALTER ROLE postgres SET track_activities = off";
    cluster.connect_as("postgres", "boss").batch_execute(sql).unwrap();
    let mut boss = cluster.connect_as("postgres", "boss");
    let sql = "SET pg_backup.lock_timeout = '1s'; SELECT backup_create(database => 'app')";
    let error = boss.batch_execute(sql).unwrap_err();
    other.batch_execute("ROLLBACK").unwrap();
    boss.batch_execute("ALTER ROLE postgres RESET ALL").unwrap();
    assert_eq!(pg_backup_tests::sqlstate(&error), "55P03", "{error:?}");
    cluster.assert_survived("failed");
}

#[test]
fn the_search_path_of_the_caller_leads_no_function_astray() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE kept AS SELECT 1 AS i");
    cluster.assert_next_backup_works();
    let evil = CONTENT.split_once("CREATE SCHEMA evil;").unwrap().1;
    cluster.psql("postgres", &format!("CREATE SCHEMA evil; {evil}"));
    let mut calls = cluster.calls("postgres");
    calls.extend(cluster.views("postgres").iter().map(|view| format!("SELECT * FROM {view}")));
    let schema = cluster.value(
        "postgres",
        "SELECT extnamespace::regnamespace FROM pg_extension \
                                            WHERE extname = 'pg_backup'",
    );
    let prefixed = |call: String| {
        let dotted = format!("{schema}.");
        if call.contains(&dotted) { call } else { call.replace("FROM ", &format!("FROM {dotted}")) }
    };
    for call in calls.into_iter().map(prefixed) {
        let mut session = cluster.connect("postgres");
        let traps = "CREATE TEMP TABLE pg_proc (i int); CREATE TEMP TABLE backup_runs (i int); \
                     CREATE TEMP TABLE kept (i int)";
        session.batch_execute(traps).unwrap();
        session.batch_execute("SET search_path = evil, pg_temp, pg_catalog").unwrap();
        if let Err(error) = session.batch_execute(&call) {
            let error = DbError::of(&error);
            let own =
                ["22023", "42704", "3D000", "55000", "58P01"].contains(&error.sqlstate.as_str());
            assert!(own && !error.to_string().contains("evil"), "{call}: {error}");
        }
    }
    cluster.assert_next_backup_works();
    wait_until("the end of everything", Duration::from_secs(30), || cluster.runners().is_empty());
}
