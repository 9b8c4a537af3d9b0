//! `backup_status`, `backup_metrics()` and the dashboard that uses its names: what a history says
//! of each database, and that the text is what OpenMetrics says it must be.

use pg_backup_tests::Cluster;
use std::collections::{HashMap, HashSet};

const DASHBOARD: &str = include_str!("../../docs/grafana/pg_backup.json");

/// A database whose name needs every escape that labels have.
const HOSTILE: &str = "a\"b\\c\nd";

/// A good backup of `database`, begun so many minutes ago, of so many bytes.
fn good(cluster: &Cluster, database: &str, minutes: u32, bytes: u32) {
    let row = format!(
        "INSERT INTO backup_runs (kind, database, status, origin, requested_by, queued_at, \
         started_at, finished_at, file, file_state, size_bytes, database_size_bytes) \
         SELECT 'backup', {0}, 'succeeded', 'manual', 'postgres', t, t, t + '30 s', 'x', \
         'available', {bytes}, 10 * {bytes} FROM (SELECT now() - interval '{minutes} min' AS t) s",
        quoted(database)
    );
    cluster.sql("postgres", &row);
}

/// One that ended badly.
fn bad(cluster: &Cluster, database: &str, status: &str, minutes: u32) {
    let row = format!(
        "INSERT INTO backup_runs (kind, database, status, origin, requested_by, queued_at, \
         finished_at, error) SELECT 'backup', {}, '{status}', 'manual', 'postgres', t, t, \
         'because {status}' FROM (SELECT now() - interval '{minutes} min' AS t) s",
        quoted(database)
    );
    cluster.sql("postgres", &row);
}

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

fn status(cluster: &Cluster, database: &str, columns: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' | ', {columns}) FROM backup_status WHERE database = {}",
        quoted(database)
    );
    cluster.value("postgres", &sql)
}

#[test]
fn the_status_names_the_newest_good_backup_and_the_last_failure() {
    let cluster = Cluster::start();
    for (minutes, bytes) in [(600, 1), (500, 100), (400, 100), (300, 100), (200, 100), (100, 100)] {
        good(&cluster, "app", minutes, bytes);
    }
    good(&cluster, "app", 60, 150);
    bad(&cluster, "app", "failed", 90);
    bad(&cluster, "app", "missed", 45);
    bad(&cluster, "app", "skipped", 5);
    cluster.sql("postgres", "UPDATE backup_runs SET file_state = 'pruned' WHERE size_bytes = 100");
    let columns = "last_success_id, size_bytes, size_trend, last_error, running, overdue, \
                   round(extract(epoch FROM last_success_age) / 60), duration";
    let wanted = "7 | 150 | 50.0 | because missed | f | f | 60 | 00:00:30";
    assert_eq!(status(&cluster, "app", columns), wanted);
    // One that is damaged is no good backup any more.
    cluster.sql("postgres", "UPDATE backup_runs SET file_state = 'damaged' WHERE id = 7");
    assert_eq!(status(&cluster, "app", "last_success_id"), "1");
}

#[test]
fn a_database_is_listed_when_it_was_backed_up_or_is_scheduled_and_not_else() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE planned");
    let sql = "CALL backup_schedule('p', '0 3 29 2 *', timezone => 'UTC', database => 'planned')";
    cluster.sql("postgres", sql);
    good(&cluster, "app", 60, 1);
    cluster.sql(
        "postgres",
        "INSERT INTO backup_runs (kind, database, status, origin, requested_by) \
         VALUES ('restore', 'copy', 'succeeded', 'manual', 'postgres')",
    );
    let listed = "SELECT string_agg(database, ' ' ORDER BY database) FROM backup_status";
    assert_eq!(cluster.value("postgres", listed), "app planned");
    let next = "SELECT next_run > now() AND last_success IS NULL AND NOT overdue \
                FROM backup_status WHERE database = 'planned'";
    assert_eq!(cluster.value("postgres", next), "t");
}

#[test]
fn a_database_is_overdue_when_its_schedule_is_late_or_its_last_run_was_no_good() {
    let cluster = Cluster::start();
    let sql = "CALL backup_schedule('s', 'monthly 1 00:00', timezone => 'UTC', retries => 0)";
    cluster.sql("postgres", sql);
    let overdue = || status(&cluster, "postgres", "overdue");
    let run = |status: &str, minutes: u32| {
        bad(&cluster, "postgres", status, minutes);
        cluster.sql(
            "postgres",
            "UPDATE backup_runs SET schedule = 's', started_at = queued_at WHERE schedule IS NULL",
        );
    };
    assert_eq!(overdue(), "f");
    run("failed", 2);
    assert_eq!(overdue(), "f", "a retry may still come");
    run("failed", 20);
    assert_eq!(overdue(), "t");
    run("succeeded", 1);
    assert_eq!(overdue(), "f");
    // The launcher sleeps: nobody deals with what is due. Without the trigger, so that it is not
    // told of the change.
    cluster.sql(
        "postgres",
        "UPDATE backup_schedule_entries SET last_due = now() - interval '70 days'",
    );
    assert_eq!(overdue(), "t");
    cluster.sql("postgres", "CALL backup_pause('s')");
    assert_eq!(overdue(), "f");
}

