//! A crash, a kill, a termination or a cancel at each step where the file and its row could come
//! apart: after the next start the two agree.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, names_below, sample, signal, wait_until};
use std::path::PathBuf;

const CREATE: &str = "SELECT backup_create()";
/// Nothing has the archive's name yet.
const BEFORE: [&str; 2] = ["archive_unfinished", "before_rename"];

/// Starts `sql`, and crashes the server when its job stands at `point`.
fn crash_at(cluster: &mut Cluster, faults: &Faults, sql: &str, point: &str) {
    faults.plant(point);
    let call = cluster.call("postgres", sql);
    let runner = faults.wait(point);
    cluster.kill_with_runner(runner);
    faults.lift(point);
    call.error();
}

/// The newest backup is good: its row, its file, and a verification of every byte.
fn assert_good(cluster: &Cluster) {
    let run = cluster.wait_for_status("succeeded");
    assert!(cluster.archive(&run).exists(), "{run:?}");
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({}, 'read')", run.id);
    assert_eq!(cluster.value("postgres", &verify), "t");
    let sums = "SELECT size_bytes > 0 AND sha256 IS NOT NULL AND file_state = 'available' \
                AND error IS NULL FROM backup_history WHERE kind = 'backup' LIMIT 1";
    assert_eq!(cluster.value("postgres", sums), "t");
}

/// A backup to delete, and its file.
fn a_backup(cluster: &Cluster) -> (i64, PathBuf) {
    cluster.sql("postgres", CREATE);
    let run = cluster.last_backup();
    (run.id, cluster.archive(&run))
}

fn file_state(cluster: &Cluster, id: i64) -> String {
    let sql = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    cluster.value("postgres", &sql)
}

/// The deletion of `id` has come to its end.
fn assert_deleted(cluster: &Cluster, id: i64, file: &std::path::Path) {
    wait_until("the end of the deletion", LIMIT, || file_state(cluster, id) == "deleted");
    assert!(!file.exists());
    assert_eq!(cluster.last_backup().status, "succeeded", "the row of the backup stays");
    cluster.assert_clean();
    cluster.assert_next_backup_works();
}

#[test]
fn a_crash_before_the_rename_keeps_nothing() {
    for format in ["plain", "directory"] {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&[]);
        let sql = format!("SELECT backup_create(format => '{format}')");
        for point in sample(BEFORE) {
            crash_at(&mut cluster, &faults, &sql, point);
            assert_eq!(cluster_files(&cluster).len(), 1, "the crash left the partial file");
            cluster.start_again();
            cluster.assert_survived("interrupted");
            let id = cluster.last_backup().id;
            cluster.sql("postgres", &format!("CALL backup_delete({id})"));
        }
    }
}

/// Partial and published archives, without the folders and locks around them.
fn cluster_files(cluster: &Cluster) -> Vec<String> {
    let names = names_below(&cluster.backup_dir());
    names.into_iter().filter(|name| name.contains(".zip") && !name.contains(".work")).collect()
}

#[test]
fn a_damaged_file_found_after_a_crash_is_not_called_a_backup() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    crash_at(&mut cluster, &faults, CREATE, "after_rename");
    let file = cluster_files(&cluster).pop().unwrap();
    let path = cluster.backup_dir().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    cluster.start_again();
    assert_eq!(cluster.wait_for_status("interrupted").file, "");
    cluster.assert_next_backup_works();
}

#[test]
fn a_second_crash_during_recovery_changes_nothing() {
    for (point, status) in sample([("before_rename", "interrupted"), ("after_rename", "succeeded")])
    {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&["max_prepared_transactions = 1"]);
        faults.plant(point);
        let call = cluster.call("postgres", CREATE);
        let runner = faults.wait(point);
        // It survives the crash, and keeps the recovery waiting.
        cluster.sql(
            "postgres",
            "BEGIN; LOCK TABLE backup_runs IN SHARE MODE; PREPARE TRANSACTION 'in the way'",
        );
        cluster.kill_with_runner(runner);
        faults.lift(point);
        call.error();
        for _ in 0..2 {
            cluster.start_again();
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                           AND application_name = 'pg_backup launcher'";
            wait_until("the waiting recovery", LIMIT, || cluster.value("postgres", waiting) == "1");
            assert_ne!(cluster.last_backup().status, status, "it cannot have been told yet");
            cluster.kill_postmaster();
        }
        cluster.start_again();
        cluster.sql("postgres", "ROLLBACK PREPARED 'in the way'");
        cluster.wait_for_status(status);
        cluster.assert_clean();
        cluster.assert_next_backup_works();
    }
}

#[test]
fn a_run_that_ends_while_the_launcher_looks_keeps_its_end() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    faults.plant("archive_unfinished");
    let call = cluster.call("postgres", CREATE);
    faults.wait("archive_unfinished");
    faults.plant("settling");
    let launcher = cluster.wait_for_launcher(0, LIMIT);
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend({launcher})"));
    // The next one has read that it is running.
    faults.wait("settling");
    faults.lift("archive_unfinished");
    assert_eq!(call.end(), Ok(()));
    faults.lift("settling");
    cluster.assert_next_backup_works();
    let statuses = "SELECT string_agg(status, ' ') FROM backup_history";
    assert_eq!(cluster.value("postgres", statuses), "succeeded succeeded");
    cluster.assert_clean();
}

