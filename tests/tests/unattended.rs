//! Jobs that nobody looks at: queued ones, ones without a caller, ones without a launcher.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Cluster, Gate, LIMIT, LINGERING, Mode, is_alive, sample, signal, wait_until,
};

const CREATE: &str = "SELECT backup_create()";

#[test]
fn a_crash_while_jobs_are_queued_interrupts_them_all() {
    let mut cluster = Cluster::with(&["pg_backup.database_jobs = 1"]);
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.use_tool("pg_dump", LINGERING);
    let first = cluster.call_until_dumping("postgres", CREATE);
    cluster.sql("postgres", "SELECT backup_create(database => 'other', wait => false)");
    let waiting = cluster.call("postgres", "SELECT backup_create(database => 'template1')");
    let jobs = "SELECT count(*) FROM backup_progress";
    wait_until("three jobs", LIMIT, || cluster.value("postgres", jobs) == "3");
    cluster.kill_postmaster();
    first.error();
    waiting.error();
    cluster.start_again();
    cluster.wait_for_status("interrupted");
    cluster.assert_clean();
    cluster.use_real_tools();
    cluster.assert_next_backup_works();
    cluster.sql("postgres", "SELECT backup_create(database => 'other')");
    cluster.assert_clean();
}

#[test]
fn a_backup_goes_on_without_the_launcher_and_the_next_waits_for_it() {
    let cluster = Cluster::start();
    let gate = Gate::new(&cluster, "gate");
    cluster.fill("app", 1, 1);
    cluster.use_tool("pg_dump", &gate.script(20_000));
    let first = cluster.call_until_dumping("postgres", "SELECT backup_create(database => 'app')");
    let launcher = cluster.wait_for_launcher(0, LIMIT);
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend({launcher})"));
    wait_until("the launcher's end", LIMIT, || !is_alive(launcher));
    let second = cluster.call("postgres", CREATE);
    gate.open();
    assert_eq!(first.end(), Ok(()));
    assert_eq!(second.end(), Ok(()));
    let succeeded = "SELECT count(*) FROM backup_history WHERE status = 'succeeded'";
    assert_eq!(cluster.value("postgres", succeeded), "2");
    cluster.assert_clean();
}

#[test]
fn a_queued_job_that_was_given_an_id_is_interrupted_by_a_crash() {
    let mut cluster = Cluster::with(&["pg_backup.database_jobs = 1"]);
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.use_tool("pg_dump", LINGERING);
    let first = cluster.call_until_dumping("postgres", CREATE);
    let id = cluster.value("postgres", "SELECT backup_create(database => 'other', wait => false)");
    let status = format!("SELECT status FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &status), "queued");
    cluster.kill_postmaster();
    first.error();
    cluster.start_again();
    cluster.wait_for_status("interrupted");
    assert_eq!(cluster.value("postgres", &status), "interrupted");
    cluster.assert_clean();
}

/// Asks for a run while a backup of the same database is made; gives what its row says in the end.
fn refused(cluster: &Cluster, ask: &str) -> String {
    let hold = cluster.hold_dumps();
    let first = cluster.call_until_dumping("postgres", CREATE);
    let id = cluster.value("postgres", ask);
    let status = format!("SELECT status FROM backup_history WHERE id = {id}");
    wait_until("the end of the row", LIMIT, || cluster.value("postgres", &status) != "queued");
    let status = cluster.value("postgres", &status);
    drop(hold);
    assert_eq!(first.end(), Ok(()));
    cluster.assert_clean();
    status
}

#[test]
fn a_row_that_cannot_be_told_why_its_job_was_refused_is_settled() {
    let cluster = Cluster::start();
    let sql = "ALTER TABLE backup_runs ADD CONSTRAINT no CHECK (status <> 'skipped')";
    cluster.sql("postgres", sql);
    assert_eq!(refused(&cluster, "SELECT backup_create(wait => false)"), "interrupted");
}

#[test]
fn a_refused_run_of_a_schedule_that_is_gone_has_an_end() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *')");
    let ask = "CREATE FUNCTION ask() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE id bigint; \
               BEGIN id := backup_run('s', wait => false); CALL backup_unschedule('s'); \
               RETURN id; END $$; SELECT ask()";
    assert_eq!(refused(&cluster, ask), "skipped");
}

