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
/// A library of PostgreSQL that does nothing unless it is told to.
const LIBRARY: &str = "auth_delay.so";
/// The settings of a server with it.
pub const PRELOADED: &str = "shared_preload_libraries = 'timescaledb, pg_backup'";

impl Cluster {
    /// A cluster where the stand-in is installed and preloaded.
    pub fn with_timescaledb() -> Self {
        install_timescaledb();
        Self::with(&[PRELOADED])
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
        let library = fs::read(tree().libdir.join(LIBRARY)).expect("the tree has contrib modules");
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
