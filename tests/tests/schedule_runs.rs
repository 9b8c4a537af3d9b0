//! When a schedule runs beside its due times: at the start of the server, to make up for what was
//! missed, again after a failure that passes, and by hand.

use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, seconds_until};
use postgres::NoTls;

/// A cluster whose clock shows `time`.
fn at(faults: &Faults, time: &str) -> Cluster {
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, time);
    cluster
}

#[test]
fn a_schedule_runs_at_the_start_of_the_server_and_at_nothing_less() {
    let faults = Faults::default();
    let mut cluster = at(&faults, "2027-01-10 02:30:00+00");
    // The launcher has read what there is at this start.
    cluster.settle_schedules();
    cluster.schedule("postgres", "'s', 'daily 03:00', 'UTC', at_start => true");
    cluster.schedule("postgres", "'off', 'hourly', 'UTC', at_start => true, enabled => false");
    cluster.schedule("postgres", "'no', 'daily 03:00', 'UTC'");
    cluster.assert_runs("postgres", "s", &[]);
    cluster.restart(Mode::Fast);
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!((runs[0].status.as_str(), runs[0].origin.as_str()), ("succeeded", "start"));
    let launcher = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_backup launcher'";
    let old = cluster.value("postgres", launcher).parse().expect("there is one");
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend({old})"));
    cluster.wait_for_launcher(old, LIMIT);
    cluster.reload();
    cluster.settle_schedules();
    assert_eq!(cluster.runs_of("postgres", "s").len(), 1);
    // What was due while the server was down is dealt with by the run of the start.
    cluster.stop(Mode::Immediate);
    faults.write_clock(&format!("{}", seconds_until("2027-01-10T03:10:00Z")));
    cluster.start_again();
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    cluster.settle_schedules();
    let runs_now = cluster.runs_of("postgres", "s");
    assert_eq!((runs[1].origin.as_str(), runs_now.len()), ("start", 2), "{runs_now:?}");
    assert_eq!(cluster.runs_of("postgres", "off").len(), 0);
}

#[test]
fn a_run_at_the_start_that_cannot_begin_is_tried_again() {
    let faults = Faults::default();
    let mut cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.settle_schedules();
    cluster.schedule("postgres", "'s', 'daily 03:00', 'UTC', at_start => true");
    // As if somebody held a lock on the history for too long.
    cluster.sql(
        "postgres",
        "CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'not now' USING ERRCODE = 'lock_not_available'; END $$; \
         CREATE TRIGGER busy BEFORE INSERT ON backup_runs FOR EACH ROW EXECUTE FUNCTION busy()",
    );
    cluster.restart(Mode::Fast);
    cluster.wait_for_log("not now");
    cluster.settle_schedules();
    cluster.sql("postgres", "DROP TRIGGER busy ON backup_runs");
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!((runs[0].status.as_str(), runs[0].origin.as_str()), ("succeeded", "start"));
    cluster.settle_schedules();
    assert_eq!(cluster.runs_of("postgres", "s").len(), 1);
    cluster.assert_nothing_left();
}

