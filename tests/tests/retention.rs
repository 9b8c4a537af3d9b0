//! Retention: what `backup_retention()` says is what happens, and nothing else happens.
//!
//! The histories are made: rows with small files in place, dated as the test needs it.

use pg_backup_tests::{Cluster, give_to_server};
use std::fs;
use std::path::PathBuf;

/// Moments of a made history, in UTC, oldest first: turns of days, weeks and years, some of which
/// are others in New York.
const MOMENTS: [&str; 8] = [
    "2023-12-31 23:30",
    "2024-01-01 02:00", // still 2023 in New York
    "2024-01-01 12:00",
    "2024-06-15 03:00", // still the 14th
    "2024-06-15 15:00",
    "2024-06-16 03:00", // still the 15th
    "2025-01-05 12:00", // a Sunday, the last day of the ISO week 2025-W01
    "2025-01-06 12:00",
];

/// A policy, and what it keeps of the moments, newest first: their numbers and reasons.
const POLICIES: [(&str, &[(usize, &str)]); 9] = [
    (
        "keep_last => 3",
        &[(7, "last 1 of 3,newest good backup"), (6, "last 2 of 3"), (5, "last 3 of 3")],
    ),
    (
        "keep_daily => 3",
        &[
            (7, "daily 2025-01-06,newest good backup"),
            (6, "daily 2025-01-05"),
            (5, "daily 2024-06-15"),
        ],
    ),
    (
        "keep_weekly => 4",
        &[
            (7, "weekly 2025-W02,newest good backup"),
            (6, "weekly 2025-W01"),
            (5, "weekly 2024-W24"),
            (2, "weekly 2024-W01"),
        ],
    ),
    (
        "keep_monthly => 3",
        &[
            (7, "monthly 2025-01,newest good backup"),
            (5, "monthly 2024-06"),
            (2, "monthly 2024-01"),
        ],
    ),
    (
        "keep_yearly => 3",
        &[(7, "yearly 2025,newest good backup"), (5, "yearly 2024"), (1, "yearly 2023")],
    ),
    ("keep_within => '1 day'", &[(7, "newest good backup")]),
    (
        "keep_last => 1, keep_yearly => 2",
        &[(7, "last 1 of 1,yearly 2025,newest good backup"), (5, "yearly 2024")],
    ),
    (
        "keep_daily => 1, keep_monthly => 2, keep_within => '1 hour'",
        &[(7, "daily 2025-01-06,monthly 2025-01,newest good backup"), (5, "monthly 2024-06")],
    ),
    ("keep_last => 1", &[(7, "last 1 of 1,newest good backup")]),
];

fn value(cluster: &Cluster, sql: &str) -> String {
    cluster.value("postgres", sql)
}

/// A cluster whose backup directory exists.
fn ready() -> Cluster {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    cluster
}

fn schedule(cluster: &Cluster, name: &str, policy: &str) {
    let sql = format!(
        "CALL backup_schedule('{name}', '0 3 29 2 *', timezone => 'America/New_York', {policy})"
    );
    cluster.psql("postgres", &sql);
}

/// A run with a file in place. `columns` replace those of a good backup of the schedule `s`.
fn plant(cluster: &Cluster, at: &str, columns: &str) -> i64 {
    let sql = format!(
        "WITH good AS (SELECT 'backup' AS kind, 'succeeded' AS status, 's' AS schedule,
                              'available' AS file_state, home_id, database_id,
                              regexp_replace(file, '[^/]*$', '') AS folder
                         FROM backup_runs WHERE id = 1),
              made AS (SELECT (to_jsonb(good) || '{{{columns}}}'::jsonb) AS row FROM good)
         INSERT INTO backup_runs (kind, status, schedule, file_state, home_id, database_id,
                                  database, origin, requested_by, queued_at, started_at,
                                  finished_at, file)
         SELECT row ->> 'kind', row ->> 'status', row ->> 'schedule', row ->> 'file_state',
                (row ->> 'home_id')::oid, (row ->> 'database_id')::oid, 'postgres', 'schedule',
                'postgres', at, at, at + interval '1 minute',
                (row ->> 'folder') || 'planted_' || gen_random_uuid() || '.zip'
           FROM made, CAST('{at}' AS timestamptz) at RETURNING id"
    );
    let id = value(cluster, &sql).parse().expect("a number");
    let file = file_of(cluster, id);
    fs::write(&file, "an archive").expect("root may write, and so may its owner");
    give_to_server(&file);
    id
}

