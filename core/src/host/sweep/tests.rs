//! What a sweep removes, and all that it must leave alone.

use super::*;
use crate::host::child::{Child, Stdin, Stdout, Tool};
use crate::host::partial::{Partial, WorkDir};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The most that a test waits, and the pause between two looks.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

const SYSTEM: u64 = 7_000_000_000_000_000_001;
const NAME: &str = "app_20260102T030405Z_1.zip";
const PARTIAL: &str = ".app_20260102T030405Z_1.zip.partial";
const WORK: &str = ".app_20260102T030405Z_1.zip.work.partial";

/// A backup directory with the folder of one database.
struct Place {
    _data: tempfile::TempDir,
    dir: BackupDir,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let dir = BackupDir::open(Path::new("pg_backup"), data.path(), true).unwrap();
        let folder = dir.folder(SYSTEM, "app").unwrap();
        Self { _data: data, dir, folder }
    }

    /// The paths that a sweep removes; it must not fail.
    fn swept(&self) -> Vec<PathBuf> {
        let mut sweep = sweep(&self.dir, SYSTEM);
        assert_eq!(sweep.failed, []);
        sweep.removed.sort();
        sweep.removed
    }

    fn dead_work_dir(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::create_dir_all(path.join("database")).unwrap();
        fs::write(path.join("database/1.dat"), "rows").unwrap();
        path
    }
}

#[test]
fn leftovers_of_dead_jobs_are_removed_in_every_database_folder() {
    let place = Place::new();
    let file = place.folder.join(PARTIAL);
    fs::write(&file, "half").unwrap();
    let unlocked = place.dead_work_dir(WORK);
    let locked = place.dead_work_dir(".app_20260102T030405Z_2.zip.work.partial");
    fs::write(locked.join(".lock"), "").unwrap();
    let other = place.dir.folder(SYSTEM, "other").unwrap().join(PARTIAL);
    fs::write(&other, "").unwrap();
    let mut expected = vec![file, unlocked, locked, other];
    expected.sort();
    assert_eq!(place.swept(), expected);
    assert!(!expected.iter().any(|path| path.exists()));
    assert_eq!(place.swept(), Vec::<PathBuf>::new());
}

#[test]
fn what_a_living_job_holds_stays() {
    let place = Place::new();
    let partial = Partial::create(&place.folder, NAME).unwrap();
    let work = WorkDir::create(&place.folder, NAME).unwrap();
    assert_eq!(place.swept(), Vec::<PathBuf>::new());
    assert!(work.path().join(".lock").exists());
    partial.publish().unwrap();
}

