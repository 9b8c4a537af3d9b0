//! The settings of the server that a job depends on, as plain values. The extension reads them
//! from `pg_backup.*`; tests fill them by hand.

use std::path::PathBuf;

/// How the runner, pg_dump and the other tools get back into the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Directory of the Unix socket, or a host name.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Password file in libpq's format; only its path is known here.
    pub passfile: Option<PathBuf>,
    /// Major version of the server, for example 17.
    pub major: u32,
    /// Database for what belongs to no database in particular.
    pub connect_database: String,
}

/// Facts about this server, and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub access: Access,
    /// `pg_backup.directory` as it is set.
    pub directory: PathBuf,
    pub data_directory: PathBuf,
    /// Where pg_dump, pg_dumpall and pg_restore are.
    pub bin_directory: PathBuf,
    pub system_identifier: u64,
    /// Bytes that a backup leaves free on its file system.
    pub min_free_space: u64,
    /// Threads that compress beside pg_dump.
    pub compression_threads: u32,
    /// `pg_backup.attach_directories` as it is set: what is below them may be attached.
    pub attach_directories: String,
    /// `pg_backup.export_directories` as it is set: what jobs write for people goes below them.
    pub export_directories: String,
    /// How long one hook may take; zero is no limit.
    pub hook_timeout: std::time::Duration,
    /// The file of the keys that archives are signed with.
    pub signing_key_file: Option<PathBuf>,
}