#[test]
fn a_retry_that_another_job_was_in_the_way_of_is_tried_again() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'s', 'daily 03:00', 'UTC', retries => 3");
    cluster.settle_schedules();
    faults.plant("archive_unfinished");
    let backup = cluster.call("postgres", "SELECT backup_create()");
    faults.wait("archive_unfinished");
    let failed = "UPDATE backup_schedule_entries SET attempt = 1, enabled = enabled, \
                  retry_at = '2027-01-10 02:31:00+00'";
    cluster.sql("postgres", failed);
    faults.set_time(&cluster, "2027-01-10 02:31:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    faults.lift("archive_unfinished");
    assert_eq!(backup.end(), Ok(()));
    faults.set_time(&cluster, "2027-01-10 02:40:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    let found: Vec<_> = runs.iter().map(|run| (&*run.status, &*run.origin)).collect();
    assert_eq!(found, [("skipped", "retry"), ("succeeded", "retry")]);
}

#[test]
fn a_run_is_made_up_for_inside_its_window_only() {
    let faults = Faults::default();
    let cluster = at(&faults, "2027-01-10 02:30:00+00");
    cluster.schedule("postgres", "'wide', '0 3 * * *', 'UTC', catch_up => '2 hours'");
    cluster.schedule("postgres", "'narrow', '0 3 * * *', 'UTC', catch_up => '30 minutes'");
    cluster.schedule("postgres", "'never', '0 * * * *', 'America/New_York', catch_up => '0'");
    faults.set_time(&cluster, "2027-01-10 04:45:00+00");
    cluster.wait_for_runs("postgres", "wide", 1);
    cluster.assert_runs("postgres", "wide", &["succeeded catch_up 2027-01-10 03:00:00"]);
    cluster.assert_runs("postgres", "narrow", &["missed schedule 2027-01-10 03:00:00"]);
    cluster.assert_runs("postgres", "never", &["missed schedule 2027-01-10 04:00:00"]);
    let run = cluster.runs_of("postgres", "never").remove(0);
    let detail = "2 due times passed without a run, the last at 2027-01-09 23:00 EST.";
    assert_eq!((run.error.as_str(), run.detail.as_str()), ("missed", detail));
    assert!(run.hint.contains("backup_run('never')"), "{run:?}");
    let missed = "SELECT missed || ' ' || last_status FROM backup_schedules WHERE name = 'never'";
    assert_eq!(cluster.value("postgres", missed), "2 missed");
    cluster.value("postgres", "SELECT backup_run('never')");
    assert_eq!(cluster.value("postgres", missed), "0 succeeded");
}

#[test]
fn a_schedule_runs_by_hand_whether_paused_or_not() {
    let cluster = Cluster::start();
    let options = r#"options => '{"comment": "mine"}', enabled => false, keep_last => 1"#;
    cluster.schedule("postgres", &format!("'s', 'daily 03:00', 'UTC', {options}"));
    let id = cluster.value("postgres", "SELECT backup_run('s')");
    let second = cluster.value("postgres", "SELECT backup_run('s')");
    let row = "SELECT string_agg(concat_ws(' ', id, status, origin, comment, file_state), ', ' \
               ORDER BY id) FROM backup_history WHERE schedule = 's' AND kind = 'backup'";
    let wanted =
        format!("{id} succeeded manual mine pruned, {second} succeeded manual mine available");
    assert_eq!(cluster.value("postgres", row), wanted);
    assert_eq!(cluster.entry("postgres", "s", "enabled"), "f");
}

#[test]
fn a_run_by_hand_starts_at_commit_and_a_rollback_starts_nothing() {
    let cluster = Cluster::start();
    cluster.schedule("postgres", "'s', 'daily 03:00', 'UTC'");
    let mut session = cluster.config("postgres").connect(NoTls).unwrap();
    session
        .batch_execute("BEGIN; CREATE TABLE t (); SELECT backup_run('s', false); ROLLBACK")
        .unwrap();
    cluster.assert_runs("postgres", "s", &[]);
    session.batch_execute("BEGIN; CREATE TABLE t AS SELECT 7 AS seven").unwrap();
    let id: i64 = session.query_one("SELECT backup_run('s', wait => false)", &[]).unwrap().get(0);
    let early = session.query_one("SELECT backup_run('s')", &[]).unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&early), "25001");
    session.batch_execute("ROLLBACK; BEGIN; CREATE TABLE t AS SELECT 7 AS seven").unwrap();
    let id_again: i64 =
        session.query_one("SELECT backup_run('s', wait => false)", &[]).unwrap().get(0);
    assert!(id_again > id);
    cluster.assert_runs("postgres", "s", &[]);
    session.batch_execute("COMMIT").unwrap();
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!((runs[0].id, runs[0].status.as_str()), (id_again, "succeeded"));
    let script = pg_backup_tests::script(&cluster.archive(&cluster.last_backup()));
    assert!(script.contains("COPY public.t (seven)"));
}