#[test]
fn a_backup_without_a_caller_outlives_the_session_that_started_it() {
    let cluster = Cluster::start();
    cluster.use_tool("pg_dump", LINGERING);
    cluster.sql("postgres", "SELECT backup_create(wait => false)");
    cluster.wait_for_phase("dumping");
    assert_eq!(cluster.last_backup().status, "running");
    let id = cluster.last_backup().id;
    assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({id})")), "t");
    cluster.assert_survived("cancelled");
}

#[test]
fn a_smart_shutdown_lets_a_backup_finish() {
    let mut cluster = Cluster::start();
    let gate = Gate::new(&cluster, "gate");
    cluster.use_tool("pg_dump", &gate.script_after());
    cluster.sql("postgres", "SELECT backup_create(wait => false)");
    cluster.wait_for_phase("dumping");
    signal(cluster.pid(), Signal::SIGTERM);
    cluster.wait_for_log("received smart shutdown request");
    gate.open();
    cluster.stop(Mode::Smart);
    cluster.start_again();
    let run = cluster.last_backup();
    assert_eq!(run.status, "succeeded", "{run:?}");
    cluster.sql("postgres", &format!("SELECT backup_verify({})", run.id));
    cluster.assert_clean();
}

#[test]
fn a_queued_job_whose_home_is_dropped_goes_without_a_trace() {
    for gone in sample(["DROP DATABASE home WITH (FORCE)", "DROP EXTENSION pg_backup"]) {
        let cluster = Cluster::with(&["pg_backup.database_jobs = 1"]);
        cluster.sql("postgres", "CREATE DATABASE home");
        cluster.sql("home", "CREATE EXTENSION pg_backup");
        // Not one in the middle of a COPY: DROP DATABASE waits for a session that cannot send.
        cluster.use_tool("pg_dump", LINGERING);
        let first = cluster.call_until_dumping("postgres", CREATE);
        cluster.use_real_tools();
        let queue = "SELECT backup_create(database => 'template1', wait => false)";
        cluster.sql("home", queue);
        let place = if gone.contains("DATABASE") { "postgres" } else { "home" };
        cluster.sql(place, gone);
        first.cancel();
        first.error();
        cluster.assert_clean();
        cluster.assert_next_backup_works();
        cluster.assert_clean();
    }
}

#[test]
fn jobs_without_a_row_are_not_cancelled_by_the_id_that_they_do_not_have() {
    let cluster = Cluster::with(&["pg_backup.database_jobs = 1"]);
    cluster.fill("app", 1, 1);
    let gate = Gate::new(&cluster, "gate");
    cluster.use_tool("pg_dump", &gate.script(20_000));
    let first = cluster.call_until_dumping("postgres", "SELECT backup_create(database => 'app')");
    let waiting = cluster.call("postgres", CREATE);
    let jobs = "SELECT count(*) FROM backup_progress";
    wait_until("two jobs", LIMIT, || cluster.value("postgres", jobs) == "2");
    for id in [0, -1] {
        assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({id})")), "f");
    }
    gate.open();
    assert_eq!((first.end(), waiting.end()), (Ok(()), Ok(())));
    cluster.assert_clean();
}

#[test]
fn queued_jobs_can_be_cancelled_and_the_others_go_on() {
    let cluster = Cluster::with(&["pg_backup.database_jobs = 1"]);
    cluster.sql("postgres", "CREATE DATABASE one");
    cluster.sql("postgres", "CREATE DATABASE two");
    cluster.use_tool("pg_dump", LINGERING);
    let first = cluster.call_until_dumping("postgres", CREATE);
    let queue = |database: &str| {
        let sql = format!("SELECT backup_create(database => '{database}', wait => false)");
        cluster.value("postgres", &sql)
    };
    let (one, two) = (queue("one"), queue("two"));
    let status = |id: &str| {
        let sql = format!("SELECT status FROM backup_history WHERE id = {id}");
        cluster.value("postgres", &sql)
    };
    assert_eq!((status(&one), status(&two)), ("queued".into(), "queued".into()));
    assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({one})")), "t");
    wait_until("the end of the cancelled one", LIMIT, || status(&one) == "cancelled");
    assert_eq!(status(&two), "queued");
    cluster.use_real_tools();
    first.cancel();
    assert_eq!(first.error().sqlstate, "57014");
    let wait = format!("SELECT backup_wait({two})");
    assert_eq!(cluster.value("postgres", &wait), "succeeded");
    cluster.assert_clean();
}
