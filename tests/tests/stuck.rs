//! Faults of everything around a pg_dump that is stuck: one that lingers, one that is stopped, one
//! that is deaf to signals. The server goes on or starts again, the row says how it ended, and
//! nothing is left.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Cluster, DEAF, LIMIT, LINGERING, Mode, STOPPED, is_alive, sample, signal, wait_until,
};
use std::time::Duration;

const CREATE: &str = "SELECT backup_create()";
/// What pg_dump does while the fault happens.
const CHILDREN: [&str; 3] = [LINGERING, STOPPED, DEAF];
/// Stopping takes a child's grace of two seconds at most, and some time on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_crash_of_an_unrelated_backend_interrupts_the_backup() {
    let cluster = Cluster::start();
    let postmaster = cluster.pid();
    for script in sample(CHILDREN) {
        cluster.use_tool("pg_dump", script);
        let bystander = cluster.call("postgres", "SELECT pg_sleep(1000)");
        let call = cluster.call_until_dumping("postgres", CREATE);
        signal(bystander.pid, Signal::SIGKILL);
        bystander.error();
        call.error();
        cluster.assert_survived("interrupted");
        assert!(is_alive(postmaster), "the server restarts itself");
    }
}

#[test]
fn a_runner_that_is_killed_leaves_nothing() {
    let cluster = Cluster::start();
    for script in sample(CHILDREN) {
        cluster.use_tool("pg_dump", script);
        let call = cluster.call_until_dumping("postgres", CREATE);
        signal(cluster.wait_for_runner(), Signal::SIGKILL);
        call.error();
        cluster.assert_survived("interrupted");
    }
}

#[test]
fn a_runner_that_is_terminated_says_so() {
    let cluster = Cluster::start();
    for script in sample(CHILDREN) {
        cluster.use_tool("pg_dump", script);
        let call = cluster.call_until_dumping("postgres", CREATE);
        let runner = cluster.wait_for_runner();
        cluster.sql("postgres", &format!("SELECT pg_terminate_backend({runner})"));
        let error = call.error();
        assert_eq!(error.sqlstate, "57P01", "{error}");
        let run = cluster.assert_survived("interrupted");
        assert_eq!((run.error, run.hint.is_empty()), (error.message, false));
    }
}

#[test]
fn a_runner_that_is_cancelled_says_so() {
    let cluster = Cluster::start();
    for script in sample(CHILDREN) {
        cluster.use_tool("pg_dump", script);
        let call = cluster.call_until_dumping("postgres", CREATE);
        let runner = cluster.wait_for_runner();
        cluster.sql("postgres", &format!("SELECT pg_cancel_backend({runner})"));
        let error = call.error();
        assert_eq!(error.sqlstate, "57014", "{error}");
        assert_eq!(cluster.assert_survived("cancelled").error, error.message);
    }
}

#[test]
fn a_caller_that_is_terminated_takes_its_backup_with_it() {
    let cluster = Cluster::start();
    for script in sample(CHILDREN) {
        cluster.use_tool("pg_dump", script);
        let call = cluster.call_until_dumping("postgres", CREATE);
        cluster.sql("postgres", &format!("SELECT pg_terminate_backend({})", call.pid));
        call.error();
        cluster.assert_survived("cancelled");
    }
}

/// One fault of the whole server, with nobody waiting for the backup.
fn fault_of_the_server(fault: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::start();
    for script in CHILDREN {
        cluster.use_tool("pg_dump", script);
        cluster.sql("postgres", "SELECT backup_create(wait => false)");
        cluster.wait_for_phase("dumping");
        fault(&mut cluster);
        cluster.start_again();
        cluster.assert_survived("interrupted");
    }
}

#[test]
fn a_fast_shutdown_ends_a_backup() {
    fault_of_the_server(|cluster| {
        let took = cluster.stop(Mode::Fast);
        assert!(took < STOP_LIMIT, "{took:?}");
    });
}

#[test]
fn an_immediate_shutdown_ends_a_backup() {
    fault_of_the_server(|cluster| {
        let took = cluster.stop(Mode::Immediate);
        assert!(took < STOP_LIMIT, "{took:?}");
    });
}

#[test]
fn a_postmaster_that_is_killed_leaves_no_process_and_can_start_again() {
    fault_of_the_server(Cluster::kill_postmaster);
}

#[test]
fn a_verification_that_dies_is_interrupted_and_its_backup_stays_as_it_was() {
    let mut cluster = Cluster::start();
    cluster.sql("postgres", CREATE);
    let backup = "SELECT status, file, file_state, verified_at, sha256 FROM backup_history \
                  WHERE id = 1";
    let before = cluster.sql("postgres", backup);
    cluster.use_tool("pg_restore", STOPPED);
    let verifying = |cluster: &Cluster| {
        let call = cluster.call("postgres", "SELECT backup_verify(1, 'read')");
        cluster.wait_for_phase("verifying");
        call
    };
    let call = verifying(&cluster);
    signal(cluster.wait_for_runner(), Signal::SIGKILL);
    call.error();
    cluster.wait_for_launcher(0, STOP_LIMIT);
    let call = verifying(&cluster);
    cluster.stop(Mode::Fast);
    call.error();
    cluster.start_again();
    let call = verifying(&cluster);
    cluster.kill_postmaster();
    call.error();
    cluster.start_again();
    let ended = "SELECT count(*) FROM backup_history WHERE kind = 'verify' \
                 AND status = 'interrupted'";
    wait_until("three interrupted verifications", LIMIT, || {
        cluster.value("postgres", ended) == "3"
    });
    assert_eq!(cluster.sql("postgres", backup), before);
    cluster.assert_clean();
    cluster.use_real_tools();
    let good = "SELECT bool_and(ok) FROM backup_verify(1, 'read')";
    assert_eq!(cluster.value("postgres", good), "t");
}