#[test]
fn a_failure_that_passes_is_tried_again_and_again_after_growing_pauses() {
    let faults = Faults::default();
    let cluster = faults.cluster(&["pg_backup.lock_timeout = '1s'"]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.sql("postgres", "CREATE TABLE t ()");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC', retries => 2");
    let mut blocker = cluster.connect("postgres");
    blocker.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    let runs = cluster.wait_for_runs("postgres", "s", 1);
    assert_eq!(runs[0].status, "failed", "{runs:?}");
    let planned = "SELECT attempt || ' ' || (retry_at IS NOT NULL) FROM backup_schedule_entries";
    pg_backup_tests::wait_until("the plan", LIMIT, || {
        cluster.value("postgres", planned) == "1 true"
    });
    cluster.settle_schedules();
    assert_eq!(cluster.runs_of("postgres", "s").len(), 1, "before its time");
    // 30 seconds after the failure.
    faults.set_time(&cluster, "2027-01-10 03:00:50+00");
    let runs = cluster.wait_for_runs("postgres", "s", 2);
    assert_eq!((runs[1].status.as_str(), runs[1].origin.as_str()), ("failed", "retry"));
    pg_backup_tests::wait_until("the plan", LIMIT, || {
        cluster.value("postgres", planned) == "2 true"
    });
    blocker.batch_execute("ROLLBACK").unwrap();
    // A minute after that.
    faults.set_time(&cluster, "2027-01-10 03:02:30+00");
    let due = "2027-01-10 03:00:00";
    cluster.wait_for_runs("postgres", "s", 3);
    let wanted =
        ["failed schedule", "failed retry", "succeeded retry"].map(|r| format!("{r} {due}"));
    cluster.assert_runs("postgres", "s", &wanted.each_ref().map(String::as_str));
    assert_eq!(cluster.entry("postgres", "s", "concat(attempt, retry_at)"), "0");
}

#[test]
fn retries_come_to_an_end_and_a_lasting_failure_has_none() {
    let faults = Faults::default();
    let cluster = faults.cluster(&["pg_backup.lock_timeout = '1s'"]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.sql("postgres", "CREATE TABLE t ()");
    cluster.schedule("postgres", "'s', '0 3 * * *', 'UTC', retries => 1");
    let nothing = r#"options => '{"tables": ["public.nothing"]}'"#;
    cluster
        .schedule("postgres", &format!("'lasting', '0 4 * * *', 'UTC', retries => 10, {nothing}"));
    let mut blocker = cluster.connect("postgres");
    blocker.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    cluster.wait_for_runs("postgres", "s", 1);
    let planned = "SELECT retry_at IS NOT NULL FROM backup_schedule_entries WHERE name = 's'";
    pg_backup_tests::wait_until("the plan", LIMIT, || cluster.value("postgres", planned) == "t");
    faults.set_time(&cluster, "2027-01-10 03:01:00+00");
    cluster.wait_for_runs("postgres", "s", 2);
    blocker.batch_execute("ROLLBACK").unwrap();
    faults.set_time(&cluster, "2027-01-10 04:00:00+00");
    cluster.wait_for_runs("postgres", "lasting", 1);
    cluster.settle_schedules();
    faults.set_time(&cluster, "2027-01-10 05:00:00+00");
    cluster.assert_runs("postgres", "lasting", &["failed schedule 2027-01-10 04:00:00"]);
    let due = "2027-01-10 03:00:00";
    let wanted = ["failed schedule", "failed retry"].map(|r| format!("{r} {due}"));
    cluster.assert_runs("postgres", "s", &wanted.each_ref().map(String::as_str));
}
