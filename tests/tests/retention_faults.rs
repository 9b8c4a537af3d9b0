//! What goes wrong while archives are pruned: row and file agree afterwards, or the row says
//! `deleting` and the next retention finishes it.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Cluster, Faults, LIMIT, give_to_server, is_alive, sample, signal, wait_until,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const PRUNE: &str = "CALL backup_prune('s')";
const KEEP_ONE: &str = "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)";

fn state(cluster: &Cluster, id: i64) -> String {
    cluster.value("postgres", &format!("SELECT file_state FROM backup_history WHERE id = {id}"))
}

/// Three backups of the schedule `s`, whose policy has just become to keep one; oldest first.
fn three(cluster: &Cluster) -> Vec<(i64, PathBuf)> {
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *')");
    let backup = |_| {
        cluster.sql("postgres", "SELECT backup_run('s')");
        let run = cluster.last_backup();
        (run.id, cluster.archive(&run))
    };
    let backups = (0..3).map(backup).collect();
    cluster.psql("postgres", KEEP_ONE);
    backups
}

/// Status and text of the last prune.
fn last_prune(cluster: &Cluster) -> Vec<String> {
    let sql = "SELECT status, error, error_detail, error_hint FROM backup_history \
               WHERE kind = 'prune' LIMIT 1";
    let row = cluster.sql("postgres", sql).into_iter().next().expect("there is a prune");
    row.into_iter().map(Option::unwrap_or_default).collect()
}

/// Crashes the server when a pruning stands at `point`; see tests/crash_points.rs.
fn crash_at(cluster: &mut Cluster, faults: &Faults, sql: &str, point: &str) {
    faults.plant(point);
    let call = cluster.call("postgres", sql);
    let (runner, postmaster) = (faults.wait(point), cluster.pid());
    let killer = std::thread::spawn(move || {
        wait_until("the postmaster's end", LIMIT, || !is_alive(postmaster));
        signal(runner, Signal::SIGKILL);
    });
    cluster.kill_postmaster();
    killer.join().expect("it has ended");
    faults.lift(point);
    call.error();
}

#[test]
fn a_crash_in_the_middle_of_pruning_is_finished_after_the_start() {
    for (point, is_there) in sample([("before_prune", true), ("after_prune", false)]) {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&[]);
        let backups = three(&cluster);
        crash_at(&mut cluster, &faults, PRUNE, point);
        let doomed = backups.iter().filter(|(_, file)| !file.exists()).count();
        assert_eq!(doomed, usize::from(!is_there), "{point}");
        cluster.start_again();
        wait_until("the end of the deletion", LIMIT, || {
            cluster.value(
                "postgres",
                "SELECT count(*) FROM backup_history WHERE file_state = 'deleting'",
            ) == "0"
        });
        let states: Vec<String> = backups.iter().map(|(id, _)| state(&cluster, *id)).collect();
        let pruned = states.iter().filter(|state| *state == "pruned").count();
        assert_eq!((pruned, states[2].as_str()), (1, "available"), "{point}: {states:?}");
        wait_until("the end of the run", LIMIT, || last_prune(&cluster)[0] == "interrupted");
        cluster.assert_clean();
        cluster.psql("postgres", PRUNE);
        assert_eq!(state(&cluster, backups[0].0) + &state(&cluster, backups[1].0), "prunedpruned");
        cluster.assert_clean();
        cluster.assert_next_backup_works();
    }
}

#[test]
fn a_runner_that_is_killed_while_it_prunes_leaves_row_and_file_in_agreement() {
    for point in sample(["before_prune", "after_prune"]) {
        let faults = Faults::default();
        let cluster = faults.cluster(&[]);
        let backups = three(&cluster);
        faults.plant(point);
        let call = cluster.call("postgres", PRUNE);
        signal(faults.wait(point), Signal::SIGKILL);
        faults.lift(point);
        call.error();
        cluster.wait_for_status("succeeded");
        wait_until("the end of the deletion", LIMIT, || {
            backups.iter().filter(|(id, _)| state(&cluster, *id) == "pruned").count() == 1
        });
        cluster.assert_clean();
        cluster.psql("postgres", PRUNE);
        assert_eq!(state(&cluster, backups[1].0), "pruned");
        assert_eq!(state(&cluster, backups[2].0), "available");
        cluster.assert_clean();
    }
}

