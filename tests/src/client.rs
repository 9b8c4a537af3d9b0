//! Clients of a cluster: the Rust driver, and the real psql.
//!
//! In: a database and SQL. Out: values, or the error as the server sent it.
//! Must hold: nothing of the developer's environment (PGHOST, .psqlrc, .pgpass) has a part in it,
//! and no session here is mistaken for one of pg_backup (whose names begin with `pg_backup`).

use crate::cluster::Cluster;
use crate::errors::DbError;
use crate::place::{base, bin};
use crate::server::plain;
use crate::session;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const APPLICATION_NAME: &str = "outer test";

/// Rows as text, NULL as None.
pub type Rows = Vec<Vec<Option<String>>>;

impl Cluster {
    /// A program that is a client of this cluster, in an environment that says no more than that.
    /// Modules of Node are where Debian's packages and `scripts/test-clients.sh` put them.
    pub fn program(&self, interpreter: &str) -> Command {
        let psql = bin("psql").parent().expect("programs lie in a directory").display().to_string();
        let modules = base().join("clients/node_modules");
        let socket = self.value("postgres", "SELECT current_setting('unix_socket_directories')");
        let mut command = Command::new(interpreter);
        command.env_clear().env("PATH", format!("{psql}:/usr/bin:/bin")).env("LC_ALL", "C.UTF-8");
        command.env("NODE_PATH", format!("/usr/share/nodejs:{}", modules.display()));
        command.env("PGHOST", socket).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command
    }

    /// How to connect: superuser `postgres`, over the cluster's socket.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.socket_dir).user("postgres").dbname(database);
        config.application_name(APPLICATION_NAME).connect_timeout(CONNECT_LIMIT);
        config
    }

    /// A new session. Panics when there is none to be had.
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as(database, "postgres")
    }

    /// A new session of another role.
    pub fn connect_as(&self, database: &str, role: &str) -> Client {
        session::close();
        self.new_session(database, role)
    }

    fn new_session(&self, database: &str, role: &str) -> Client {
        let client = self.config(database).user(role).connect(NoTls);
        client.unwrap_or_else(|error| {
            panic!("could not connect to {database} as {role}: {}", DbError::of(&error))
        })
    }

    /// Runs SQL and gives the rows, in a session of its own or one made like new: see
    /// [`session`]. Several statements are one transaction.
    /// Panics when it fails.
    pub fn sql(&self, database: &str, sql: &str) -> Rows {
        let rows = self.try_sql(database, sql);
        rows.unwrap_or_else(|error| panic!("{sql}\nfailed: {}", DbError::of(&error)))
    }

    /// The same for SQL that may fail.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<Rows, postgres::Error> {
        let messages = self.messages(database, sql)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    fn messages(
        &self,
        database: &str,
        sql: &str,
    ) -> Result<Vec<SimpleQueryMessage>, postgres::Error> {
        let kept = session::take(&self.socket_dir, database, sql);
        let mut client = kept.unwrap_or_else(|| self.new_session(database, "postgres"));
        let answer = client.simple_query(sql);
        session::keep(&self.socket_dir, database, sql, client);
        answer
    }

    /// The one value that a query gives, NULL as an empty string. Panics on anything else.
    pub fn value(&self, database: &str, sql: &str) -> String {
        let rows = self.sql(database, sql);
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap_or_default(),
            _ => panic!("{sql}\ngave not one value but {rows:?}"),
        }
    }

    /// Runs SQL with the real psql (`-XAtq`, statement by statement) and gives its standard output
    /// without the last newline. Panics when it fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.run_psql(database, sql);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql failed on {sql}\n{said}");
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// The same for what it says beside that: notices and warnings.
    pub fn psql_says(&self, database: &str, sql: &str) -> String {
        let output = self.run_psql(database, sql);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "psql failed on {sql}\n{said}");
        said
    }

    /// The same for SQL that must fail: psql's exit code and standard error.
    pub fn psql_err(&self, database: &str, sql: &str) -> (i32, String) {
        let output = self.run_psql(database, sql);
        assert!(!output.status.success(), "psql did not fail on {sql}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// The SQL goes through standard input: with `-c` it would be one transaction. The database
    /// goes through the environment: `-d` would take a name with `=` for a connection string.
    fn run_psql(&self, database: &str, sql: &str) -> Output {
        session::close();
        let mut psql = plain(bin("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(&self.socket_dir);
        psql.env("PGDATABASE", database).env("PGAPPNAME", APPLICATION_NAME);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().unwrap_or_else(|error| panic!("could not run psql: {error}"));
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // psql may end before it has read everything; its own error is the better one.
        let _ = stdin.write_all(sql.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("psql ran")
    }

    /// The process ids of the running jobs' workers.
    pub fn runners(&self) -> Vec<i32> {
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_backup runner'";
        let rows = self.sql("postgres", query);
        rows.iter().filter_map(|row| row[0].as_ref()?.parse().ok()).collect()
    }

    /// Makes the server read its configuration files again, and waits until a new session sees
    /// that it has.
    pub fn reload(&self) {
        let before = self.value("postgres", "SELECT pg_conf_load_time()");
        self.sql("postgres", "SELECT pg_reload_conf()");
        crate::wait_until("the reload", CONNECT_LIMIT, || {
            self.value("postgres", "SELECT pg_conf_load_time()") != before
        });
    }
}
