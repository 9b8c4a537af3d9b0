//! A replace, a rollback or an acceptance that dies at any of its steps: the database answers under
//! its name, all old or all new, nothing is left that no row tells of, and the next one works.

use nix::sys::signal::Signal;
use pg_backup_tests::{Faults, LIMIT, NEW, OLD, crash_at, sample, signal, wait_until};

/// Where a replace can stop before the names are changed.
const BEFORE: [&str; 9] = [
    "before_create",
    "after_create",
    "after_pre_data",
    "after_data",
    "after_post_data",
    "loaded",
    "opened",
    "before_swap",
    "carried_over",
];

fn replace(id: &str) -> String {
    format!("CALL backup_restore({id}, replace => 'app')")
}

/// The server, or its runner alone, dies at `points`; `app` says `wanted` each time.
fn dies_at(points: &[&str], runner_only: bool, wanted: &str) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    for point in sample(points) {
        cluster.make_new();
        crash_at(&mut cluster, &faults, &replace(&id), point, runner_only);
        assert_eq!(cluster.assert_recovered("postgres", &id), wanted, "{point}");
    }
}

#[test]
fn a_server_that_dies_before_the_swap_leaves_the_live_database_and_nothing_else() {
    dies_at(&BEFORE[..4], false, NEW);
}

#[test]
fn a_server_that_dies_later_before_the_swap_leaves_the_live_database_and_nothing_else() {
    dies_at(&BEFORE[4..], false, NEW);
}

#[test]
fn a_runner_that_dies_before_the_swap_leaves_the_live_database_and_nothing_else() {
    dies_at(&BEFORE, true, NEW);
}

#[test]
fn a_server_or_runner_that_dies_after_the_swap_leaves_the_restored_database() {
    for runner_only in sample([false, true]) {
        dies_at(&["after_swap"], runner_only, OLD);
    }
}

/// A rollback or an acceptance (`call`) of a replace dies at `point`.
fn way_out_dies_at(call: &str, point: &str, runner_only: bool, wanted: &str) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    let run = cluster.value("postgres", &replace(&id));
    let call = format!("CALL backup_{call}({run})");
    crash_at(&mut cluster, &faults, &call, point, runner_only);
    assert_eq!(cluster.assert_recovered("postgres", &id), wanted, "{call} {point} {runner_only}");
}

#[test]
fn a_rollback_that_dies_has_happened_or_has_not() {
    let (opened, swapped) = (("rollback_opened", OLD), ("rollback_swapped", NEW));
    let cases = [(opened, false), (swapped, true), (swapped, false), (opened, true)];
    for ((point, wanted), runner_only) in sample(cases) {
        way_out_dies_at("rollback", point, runner_only, wanted);
    }
}

#[test]
fn an_acceptance_that_dies_has_happened() {
    for runner_only in sample([false, true]) {
        way_out_dies_at("accept", "kept_dropped", runner_only, OLD);
    }
}

#[test]
fn a_cancel_or_the_end_of_the_runner_before_the_swap_leaves_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    for point in sample(BEFORE) {
        for how in ["pg_cancel_backend", "pg_terminate_backend"] {
            faults.plant(point);
            let call = cluster.call("postgres", &replace(&id));
            let runner = faults.wait(point);
            cluster.sql("postgres", &format!("SELECT {how}({runner})"));
            faults.lift(point);
            let error = call.error();
            assert!(
                ["57014", "57P01"].contains(&error.sqlstate.as_str()),
                "{point} {how}: {error}"
            );
            assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
            assert_eq!(cluster.kept("postgres"), "", "{point} {how}");
        }
    }
    cluster.assert_clean();
    cluster.replace_app("postgres", &id);
}

#[test]
fn a_caller_that_dies_takes_its_restore_with_it_and_nothing_stays() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    for point in sample(["after_data", "before_swap"]) {
        faults.plant(point);
        let call = cluster.call("postgres", &replace(&id));
        faults.wait(point);
        cluster.sql("postgres", &format!("SELECT pg_terminate_backend({})", call.pid));
        call.error();
        faults.lift(point);
        wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
        assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
    }
    faults.plant("after_pre_data");
    let call = cluster.call("postgres", &replace(&id));
    faults.wait("after_pre_data");
    // The postmaster ends all the others, and begins again.
    signal(call.pid, Signal::SIGKILL);
    faults.lift("after_pre_data");
    call.error();
    assert_eq!(cluster.assert_recovered("postgres", &id), NEW);
}