/// Puts a directory in the place of a file.
fn obstruct(file: &Path) {
    fs::remove_file(file).expect("it is there");
    fs::create_dir(file).expect("root may write, and so may its owner");
    give_to_server(file);
}

#[test]
fn an_archive_that_cannot_be_removed_is_reported_and_tried_again() {
    let cluster = Cluster::start();
    let backups = three(&cluster);
    let (stuck, file) = &backups[0];
    obstruct(file);
    cluster.sql("postgres", "SELECT backup_run('s')");
    assert_eq!(cluster.last_backup().status, "succeeded", "the backup itself is good");
    let [status, error, detail, hint] = &last_prune(&cluster)[..] else { panic!("four columns") };
    assert_eq!(status, "failed");
    assert!(error.starts_with("could not delete archive \""), "{error}");
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(detail.contains("1 archive could not be removed"));
    assert!(!hint.is_empty());
    assert_eq!(state(&cluster, *stuck), "deleting");
    assert_eq!(state(&cluster, backups[1].0), "pruned", "the others go all the same");
    // By hand it is an error, and it says the same.
    let again = cluster.error("postgres", PRUNE);
    assert_eq!(&again.message, error);
    assert_eq!(state(&cluster, *stuck), "deleting");
    // Put right, the next run finishes it.
    fs::remove_dir(file).expect("it is empty");
    fs::write(file, "an archive").expect("the folder is ours");
    give_to_server(file);
    cluster.sql("postgres", "SELECT backup_run('s')");
    assert_eq!((state(&cluster, *stuck).as_str(), file.exists()), ("pruned", false));
    assert_eq!(last_prune(&cluster)[0], "succeeded");
    cluster.assert_clean();
}

#[test]
fn a_folder_that_becomes_read_only_is_reported_and_tried_again() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let backups = three(&cluster);
    let folder = backups[0].1.parent().expect("it lies in a folder");
    faults.plant("before_prune");
    let call = cluster.call("postgres", PRUNE);
    faults.wait("before_prune");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).expect("it is there");
    faults.lift("before_prune");
    let error = call.error();
    assert!(error.message.contains("Permission denied"), "{error}");
    assert!(error.detail.contains("2 archives could not be removed"), "{error}");
    assert_eq!(state(&cluster, backups[0].0), "deleting");
    assert!(backups.iter().all(|(_, file)| file.exists()));
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("it is there");
    cluster.psql("postgres", PRUNE);
    assert_eq!(state(&cluster, backups[0].0) + &state(&cluster, backups[1].0), "prunedpruned");
    cluster.assert_clean();
}

/// Perhaps the disk is not mounted: a row that says `pruned` would leave its file for ever.
#[test]
fn an_archive_that_is_not_there_becomes_missing_and_is_reported() {
    let cluster = Cluster::start();
    let backups = three(&cluster);
    fs::remove_file(&backups[0].1).expect("it is there");
    let error = cluster.error("postgres", PRUNE);
    assert!(error.message.contains(&format!("backup {} was not there", backups[0].0)), "{error}");
    assert!(!error.hint.is_empty(), "{error}");
    assert_eq!(state(&cluster, backups[0].0), "missing");
    assert_eq!(state(&cluster, backups[1].0), "pruned", "the others go all the same");
    assert_eq!(last_prune(&cluster)[0], "failed");
    cluster.psql("postgres", PRUNE);
    cluster.assert_clean();
}

