//! Library and SQL of different versions: told apart, told once, with what to run; and what works
//! goes on.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, wait_until};

const OLDER: &str = "the extension pg_backup in database \"app\" is version 0.1.0, but the library \
                     is version";
const NEWER: &str = "the extension pg_backup in database \"app\" is version 99.0.0, but the library \
                     is version";
const VERSION: &str = "SELECT concat_ws('; ', status, detail, hint) FROM backup_check() \
                       WHERE check_name = 'version'";
const UPDATE: &str = "In database \"app\" run: ALTER EXTENSION pg_backup UPDATE.";

fn with_app(version: &str) -> (Faults, Cluster) {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.sql("app", &format!("CREATE EXTENSION pg_backup{version}"));
    cluster.schedule("app", "'s', '0 3 * * *', 'UTC'");
    (faults, cluster)
}

/// How often it was told since the server's last start: the launcher of before may have seen a
/// change, too.
fn told(cluster: &Cluster, text: &str) -> usize {
    let log = cluster.log();
    let last = log.rsplit("starting PostgreSQL").next().unwrap_or_default();
    last.matches(&format!("WARNING:  {text}")).count()
}

/// Makes the SQL of `app` look as if a newer version had been there.
fn pretend_newer(cluster: &Cluster) {
    cluster.sql("app", "UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'pg_backup'");
}

fn library(cluster: &Cluster) -> String {
    cluster.value("postgres", "SELECT extversion FROM pg_extension WHERE extname = 'pg_backup'")
}

#[test]
fn sql_that_is_older_is_told_once_with_what_to_run_and_schedules_go_on() {
    let (faults, mut cluster) = with_app(" VERSION '0.1.0'");
    wait_until("the warning", LIMIT, || told(&cluster, OLDER) == 1);
    assert!(cluster.log().contains(UPDATE), "{}", cluster.log());
    cluster.schedule("app", "'t', '0 4 * * *', 'UTC'");
    cluster.settle_schedules();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_runs("app", "s", 1);
    cluster.assert_runs("app", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
    assert_eq!(told(&cluster, OLDER), 1);
    let library = library(&cluster);
    assert_eq!(cluster.value("app", VERSION), format!("warning; {OLDER} {library}; {UPDATE}"));
    assert_eq!(cluster.value("postgres", VERSION), format!("ok; {library}"));

    cluster.sql("app", "ALTER EXTENSION pg_backup UPDATE");
    assert_eq!(cluster.value("app", VERSION), format!("ok; {library}"));
    cluster.restart(Mode::Fast);
    cluster.settle_schedules();
    assert_eq!(told(&cluster, OLDER), 0, "nothing to tell any more");
}

#[test]
fn sql_that_is_newer_is_told_at_start_and_schedules_go_on() {
    let (faults, mut cluster) = with_app("");
    pretend_newer(&cluster);
    cluster.restart(Mode::Fast);
    wait_until("the warning", LIMIT, || told(&cluster, NEWER) == 1);
    let hint = "Install version 99.0.0 of pg_backup or a newer one, and restart the server.";
    assert!(cluster.log().contains(hint), "{}", cluster.log());
    let check = cluster.value("app", VERSION);
    assert!(check.starts_with("warning; ") && check.ends_with(hint), "{check}");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_runs("app", "s", 1);
    cluster.assert_runs("app", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
    assert_eq!(told(&cluster, NEWER), 1);
}

#[test]
fn schedules_that_cannot_be_read_say_so_once_and_run_when_they_can() {
    let (faults, mut cluster) = with_app("");
    pretend_newer(&cluster);
    // What a newer version must not do, but might.
    cluster.sql("app", "ALTER TABLE backup_schedule_entries RENAME retries TO tries");
    cluster.restart(Mode::Fast);
    // The launcher of before the restart may have seen the change, too.
    let said = "Its schedules do not run: column s.retries does not exist";
    let times =
        || cluster.log().rsplit("starting PostgreSQL").next().map(|l| l.matches(said).count());
    wait_until("the warning", LIMIT, || times() == Some(1));
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.settle_schedules();
    assert_eq!(times(), Some(1), "it is told once: {}", cluster.log());
    cluster.psql(
        "app",
        "ALTER TABLE backup_schedule_entries RENAME tries TO retries; \
         UPDATE backup_schedule_entries SET name = name WHERE false",
    );
    cluster.wait_for_runs("app", "s", 1);
}

#[test]
fn a_job_that_fails_on_sql_of_another_version_says_that_it_is() {
    let (_faults, cluster) = with_app("");
    pretend_newer(&cluster);
    cluster.sql("app", "ALTER TABLE backup_manifests RENAME manifest TO manifests");
    let error = cluster.error("app", "SELECT backup_create()");
    assert!(error.detail.contains(NEWER), "{error}");
    assert!(error.hint.starts_with("Install version 99.0.0"), "{error}");
    cluster.sql("app", "ALTER TABLE backup_schedule_entries RENAME cron TO clock");
    let error = cluster.error("app", "CALL backup_schedule('u', '0 3 * * *', 'UTC')");
    assert!(error.message.starts_with(NEWER) && error.sqlstate == "55000", "{error}");
    assert!(error.detail.contains("column \"cron\""), "{error}");
    assert!(error.hint.starts_with("Install version 99.0.0"), "{error}");
    cluster.sql("app", "ALTER TABLE backup_runs RENAME TO runs");
    let error = cluster.error("app", "SELECT backup_create()");
    assert!(error.message.starts_with(NEWER) && error.sqlstate == "55000", "{error}");
}
