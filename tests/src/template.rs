//! The template that every cluster is a copy of: initdb once, not once per test.
//!
//! In: the installed extension. Out: a data directory with pg_backup preloaded and created in the
//! database `postgres`. Must hold: made once, also when many test processes start at the same
//! time; made anew when the library, the SQL or this configuration changes.

use crate::place::{
    base, bin, create_server_dir, maker_of, passing, run_dir, socket_dir, tree, unique_name,
};
use crate::pool;
use crate::process::is_alive;
use crate::server::{Start, as_server, log_tail, must_run, plain};
use crate::tmpfs;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// Settings of every cluster. No test loses power, so nothing is flushed. What a killed server
/// leaves of its shared memory goes with its data. The rest keeps servers small, quiet and the same
/// everywhere.
const CONF: &str = "
dynamic_shared_memory_type = mmap
listen_addresses = ''
fsync = off
shared_buffers = 16MB
shared_preload_libraries = 'pg_backup'
log_line_prefix = '%m [%p] %b %a: '
timezone = 'UTC'
log_timezone = 'UTC'
";
/// In MB. The default of 16 makes every copy half as slow again.
const WAL_SEGMENT_SIZE: &str = "1";
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long a directory is new: longer than it takes to make a cluster.
const NEW: Duration = Duration::from_secs(60);
const SCRATCH: &str = "template-new";

/// Where the template for the installed extension lies, or is going to.
fn path() -> PathBuf {
    base().join(format!("template-{:016x}", key()))
}

/// Where used copies of it wait. Begins like its own name, and so goes together with it.
fn pool() -> PathBuf {
    passing().join(format!("template-{:016x}.pool", key()))
}

/// Makes `data`, a used copy, like new and keeps it for the next test, unless there are enough.
pub fn give_back(data: &Path, name: &str) {
    pool::give_back(&path(), &pool(), data, name);
}

/// Copies the template to `data`, which must not exist. Makes the template where it is missing.
pub fn copy_to(data: &Path) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(sweep);
    let template = path();
    if pool::take(&pool(), data) {
        return;
    }
    let mut lock = lock(FlockArg::LockShared);
    if !template.exists() {
        drop(lock);
        let exclusive = self::lock(FlockArg::LockExclusive);
        if !template.exists() {
            make(&template);
        }
        drop(exclusive);
        lock = self::lock(FlockArg::LockShared);
    }
    let mut copy = plain(PathBuf::from("cp"));
    must_run(copy.args(["-a", "--reflink=auto"]).arg(&template).arg(data));
    drop(lock);
}

fn lock(how: FlockArg) -> Flock<File> {
    let path = base().join("lock");
    let file = File::create(&path)
        .unwrap_or_else(|error| panic!("could not create {}: {error}", path.display()));
    Flock::lock(file, how).unwrap_or_else(|(_, error)| panic!("flock failed: {error}"))
}

/// Changes when the programs, the library, the scripts or the configuration change. An installation
/// leaves unchanged files alone, so time and inode stand for the content.
fn key() -> u64 {
    let mut hasher = DefaultHasher::new();
    (CONF, WAL_SEGMENT_SIZE).hash(&mut hasher);
    let mut files = vec![bin("postgres"), tree().libdir.join("pg_backup.so")];
    let scripts = fs::read_dir(&tree().extension_dir).expect("the tree has extensions");
    let scripts = scripts.flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pg_backup"))
    };
    files.extend(scripts.filter(is_ours));
    files.sort();
    for file in files {
        let meta = fs::metadata(&file).unwrap_or_else(|error| {
            panic!("{}: {error}: run `make test-install` first", file.display())
        });
        (file, meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino()).hash(&mut hasher);
    }
    hasher.finish()
}

/// A new cluster with its own system identifier, and without the extension.
pub fn init(data: &Path) {
    init_with(&tree().bindir, data, &[]);
}

/// The same with the programs of any version, and more arguments for initdb.
pub fn init_with(programs: &Path, data: &Path, more: &[&str]) {
    let mut initdb = as_server(programs.join("initdb"));
    initdb.args(["--no-sync", "--auth=trust", "--no-instructions", "--username=postgres"]);
    initdb.args(["--locale=C.UTF-8", "--encoding=UTF8", "--wal-segsize", WAL_SEGMENT_SIZE]);
    must_run(initdb.args(more).arg("-D").arg(data));
    let conf = data.join("postgresql.conf");
    let text = fs::read_to_string(&conf).expect("initdb writes it");
    fs::write(&conf, text + CONF).expect("the data directory is ours");
}

fn make(template: &Path) {
    remove_old();
    let scratch = base().join(SCRATCH);
    create_server_dir(&scratch);
    let data = scratch.join("data");
    init(&data);
    let conf = data.join("postgresql.conf");
    let text = fs::read_to_string(&conf).expect("initdb writes it");
    let socket_dir = socket_dir(&scratch, &unique_name());
    let socket = format!("unix_socket_directories = '{}'\n", socket_dir.display());
    fs::write(&conf, text.clone() + &socket).expect("the template is ours");
    create_extension(&scratch, &data, &socket_dir);
    fs::write(&conf, text).expect("the template is ours");
    if socket_dir != scratch {
        fs::remove_dir_all(&socket_dir).expect("the socket directory is ours");
    }
    fs::rename(&data, template).expect("both lie in the same directory");
    fs::remove_dir_all(&scratch).expect("the scratch directory is ours");
}

fn create_extension(scratch: &Path, data: &Path, socket_dir: &Path) {
    let log = scratch.join("log");
    let started = Start { bindir: &tree().bindir, data, log: &log, env: &[] }.run();
    let mut server = started.unwrap_or_else(|error| panic!("{error}\n{}", log_tail(&log)));
    let mut psql = plain(bin("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"]);
    let output = psql.arg(socket_dir).args(["-c", "CREATE EXTENSION pg_backup"]).output();
    let output = output.unwrap_or_else(|error| panic!("could not run psql: {error}"));
    let stopped = server.stop(Signal::SIGINT, STOP_LIMIT);
    if !stopped {
        server.kill();
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "CREATE EXTENSION failed: {said}{}", log_tail(&log));
    assert!(stopped, "the server of the template did not stop\n{}", log_tail(&log));
}

/// Removes templates of earlier builds with their pools, and one that was interrupted. We hold the
/// lock, so nobody is copying.
fn remove_old() {
    for entry in fs::read_dir(base()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("template-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the directories of test processes that were killed. Others may do so at the same time,
/// and a new process may have the number of a dead one: what is new is let alone.
fn sweep() {
    for entry in fs::read_dir(run_dir()).into_iter().flatten().flatten() {
        let maker = entry.file_name().to_str().and_then(maker_of);
        let made = entry.metadata().and_then(|meta| meta.created().or_else(|_| meta.modified()));
        let is_old = made.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > NEW));
        if is_old && maker.is_some_and(|pid| !is_alive(pid)) {
            tmpfs::unmount(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
