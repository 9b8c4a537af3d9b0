//! The database that is replaced holds the history itself: its row is carried to the other one on
//! the way. Whatever dies, the history that answers afterwards tells what has happened.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, NEW, OLD, sample, signal, wait_until};

/// `app` with the extension, and the id of its backup that says `OLD`.
fn at_home(faults: &Faults) -> (Cluster, String) {
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    // An archive of it that holds the extension.
    cluster.psql(
        "app",
        "CREATE EXTENSION pg_backup; UPDATE age SET says = 'old'; TRUNCATE filler; \
         INSERT INTO filler SELECT i, '' FROM generate_series(1, 500) i",
    );
    let id = cluster.value("app", "SELECT backup_create()");
    cluster.make_new();
    (cluster, id)
}

/// Kills the server, or the runner alone, when the job of `call` in `app` stands at `point`.
fn dies(cluster: &mut Cluster, faults: &Faults, call: &str, point: &str, runner_only: bool) {
    faults.plant(point);
    cluster.psql("app", call);
    let runner = faults.wait(point);
    if runner_only {
        signal(runner, Signal::SIGKILL);
        faults.lift(point);
    } else {
        cluster.kill_with_runner(runner);
        faults.lift(point);
        cluster.start_again();
    }
    let answers = || cluster.ask("app", "SELECT 1").is_some();
    wait_until("a server that answers", LIMIT, answers);
}

/// Ids and kinds of the history of `app`, which never shrinks.
fn count(cluster: &Cluster) -> usize {
    cluster.value("app", "SELECT count(*) FROM backup_history").parse().unwrap()
}

fn replace_dies_at(point: &str, wanted: &str, status: &str) {
    for runner_only in sample([false, true]) {
        let faults = Faults::default();
        let (mut cluster, id) = at_home(&faults);
        let call = format!("CALL backup_restore({id}, replace => 'app')");
        dies(&mut cluster, &faults, &call, point, runner_only);
        assert_eq!(cluster.assert_accounted_for("app"), wanted, "{point}");
        assert_eq!(cluster.last_restore("app").split(':').next(), Some(status), "{point}");
        assert_eq!(count(&cluster), 2, "{point}");
        cluster.accept_all("app");
        assert_eq!(cluster.databases(), "app", "{point}");
        // From inside again, to its end.
        cluster.make_new();
        cluster.psql("app", &call);
        cluster.wait_for_restore("app", &["manual succeeded".to_owned()]);
        wait_until("the swap", LIMIT, || {
            !cluster.kept("app").is_empty() && cluster.age("app") == OLD
        });
    }
}

#[test]
fn a_crash_in_the_middle_of_a_restore_is_told_as_interrupted() {
    replace_dies_at("after_data", NEW, "manual interrupted");
}

#[test]
fn a_crash_after_the_history_was_carried_over_is_told_as_interrupted() {
    replace_dies_at("carried_over", NEW, "manual interrupted");
}

#[test]
fn a_crash_right_after_the_swap_is_told_as_succeeded() {
    replace_dies_at("after_swap", OLD, "manual succeeded");
}

#[test]
fn a_crash_in_a_rollback_is_told_as_what_it_came_to() {
    let opened = ("rollback_opened", OLD, "rollback interrupted");
    let swapped = ("rollback_swapped", NEW, "rollback succeeded");
    let cases = [(opened, false), (swapped, true), (swapped, false), (opened, true)];
    for ((point, wanted, status), runner_only) in sample(cases) {
        let faults = Faults::default();
        let (mut cluster, id) = at_home(&faults);
        cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
        wait_until("the swap", LIMIT, || {
            cluster.ask("app", "SELECT count(*) FROM backup_rollback_points")
                == Some("1".to_owned())
        });
        // The row is there before the job has ended, and two at once are refused.
        cluster.wait_until_idle();
        dies(&mut cluster, &faults, "CALL backup_rollback(2)", point, runner_only);
        assert_eq!(cluster.assert_accounted_for("app"), wanted, "{point}");
        assert_eq!(cluster.last_restore("app").split(':').next(), Some(status), "{point}");
        assert_eq!(count(&cluster), 3, "{point}");
        cluster.accept_all("app");
        assert_eq!(cluster.databases(), "app", "{point}");
    }
}

#[test]
fn a_job_that_waits_while_its_home_is_replaced_is_known_in_the_new_one() {
    let faults = Faults::default();
    let (cluster, id) = at_home(&faults);
    cluster.set("pg_backup.database_jobs", "1");
    faults.plant("loaded");
    faults.plant("after_swap");
    cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    faults.wait("loaded");
    let waiting = "SELECT backup_create(database => 'postgres', wait => false)";
    let waiting = cluster.value("app", waiting);
    faults.lift("loaded");
    faults.wait("after_swap");
    assert_eq!(cluster.age("app"), OLD);
    assert_eq!(cluster.value("app", &format!("SELECT backup_cancel({waiting})")), "t");
    faults.lift("after_swap");
    let status = format!("SELECT status FROM backup_history WHERE id = {waiting}");
    wait_until("its end", LIMIT, || cluster.ask("app", &status).as_deref() == Some("cancelled"));
}

#[test]
fn what_is_recorded_while_the_history_is_carried_over_is_not_lost() {
    let faults = Faults::default();
    let (cluster, id) = at_home(&faults);
    faults.plant("carried_over");
    cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    faults.wait("carried_over");
    // Either it waits, and fails at the swap, or it is there afterwards.
    let schedule = "CALL backup_schedule('late', '0 3 29 2 *', timezone => 'UTC', keep_last => 1)";
    let late = cluster.call("app", &format!("SET lock_timeout = '2s'; {schedule}"));
    let backup = cluster.call("app", "SELECT backup_create(database => 'postgres')");
    wait_until("the ends of both", LIMIT, || late.has_ended() && backup.has_ended());
    faults.lift("carried_over");
    let (late, backup) = (late.end().is_ok(), backup.end().is_ok());
    cluster.wait_for_restore("app", &["manual succeeded".to_owned()]);
    wait_until("the swap", LIMIT, || {
        cluster.ask("app", "SELECT says FROM age") == Some(OLD.into())
    });
    let sql = "SELECT (SELECT count(*) FROM backup_schedules) || ' ' || count(*) \
               FROM backup_history WHERE database = 'postgres'";
    let wanted = format!("{} {}", u8::from(late), u8::from(backup));
    assert_eq!(cluster.value("app", sql), wanted);
}

#[test]
fn a_restore_into_its_home_that_is_refused_has_an_end() {
    let faults = Faults::default();
    let (cluster, id) = at_home(&faults);
    faults.plant("archive_unfinished");
    let backup = cluster.call("app", "SELECT backup_create()");
    faults.wait("archive_unfinished");
    cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    cluster.wait_for_restore("app", &["manual skipped".to_owned()]);
    faults.lift("archive_unfinished");
    assert_eq!(backup.end(), Ok(()));
    assert_eq!(cluster.databases(), "app");
}
