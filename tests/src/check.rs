//! Faults that several tests plant, and what must hold when they are over.
//!
//! In: a cluster on which something went wrong. Out: a panic that says what is not as it should
//! be. Must hold after every fault: the row tells the truth, every file belongs to a row, nothing
//! runs that nobody waits for, and the next backup just works.

use crate::job::{LIMIT, Run, names_below};
use crate::place::give_to_server;
use crate::process::{command_line, poll, processes_with, wait_for, wait_until};
use crate::{Call, Cluster};
use nix::fcntl::{Flock, FlockArg};
use postgres::{NoTls, SimpleQueryMessage};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What ends with its parent, or at a signal, is gone within this time.
const SETTLE: Duration = Duration::from_secs(20);

/// A pg_dump that has given everything and does not end. It listens to SIGTERM.
pub const LINGERING: &str = "#!/bin/sh\n\"$REAL\" \"$@\"\nexec sleep 1000";
/// A tool that is stopped, as by a debugger: only SIGKILL and SIGCONT reach it.
pub const STOPPED: &str = "#!/bin/sh\nkill -STOP $$";
/// A tool that ignores every signal that can be ignored. What is ignored stays so after exec.
pub const DEAF: &str = "#!/bin/sh\ntrap '' TERM INT HUP QUIT\nexec sleep 1000";

/// The fault points of `core/src/fault.rs`: a job stops at one for as long as it is planted. Make
/// it before the cluster, whose environment it is part of.
pub struct Faults {
    directory: tempfile::TempDir,
}

impl Default for Faults {
    fn default() -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        give_to_server(directory.path());
        Self { directory }
    }
}

impl Faults {
    /// A cluster whose jobs see these fault points.
    pub fn cluster(&self, conf: &[&str]) -> Cluster {
        let directory = self.directory.path().display().to_string();
        Cluster::builder().conf(conf).env(&[("PG_BACKUP_FAULT_DIR", &directory)]).start()
    }

    /// The directory that the server's jobs look into.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, kind: &str, name: &str) -> PathBuf {
        self.directory.path().join(format!("pg_backup_{kind}_{name}"))
    }

    /// Jobs stop at `name` from now on.
    pub fn plant(&self, name: &str) {
        let _ = fs::remove_file(self.file("reached", name));
        fs::write(self.file("fault", name), "").expect("the directory is ours");
    }

    /// They go on.
    pub fn lift(&self, name: &str) {
        fs::remove_file(self.file("fault", name)).expect("it was planted");
    }

    /// Waits until a job has stopped at `name`, and gives the process id of its runner.
    pub fn wait(&self, name: &str) -> i32 {
        wait_for(&format!("a job at the fault point {name}"), LIMIT, || {
            fs::read_to_string(self.file("reached", name)).ok()?.parse().ok()
        })
    }
}

/// A lock that fake tools wait for: see [`Gate::script`]. It opens when it goes.
pub struct Gate {
    path: PathBuf,
    closed: Cell<Option<Flock<File>>>,
}

impl Gate {
    /// A closed gate.
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        let path = cluster.make_dir(name).join("gate");
        let file = File::create(&path).expect("the directory is ours");
        give_to_server(&path);
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error);
        Self { path, closed: Cell::new(Some(lock.expect("nobody else has it"))) }
    }

    /// The line of a script that ends when the gate opens. One that cannot wait fails.
    fn wait(&self) -> String {
        format!("flock -s '{}' true || exit 97", self.path.display())
    }

    /// A pg_dump that writes that many bytes and goes on when the gate opens. With more data than
    /// that, and what fits into a pipe, its session is in the middle of a COPY meanwhile.
    pub fn script(&self, bytes: u32) -> String {
        format!(
            "#!/bin/bash\n[ \"$1\" = --version ] && exec \"$REAL\" \"$@\"\nset -o pipefail\n\
             \"$REAL\" \"$@\" | {{ head -c {bytes}; {}; cat; }}",
            self.wait()
        )
    }

    /// A tool that does not begin before the gate opens, where `word` is among its arguments.
    pub fn script_before(&self, word: &str) -> String {
        let wait = self.wait();
        format!("#!/bin/bash\ncase \"$*\" in *{word}*) {wait}; esac\nexec \"$REAL\" \"$@\"")
    }

    /// A tool that has done its work and does not end before the gate opens.
    pub fn script_after(&self) -> String {
        format!("#!/bin/bash\n\"$REAL\" \"$@\"\n{}", self.wait())
    }

    /// Lets the tools go on.
    pub fn open(&self) {
        self.closed.take();
    }
}