fn file_of(cluster: &Cluster, id: i64) -> PathBuf {
    let sql = format!("SELECT file FROM backup_history WHERE id = {id}");
    cluster.backup_dir().join(value(cluster, &sql))
}

/// State of the file by the row, and whether there is one.
fn state(cluster: &Cluster, id: i64) -> (String, bool) {
    let sql = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    (value(cluster, &sql), file_of(cluster, id).exists())
}

fn verdicts(cluster: &Cluster, name: &str) -> Vec<(i64, String, String)> {
    let sql = format!(
        "SELECT id, verdict, array_to_string(reasons, ',') FROM backup_retention('{name}')"
    );
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let rows = cluster.sql("postgres", &sql);
    rows.iter().map(|r| (text(&r[0]).parse().unwrap(), text(&r[1]), text(&r[2]))).collect()
}

/// Prunes; every verdict comes true, and one row tells of it. Gives the verdicts before.
fn prune(cluster: &Cluster, name: &str) -> Vec<(i64, String, String)> {
    let before = verdicts(cluster, name);
    cluster.psql("postgres", &format!("CALL backup_prune('{name}')"));
    for (id, verdict, reasons) in &before {
        let wanted = match verdict.as_str() {
            "keep" => ("available".to_owned(), true),
            _ => ("pruned".to_owned(), false),
        };
        assert_eq!(state(cluster, *id), wanted, "{id} {verdict} {reasons}");
    }
    let left: Vec<i64> = verdicts(cluster, name).into_iter().map(|v| v.0).collect();
    let kept = before.iter().filter(|v| v.1 == "keep").map(|v| v.0);
    assert_eq!(left, kept.collect::<Vec<_>>(), "what was pruned is judged no more");
    before
}

fn prune_rows(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', status, origin, schedule), '; ' \
               ORDER BY id), '') FROM backup_history WHERE kind = 'prune'";
    value(cluster, sql)
}

