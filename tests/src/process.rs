//! Processes and waiting: what runs, whose child it is, and polling with a limit.
//!
//! In: process ids, names, conditions. Out: facts from `/proc`, or a panic that names what was
//! waited for. Must hold: no wait without a limit.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between the first two looks. What takes a moment is seen at once.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Each pause is half as long again, up to this: tests that wait must not slow those that work.
const PAUSE_MAX: Duration = Duration::from_millis(15);
/// `starttime` is the 22nd field of /proc/PID/stat, `state` the third.
const STAT_STARTED: usize = 22 - 3;

/// Waits until `check` holds. Panics with `what` after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    wait_for(what, limit, || check().then_some(()));
}

/// Waits until `find` gives something. Panics with `what` after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, find: impl FnMut() -> Option<T>) -> T {
    poll(limit, find).unwrap_or_else(|| panic!("waited {limit:?} in vain for: {what}"))
}

/// Calls `find` until it gives something, or `limit` has passed. The last call is after the limit.
pub fn poll<T>(limit: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let (start, mut pause) = (Instant::now(), PAUSE_MIN);
    loop {
        let late = start.elapsed() >= limit;
        if let Some(found) = find() {
            return Some(found);
        }
        if late {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

/// Whether a process runs. A zombie does not, unless one of its threads still does: a thread in
/// the middle of an fsync keeps memory and files for as long as the disk takes.
pub fn is_alive(pid: i32) -> bool {
    !threads(pid).is_empty()
}

/// The living threads of a process, as paths below /proc.
fn threads(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| stat(path).is_some_and(|found| found.state != 'Z' && found.state != 'X'))
        .collect()
}

/// The running children of a process.
pub fn children_of(parent: i32) -> Vec<i32> {
    all()
        .filter(|&pid| {
            is_alive(pid)
                && stat(Path::new(&format!("/proc/{pid}")))
                    .is_some_and(|found| found.parent == parent)
        })
        .collect()
}

/// The arguments of a process, joined by spaces. Empty when it is gone.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').replace('\0', " ")
}

/// The running processes that carry `mark` in their arguments, environment or working directory:
/// with a cluster's name as the mark, its server, its tools and whatever they left behind.
pub fn processes_with(mark: &str) -> Vec<i32> {
    let ours = stat(Path::new("/proc/self")).map_or(0, |own| own.started);
    // A name is made by this process. Most others are older, and reading of each all that it
    // carries was a tenth of what a test takes.
    let is_younger = |pid: &i32| {
        stat(Path::new(&format!("/proc/{pid}"))).is_some_and(|found| found.started >= ours)
    };
    all().filter(is_younger).filter(|&pid| carries(pid, mark)).collect()
}

fn carries(pid: i32, mark: &str) -> bool {
    let holds = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(mark);
    threads(pid).iter().any(|thread| {
        let directory = fs::read_link(thread.join("cwd")).unwrap_or_default();
        directory.to_string_lossy().contains(mark)
            || fs::read(thread.join("environ")).is_ok_and(holds)
            || fs::read(thread.join("cmdline")).is_ok_and(holds)
    })
}

/// Sends a signal. A process that is gone already is no error.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Every process except this one.
fn all() -> impl Iterator<Item = i32> {
    let own = std::process::id().cast_signed();
    let entries = fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |&pid| pid != own)
}

/// What the kernel tells of a process or thread.
struct Stat {
    state: char,
    parent: i32,
    /// In ticks since the machine started.
    started: u64,
}

/// See proc(5). The name before these fields stands in parentheses and may hold any character, so
/// they are found from the last one.
fn stat(process: &Path) -> Option<Stat> {
    let bytes = fs::read(process.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(STAT_STARTED)?.parse().ok()?,
    })
}
