//! The stand-in for TimescaleDB: an extension of our own in its place.
//!
//! In: the files of `tests/timescale`. Out: an extension `timescaledb` in two versions in the
//! private tree, and a library of that name that can be preloaded. Must hold: tests in other
//! processes install the same files at the same time.

use crate::cluster::Cluster;
use crate::place::{tree, unique_name};
use std::fs;
use std::path::Path;
use std::sync::Once;

const CONTROL: &str = include_str!("../timescale/timescaledb.control");
const SCRIPT: &str = include_str!("../timescale/timescaledb.sql");
const UPDATE: &str = include_str!("../timescale/timescaledb--2.19.3--2.20.0.sql");
/// A library that every PostgreSQL has, also one without contrib, and that does nothing by itself.
const LIBRARY: &str = "pgoutput.so";
/// The settings of a server with it.
pub const PRELOADED: &str = "shared_preload_libraries = 'timescaledb, pg_backup'";

/// A hypertable of an ordinary role with two chunks, jobs, and a table of its own kind. Chunks are
/// larger than the catalog: connections beside each other would take them first.
const DATABASE: &str = "
CREATE ROLE sensor;
CREATE TABLE plain AS SELECT i FROM generate_series(1, 10) i;
CREATE TABLE metrics (at timestamptz NOT NULL, v int);
ALTER TABLE metrics OWNER TO sensor;
SELECT ts.create_hypertable('metrics');
SELECT ts.create_chunk('metrics', $$SELECT '2020-01-01', i FROM generate_series(1, 20000) i$$);
SELECT ts.create_chunk('metrics', $$SELECT '2020-02-01', i FROM generate_series(1, 30000) i$$);
CREATE INDEX ON _timescaledb_internal._hyper_1_1_chunk (at);
SELECT ts.add_job('retention', '1 day'), ts.add_job('refresh', '1 hour');
SELECT ts.add_job('off', '1 day');
SELECT ts.alter_job(1000, next_start => '2040-01-01 00:00+00');
SELECT ts.alter_job(1001, next_start => '2020-01-01 00:00+00');
SELECT ts.alter_job(1002, scheduled => false);";

impl Cluster {
    /// A cluster where the stand-in is installed and preloaded.
    pub fn with_timescaledb() -> Self {
        install_timescaledb();
        Self::with(&[PRELOADED])
    }

    /// The database `app` with a hypertable, the extension in `schema`.
    pub fn make_hypertable(&self, schema: &str) {
        self.psql("postgres", "CREATE DATABASE app");
        let extension = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; \
         CREATE EXTENSION timescaledb SCHEMA {schema} VERSION '2.19.3';"
        );
        self.psql("app", &(extension + &DATABASE.replace("ts.", &format!("{schema}."))));
    }

    /// A backup of `app`; gives its id.
    pub fn backup_of_app(&self, options: &str) -> String {
        self.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"))
    }

    /// How often the stand-in has said `what` about `database`.
    pub fn stand_in_said(&self, what: &str, database: &str) -> usize {
        self.log()
            .lines()
            .filter(|l| l.ends_with(&format!("stand-in: {what} in {database}")))
            .count()
    }
}

/// Installs the stand-in into the private tree.
pub fn install_timescaledb() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let place = |name: &str| tree().extension_dir.join(name);
        put(&place("timescaledb.control"), CONTROL.as_bytes());
        put(&place("timescaledb--2.19.3.sql"), SCRIPT.as_bytes());
        put(&place("timescaledb--2.20.0.sql"), SCRIPT.as_bytes());
        put(&place("timescaledb--2.19.3--2.20.0.sql"), UPDATE.as_bytes());
        let library = fs::read(tree().libdir.join(LIBRARY)).expect("PostgreSQL has it");
        put(&tree().libdir.join("timescaledb.so"), &library);
    });
}

/// Writes a file that others may be reading: it is there whole, or not yet.
fn put(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return;
    }
    let new = path.with_extension(unique_name());
    fs::write(&new, bytes).expect("the tree is ours");
    fs::rename(&new, path).expect("both lie in the same directory");
}