#[test]
fn a_partial_stays_until_the_process_that_holds_it_is_dead() {
    let place = Place::new();
    let path = place.folder.join(PARTIAL);
    let script = "exec 9>\"$0\"; flock 9; echo held; while :; do sleep 1; done";
    let mut owner = Child::spawn(
        &Tool {
            name: "sh",
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into(), path.clone().into()],
            envs: Vec::new(),
            stdin: Stdin::Null,
            stdout: Stdout::Pipe,
            cwd: None,
        },
        |_| {},
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(owner.take_stdout().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    assert_eq!(place.swept(), Vec::<PathBuf>::new());
    owner.stop();
    // The shell's own child inherited the lock, and dies a moment after it.
    let deadline = Instant::now() + LIMIT;
    let mut swept = place.swept();
    while swept.is_empty() && Instant::now() < deadline {
        std::thread::park_timeout(PAUSE);
        swept = place.swept();
    }
    assert_eq!(swept, [path]);
}

#[test]
fn strangers_stay() {
    let place = Place::new();
    let precious = tempfile::tempdir().unwrap();
    fs::write(precious.path().join("precious"), "").unwrap();
    fs::write(precious.path().join(".lock"), "").unwrap();
    for name in [NAME, "notes.txt", "x.partial", ".partial", ".hidden", ".x.partial"] {
        fs::write(place.folder.join(name), "").unwrap();
    }
    // Named like ours, but not made like ours.
    symlink(precious.path().join("precious"), place.folder.join(PARTIAL)).unwrap();
    symlink(precious.path(), place.folder.join(WORK)).unwrap();
    mkfifo(&place.folder.join(".app_20260102T030405Z_3.zip.partial"), Mode::S_IRWXU).unwrap();
    fs::create_dir(place.folder.join(".app_20260102T030405Z_4.zip.partial")).unwrap();
    fs::create_dir(place.folder.join(".x.work.partial")).unwrap();
    let before = fs::read_dir(&place.folder).unwrap().count();
    assert_eq!(place.swept(), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(&place.folder).unwrap().count(), before);
    assert_eq!(fs::read_dir(precious.path()).unwrap().count(), 2);
}

#[test]
fn only_database_folders_of_this_cluster_are_looked_at() {
    let place = Place::new();
    let another_cluster = place.dir.folder(8, "app").unwrap().join(PARTIAL);
    let too_high = place.dir.path().join(SYSTEM.to_string()).join(PARTIAL);
    fs::create_dir(place.folder.join("deeper")).unwrap();
    let too_deep = place.folder.join("deeper").join(PARTIAL);
    let elsewhere = tempfile::tempdir().unwrap();
    let linked = elsewhere.path().join(PARTIAL);
    symlink(elsewhere.path(), place.folder.with_file_name("linked")).unwrap();
    let kept = [another_cluster, too_high, too_deep, linked];
    for path in &kept {
        fs::write(path, "").unwrap();
    }
    assert_eq!(place.swept(), Vec::<PathBuf>::new());
    assert!(kept.iter().all(|path| path.exists()));
}

#[test]
fn a_cluster_without_backups_has_nothing_to_sweep() {
    let place = Place::new();
    assert_eq!(sweep(&place.dir, 1), Sweep::default());
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("app")).unwrap();
    fs::write(elsewhere.path().join("app").join(PARTIAL), "").unwrap();
    symlink(elsewhere.path(), place.dir.path().join("1")).unwrap();
    assert_eq!(sweep(&place.dir, 1), Sweep::default());
}

#[test]
fn a_lock_that_is_a_link_is_a_failure_and_nothing_is_touched() {
    let place = Place::new();
    let work = place.dead_work_dir(WORK);
    let target = place.dir.path().join("target");
    symlink(&target, work.join(".lock")).unwrap();
    let sweep = sweep(&place.dir, SYSTEM);
    assert_eq!((sweep.removed.len(), sweep.failed.len()), (0, 1));
    assert!(work.join("database/1.dat").exists());
    assert!(!target.exists());
}

#[test]
fn a_sweep_looks_at_so_many_entries_and_says_so() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        fs::write(place.folder.join(name), "").unwrap();
    }
    let (mut sweep, mut left) = (Sweep::default(), 2);
    assert_eq!(sweep.list(&place.folder, &mut left, |_, _| true).len(), 2);
    assert_eq!(sweep.failed.len(), 1);
    assert_eq!(sweep.failed[0].class, Class::LimitExceeded);
}

#[test]
fn a_folder_that_a_sweep_has_left_can_be_used_at_once() {
    let place = Place::new();
    fs::write(place.folder.join(PARTIAL), "").unwrap();
    assert_eq!(place.swept().len(), 1);
    assert!(gate(&place.folder).is_some());
    assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 0);
}

#[test]
fn a_missing_folder_has_no_gate() {
    assert!(gate(Path::new("/nonexistent")).is_none());
}

/// One job's life, which a sweep beside it must not disturb.
fn start_and_publish(place: &Place) -> Result<()> {
    let partial = Partial::create(&place.folder, NAME)?;
    let work = WorkDir::create(&place.folder, NAME)?;
    fs::write(work.path().join("toc.dat"), "").map_err(|e| failure("write", work.path(), &e))?;
    work.remove()?;
    let path = partial.publish()?;
    fs::remove_file(&path).map_err(|e| failure("remove", &path, &e))
}

#[test]
fn a_sweep_beside_starting_jobs_never_takes_a_living_one() {
    const ROUNDS: usize = 300;
    let place = Place::new();
    let done = AtomicBool::new(false);
    let (started, failed) = std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let mut failed = Vec::new();
            while !done.load(Ordering::Acquire) {
                failed.extend(sweep(&place.dir, SYSTEM).failed);
            }
            failed
        });
        let started = (0..ROUNDS).try_for_each(|_| start_and_publish(&place));
        done.store(true, Ordering::Release);
        (started, sweeper.join().unwrap())
    });
    assert_eq!((started, failed), (Ok(()), Vec::new()));
    assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 0);
}