impl Cluster {
    /// Replaces a tool of the next jobs by `script`; the others are real.
    pub fn use_tool(&self, tool: &str, script: &str) {
        let dir = self.fake_tool(tool, script);
        self.set("pg_backup.bin_directory", &dir.display().to_string());
    }

    /// Takes it back.
    pub fn use_real_tools(&self) {
        self.set("pg_backup.bin_directory", "");
    }

    /// Changes a setting of the running server.
    pub fn set(&self, name: &str, value: &str) {
        self.append_conf(&[&format!("{name} = '{value}'")]);
        self.reload();
    }

    /// Starts `sql` in a session of its own, and waits until its job is in the middle of a dump.
    pub fn call_until_dumping(&self, database: &str, sql: &str) -> Call {
        let call = self.call(database, sql);
        self.wait_for_phase("dumping");
        call
    }

    /// Waits until the newest backup has `status`, also while the server comes back from a crash.
    pub fn wait_for_status(&self, status: &str) -> Run {
        let sql = "SELECT status FROM backup_history WHERE kind = 'backup' LIMIT 1";
        let mut last = String::new();
        let reached = poll(LIMIT, || {
            let mut client = self.config("postgres").connect(NoTls).ok()?;
            last = client.simple_query(sql).ok()?.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })?;
            (last == status).then_some(())
        });
        assert!(reached.is_some(), "the backup is not {status} but \"{last}\"");
        self.last_backup()
    }

    /// The newest backup ended as `status`, for a reason that its row tells; nothing is left of
    /// it; with the real tools the next one works. Gives the row.
    pub fn assert_survived(&self, status: &str) -> Run {
        let run = self.wait_for_status(status);
        assert!(!run.error.is_empty() && run.file.is_empty(), "{run:?}");
        self.assert_clean();
        self.use_real_tools();
        self.assert_next_backup_works();
        self.assert_clean();
        run
    }

    /// Nothing is left of a job that is over: no partial file, process, session or slot, no row
    /// that says it is alive, and exactly the archives that the history of `postgres` knows.
    pub fn assert_clean(&self) {
        self.assert_nothing_left();
        self.assert_no_stranger();
        self.assert_files(&self.backup_dir());
        let alive = "SELECT coalesce(string_agg(id || ' ' || status, ', '), '') \
                     FROM backup_history WHERE finished_at IS NULL";
        assert_eq!(self.value("postgres", alive), "", "rows without an end");
    }

    /// Every process of this cluster is one of the server's own.
    fn assert_no_stranger(&self) {
        let strangers = || -> Vec<String> {
            let lines = processes_with(self.name()).into_iter().filter(|pid| *pid != self.pid());
            let lines = lines.map(command_line).filter(|line| !line.is_empty());
            lines.filter(|line| !line.starts_with("postgres:")).collect()
        };
        let gone = poll(SETTLE, || strangers().is_empty().then_some(()));
        assert!(gone.is_some(), "processes are left: {:?}", strangers());
    }

    /// Below `directory` are the archives that the history of `postgres` knows, and nothing else.
    pub fn assert_files(&self, directory: &Path) {
        let known = "SELECT file FROM backup_history WHERE kind = 'backup' \
                     AND file_state = 'available' ORDER BY file";
        let known = self.sql("postgres", known).into_iter().flatten().flatten();
        let known: Vec<String> = known.collect();
        let found = names_below(directory);
        let found: Vec<&String> =
            found.iter().filter(|name| !directory.join(name).is_dir()).collect();
        assert_eq!(found, known.iter().collect::<Vec<_>>(), "files are not what the rows say");
    }

    /// Waits for a launcher other than `old`, and gives its process id.
    pub fn wait_for_launcher(&self, old: i32, limit: Duration) -> i32 {
        let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_backup launcher'";
        wait_for("the launcher", limit, || {
            let mut client = self.config("postgres").connect(NoTls).ok()?;
            let pid: i32 = client.query_opt(sql, &[]).ok()??.get(0);
            (pid != old).then_some(pid)
        })
    }

    /// Waits until the one runner is there, and gives its process id.
    pub fn wait_for_runner(&self) -> i32 {
        wait_for("the runner", LIMIT, || self.runners().first().copied())
    }

    /// Waits until the log of the server holds `text`.
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("\"{text}\" in the log"), LIMIT, || self.log().contains(text));
    }
}
