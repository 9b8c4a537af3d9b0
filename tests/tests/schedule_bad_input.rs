//! What a schedule cannot be made of: every wrong expression, zone and option is refused with an
//! error that names the part and says what would do, and leaves no row.

use pg_backup_tests::{Cluster, DbError};

/// The arguments, and the part that the message has to name.
const EXPRESSIONS: &[(&str, &str)] = &[
    ("'s', '60 * * * *'", "minute"),
    ("'s', '-1 * * * *'", "minute"),
    ("'s', '*/0 * * * *'", "minute"),
    ("'s', '5-1 * * * *'", "minute"),
    ("'s', '1,,2 * * * *'", "minute"),
    ("'s', '5# * * * *'", "minute"),
    ("'s', 'H * * * *'", "minute"),
    ("'s', '99999999999999999999 * * * *'", "minute"),
    ("'s', '0 24 * * *'", "hour"),
    ("'s', '0 1.5 * * *'", "hour"),
    ("'s', '0 3h * * *'", "hour"),
    ("'s', '0 0 0 * *'", "day of month"),
    ("'s', '0 0 32 * *'", "day of month"),
    ("'s', '0 0 L * *'", "day of month"),
    ("'s', '0 0 15W * *'", "day of month"),
    ("'s', '0 0 ? * *'", "day of month"),
    ("'s', '0 0 * 0 *'", "month"),
    ("'s', '0 0 * 13 *'", "month"),
    ("'s', '0 0 * janvier *'", "month"),
    ("'s', '0 0 * * 8'", "day of week"),
    ("'s', '0 0 * * sunday'", "day of week"),
    ("'s', '0 0 * * 1#2'", "day of week"),
    ("'s', '0 0 31 2 *'", "0 0 31 2 *"),
    ("'s', '0 0 30 2 *'", "0 0 30 2 *"),
    ("'s', '* * * *'", "fields"),
    ("'s', '0 0 0 * * *'", "fields"),
    ("'s', '0 0 0 * * * 2027'", "fields"),
    ("'s', '@reboot'", "@reboot"),
    ("'s', '@daily'", "@daily"),
    ("'s', ''", "0 fields"),
    ("'s', '   '", "0 fields"),
    ("'s', NULL", "cron"),
    ("'s', repeat('1,', 5000) || ' * * * *'", "too long"),
    ("'s', repeat('x', 10240)", "too long"),
    ("'s', E'0 3\\x01* * *'", "0 3"),
    ("'s', '٣ * * * *'", "minute"),
    ("'s', 'hourly 15'", "hourly"),
    ("'s', 'daily'", "daily"),
    ("'s', 'daily 24:00'", "24:00"),
    ("'s', 'daily 3pm'", "3pm"),
    ("'s', 'weekly 03:00'", "weekly"),
    ("'s', 'weekly someday 03:00'", "someday"),
    ("'s', 'monthly 32 03:00'", "32"),
    ("'s', 'monthly 0 03:00'", "\"0\""),
    ("'s', 'every day'", "every day"),
    ("'s', '0 3 * * *; DROP TABLE x'", "fields"),
];

const ZONES: &[(&str, &str)] = &[
    ("'s', 'hourly', 'UTC+5'", "time zone: \"UTC+5\""),
    ("'s', 'hourly', '+02:00'", "time zone: \"+02:00\""),
    ("'s', 'hourly', '<+03>-3'", "time zone"),
    ("'s', 'hourly', '2'", "time zone"),
    ("'s', 'hourly', 'Factory'", "time zone: \"Factory\""),
    ("'s', 'hourly', 'localtime'", "time zone: \"localtime\""),
    ("'s', 'hourly', 'posixrules'", "time zone"),
    ("'s', 'hourly', 'posix/Europe/Paris'", "time zone"),
    ("'s', 'hourly', 'Mars/Olympus'", "time zone: \"Mars/Olympus\""),
    ("'s', 'hourly', ''", "time zone: \"\""),
    ("'s', 'hourly', repeat('Europe/', 1500)", "time zone"),
];