#[test]
fn each_policy_keeps_what_it_says_and_prunes_the_rest() {
    let cluster = ready();
    for (policy, wanted) in POLICIES {
        schedule(&cluster, "s", policy);
        let ids: Vec<i64> =
            MOMENTS.iter().map(|at| plant(&cluster, &format!("{at} UTC"), "")).collect();
        let found = prune(&cluster, "s");
        let order: Vec<i64> = found.iter().map(|v| v.0).collect();
        assert_eq!(order, ids.iter().rev().copied().collect::<Vec<_>>(), "newest first");
        let kept = found.iter().filter(|v| v.1 == "keep").map(|v| (v.0, v.2.as_str()));
        let wanted = wanted.iter().map(|&(number, reasons)| (ids[number], reasons));
        assert_eq!(kept.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{policy}");
        let pruned = found.iter().filter(|v| v.1 != "keep");
        for verdict in pruned {
            assert_eq!((verdict.1.as_str(), verdict.2.as_str()), ("prune", "no rule keeps it"));
        }
        assert_eq!(prune_rows(&cluster), "succeeded manual s", "one row for all of them");
        cluster.sql("postgres", "DELETE FROM backup_runs WHERE id > 1");
    }
}

#[test]
fn keep_within_takes_any_interval_and_counts_from_now() {
    let cluster = ready();
    schedule(&cluster, "s", "keep_within => '1 month 2 days 3 hours'");
    let at = |ago: &str| value(&cluster, &format!("SELECT now() - interval '{ago}'"));
    let old = plant(&cluster, &at("36 days"), "");
    let young = plant(&cluster, &at("29 days"), "");
    let newest = plant(&cluster, &at("1 minute"), "");
    let within = "within 1 mon 2 days 03:00:00";
    let wanted = [
        (newest, "keep".to_owned(), format!("{within},newest good backup")),
        (young, "keep".to_owned(), within.to_owned()),
        (old, "prune".to_owned(), "no rule keeps it".to_owned()),
    ];
    assert_eq!(prune(&cluster, "s"), wanted);
}

#[test]
fn only_good_backups_of_the_schedule_itself_are_candidates() {
    let cluster = ready();
    schedule(&cluster, "s", "keep_last => 1");
    schedule(&cluster, "S", "keep_last => 1");
    let others = [
        r#""schedule": null"#,
        r#""schedule": "S""#,
        r#""schedule": "s ""#,
        r#""kind": "import""#,
        r#""status": "failed""#,
        r#""status": "running""#,
        r#""status": "interrupted""#,
        r#""file_state": "missing""#,
        r#""file_state": "damaged""#,
    ];
    let others = others.map(|columns| (plant(&cluster, "2024-01-01", columns), columns));
    let old = plant(&cluster, "2024-01-02", "");
    let newest = plant(&cluster, "2024-01-03", "");
    let before: Vec<_> = others.iter().map(|(id, _)| state(&cluster, *id)).collect();
    let judged: Vec<i64> = prune(&cluster, "s").iter().map(|v| v.0).collect();
    assert_eq!(judged, [newest, old]);
    for ((id, columns), before) in others.iter().zip(before) {
        assert_eq!(state(&cluster, *id), before, "{columns}");
    }
    assert_eq!(state(&cluster, 1), ("available".to_owned(), true), "made by hand");
}

#[test]
fn a_damaged_backup_is_not_the_newest_good_one() {
    let cluster = ready();
    schedule(&cluster, "s", "keep_last => 1");
    let good = plant(&cluster, "2024-01-01", "");
    plant(&cluster, "2024-01-02", r#""file_state": "damaged""#);
    plant(&cluster, "2024-01-03", r#""status": "failed""#);
    let found = prune(&cluster, "s");
    assert_eq!(found, [(good, "keep".to_owned(), "last 1 of 1,newest good backup".to_owned())]);
    assert_eq!(prune_rows(&cluster), "", "nothing to do leaves no row");
}

#[test]
fn what_is_pinned_or_in_use_stays_and_takes_its_place_in_the_rules() {
    let cluster = ready();
    schedule(&cluster, "s", "keep_last => 2");
    let old = plant(&cluster, "2024-01-01", "");
    let busy = plant(&cluster, "2024-01-02", "");
    let pinned = plant(&cluster, "2024-01-03", "");
    let second = plant(&cluster, "2024-01-04", "");
    let newest = plant(&cluster, "2024-01-05", "");
    cluster.psql("postgres", &format!("CALL backup_pin({pinned}); CALL backup_pin({newest})"));
    let verify = format!(
        "INSERT INTO backup_runs (kind, status, database, origin, requested_by, subject) \
         VALUES ('verify', 'running', 'postgres', 'manual', 'x', {busy})"
    );
    cluster.sql("postgres", &verify);
    let keep = |id, reasons: &str| (id, "keep".to_owned(), reasons.to_owned());
    let wanted = [
        keep(newest, "last 1 of 2,newest good backup,pinned"),
        keep(second, "last 2 of 2"),
        keep(pinned, "pinned"),
        keep(busy, "in use"),
        (old, "prune".to_owned(), "no rule keeps it".to_owned()),
    ];
    assert_eq!(prune(&cluster, "s"), wanted);
    cluster.sql("postgres", "UPDATE backup_runs SET status = 'succeeded' WHERE kind = 'verify'");
    cluster.psql("postgres", &format!("CALL backup_pin({pinned}, false)"));
    let pruned: Vec<i64> =
        prune(&cluster, "s").into_iter().filter(|v| v.1 == "prune").map(|v| v.0).collect();
    assert_eq!(pruned, [pinned, busy], "as soon as nothing holds them");
}

#[test]
fn backups_dated_in_the_future_push_nothing_out() {
    let cluster = ready();
    schedule(&cluster, "s", "keep_last => 1, keep_daily => 1");
    let old = plant(&cluster, "2024-01-01", "");
    let newest = plant(&cluster, "2024-01-02 12:00 UTC", "");
    let future = plant(&cluster, "2999-01-01", "");
    let wanted = [
        (future, "keep".to_owned(), "dated in the future".to_owned()),
        (newest, "keep".to_owned(), "last 1 of 1,daily 2024-01-02,newest good backup".to_owned()),
        (old, "prune".to_owned(), "no rule keeps it".to_owned()),
    ];
    assert_eq!(prune(&cluster, "s"), wanted);
}
