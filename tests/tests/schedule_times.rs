//! When schedules run: on the days of both clock changes, while the clock jumps, at the minute, and
//! from the moment of COMMIT.

use pg_backup_tests::{Cluster, Faults, LIMIT, wait_until};
use std::time::{Duration, Instant};

const QUIET: &[&str] = &[];

/// A cluster whose clock shows `time`.
fn at(faults: &Faults, time: &str) -> Cluster {
    let cluster = faults.cluster(QUIET);
    faults.set_time(&cluster, time);
    cluster
}

#[test]
fn a_time_in_the_gap_of_spring_runs_once_at_the_first_minute_after_it() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-03-14 01:00:00 America/New_York");
    cluster.schedule("postgres", "'s', '30 2 * * *', 'America/New_York'");
    faults.set_time(&cluster, "2027-03-14 01:59:58 America/New_York");
    cluster.assert_runs("postgres", "s", &[]);
    faults.set_time(&cluster, "2027-03-14 03:00:00 America/New_York");
    cluster.wait_for_runs("postgres", "s", 1);
    let once = ["succeeded schedule 2027-03-14 07:00:00"];
    for later in ["03:29:59", "03:30:01", "12:00:00", "23:59:59"] {
        faults.set_time(&cluster, &format!("2027-03-14 {later} America/New_York"));
        cluster.assert_runs("postgres", "s", &once);
    }
    faults.set_time(&cluster, "2027-03-15 02:30:00 America/New_York");
    cluster.wait_for_runs("postgres", "s", 2);
    cluster.assert_runs("postgres", "s", &[once[0], "succeeded schedule 2027-03-15 06:30:00"]);
}

#[test]
fn a_time_that_autumn_repeats_runs_the_first_time_only() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-10-31 00:00:00+00");
    cluster.schedule("postgres", "'s', 'daily 02:30', 'Europe/Paris'");
    // 02:30 is at 00:30 and again at 01:30, by UTC.
    faults.set_time(&cluster, "2027-10-31 00:30:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    let once = ["succeeded schedule 2027-10-31 00:30:00"];
    for later in ["00:59:59", "01:00:01", "01:30:01", "12:00:00"] {
        faults.set_time(&cluster, &format!("2027-10-31 {later}+00"));
        cluster.assert_runs("postgres", "s", &once);
    }
    faults.set_time(&cluster, "2027-11-01 01:30:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
    cluster.assert_runs("postgres", "s", &[once[0], "succeeded schedule 2027-11-01 01:30:00"]);
}

#[test]
fn an_hourly_schedule_runs_in_both_passes_of_the_repeated_hour() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-10-31 00:10:00+00");
    cluster.schedule("postgres", "'s', '30 * * * *', 'Europe/Paris'");
    faults.set_time(&cluster, "2027-10-31 00:30:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    faults.set_time(&cluster, "2027-10-31 01:30:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
    let both = ["00:30:00", "01:30:00"].map(|at| format!("succeeded schedule 2027-10-31 {at}"));
    cluster.assert_runs("postgres", "s", &[&both[0], &both[1]]);
}

#[test]
fn a_clock_that_is_set_back_runs_nothing_twice() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:59:00+00");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC'");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    let once = ["succeeded schedule 2027-01-10 03:00:00"];
    for again in ["02:00:00", "02:59:59", "03:00:00", "03:00:01"] {
        faults.set_time(&cluster, &format!("2027-01-10 {again}+00"));
        cluster.assert_runs("postgres", "s", &once);
    }
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
}

#[test]
fn a_clock_that_is_set_forward_by_days_makes_one_run() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:59:00+00");
    cluster.schedule("postgres", "'s', '0 * * * *', 'UTC'");
    faults.set_time(&cluster, "2027-01-15 12:20:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    cluster.assert_runs("postgres", "s", &["succeeded catch_up 2027-01-15 12:00:00"]);
    faults.set_time(&cluster, "2027-01-15 13:00:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
}

#[test]
fn a_clock_that_was_a_month_ahead_does_not_silence_a_schedule_when_it_is_right_again() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:59:00+00");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC'");
    faults.set_time(&cluster, "2027-02-10 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    faults.set_time(&cluster, "2027-01-10 12:00:00+00");
    cluster.assert_runs("postgres", "s", &["succeeded schedule 2027-02-10 03:00:00"]);
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    assert_eq!((runs[1].due.as_str(), runs.len()), ("2027-01-11 03:00:00", 2), "{runs:?}");
    // The launcher too may be one that has seen nothing of it.
    faults.set_time(&cluster, "2027-01-12 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 3);
}

#[test]
fn a_schedule_of_every_minute_runs_at_the_minute() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:58:30+00");
    cluster.schedule("postgres", "'s', '* * * * *', 'UTC'");
    cluster.settle_schedules();
    let start = Instant::now();
    faults.set_time(&cluster, "2027-01-10 02:58:58.5+00");
    let running = "SELECT count(*) FROM backup_history WHERE schedule = 's'";
    wait_until("the run", LIMIT, || cluster.value("postgres", running) == "1");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1400), "before its time: after {took:?}");
    assert!(took < Duration::from_secs(6), "late: after {took:?}");
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!(runs[0].due, "2027-01-10 02:59:00");
    faults.set_time(&cluster, "2027-01-10 02:59:58+00");
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    assert_eq!(runs[1].due, "2027-01-10 03:00:00");
}

#[test]
fn a_change_counts_from_commit_and_a_rollback_leaves_all_as_it_was() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:59:00+00");
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN; CALL backup_schedule('s', '0 3 * * *', 'UTC')").unwrap();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.assert_runs("postgres", "s", &[]);
    session.batch_execute("COMMIT").unwrap();
    // It was due after it was made: the run is on time.
    cluster.wait_for_runs("postgres", "s", 1);
    session.batch_execute("BEGIN; CALL backup_unschedule('s')").unwrap();
    // The row is locked by the change: the run waits for what becomes of it.
    session.batch_execute("ROLLBACK").unwrap();
    session
        .batch_execute("BEGIN; CALL backup_schedule('s', '0 5 * * *', 'UTC'); ROLLBACK")
        .unwrap();
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
    session.batch_execute("CALL backup_unschedule('s')").unwrap();
    faults.set_time(&cluster, "2027-01-12 03:00:00+00");
    cluster.settle_schedules();
    assert_eq!(cluster.runs_of("postgres", "s").len(), 2);
}
