//! Schedules in several databases and schemas, in databases that are copied, renamed and dropped,
//! changed by hand, and carried by pg_dump.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, bin, sample, wait_until};
use std::process::Command;

const DUE: &str = "2027-01-10 03:00:00+00";
const NIGHTLY: &str = "'s', '0 3 * * *', 'UTC'";

fn at(faults: &Faults, time: &str) -> Cluster {
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, time);
    cluster
}

/// Half an hour before anything is due.
fn early(faults: &Faults) -> Cluster {
    at(faults, "2027-01-10 02:30:00+00")
}

fn create(cluster: &Cluster, database: &str) {
    cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
    cluster.sql(database, "CREATE EXTENSION pg_backup");
}

fn launcher(cluster: &Cluster) -> String {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_backup launcher'";
    cluster.value("postgres", sql)
}

#[test]
fn each_database_has_schedules_of_its_own_and_one_may_back_up_another() {
    let faults = Faults::default();
    let cluster = early(&faults);
    create(&cluster, "a");
    cluster.sql("postgres", "CREATE DATABASE b");
    cluster.psql("b", "CREATE SCHEMA ops; CREATE EXTENSION pg_backup SCHEMA ops");
    cluster.schedule("a", NIGHTLY);
    cluster.sql("b", &format!("CALL ops.backup_schedule({NIGHTLY}, database => 'a')"));
    cluster.schedule("postgres", &format!("{NIGHTLY}, database => 'template1'"));
    faults.set_time(&cluster, DUE);
    let own = cluster.wait_for_runs("a", "s", 1);
    let other = cluster.wait_for_runs("postgres", "s", 1);
    let count = "SELECT string_agg(database || ' ' || status, ',') FROM ops.backup_history \
                 WHERE kind = 'backup' AND finished_at IS NOT NULL";
    wait_until("the run of b", LIMIT, || !cluster.value("b", count).is_empty());
    // Two of different databases that are due together for one: the second waits or skips.
    let found = cluster.value("b", count);
    assert!(["a succeeded", "a skipped"].contains(&&*found), "{found}");
    for (run, database) in [(&own[0], "a"), (&other[0], "template1")] {
        assert_eq!(run.database, database);
        assert!(["succeeded", "skipped"].contains(&&*run.status), "{run:?}");
    }
    assert_eq!(other[0].status, "succeeded");
    assert!(own[0].status == "succeeded" || found == "a succeeded");
    cluster.assert_nothing_left();
}

#[test]
fn a_database_that_is_renamed_keeps_its_schedules() {
    let faults = Faults::default();
    let cluster = early(&faults);
    create(&cluster, "before");
    cluster.schedule("before", NIGHTLY);
    cluster.settle_schedules();
    cluster.sql("postgres", "ALTER DATABASE before RENAME TO after");
    faults.set_time(&cluster, DUE);
    let runs = cluster.wait_for_runs("after", "s", 1);
    assert_eq!((runs[0].status.as_str(), runs[0].database.as_str()), ("succeeded", "after"));
    assert_eq!(cluster.value("after", "SELECT state FROM backup_schedules"), "active");
}

