//! Faults in phases other than a serial dump: while the job waits for locks, while pg_dump has
//! workers of its own, while one of the smaller tools is stuck.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Call, Cluster, LIMIT, Mode, STOPPED, bin, command_line, is_alive, processes_with, signal,
    wait_for, wait_until,
};
use std::fs;

const CREATE: &str = "SELECT backup_create()";

/// What can end a job before its time, and the status that it leaves.
const FAULTS: [(&str, &str); 5] = [
    ("cancel", "cancelled"),
    ("terminate", "interrupted"),
    ("kill", "interrupted"),
    ("shutdown", "interrupted"),
    ("crash", "interrupted"),
];

/// Lets `fault` happen to the one job, whose caller is `call`.
fn happen(cluster: &mut Cluster, call: Call, fault: &str) {
    match fault {
        "cancel" => call.cancel(),
        "terminate" => {
            let runner = cluster.wait_for_runner();
            cluster.sql("postgres", &format!("SELECT pg_terminate_backend({runner})"));
        }
        "kill" => signal(cluster.wait_for_runner(), Signal::SIGKILL),
        "shutdown" => drop(cluster.stop(Mode::Fast)),
        _ => cluster.kill_postmaster(),
    }
    call.error();
    if ["shutdown", "crash"].contains(&fault) {
        cluster.start_again();
    }
}

/// Processes of a tool, by a part of their command lines.
fn tools(cluster: &Cluster, words: &str) -> Vec<i32> {
    let found = processes_with(cluster.name()).into_iter();
    found.filter(|pid| command_line(*pid).contains(words)).collect()
}

#[test]
fn a_job_that_waits_for_a_lock_can_end_in_every_way() {
    let mut cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
    for (fault, status) in FAULTS {
        let mut holder = cluster.connect("postgres");
        holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").unwrap();
        let call = cluster.call("postgres", CREATE);
        cluster.wait_for_phase("locking");
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND application_name LIKE 'pg\\_backup%'";
        wait_until("the job to wait", LIMIT, || cluster.value("postgres", waiting) == "1");
        happen(&mut cluster, call, fault);
        drop(holder);
        let run = cluster.assert_survived(status);
        assert!(run.file.is_empty(), "{fault}");
    }
}

#[test]
fn a_stuck_pg_dumpall_goes_with_its_job() {
    stuck_tool("pg_dumpall");
}

#[test]
fn a_stuck_pg_restore_goes_with_its_job() {
    stuck_tool("pg_restore");
}

fn stuck_tool(tool: &str) {
    let mut cluster = Cluster::start();
    for (fault, status) in FAULTS {
        cluster.use_tool(tool, STOPPED);
        let call = cluster.call("postgres", CREATE);
        wait_until(&format!("a stuck {tool}"), LIMIT, || !tools(&cluster, tool).is_empty());
        happen(&mut cluster, call, fault);
        cluster.assert_survived(status);
    }
}

/// A real pg_dump, with somebody beside it who stops its two workers as soon as they are there.
const HELD: &str = "#!/bin/bash
hold() {
    while [ $# -lt 3 ]; do
        [ -e /proc/$$ ] || exit
        read -r pids < /proc/$$/task/$$/children
        set -- $pids
    done
    for pid; do [ $pid = $BASHPID ] || kill -STOP $pid; done
}
case \"$*\" in *--jobs=2*) hold & esac
exec \"$REAL\" \"$@\"";

/// A parallel dump whose workers are stopped in the middle: the call, the leader, the workers.
fn parallel_dump(cluster: &Cluster) -> (Call, i32, Vec<i32>) {
    cluster.use_tool("pg_dump", HELD);
    let sql = "SELECT backup_create(database => 'app', jobs => 2, compression => 'none')";
    let call = cluster.call("postgres", sql);
    let is_stopped = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(") T ")
    };
    let (workers, leader) = wait_for("pg_dump with two workers", LIMIT, || {
        let real = bin("pg_dump").display().to_string();
        let family = tools(cluster, "--jobs=2").into_iter();
        let family = family.filter(|pid| command_line(*pid).starts_with(&real));
        let (workers, others): (Vec<i32>, Vec<i32>) = family.partition(is_stopped);
        (workers.len() == 2).then_some((workers, others))
    });
    assert_eq!(leader.len(), 1);
    (call, leader[0], workers)
}

#[test]
fn the_workers_of_a_parallel_dump_go_with_it() {
    let mut cluster = Cluster::start();
    cluster.fill("app", 2, 1);
    for (fault, status) in FAULTS {
        let (call, leader, workers) = parallel_dump(&cluster);
        // Their leader is killed with the runner. They see it when they can: a stopped one cannot.
        let waker = std::thread::spawn(move || {
            wait_until("the leader's end", LIMIT, || !is_alive(leader));
            workers.iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
        });
        happen(&mut cluster, call, fault);
        waker.join().unwrap();
        cluster.assert_survived(status);
    }
}

#[test]
fn a_leader_of_a_parallel_dump_that_is_killed_takes_its_workers_along() {
    let cluster = Cluster::start();
    cluster.fill("app", 2, 1);
    let (call, leader, _) = parallel_dump(&cluster);
    signal(leader, Signal::SIGKILL);
    let error = call.error();
    assert!(error.message.contains("pg_dump was ended by signal 9"), "{error}");
    cluster.assert_survived("failed");
}
