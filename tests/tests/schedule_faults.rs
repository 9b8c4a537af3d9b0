//! Schedules while things break: the launcher, a runner, the server, its connections, its locks.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, seconds_until, signal, wait_until};
use std::time::Duration;

const NIGHTLY: &str = "'s', '0 3 * * *', 'UTC'";
/// The promise of the README.
const BACK: Duration = Duration::from_secs(10);

/// Half an hour before anything is due.
fn early(faults: &Faults, conf: &[&str]) -> Cluster {
    let cluster = faults.cluster(conf);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster
}

fn due(faults: &Faults, cluster: &Cluster) {
    faults.set_time(cluster, "2027-01-10 03:00:00+00");
}

fn launcher(cluster: &Cluster) -> i32 {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_backup launcher'";
    cluster.value("postgres", sql).parse().expect("there is one")
}

#[test]
fn a_launcher_that_is_terminated_is_back_in_time_and_schedules_go_on() {
    let faults = Faults::default();
    let cluster = early(&faults, &[]);
    cluster.schedule("postgres", NIGHTLY);
    cluster.settle_schedules();
    let old = launcher(&cluster);
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend({old})"));
    due(&faults, &cluster);
    cluster.wait_for_launcher(old, BACK);
    cluster.wait_for_runs("postgres", "s", 1);
    cluster.assert_runs("postgres", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
}

#[test]
fn a_run_whose_runner_is_killed_is_interrupted_and_tried_again() {
    let faults = Faults::default();
    let cluster = early(&faults, &[]);
    cluster.schedule("postgres", NIGHTLY);
    faults.plant("archive_unfinished");
    due(&faults, &cluster);
    let runner = faults.wait("archive_unfinished");
    faults.lift("archive_unfinished");
    signal(runner, nix::sys::signal::Signal::SIGKILL);
    cluster.wait_for_status("interrupted");
    wait_until("the next attempt", LIMIT, || {
        cluster.entry("postgres", "s", "retry_at IS NOT NULL") == "t"
    });
    faults.set_time(&cluster, "2027-01-10 03:01:30+00");
    cluster.wait_for_runs("postgres", "s", 2);
    let due = "2027-01-10 03:00:00";
    let wanted = [format!("interrupted schedule {due}"), format!("succeeded retry {due}")];
    cluster.assert_runs("postgres", "s", &[&wanted[0], &wanted[1]]);
    cluster.assert_clean();
}

#[test]
fn a_server_that_was_down_over_three_due_times_makes_up_once_or_tells() {
    let faults = Faults::default();
    let mut cluster = early(&faults, &[]);
    cluster.schedule("postgres", "'made_up', '0 * * * *', 'UTC'");
    cluster.schedule("postgres", "'told', '0 * * * *', 'UTC', catch_up => '5 minutes'");
    cluster.stop(Mode::Fast);
    faults.write_clock(&seconds_until("2027-01-10T05:20:00Z").to_string());
    cluster.start_again();
    cluster.wait_for_runs("postgres", "made_up", 1);
    cluster.wait_for_runs("postgres", "told", 1);
    cluster.assert_runs("postgres", "made_up", &["succeeded catch_up 2027-01-10 05:00:00"]);
    cluster.assert_runs("postgres", "told", &["missed schedule 2027-01-10 05:00:00"]);
    let run = cluster.runs_of("postgres", "told").remove(0);
    assert!(run.detail.starts_with("3 due times passed without a run"), "{run:?}");
    assert_eq!(cluster.entry("postgres", "told", "missed"), "3");
}

#[test]
fn a_crash_after_the_claim_leaves_a_row_and_a_next_attempt() {
    let faults = Faults::default();
    let mut cluster = early(&faults, &[]);
    cluster.schedule("postgres", NIGHTLY);
    faults.plant("archive_unfinished");
    due(&faults, &cluster);
    faults.wait("archive_unfinished");
    cluster.kill_postmaster();
    faults.lift("archive_unfinished");
    cluster.start_again();
    cluster.wait_for_status("interrupted");
    faults.set_time(&cluster, "2027-01-10 03:01:30+00");
    cluster.wait_for_runs("postgres", "s", 2);
    let due = "2027-01-10 03:00:00";
    let wanted = [format!("interrupted schedule {due}"), format!("succeeded retry {due}")];
    cluster.assert_runs("postgres", "s", &[&wanted[0], &wanted[1]]);
    cluster.assert_clean();
}

#[test]
fn a_due_time_without_a_free_connection_is_not_lost() {
    let faults = Faults::default();
    let conf = ["max_connections = 5", "superuser_reserved_connections = 0", "max_wal_senders = 0"];
    let cluster = early(&faults, &conf);
    cluster.schedule("postgres", NIGHTLY);
    cluster.settle_schedules();
    let ahead = seconds_until("2027-01-10T03:00:00Z");
    let mut sessions: Vec<_> = (0..5).map(|_| cluster.connect("postgres")).collect();
    faults.write_clock(&ahead.to_string());
    sessions[0].batch_execute("SELECT pg_reload_conf()").unwrap();
    cluster.wait_for_log("too many clients");
    drop(sessions);
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert!(runs[0].origin == "schedule" || runs[0].origin == "catch_up", "{runs:?}");
    cluster.settle_schedules();
    faults.set_time(&cluster, "2027-01-10 03:05:00+00");
    wait_until("a good run", LIMIT, || {
        let runs = cluster.runs_of("postgres", "s");
        runs.iter().any(|run| run.status == "succeeded")
    });
}

#[test]
fn a_history_that_somebody_has_locked_delays_the_run_and_loses_nothing() {
    let faults = Faults::default();
    let cluster = early(&faults, &["pg_backup.lock_timeout = '2s'"]);
    cluster.schedule("postgres", NIGHTLY);
    cluster.sql("postgres", "CREATE DATABASE other; ");
    cluster.sql("other", "CREATE EXTENSION pg_backup");
    cluster.schedule("other", "'o', '0 3 * * *', 'UTC'");
    cluster.settle_schedules();
    let mut blocker = cluster.connect("postgres");
    blocker.batch_execute("BEGIN; LOCK TABLE backup_runs IN ACCESS EXCLUSIVE MODE").unwrap();
    due(&faults, &cluster);
    // The others do not wait for it.
    cluster.wait_for_runs("other", "o", 1);
    blocker.batch_execute("ROLLBACK").unwrap();
    wait_until("a good run", LIMIT, || {
        let runs = cluster.runs_of("postgres", "s");
        runs.iter().any(|run| run.status == "succeeded")
    });
    cluster.settle_schedules();
    cluster.assert_nothing_left();
}

#[test]
fn a_standby_rests_and_after_promotion_makes_up_once_and_starts_nothing() {
    let faults = Faults::default();
    let cluster = early(&faults, &[]);
    // What is there when the launcher looks for the first time is there at the start.
    cluster.settle_schedules();
    cluster.schedule("postgres", "'s', '0 * * * *', 'UTC'");
    cluster.schedule("postgres", "'t', '0 5 * * *', 'UTC', at_start => true");
    let standby = cluster.standby(&[]);
    let sql = "SELECT last_due < now() - interval '1 hour' FROM backup_schedule_entries LIMIT 1";
    cluster.sql("postgres", "UPDATE backup_schedule_entries SET last_due = now() - interval '5 h'");
    wait_until("the change on the standby", LIMIT, || standby.value("postgres", sql) == "t");
    // The standby is no cluster of the fault directory: it lives in the present.
    standby.sql("postgres", "SELECT pg_promote()");
    let runs = standby.wait_for_runs("postgres", "s", 1);
    assert_eq!(runs.len(), 1, "{runs:?}");
    standby.settle_schedules();
    let runs = standby.runs_of("postgres", "s");
    assert_eq!((runs.len(), runs[0].status.as_str()), (1, "succeeded"), "{runs:?}");
    let started = standby.runs_of("postgres", "t");
    assert!(started.iter().all(|run| run.origin != "start"), "{started:?}");
}

#[test]
fn thousands_of_schedules_in_one_statement_are_taken_in_and_the_due_one_fires() {
    let faults = Faults::default();
    let cluster = early(&faults, &[]);
    cluster.schedule("postgres", NIGHTLY);
    let many = "INSERT INTO backup_schedule_entries (name, cron, timezone, enabled, on_overlap, \
                       catch_up, retries, at_start, options, requested_by, home, last_due) \
                SELECT 'n' || i, (i % 60) || ' ' || 4 + i % 20 || ' * * *', timezone, enabled, \
                       on_overlap, catch_up, retries, at_start, options, requested_by, home, \
                       last_due FROM backup_schedule_entries, generate_series(1, 2000) i";
    cluster.sql("postgres", many);
    let before = launcher(&cluster);
    due(&faults, &cluster);
    cluster.wait_for_runs("postgres", "s", 1);
    cluster.assert_runs("postgres", "s", &["succeeded schedule 2027-01-10 03:00:00"]);
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_schedules"), "2001");
    assert_eq!(launcher(&cluster), before);
}
