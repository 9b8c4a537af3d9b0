//! Restores that fail, are cancelled or die: nothing is left of them.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, is_alive, signal, wait_until};

/// Names of the databases that are there beside those of the cluster.
fn databases(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database \
               WHERE datname NOT IN ('postgres', 'template0', 'template1')";
    cluster.value("postgres", sql)
}

/// The last restore in the history: status and error.
fn last_restore(cluster: &Cluster) -> String {
    let sql = "SELECT concat_ws(': ', status, error) FROM backup_history \
               WHERE kind = 'restore' LIMIT 1";
    cluster.value("postgres", sql)
}

/// A backup of `app`; gives its id.
fn backed_up(cluster: &Cluster, options: &str) -> String {
    cluster.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"))
}

#[test]
fn a_restore_that_fails_leaves_no_database() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    // Dies when it has written the rows.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n\"$REAL\" \"$@\" || exit 1\n[[ \"$*\" == *section=data* ]] && exit 1\nexit 0",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "38000", "{error}");
    assert!(error.message.contains("pg_restore"), "{error}");
    assert_eq!(databases(&cluster), "app");
    cluster.use_real_tools();
    // Says that all is well, and has not written any.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n[[ \"$*\" == *section=data* ]] && { cat >/dev/null; exit 0; }\nexec \"$REAL\" \"$@\"",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "XX001", "{error}");
    assert!(error.detail.contains("0 rows, not"), "{error}");
    assert_eq!(databases(&cluster), "app");
    cluster.use_real_tools();
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    cluster.assert_clean();
}

#[test]
fn a_restore_is_seen_and_can_be_cancelled() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    faults.wait("after_data");
    let seen = "SELECT concat_ws(' ', kind, database, phase) FROM backup_progress";
    assert_eq!(cluster.value("postgres", seen), "restore copy data");
    let closed = "SELECT datconnlimit FROM pg_database WHERE datname = 'copy'";
    assert_eq!(cluster.value("postgres", closed), "0");
    call.cancel();
    faults.lift("after_data");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(databases(&cluster), "app");
    assert!(last_restore(&cluster).starts_with("cancelled"));
}

/// Kills the postmaster, and then the runner, which stands at a fault point and cannot see it.
fn kill_all(cluster: &mut Cluster, runner: i32) {
    let postmaster = cluster.pid();
    let killer = std::thread::spawn(move || {
        wait_until("the postmaster's end", LIMIT, || !is_alive(postmaster));
        signal(runner, Signal::SIGKILL);
    });
    cluster.kill_postmaster();
    killer.join().unwrap();
}

/// What the server does when a restore stands at `point`.
fn crash_at(point: &str) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    let content = cluster.fingerprint("app");
    faults.plant(point);
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    let runner = faults.wait(point);
    kill_all(&mut cluster, runner);
    faults.lift(point);
    call.error();
    cluster.start_again();
    wait_until("the end of recovery", LIMIT, || last_restore(&cluster).starts_with("interrupted"));
    assert_eq!(databases(&cluster), "app", "{point}");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.fingerprint("copy"), content);
    cluster.restart(Mode::Fast);
    assert_eq!(databases(&cluster), "app copy", "a restore that succeeded stays");
}

#[test]
fn a_crash_before_the_database_is_there_leaves_nothing() {
    crash_at("before_create");
}

#[test]
fn a_crash_right_after_the_database_was_made_leaves_nothing() {
    crash_at("after_create");
}

#[test]
fn a_crash_between_the_sections_leaves_nothing() {
    crash_at("after_pre_data");
}

#[test]
fn a_crash_before_the_database_is_opened_leaves_nothing() {
    crash_at("loaded");
}

#[test]
fn a_crash_while_a_restore_is_rehearsed_leaves_no_scratch_database() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
    let runner = faults.wait("after_data");
    assert!(databases(&cluster).contains("pg_backup_verify_"));
    kill_all(&mut cluster, runner);
    faults.lift("after_data");
    call.error();
    cluster.start_again();
    wait_until("the end of recovery", LIMIT, || databases(&cluster) == "app");
    let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &state), "available");
}

#[test]
fn schedules_in_a_database_begin_when_its_restore_is_complete_and_not_before() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    cluster.make_everything("app");
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    cluster.schedule("app", "'s', 'hourly', 'UTC'");
    let id = backed_up(&cluster, "");
    cluster.sql("postgres", "DROP DATABASE app WITH (FORCE)");
    // In the copy it is due at once.
    faults.set_time(&cluster, "2027-01-10 04:30:00+00");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    faults.wait("after_data");
    // The launcher has been told of the rows, and has had the time to look.
    cluster.sql("postgres", "CALL backup_schedule('t', 'hourly', timezone => 'UTC')");
    cluster.sql("postgres", "SELECT backup_run('t')");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM backup_runs"), "0");
    faults.lift("after_data");
    call.end().unwrap();
    let runs = cluster.wait_for_runs("app", "s", 1);
    assert_eq!((runs.len(), runs[0].status.as_str()), (1, "succeeded"), "{runs:?}");
}
