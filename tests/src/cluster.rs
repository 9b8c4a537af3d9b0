//! One throwaway cluster: its life from start to the check that nothing is left.
//!
//! In: settings and environment of the server. Out: a running server that a test may restart,
//! kill and break. Must hold: when a `Cluster` goes, the server stops by itself in time, no process
//! of it is left, and its files are gone; otherwise the test fails. `PG_BACKUP_TEST_KEEP=1` keeps
//! the files.

use crate::job::names_below;
use crate::place::{create_server_dir, run_dir, socket_dir, tree, unique_name};
use crate::process::{command_line, poll, processes_with, signal};
use crate::server::{Server, Start, log_tail};
use crate::session;
use crate::template;
use nix::sys::signal::Signal;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A server that needs longer to stop is stuck, whatever it was doing.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// After an immediate shutdown PostgreSQL itself kills what is left after 5 seconds.
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);
/// After a kill of the postmaster a worker may give its child a few seconds to end.
const CRASH_LIMIT: Duration = Duration::from_secs(10);
/// After a shutdown only what dies with its parent can be left, and that is a matter of moments.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

/// How a server is stopped, as in `pg_ctl stop -m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Smart,
    Fast,
    Immediate,
}

impl Mode {
    fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::SIGTERM,
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
        }
    }
}

/// A cluster with its own data directory, socket and log.
pub struct Cluster {
    /// Part of every process title (`cluster_name`) and of every path of this cluster.
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) socket_dir: PathBuf,
    env: Vec<(String, String)>,
    /// Of its programs: another major version's after pg_upgrade.
    pub(crate) bindir: PathBuf,
    server: Option<Server>,
}

/// What a cluster is started with.
#[derive(Default)]
pub struct Builder {
    conf: Vec<String>,
    env: Vec<(String, String)>,
    fresh: bool,
}

impl Builder {
    /// Lines for postgresql.conf. A later line wins.
    pub fn conf(mut self, lines: &[&str]) -> Self {
        self.conf.extend(lines.iter().map(|&line| line.to_owned()));
        self
    }

    /// Variables of the postmaster's environment, which else holds PATH and LC_ALL only.
    pub fn env(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        self.env.extend(owned);
        self
    }

    /// A cluster with its own system identifier (all others share one), without the extension in
    /// `postgres`. Takes half a second more.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Makes the data directory and starts the server.
    pub fn start(self) -> Cluster {
        let mut cluster = Cluster::prepare(self.env);
        if self.fresh {
            template::init(&cluster.data_dir());
        } else {
            template::copy_to(&cluster.data_dir());
        }
        cluster.launch(&self.conf);
        cluster
    }
}

impl Cluster {
    /// A cluster with the extension preloaded, and created in the database `postgres`.
    pub fn start() -> Self {
        Builder::default().start()
    }

    /// The same with lines for postgresql.conf.
    pub fn with(conf: &[&str]) -> Self {
        Builder::default().conf(conf).start()
    }

    /// For everything else that can be set before the start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A name and an empty home, no data yet.
    pub(crate) fn prepare(env: Vec<(String, String)>) -> Self {
        let name = unique_name();
        let home = run_dir().join(&name);
        create_server_dir(&home);
        let socket_dir = socket_dir(&home, &name);
        Self { name, home, socket_dir, env, bindir: tree().bindir.clone(), server: None }
    }

    /// The first start, on data that are there.
    pub(crate) fn launch(&mut self, conf: &[String]) {
        let own = format!(
            "cluster_name = '{}'\nunix_socket_directories = '{}'\n",
            self.name,
            self.socket_dir.display()
        );
        self.append_conf(&[&own]);
        let lines: Vec<&str> = conf.iter().map(String::as_str).collect();
        self.append_conf(&lines);
        self.start_again();
    }

