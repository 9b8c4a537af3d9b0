//! Files that mean harm, in the place of a good archive, and what must not have happened then.

use std::fs;
use std::path::PathBuf;

use pg_backup_hostile::Zip;

use crate::server::as_server;
use crate::session;
use crate::{Cluster, Run, give_to_server, names_below};

/// A part of every name under which a hostile file would write something.
pub const HARM: &str = "harm";
/// Memory of its own that any process of the server may take, bytes.
const MEMORY_MAX: u64 = 256 << 20;

/// A backup whose archive is replaced by others.
pub struct Victim {
    pub run: Run,
    /// The members of its archive.
    pub good: Zip,
    path: PathBuf,
}

impl Victim {
    /// Makes the backup with `backup_create(arguments)`.
    pub fn new(cluster: &Cluster, arguments: &str) -> Self {
        cluster.value("postgres", &format!("SELECT backup_create({arguments})"));
        let run = cluster.last_backup();
        let path = cluster.archive(&run);
        let good = Zip::read(&path).expect("a good archive is a zip");
        Self { run, good, path }
    }

    /// Puts `bytes` in the place of the archive. The row is made to agree with them, as if they
    /// had come from outside: otherwise their hash says it all.
    pub fn replace(&self, cluster: &Cluster, bytes: &[u8]) {
        fs::write(&self.path, bytes).expect("the archive can be written");
        give_to_server(&self.path);
        let path = self.path.display();
        let sql = format!(
            "UPDATE backup_runs SET file_state = 'available', size_bytes = \
             (pg_stat_file('{path}')).size, \
             sha256 = encode(sha256(pg_read_binary_file('{path}')), 'hex') WHERE id = {}",
            self.run.id
        );
        cluster.sql("postgres", &sql);
    }
}

/// What stays as it is, whatever a file holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Guard {
    /// Start of the server, and the processes that a crash of any other would end.
    processes: String,
    names: Vec<String>,
    databases: String,
}

impl Guard {
    /// Limits the memory of every process that the server starts from now on: one that wants more
    /// aborts, and the whole server restarts, which [`Guard::look`] shows.
    pub fn limit_memory(cluster: &Cluster) {
        let mut limit = as_server("prlimit".into());
        limit.args([format!("--pid={}", cluster.pid()), format!("--data={MEMORY_MAX}")]);
        let status = limit.status().expect("prlimit runs");
        assert!(status.success(), "prlimit failed");
        session::close();
        let limits = cluster.value("postgres", "SELECT pg_read_file('/proc/self/limits')");
        assert!(limits.contains(&MEMORY_MAX.to_string()), "{limits}");
    }

    /// The state of the server now.
    pub fn look(cluster: &Cluster) -> Self {
        let processes = "SELECT pg_postmaster_start_time() || ' ' || \
                         string_agg(backend_type || ' ' || pid, ', ' ORDER BY pid) \
                         FROM pg_stat_activity WHERE backend_type IN \
                         ('checkpointer', 'walwriter', 'pg_backup launcher')";
        let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database";
        let home = cluster.backup_dir().parent().map(names_below).unwrap_or_default();
        let is_harm = |name: &String| name.contains(HARM);
        let names = names_below(&cluster.backup_dir()).into_iter();
        Self {
            processes: cluster.value("postgres", processes),
            names: names.chain(home.into_iter().filter(is_harm)).collect(),
            databases: cluster.value("postgres", databases),
        }
    }
}
