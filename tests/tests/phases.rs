//! Faults in phases other than a serial dump: while the job waits for locks, while pg_dump has
//! workers of its own, while one of the smaller tools is stuck.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Call, Cluster, Gate, LIMIT, Mode, STOPPED, bin, children_of, command_line, is_alive,
    processes_with, sample, signal, wait_until,
};

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
    for (fault, status) in sample(FAULTS) {
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
    for (fault, status) in sample(FAULTS) {
        cluster.use_tool(tool, STOPPED);
        let call = cluster.call("postgres", CREATE);
        wait_until(&format!("a stuck {tool}"), LIMIT, || !tools(&cluster, tool).is_empty());
        // A pg_dump that is about to connect may be the first to tell that the server is gone.
        cluster.wait_for_phase("verifying");
        happen(&mut cluster, call, fault);
        cluster.assert_survived(status);
    }
}

/// What finds the long values of a table is being rebuilt: a dump comes as far as to its rows.
const REBUILT: &str = "DO $$ DECLARE long regclass; BEGIN
    FOR long IN SELECT reltoastrelid FROM pg_class WHERE relname IN ('t1', 't2') LOOP
        EXECUTE format('REINDEX TABLE %s', long);
    END LOOP; END $$";

/// A parallel dump whose workers are stopped in the middle: the call, the leader, the workers.
/// `name` is one that no other dump in this cluster has.
fn parallel_dump(cluster: &Cluster, name: &str) -> (Call, i32, Vec<i32>) {
    let gate = Gate::new(cluster, name);
    cluster.use_tool("pg_dump", &gate.script_before("--jobs=2"));
    let sql = "SELECT backup_create(database => 'app', jobs => 2, compression => 'none')";
    let call = cluster.call("postgres", sql);
    wait_until("pg_dump", LIMIT, || !tools(cluster, "--jobs=2").is_empty());
    let mut holder = cluster.connect("app");
    holder.batch_execute(&format!("BEGIN; {REBUILT}")).unwrap();
    gate.open();
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND query LIKE 'COPY %'";
    wait_until("two workers in a COPY", LIMIT, || cluster.value("postgres", waiting) == "2");
    let real = bin("pg_dump").display().to_string();
    let family = tools(cluster, "--jobs=2").into_iter();
    let mut family = family.filter(|pid| command_line(*pid).starts_with(&real));
    let leader = family.find(|pid| !children_of(*pid).is_empty()).expect("the leader has workers");
    let workers = children_of(leader);
    assert_eq!(workers.len(), 2);
    workers.iter().for_each(|pid| signal(*pid, Signal::SIGSTOP));
    (call, leader, workers)
}

#[test]
fn the_workers_of_a_parallel_dump_go_with_it() {
    let mut cluster = Cluster::start();
    cluster.fill("app", 2, 1);
    for (fault, status) in sample(FAULTS) {
        let (call, leader, workers) = parallel_dump(&cluster, fault);
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
    let (call, leader, _) = parallel_dump(&cluster, "killed");
    signal(leader, Signal::SIGKILL);
    let error = call.error();
    assert!(error.message.contains("pg_dump was ended by signal 9"), "{error}");
    cluster.assert_survived("failed");
}