    /// Starts a server that was stopped or killed. Panics when it does not come up.
    pub fn start_again(&mut self) {
        self.try_start().unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same for a server that may refuse to start: the reason is in the log.
    pub fn try_start(&mut self) -> Result<(), String> {
        assert!(self.server.is_none(), "the server runs already");
        let (data, log) = (self.data_dir(), self.log_file());
        self.server =
            Some(Start { bindir: &self.bindir, data: &data, log: &log, env: &self.env }.run()?);
        Ok(())
    }

    /// Stops the server and gives how long that took. Panics when it does not stop.
    pub fn stop(&mut self, mode: Mode) -> Duration {
        session::close();
        let mut server = self.server.take().expect("the server runs");
        let start = Instant::now();
        let stopped = server.stop(mode.signal(), STOP_LIMIT);
        if !stopped {
            self.server = Some(server);
            panic!("the server did not stop ({mode:?}) within {STOP_LIMIT:?}");
        }
        start.elapsed()
    }

    /// Stops and starts.
    pub fn restart(&mut self, mode: Mode) {
        self.stop(mode);
        self.start_again();
    }

    /// `kill -9` of the postmaster. Returns when every process of the cluster has followed it, and
    /// panics when one does not; postmaster.pid stays behind, as after a crash.
    pub fn kill_postmaster(&mut self) {
        self.server.take().expect("the server runs").kill();
        if let Err(left) = self.wait_for_silence(CRASH_LIMIT) {
            panic!("after kill -9 of the postmaster there is still:\n{left}");
        }
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> i32 {
        self.server.as_ref().expect("the server runs").pid()
    }

    /// The name that marks every process of this cluster, for [`crate::processes_with`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where archives go unless `pg_backup.directory` says otherwise.
    pub fn backup_dir(&self) -> PathBuf {
        self.data_dir().join("pg_backup")
    }

    /// A new directory that belongs to the server's user, mode 0700, removed with the cluster.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let dir = self.home.join(name);
        create_server_dir(&dir);
        dir
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Adds lines to postgresql.conf. See [`Cluster::reload`].
    pub fn append_conf(&self, lines: &[&str]) {
        let path = self.data_dir().join("postgresql.conf");
        let file = OpenOptions::new().append(true).open(&path);
        let mut file =
            file.unwrap_or_else(|e| panic!("{path:?}: {e}; {:?}", names_below(&self.home)));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        file.write_all(text.as_bytes()).expect("the disk is not full");
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Waits until no process of the cluster is left, else lists them.
    fn wait_for_silence(&self, limit: Duration) -> Result<(), String> {
        let silent = || processes_with(&self.name).is_empty().then_some(());
        poll(limit, silent).ok_or_else(|| {
            let left = processes_with(&self.name);
            let lines: Vec<_> = left.iter().map(|&pid| line_of(pid)).collect();
            lines.join("\n")
        })
    }

    /// Ends the server by all means. Complains when it did not stop by itself, or left something.
    fn shut_down(&mut self) -> Result<(), String> {
        session::close();
        let mut complaint = Ok(());
        if let Some(mut server) = self.server.take()
            && !server.stop(Signal::SIGINT, STOP_LIMIT)
        {
            complaint = Err(format!("the server did not stop within {STOP_LIMIT:?}"));
            if !server.stop(Signal::SIGQUIT, IMMEDIATE_LIMIT) {
                server.kill();
            }
        }
        if let Err(left) = self.wait_for_silence(ORPHAN_LIMIT) {
            // They carry the name of this cluster, so they are ours.
            for pid in processes_with(&self.name) {
                signal(pid, Signal::SIGKILL);
            }
            complaint = complaint.and(Err(format!("processes were left behind:\n{left}")));
        }
        complaint
    }

    fn remove_files(&self, reuse: bool) {
        if std::env::var_os("PG_BACKUP_TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.home.display());
            return;
        }
        if reuse {
            template::give_back(&self.data_dir(), &self.name);
        }
        remove(&self.home);
        if self.socket_dir != self.home {
            remove(&self.socket_dir);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let complaint = self.shut_down();
        let failed = std::thread::panicking();
        if failed || complaint.is_err() {
            eprintln!("{}", log_tail(&self.log_file()));
        }
        let reuse = !failed && complaint.is_ok();
        self.remove_files(reuse);
        match complaint {
            Err(text) if failed => eprintln!("{text}"),
            Err(text) => panic!("{text}"),
            Ok(()) => {}
        }
    }
}

fn line_of(pid: i32) -> String {
    format!("{pid} {}", command_line(pid))
}

fn remove(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        eprintln!("could not remove {}: {error}", dir.display());
    }
}