#[test]
fn a_pin_between_the_verdict_and_the_deletion_saves_the_backup() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let backups = three(&cluster);
    faults.plant("before_prune");
    let call = cluster.call("postgres", PRUNE);
    faults.wait("before_prune");
    let doomed = |id: i64| state(&cluster, id) == "deleting";
    let (taken, waiting) = match doomed(backups[0].0) {
        true => (backups[0].0, backups[1].0),
        false => (backups[1].0, backups[0].0),
    };
    assert!(doomed(taken) && !doomed(waiting));
    cluster.psql("postgres", &format!("CALL backup_pin({waiting})"));
    let late = cluster.error("postgres", &format!("CALL backup_pin({taken})"));
    assert_eq!(late.sqlstate, "42704", "it cannot be saved any more: {late}");
    faults.lift("before_prune");
    call.end().expect("nothing went wrong");
    assert_eq!(state(&cluster, taken), "pruned");
    assert_eq!(state(&cluster, waiting), "available");
    cluster.assert_clean();
}

#[test]
fn a_verification_that_begins_between_the_verdict_and_the_deletion_saves_the_backup() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let backups = three(&cluster);
    faults.plant("before_prune");
    let call = cluster.call("postgres", PRUNE);
    faults.wait("before_prune");
    let waiting = backups[..2].iter().find(|(id, _)| state(&cluster, *id) == "available");
    let waiting = waiting.expect("one after the other").0;
    let verify = format!(
        "INSERT INTO backup_runs (kind, status, database, origin, requested_by, subject) \
         VALUES ('verify', 'running', 'postgres', 'manual', 'x', {waiting})"
    );
    cluster.sql("postgres", &verify);
    faults.lift("before_prune");
    call.end().expect("nothing went wrong");
    assert_eq!(state(&cluster, waiting), "available");
    cluster.sql("postgres", "DELETE FROM backup_runs WHERE kind = 'verify'");
    cluster.psql("postgres", PRUNE);
    assert_eq!(state(&cluster, waiting), "pruned");
    cluster.assert_clean();
}

#[test]
fn two_prunings_at_once_remove_each_archive_once() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let backups = three(&cluster);
    faults.plant("before_prune");
    let first = cluster.call("postgres", PRUNE);
    faults.wait("before_prune");
    let second = cluster.call("postgres", PRUNE);
    wait_until("the end or the runner of the second", LIMIT, || {
        second.has_ended() || cluster.runners().len() == 2
    });
    faults.lift("before_prune");
    first.end().expect("nothing is in its way");
    if let Err(error) = second.end() {
        assert_eq!(error.sqlstate, "55006", "refused, or done: {error}");
    }
    assert_eq!(state(&cluster, backups[0].0) + &state(&cluster, backups[1].0), "prunedpruned");
    assert_eq!(state(&cluster, backups[2].0), "available");
    cluster.assert_clean();
}

#[test]
fn a_pruning_that_is_cancelled_stops_between_two_archives() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let backups = three(&cluster);
    faults.plant("before_prune");
    let call = cluster.call("postgres", PRUNE);
    faults.wait("before_prune");
    // Known to the job when the function returns; a cancelled call may tell it later.
    let cancel = "SELECT backup_cancel(id) FROM backup_progress WHERE kind = 'prune'";
    assert_eq!(cluster.value("postgres", cancel), "t");
    // The wait is over only when the job is, and that stands at the fault point.
    faults.lift("before_prune");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the run", LIMIT, || last_prune(&cluster)[0] == "cancelled");
    wait_until("the end of the deletion", LIMIT, || {
        backups.iter().all(|(id, _)| state(&cluster, *id) != "deleting")
    });
    let left = backups.iter().filter(|(_, file)| file.exists()).count();
    assert_eq!(left, 2, "one was under way, the other stays");
    cluster.assert_clean();
    cluster.psql("postgres", PRUNE);
    cluster.assert_clean();
}
