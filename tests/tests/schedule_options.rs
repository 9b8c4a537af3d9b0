//! What each option of a schedule does, and how a schedule is changed and paused.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, wait_until};

/// A cluster whose clock shows `time`.
fn at(faults: &Faults, time: &str) -> Cluster {
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, time);
    cluster
}

#[test]
fn the_same_name_makes_a_schedule_anew_but_forgets_no_due_time() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:00:00+00");
    // What is made before the launcher's first look counts as there at the start.
    cluster.settle_schedules();
    let full = "'s', '0 3 * * *', 'UTC', keep_last => 3, retries => 5, verify => 'list', \
                options => '{\"comment\": \"x\"}', at_start => true, on_overlap => 'queue', \
                max_runtime => '1 hour', catch_up => '2 hours'";
    cluster.schedule("postgres", full);
    let made = cluster.entry("postgres", "s", "last_due");
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', '0  3 * * *', 'utc', keep_daily => 7");
    assert_eq!(cluster.entry("postgres", "s", "last_due"), made);
    let rest = "(cron, timezone, keep_last, keep_daily, retries, verify, options, at_start, \
                 on_overlap, max_runtime, catch_up)";
    let defaults = "(\"0 3 * * *\",UTC,,7,2,,{},f,skip,,\"1 day\")";
    assert_eq!(cluster.entry("postgres", "s", rest), defaults);
    cluster.schedule("postgres", "'s', '0 4 * * *', 'UTC'");
    assert_ne!(cluster.entry("postgres", "s", "last_due"), made);
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_schedules"), "1");
    let next = "SELECT next_run AT TIME ZONE 'UTC' FROM backup_schedules";
    assert_eq!(cluster.value("postgres", next), "2027-01-10 04:00:00");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.assert_runs("postgres", "s", &[]);
    faults.set_time(&cluster, "2027-01-10 04:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
}

#[test]
fn a_notice_names_the_next_three_runs_in_the_zone_of_the_schedule() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-03-27 12:00:00+00");
    let said = |arguments: &str| {
        let stop = "\\echo\nSELECT 1 / 0;";
        let call = format!("CALL backup_schedule({arguments});\n{stop}");
        cluster.psql_err("postgres", &call).1
    };
    let runs = "2027-03-28 03:00:00 CEST, 2027-03-29 02:30:00 CEST, 2027-03-30 02:30:00 CEST";
    let told = said("'s', '30 2 * * *', 'Europe/Paris', keep_last => 1");
    assert!(told.contains(&format!("NOTICE:  schedule \"s\" runs next at {runs}")), "{told}");
    assert!(!told.contains("keeps every backup"), "{told}");
    let paused = said("'s', '30 2 * * *', 'Europe/Paris', enabled => false");
    let would = format!("NOTICE:  schedule \"s\" is paused; it would run at {runs}");
    assert!(paused.contains(&would) && paused.contains("keeps every backup"), "{paused}");
    let short = said("'s', 'hourly', 'UTC', keep_within => '30'");
    assert!(short.contains("'30 days'"), "{short}");
}

#[test]
fn what_was_due_while_a_schedule_was_paused_is_not_made_up_for() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC'");
    cluster.schedule("postgres", "'off', '0 3 * * *', 'UTC', enabled => false");
    cluster.sql("postgres", "CALL backup_pause('s')");
    let states = "SELECT string_agg(DISTINCT state || coalesce(next_run::text, ''), ',') \
                  FROM backup_schedules";
    assert_eq!(cluster.value("postgres", states), "paused");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.assert_runs("postgres", "s", &[]);
    faults.set_time(&cluster, "2027-01-10 05:00:00+00");
    cluster.sql("postgres", "CALL backup_resume('s')");
    cluster.assert_runs("postgres", "s", &[]);
    // A second one changes nothing.
    cluster.sql("postgres", "CALL backup_resume('s')");
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    cluster.assert_runs("postgres", "s", &["succeeded schedule 2027-01-11 03:00:00"]);
    cluster.assert_runs("postgres", "off", &[]);
}

#[test]
fn a_schedule_that_is_resumed_runs_though_nothing_else_has_changed() {
    let faults = Faults::default();
    let mut cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC', enabled => false");
    // From here on nobody has anything to read again.
    cluster.restart(Mode::Fast);
    cluster.settle_schedules();
    cluster.sql("postgres", "CALL backup_resume('s')");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
}

#[test]
fn a_schedule_that_skips_tells_of_the_backup_that_was_in_its_way() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC'");
    let hold = cluster.hold_dumps();
    let call = cluster.call_until_dumping("postgres", "SELECT backup_create()");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!(runs[0].error, "concurrent");
    assert!(runs[0].detail.contains("another backup of database \"postgres\""), "{runs:?}");
    assert!(!runs[0].hint.is_empty(), "{runs:?}");
    drop(hold);
    assert_eq!(call.end(), Ok(()));
    cluster.assert_runs("postgres", "s", &["skipped schedule 2027-01-10 03:00:00"]);
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    assert_eq!(runs[1].status, "succeeded");
    let status = "SELECT last_status FROM backup_schedules";
    assert_eq!(cluster.value("postgres", status), "succeeded");
}