const OPTIONS: &[(&str, &str)] = &[
    ("NULL, 'hourly'", "name"),
    ("'', 'hourly'", "name"),
    ("repeat('n', 64), 'hourly'", "name"),
    ("repeat('ü', 32), 'hourly'", "name"),
    ("E'a\\nb', 'hourly'", "name"),
    ("E'a\\x7fb', 'hourly'", "name"),
    ("repeat('n', 10240), 'hourly'", "name"),
    ("'s', 'hourly', keep_last => -1", "keep_last"),
    ("'s', 'hourly', keep_last => 0", "keep_last"),
    ("'s', 'hourly', keep_daily => 0", "keep_daily"),
    ("'s', 'hourly', keep_weekly => -7", "keep_weekly"),
    ("'s', 'hourly', keep_monthly => 0", "keep_monthly"),
    ("'s', 'hourly', keep_yearly => -2147483648", "keep_yearly"),
    ("'s', 'hourly', keep_within => '-1 day'", "keep_within"),
    ("'s', 'hourly', keep_within => '0'", "keep_within"),
    ("'s', 'hourly', keep_within => '1 month -1 day'", "keep_within"),
    ("'s', 'hourly', on_overlap => 'kill'", "on_overlap: \"kill\""),
    ("'s', 'hourly', on_overlap => ''", "on_overlap"),
    ("'s', 'hourly', retries => -1", "retries: -1"),
    ("'s', 'hourly', retries => 11", "retries: 11"),
    ("'s', 'hourly', verify => 'all'", "verification level: \"all\""),
    ("'s', 'hourly', verify => ''", "verification level"),
    ("'s', 'hourly', max_runtime => '-1s'", "max_runtime"),
    ("'s', 'hourly', max_runtime => '0'", "max_runtime"),
    ("'s', 'hourly', max_runtime => '110 years'", "max_runtime"),
    ("'s', 'hourly', catch_up => '-1 hour'", "catch_up"),
    ("'s', 'hourly', catch_up => '100000000 years'", "catch_up"),
    ("'s', 'hourly', options => '{\"job\": 2}'", "`job`"),
    ("'s', 'hourly', options => '{\"jobs\": \"many\"}'", "options"),
    ("'s', 'hourly', options => '{\"jobs\": 0}'", "jobs: 0"),
    ("'s', 'hourly', options => '{\"jobs\": 65}'", "jobs: 65"),
    ("'s', 'hourly', options => '{\"jobs\": 2, \"format\": \"plain\"}'", "jobs => 2"),
    ("'s', 'hourly', options => '{\"format\": \"tar\"}'", "format"),
    ("'s', 'hourly', options => '{\"compression\": \"lzma\"}'", "compression"),
    ("'s', 'hourly', options => '{\"tables\": \"t\"}'", "options"),
    ("'s', 'hourly', options => '{\"tables\": [\"\"]}'", "pattern"),
    ("'s', 'hourly', options => '{\"database\": \"postgres\"}'", "`database`"),
    ("'s', 'hourly', options => '[1]'", "options"),
    ("'s', 'hourly', options => 'null'", "options"),
    ("'s', 'hourly', options => '7'", "options"),
    ("'s', 'hourly', options => ('{\"x' || repeat('y', 10240) || '\": 1}')::jsonb", "options"),
];

/// Refused, and the message names the part. Gives what is wrong with it, if anything.
fn complaint(error: &DbError, part: &str, sqlstate: &str) -> Option<String> {
    let good = error.sqlstate == sqlstate
        && error.message.contains(part)
        && error.message.len() < 1000
        && !error.hint.is_empty();
    (!good).then(|| format!("{part}: {error}"))
}