/// The samples by their names, after the rules of OpenMetrics have been checked.
fn samples(text: &str) -> HashMap<String, Vec<(String, f64)>> {
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
    let (mut families, mut seen) = (HashSet::new(), HashSet::new());
    let mut samples: HashMap<String, Vec<(String, f64)>> = HashMap::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.trim_end_matches("# EOF\n").lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect("a name and a type");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            (family, kind) = (name.to_owned(), of.to_owned());
            continue;
        }
        if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').expect("a name and a unit");
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.starts_with(&format!("{family} ")), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        assert!(seen.insert(series.to_owned()), "{series} comes twice");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{family}{suffix}"), "{line}");
        assert_labels(labels);
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        samples.entry(name.to_owned()).or_default().push((labels.to_owned(), value));
    }
    samples
}

/// `name="value",…}` with `\\`, `\"` and `\n` as the only escapes.
fn assert_labels(labels: &str) {
    let mut rest = labels;
    while let Some((name, value)) = rest.split_once("=\"") {
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{labels}");
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => {
                    let escaped = chars.next().map(|(_, c)| c);
                    assert!(matches!(escaped, Some('\\' | '"' | 'n')), "{labels}");
                }
                Some((end, '"')) => break end,
                Some(_) => {}
                None => panic!("{labels} does not end"),
            }
        };
        rest = value[end + 1..].strip_prefix(',').unwrap_or(&value[end + 1..]);
    }
    assert_eq!(rest, "}", "{labels}");
}

#[test]
fn the_metrics_are_openmetrics_whatever_names_say() {
    let cluster = Cluster::start();
    assert!(samples(&cluster.value("postgres", "SELECT backup_metrics()")).len() == 1);
    good(&cluster, HOSTILE, 60, 5);
    bad(&cluster, HOSTILE, "failed", 50);
    cluster.sql("postgres", "SELECT backup_create()");
    let sql = "CALL backup_schedule('it''s \"here\\', 'hourly', timezone => 'UTC')";
    cluster.sql("postgres", sql);
    let samples = samples(&cluster.value("postgres", "SELECT backup_metrics()"));
    let hostile = "database=\"a\\\"b\\\\c\\nd\"}";
    let value = |name: &str, labels: &str| {
        let found = samples[name].iter().find(|(found, _)| found == labels);
        found.unwrap_or_else(|| panic!("{name}{{{labels} in {samples:?}")).1
    };
    assert_eq!(value("pg_backup_last_success_archive_bytes", hostile), 5.0);
    assert_eq!(value("pg_backup_last_success_database_bytes", hostile), 50.0);
    assert_eq!(value("pg_backup_last_success_duration_seconds", hostile), 30.0);
    assert_eq!(value("pg_backup_overdue", hostile), 0.0);
    let failed = "database=\"a\\\"b\\\\c\\nd\",kind=\"backup\",status=\"failed\"}";
    assert_eq!(value("pg_backup_runs_total", failed), 1.0);
    let next = "schedule=\"it's \\\"here\\\\\",database=\"postgres\"}";
    let now: f64 = cluster.value("postgres", "SELECT extract(epoch FROM now())").parse().unwrap();
    let next = value("pg_backup_schedule_next_run_timestamp_seconds", next);
    assert!(next > now && next <= now + 3600.0);
}

#[test]
fn every_name_in_the_dashboard_is_one_of_the_metrics() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    assert_eq!(dashboard["title"], "pg_backup");
    let cluster = Cluster::start();
    cluster.sql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', timezone => 'UTC')");
    cluster.sql("postgres", "SELECT backup_run('s')");
    bad(&cluster, "postgres", "failed", 50);
    let known = samples(&cluster.value("postgres", "SELECT backup_metrics()"));
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let used: HashSet<&str> =
        DASHBOARD.split(|c| !word(c)).filter(|name| name.starts_with("pg_backup_")).collect();
    let unknown: Vec<_> = used.iter().filter(|name| !known.contains_key(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} in {:?}", known.keys());
    let unused: Vec<_> = known.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "{unused:?} are not shown");
}
