//! Jobs seen from outside: started in a session of their own, looked at, and what must hold when
//! they are over.

use crate::{Cluster, DbError, Gate, command_line, processes_with, wait_until};
use postgres::{CancelToken, NoTls};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest a test waits for anything that takes a moment.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A statement under way in a session of its own.
pub struct Call {
    thread: JoinHandle<Result<(), DbError>>,
    /// Process id of the session's backend.
    pub pid: i32,
    token: CancelToken,
}

impl Call {
    /// What became of it.
    pub fn end(self) -> Result<(), DbError> {
        self.thread.join().expect("the session's thread does not panic")
    }

    /// The error that it must end with.
    pub fn error(self) -> DbError {
        self.end().expect_err("the call must fail")
    }

    /// Ctrl-C.
    pub fn cancel(&self) {
        self.token.cancel_query(NoTls).expect("the server takes a cancel request");
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// The last run of a kind, as the history shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub id: i64,
    pub status: String,
    pub error: String,
    pub detail: String,
    pub hint: String,
    pub file: String,
    pub warnings: String,
}

impl Cluster {
    /// Starts `sql` in a session of its own.
    pub fn call(&self, database: &str, sql: &str) -> Call {
        let mut client = self.connect(database);
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).expect("a new session").get(0);
        let (token, sql) = (client.cancel_token(), sql.to_owned());
        let thread = std::thread::spawn(move || {
            client.batch_execute(&sql).map_err(|error| DbError::of(&error))
        });
        Call { thread, pid, token }
    }

    /// Runs `sql`, which must fail, and gives its error.
    pub fn error(&self, database: &str, sql: &str) -> DbError {
        match self.try_sql(database, sql) {
            Ok(rows) => panic!("{sql}\nmust fail but gave {rows:?}"),
            Err(error) => DbError::of(&error),
        }
    }

    /// The newest backup in the history of `postgres`.
    pub fn last_backup(&self) -> Run {
        let rows = self.sql(
            "postgres",
            "SELECT id, status, error, error_detail, error_hint, file, warnings \
             FROM backup_history WHERE kind = 'backup' ORDER BY id DESC LIMIT 1",
        );
        let row = rows.into_iter().next().expect("there is a backup");
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || texts.next().unwrap_or_default();
        Run {
            id: next().parse().expect("a number"),
            status: next(),
            error: next(),
            detail: next(),
            hint: next(),
            file: next(),
            warnings: next(),
        }
    }

    /// Archive of a run, as a path.
    pub fn archive(&self, run: &Run) -> std::path::PathBuf {
        self.backup_dir().join(&run.file)
    }

    /// Names below the backup directory that begin with a dot: partial files and work directories.
    pub fn partials(&self) -> Vec<String> {
        names_below(&self.backup_dir())
            .into_iter()
            .filter(|name| name.rsplit('/').next().is_some_and(|last| last.starts_with('.')))
            .collect()
    }

    /// Waits until a backup copies data.
    pub fn wait_for_phase(&self, phase: &str) {
        let sql = format!("SELECT count(*) FROM backup_progress WHERE phase = '{phase}'");
        wait_until(&format!("a job in phase {phase}"), LIMIT, || {
            self.value("postgres", &sql) != "0"
        });
    }

    /// No partial file, no tool, no session of a job, no slot.
    pub fn assert_nothing_left(&self) {
        let left = || {
            let tools: Vec<String> = processes_with(self.name())
                .into_iter()
                .map(command_line)
                .filter(|line| {
                    let tools = ["pg_dump", "pg_restore", "/bin/sh", "sleep", "flock"];
                    tools.iter().any(|tool| line.contains(tool))
                })
                .collect();
            let sessions = "SELECT coalesce(string_agg(application_name, ', '), '') \
                            FROM pg_stat_activity WHERE application_name LIKE 'pg\\_backup%'";
            let sessions = self.value("postgres", sessions);
            let jobs = self.value("postgres", "SELECT count(*) FROM backup_progress");
            (self.partials(), tools, sessions, jobs)
        };
        let nothing = (Vec::new(), Vec::new(), String::new(), "0".to_owned());
        let mut last = nothing.clone();
        let clean = crate::process::poll(Duration::from_secs(20), || {
            last = left();
            (last == nothing).then_some(())
        });
        assert!(clean.is_some(), "left behind: {last:?}");
    }

    /// The next backup works, is recorded and can be read.
    pub fn assert_next_backup_works(&self) {
        let id = self.value("postgres", "SELECT backup_create()");
        let run = self.last_backup();
        assert_eq!((run.id.to_string(), run.status.as_str()), (id, "succeeded"));
        assert!(self.archive(&run).exists(), "{}", run.file);
    }

    /// From now on pg_dump stops after its first bytes for as long as the gate is closed.
    pub fn hold_dumps(&self) -> Gate {
        let gate = Gate::new(self, "hold");
        self.use_tool("pg_dump", &gate.script(200));
        gate
    }

    /// A database with some megabytes that do not compress, in `tables` tables.
    pub fn fill(&self, database: &str, tables: u32, megabytes_each: u32) {
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
        let lines = megabytes_each * 1024 / 8;
        for table in 1..=tables {
            self.sql(
                database,
                &format!(
                    "CREATE TABLE t{table} AS SELECT i AS id, (SELECT string_agg( \
                     md5((i * 1000 + j + {table})::text), '') FROM generate_series(1, 256) j) AS x \
                     FROM generate_series(1, {lines}) i"
                ),
            );
        }
    }
}

/// Everything below a directory, relative to it.
pub fn names_below(directory: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(directory).expect("it is below").display().to_string();
            names.push(name);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            }
        }
    }
    names.sort();
    names
}