fn check(cluster: &Cluster, calls: &[(String, &str)]) {
    let complaints: Vec<String> = calls
        .iter()
        .filter_map(|(call, part)| match cluster.try_sql("postgres", call) {
            Ok(_) => Some(format!("taken: {call}")),
            Err(error) => complaint(&DbError::of(&error), part, "22023"),
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let rows = "SELECT count(*) FROM backup_schedule_entries";
    assert_eq!(cluster.value("postgres", rows), "0", "rows are left");
}

fn schedules<'a>(table: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    let call = |arguments: &str| format!("CALL backup_schedule({arguments})");
    table.iter().map(|(arguments, part)| (call(arguments), *part)).collect()
}

#[test]
fn bad_expressions_and_zones_are_refused_by_name_and_leave_no_row() {
    let cluster = Cluster::start();
    check(&cluster, &schedules(EXPRESSIONS));
    check(&cluster, &schedules(ZONES));
}

#[test]
fn bad_names_and_options_are_refused_by_name_and_leave_no_row() {
    check(&Cluster::start(), &schedules(OPTIONS));
}

#[test]
fn a_preview_refuses_what_a_schedule_refuses() {
    let cluster = Cluster::start();
    let preview = |(arguments, part): &(&str, &'static str)| {
        let arguments = arguments.strip_prefix("'s', ").expect("the name comes first");
        (format!("SELECT * FROM backup_next_runs({arguments})"), *part)
    };
    // A NULL expression has no runs, as everywhere in SQL.
    let told = |(arguments, _): &&(&str, &str)| !arguments.ends_with("NULL");
    let calls: Vec<_> = EXPRESSIONS.iter().chain(ZONES).filter(told).map(preview).collect();
    check(&cluster, &calls);
    let numbers = [
        ("SELECT * FROM backup_next_runs('hourly', n => -1)", "n: -1"),
        ("SELECT * FROM backup_next_runs('hourly', n => 100001)", "n: 100001"),
        ("SELECT * FROM backup_next_runs('hourly', after => 'infinity')", "after"),
    ];
    check(&cluster, &numbers.map(|(call, part)| (call.to_owned(), part)));
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_next_runs(NULL)"), "0");
}

#[test]
fn a_session_whose_zone_is_an_offset_has_to_name_one() {
    let cluster = Cluster::start();
    let call = "SET TimeZone = '+02:00'; CALL backup_schedule('s', 'hourly')";
    let error = cluster.error("postgres", call);
    assert_eq!(complaint(&error, "(the session's TimeZone)", "22023"), None);
    cluster.psql("postgres", "SET TimeZone = '+02:00'; CALL backup_schedule('s', 'hourly', 'UTC')");
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let cluster = Cluster::start();
    for name in ["nowhere", "", "Postgres", "postgres; x", &"d".repeat(200)] {
        let call = format!("CALL backup_schedule('s', 'hourly', database => '{name}')");
        let error = cluster.error("postgres", &call);
        assert_eq!(complaint(&error, name, "3D000"), None);
    }
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_schedules"), "0");
}

#[test]
fn a_bad_call_leaves_the_schedule_of_that_name_as_it_was() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 * * *', 'UTC', keep_last => 2)");
    let row = "SELECT e::text FROM backup_schedule_entries e";
    let before = cluster.value("postgres", row);
    for arguments in ["'s', '60 * * * *'", "'s', 'hourly', 'X'", "'s', 'hourly', keep_last => 0"] {
        cluster.error("postgres", &format!("CALL backup_schedule({arguments})"));
    }
    assert_eq!(cluster.value("postgres", row), before);
}

#[test]
fn a_schedule_that_does_not_exist_is_named_by_every_call() {
    let cluster = Cluster::start();
    for call in [
        "CALL backup_unschedule('ghost')",
        "CALL backup_pause('ghost')",
        "CALL backup_resume('ghost')",
        "SELECT backup_run('ghost')",
        "SELECT backup_run('ghost', wait => false)",
        "CALL backup_prune('ghost')",
        "SELECT * FROM backup_retention('ghost')",
    ] {
        let error = cluster.error("postgres", call);
        assert_eq!(complaint(&error, "\"ghost\"", "42704"), None, "{call}");
    }
    for call in ["unschedule(NULL)", "pause(NULL)", "resume(NULL)", "prune(NULL)"] {
        let error = cluster.error("postgres", &format!("CALL backup_{call}"));
        assert_eq!(complaint(&error, "NULL", "22023"), None, "{call}");
    }
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_history"), "0");
}

#[test]
fn without_a_policy_nothing_is_pruned() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 * * *', 'UTC')");
    cluster.value("postgres", "SELECT backup_run('s')");
    for call in ["backup_prune('s')", "backup_prune('s', dry_run => true)"] {
        let error = cluster.error("postgres", &format!("CALL {call}"));
        assert_eq!(complaint(&error, "\"s\" has no retention policy", "22023"), None);
    }
    let kept = "SELECT verdict FROM backup_retention('s')";
    assert_eq!(cluster.value("postgres", kept), "keep");
    assert!(cluster.archive(&cluster.last_backup()).exists());
}