#[test]
fn an_archive_is_not_read_for_a_row_that_is_locked() {
    let faults = Faults::default();
    let cluster = faults.cluster(&["max_prepared_transactions = 1"]);
    faults.plant("after_rename");
    let call = cluster.call("postgres", CREATE);
    let runner = faults.wait("after_rename");
    cluster.sql(
        "postgres",
        "BEGIN; LOCK TABLE backup_runs IN SHARE MODE; PREPARE TRANSACTION 'in the way'",
    );
    faults.plant("settle_hash");
    signal(runner, Signal::SIGKILL);
    faults.lift("after_rename");
    call.error();
    cluster.wait_for_log("canceling statement due to lock timeout");
    cluster.sql("postgres", "ROLLBACK PREPARED 'in the way'");
    faults.wait("settle_hash");
    faults.lift("settle_hash");
    assert_good(&cluster);
    cluster.assert_clean();
}

#[test]
fn what_lies_on_a_disk_that_is_not_mounted_is_left_for_the_next_start() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let (id, file) = a_backup(&cluster);
    let folder = file.ancestors().nth(2).expect("the server's own");
    let elsewhere = folder.with_extension("away");
    crash_at(&mut cluster, &faults, CREATE, "after_rename");
    std::fs::rename(folder, &elsewhere).unwrap();
    cluster.start_again();
    cluster.wait_for_log("could not find out what became of run");
    assert_eq!(cluster.last_backup().status, "verifying");
    cluster.kill_postmaster();
    std::fs::rename(&elsewhere, folder).unwrap();
    cluster.start_again();
    assert_good(&cluster);

    crash_at(&mut cluster, &faults, &format!("CALL backup_delete({id})"), "before_unlink");
    std::fs::rename(folder, &elsewhere).unwrap();
    cluster.start_again();
    cluster.wait_for_log("The folder of all archives of its server is not there either");
    assert_eq!(file_state(&cluster, id), "deleting");
    cluster.kill_postmaster();
    std::fs::rename(&elsewhere, folder).unwrap();
    cluster.start_again();
    assert_deleted(&cluster, id, &file);
}

#[test]
fn a_runner_that_is_killed_at_any_step_leaves_file_and_row_in_agreement() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    for (point, status) in sample([
        ("archive_unfinished", "interrupted"),
        ("before_rename", "interrupted"),
        ("after_rename", "succeeded"),
    ]) {
        faults.plant(point);
        let call = cluster.call("postgres", CREATE);
        signal(faults.wait(point), Signal::SIGKILL);
        faults.lift(point);
        call.error();
        cluster.wait_for_status(status);
        cluster.assert_clean();
        cluster.assert_next_backup_works();
    }
}

#[test]
fn a_cancel_before_the_rename_keeps_nothing_and_after_it_comes_too_late() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    for point in sample([BEFORE[0], BEFORE[1], "after_rename"]) {
        for how in
            ["backup_cancel(ID)", "pg_cancel_backend(RUNNER)", "pg_terminate_backend(RUNNER)"]
        {
            faults.plant(point);
            let call = cluster.call("postgres", CREATE);
            let runner = faults.wait(point);
            let id = cluster.value("postgres", "SELECT id FROM backup_progress");
            let how = how.replace("ID", &id).replace("RUNNER", &runner.to_string());
            assert_eq!(cluster.value("postgres", &format!("SELECT {how}")), "t");
            faults.lift(point);
            if point == "after_rename" {
                assert_eq!(call.end(), Ok(()), "{how} at {point}");
                assert_good(&cluster);
                cluster.assert_clean();
            } else {
                call.error();
                let terminated = how.starts_with("pg_terminate");
                cluster.assert_survived(if terminated { "interrupted" } else { "cancelled" });
            }
        }
    }
}

#[test]
fn a_deletion_that_has_begun_is_finished_whoever_cancels_it() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    for point in sample(["before_unlink", "after_unlink"]) {
        for how in ["pg_cancel_backend", "pg_terminate_backend"] {
            let (id, file) = a_backup(&cluster);
            faults.plant(point);
            let call = cluster.call("postgres", &format!("CALL backup_delete({id})"));
            let runner = faults.wait(point);
            cluster.sql("postgres", &format!("SELECT {how}({runner})"));
            faults.lift(point);
            let end = call.end();
            wait_until("the end of the deletion", LIMIT, || file_state(&cluster, id) != "deleting");
            let kept = file_state(&cluster, id) == "available";
            assert_eq!(file.exists(), kept, "{how} at {point}: {end:?}");
            assert!(!kept || point == "before_unlink", "{how} at {point}: {end:?}");
            cluster.assert_clean();
        }
    }
}

#[test]
fn a_runner_that_is_killed_while_deleting_is_followed_by_the_end_of_the_deletion() {
    for point in sample(["before_unlink", "after_unlink"]) {
        let faults = Faults::default();
        let cluster = faults.cluster(&[]);
        let (id, file) = a_backup(&cluster);
        faults.plant(point);
        let call = cluster.call("postgres", &format!("CALL backup_delete({id})"));
        signal(faults.wait(point), Signal::SIGKILL);
        faults.lift(point);
        call.error();
        cluster.wait_for_status("succeeded");
        assert_deleted(&cluster, id, &file);
    }
}