#[test]
fn a_database_that_was_closed_at_the_start_has_schedules_again_when_it_is_opened() {
    let faults = Faults::default();
    let mut cluster = early(&faults);
    create(&cluster, "app");
    cluster.schedule("app", NIGHTLY);
    let door = |cluster: &Cluster, open: bool| {
        cluster.sql("postgres", &format!("ALTER DATABASE app ALLOW_CONNECTIONS {open}"));
    };
    door(&cluster, false);
    cluster.restart(Mode::Fast);
    cluster.settle_schedules();
    door(&cluster, true);
    // The launcher looks around every minute.
    faults.set_time(&cluster, DUE);
    cluster.wait_for_runs("app", "s", 1);
    cluster.assert_runs("app", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
}

#[test]
fn what_is_dropped_takes_its_schedules_along_and_the_launcher_stays_calm() {
    let faults = Faults::default();
    let cluster = early(&faults);
    for database in ["gone", "bare"] {
        create(&cluster, database);
        cluster.schedule(database, NIGHTLY);
    }
    cluster.schedule("postgres", NIGHTLY);
    cluster.schedule("postgres", "'t', '0 4 * * *', 'UTC', database => 'gone'");
    cluster.settle_schedules();
    let before = launcher(&cluster);
    cluster.sql("postgres", "DROP DATABASE gone WITH (FORCE)");
    cluster.sql("bare", "DROP EXTENSION pg_backup");
    let quiet = cluster.log().matches("WARNING").count();
    for day in 10..16 {
        faults.set_time(&cluster, &format!("2027-01-{day} 03:00:00+00"));
        cluster.wait_for_runs("postgres", "s", day - 9);
    }
    cluster.settle_schedules();
    let warnings = cluster.log().matches("WARNING").count() - quiet;
    assert!(warnings <= 20, "{warnings} warnings:\n{}", cluster.log());
    assert_eq!(launcher(&cluster), before);
    // The database that a schedule backs up is gone: a row says so each time, and nothing more.
    let runs = cluster.runs_of("postgres", "t");
    let told = |run: &pg_backup_tests::ScheduleRun| {
        run.status == "failed" && run.error.contains("\"gone\" does not exist")
    };
    assert!(!runs.is_empty() && runs.iter().all(told), "{runs:?}");
    assert!(runs.iter().all(|run| run.origin != "retry"), "{runs:?}");
}

#[test]
fn the_schedules_of_a_copied_database_rest_until_they_are_made_anew() {
    let faults = Faults::default();
    let cluster = early(&faults);
    create(&cluster, "app");
    cluster.schedule("app", NIGHTLY);
    cluster.schedule("app", "'t', '0 3 * * *', 'UTC', at_start => true");
    cluster.settle_schedules();
    cluster.sql("postgres", "CREATE DATABASE copy TEMPLATE app");
    let states = "SELECT string_agg(state || coalesce(next_run::text, ''), ',' ORDER BY name) \
                  FROM backup_schedules";
    assert_eq!(cluster.value("copy", states), "copy,copy");
    cluster.schedule("copy", "'t', '0 3 * * *', 'UTC'");
    assert!(cluster.value("copy", states).starts_with("copy,active"));
    faults.set_time(&cluster, DUE);
    cluster.wait_for_runs("app", "s", 1);
    cluster.wait_for_runs("copy", "t", 1);
    cluster.assert_runs("copy", "s", &[]);
    cluster.assert_runs("copy", "t", &["succeeded schedule 2027-01-10 03:00:00"]);
}

#[test]
fn changes_by_hand_take_effect_as_calls_do() {
    let faults = Faults::default();
    let cluster = early(&faults);
    for name in ["moved", "off", "deleted"] {
        cluster.schedule("postgres", &format!("'{name}', '0 3 * * *', 'UTC'"));
    }
    cluster.settle_schedules();
    let by_hand = "UPDATE backup_schedule_entries SET cron = '0 2 * * *', \
                          last_due = last_due - interval '1 hour' WHERE name = 'moved'; \
                   UPDATE backup_schedule_entries SET enabled = false WHERE name = 'off'; \
                   DELETE FROM backup_schedule_entries WHERE name = 'deleted'";
    cluster.sql("postgres", by_hand);
    let runs = cluster.wait_for_runs("postgres", "moved", 1);
    assert_eq!((runs[0].due.as_str(), runs.len()), ("2027-01-10 02:00:00", 1));
    faults.set_time(&cluster, DUE);
    for name in ["moved", "off", "deleted"] {
        cluster.settle_schedules();
        let wanted = usize::from(name == "moved");
        assert_eq!(cluster.runs_of("postgres", name).len(), wanted, "{name}");
    }
    // One that cannot be read is told of in the log, and the others run.
    cluster.schedule("postgres", "'good', '30 3 * * *', 'UTC'");
    cluster.schedule("postgres", "'bad', '30 3 * * *', 'UTC'");
    let spoil = "UPDATE backup_schedule_entries SET cron = 'often' WHERE name = 'bad'";
    cluster.sql("postgres", spoil);
    faults.set_time(&cluster, "2027-01-10 03:30:00+00");
    cluster.wait_for_runs("postgres", "good", 1);
    cluster.wait_for_log("schedule \"bad\" of database \"postgres\" cannot run");
    cluster.sql("postgres", "SELECT * FROM backup_schedules");
    cluster.sql("postgres", "TRUNCATE backup_schedule_entries");
    faults.set_time(&cluster, "2027-01-11 03:30:00+00");
    cluster.settle_schedules();
    assert_eq!(cluster.runs_of("postgres", "good").len(), 1);
}

#[test]
fn a_dump_made_by_hand_brings_the_schedules() {
    let faults = Faults::default();
    let cluster = early(&faults);
    create(&cluster, "app");
    cluster.schedule("app", &format!("{NIGHTLY}, keep_last => 3"));
    cluster.settle_schedules();
    let tool = |name: &str| {
        let mut command = Command::new(bin(name));
        let socket = cluster.value("postgres", "SHOW unix_socket_directories");
        command.env("PGHOST", socket).env("PGUSER", "postgres");
        command
    };
    let dump = tool("pg_dump").args(["-Fc", "app"]).output().expect("pg_dump runs");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &dump.stdout).expect("the disk is not full");
    cluster.sql("postgres", "DROP DATABASE app WITH (FORCE)");
    cluster.sql("postgres", "CREATE DATABASE app");
    let restore = tool("pg_restore").args(["-e", "-d", "app"]).arg(file.path()).output();
    let restore = restore.expect("pg_restore runs");
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    let row = "SELECT cron || ' ' || state || ' ' || keep_last FROM backup_schedules";
    assert_eq!(cluster.value("app", row), "0 3 * * * active 3");
    faults.set_time(&cluster, DUE);
    cluster.wait_for_runs("app", "s", 1);
    cluster.assert_runs("app", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
}

#[test]
fn hostile_names_of_schedules_and_databases_are_only_names() {
    let faults = Faults::default();
    let cluster = early(&faults);
    let database = r#"d"'; $1 %s \ ü"#;
    cluster.sql("postgres", &format!("CREATE DATABASE \"{}\"", database.replace('"', "\"\"")));
    cluster.sql(database, "CREATE EXTENSION pg_backup");
    let names =
        sample(["it's", "\"quoted\"", "100 %s %n", "größe 🐘", "a\\b", "$1; DROP TABLE x", "-- "]);
    for name in &names {
        let quoted = name.replace('\'', "''");
        cluster.schedule(database, &format!("'{quoted}', '0 3 * * *', 'UTC', keep_last => 1"));
    }
    faults.set_time(&cluster, DUE);
    for name in &names {
        cluster.wait_for_runs(database, name, 1);
        cluster.assert_runs(database, name, &["succeeded schedule 2027-01-10 03:00:00"]);
    }
    let quoted = names[0].replace('\'', "''");
    cluster.sql(database, &format!("CALL backup_unschedule('{quoted}')"));
    let left = "SELECT count(*) FROM backup_schedules";
    assert_eq!(cluster.value(database, left), (names.len() - 1).to_string());
    cluster.assert_nothing_left();
}