#[test]
fn a_schedule_that_queues_waits_and_only_one_run_of_it_does() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', '0 * * * *', 'UTC', on_overlap => 'queue'");
    let hold = cluster.hold_dumps();
    let call = cluster.call_until_dumping("postgres", "SELECT backup_create()");
    let waiting = "SELECT count(*) FROM backup_progress WHERE phase = 'queued'";
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    wait_until("one that waits", LIMIT, || cluster.value("postgres", waiting) == "1");
    for hour in ["04", "05"] {
        faults.set_time(&cluster, &format!("2027-01-10 {hour}:00:00+00"));
        let _ = cluster.try_sql("postgres", "SELECT backup_verify(0, 'file')");
        assert_eq!(cluster.value("postgres", waiting), "1");
    }
    drop(hold);
    assert_eq!(call.end(), Ok(()));
    cluster.settle_schedules();
    let runs = cluster.runs_of("postgres", "s");
    let good: Vec<_> = runs.iter().filter(|run| run.status == "succeeded").collect();
    assert_eq!(good.len(), 1, "{runs:?}");
    assert!(runs.iter().all(|run| ["succeeded", "skipped"].contains(&&*run.status)), "{runs:?}");
    cluster.assert_clean();
}

#[test]
fn schedules_that_are_due_together_all_run_and_none_is_skipped() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    for name in ["a", "b", "c"] {
        cluster.schedule("postgres", &format!("'{name}', 'daily 03:00', 'UTC'"));
    }
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    for name in ["a", "b", "c"] {
        cluster.wait_for_runs("postgres", name, 1);
        cluster.assert_runs("postgres", name, &["succeeded schedule 2027-01-10 03:00:00"]);
    }
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', 'daily 03:00', 'UTC', max_runtime => '1 s', retries => 0");
    let hold = cluster.hold_dumps();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    drop(hold);
    assert_eq!(runs[0].status, "failed");
    let said = format!("{} {} {}", runs[0].error, runs[0].detail, runs[0].hint);
    assert!(said.contains("max_runtime"), "{said}");
    cluster.assert_runs("postgres", "s", &["failed schedule 2027-01-10 03:00:00"]);
    cluster.assert_clean();
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    // In one second most machines make a backup of an empty database; not ended is what counts.
    cluster.wait_for_runs("postgres", "s", 2);
}

#[test]
fn the_level_of_verification_makes_a_row_of_its_own() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    for level in ["file", "list", "read"] {
        let arguments = format!("'{level}', 'daily 03:00', 'UTC', verify => '{level}'");
        cluster.schedule("postgres", &arguments);
    }
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    for level in ["file", "list", "read"] {
        let runs = cluster.wait_for_runs("postgres", level, 2);
        let kinds: Vec<_> = runs.iter().map(|run| (&*run.kind, &*run.status)).collect();
        assert_eq!(kinds, [("backup", "succeeded"), ("verify", "succeeded")], "{runs:?}");
        let about =
            format!("SELECT subject = {} FROM backup_runs WHERE id = {}", runs[0].id, runs[1].id);
        assert_eq!(cluster.value("postgres", &about), "t", "{level}");
        assert_eq!((runs[1].origin.as_str(), runs.len()), ("schedule", 2));
    }
}

#[test]
fn options_reach_the_backup() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    let tables = "CREATE TABLE keep AS SELECT 1; CREATE TABLE log AS SELECT 2; \
                  CREATE TABLE gone AS SELECT 3";
    cluster.psql("postgres", tables);
    let options = r#"{"comment": "it''s nightly", "format": "plain", "compression": "gzip:1",
                      "exclude_table_data": ["public.log"], "exclude_tables": ["public.gone"]}"#;
    cluster.schedule("postgres", &format!("'s', 'daily 03:00', 'UTC', options => '{options}'"));
    let jobs = r#"'two', 'daily 03:00', 'UTC', options => '{"jobs": 2}'"#;
    cluster.schedule("postgres", jobs);
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    let run = cluster.wait_for_runs("postgres", "s", 1).remove(0);
    assert_eq!(run.status, "succeeded", "{run:?}");
    let row = format!("SELECT comment FROM backup_history WHERE id = {}", run.id);
    assert_eq!(cluster.value("postgres", &row), "it's nightly");
    let file = format!("SELECT file FROM backup_history WHERE id = {}", run.id);
    let archive = cluster.backup_dir().join(cluster.value("postgres", &file));
    let script = pg_backup_tests::script(&archive);
    assert!(script.contains("COPY public.keep") && !script.contains("COPY public.log"));
    assert!(script.contains("CREATE TABLE public.log") && !script.contains("TABLE public.gone"));
    let run = cluster.wait_for_runs("postgres", "two", 1).remove(0);
    assert_eq!(run.status, "succeeded", "{run:?}");
    let members = format!("SELECT manifest::text FROM backup_manifest WHERE id = {}", run.id);
    assert!(cluster.value("postgres", &members).contains("database/toc.dat"));
}
