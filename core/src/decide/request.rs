//! What a job is asked to do: plain data, filled by the SQL surface, carried as JSON through a
//! job slot in shared memory, read by the runner. Everything that depends on the caller's
//! session (arguments, settings, role) is resolved before it gets here.

use serde::{Deserialize, Serialize};

use super::backup_options::Defaults;
use super::compatibility::Compare;
use super::export::{Export, Extract};
use super::format::{Compression, Format};
use super::manifest::Application;
use super::verify_level::Level;

mod restore;

pub use restore::{IntoSchema, KeptEnd, Restore, Rollback, Safety};

/// The database and schema whose extension tables hold the run's row, and who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Database that holds the row.
    pub database: String,
    /// Schema of the extension in that database.
    pub schema: String,
    /// Role that asked, as shown in the history.
    pub requested_by: String,
    /// Id handed out already (`wait => false`), else 0: the job takes the next one.
    pub id: i64,
    /// Moment of the request, microseconds since the Unix epoch.
    pub queued_at: i64,
    /// Who has asked for an administrative action; None for what the server does by itself, and
    /// for backups and verifications, whose rows say enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asker: Option<Asker>,
}

/// Who asks, for the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Name of the routine that was called.
    pub action: String,
    /// Role that logged in.
    pub session_role: String,
    /// Where from; None through the Unix-domain socket.
    pub address: Option<String>,
    /// `application_name`; may be empty.
    pub application: String,
}

/// One job: where its row lives and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub home: Home,
    pub task: Task,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    Backup(Backup),
    /// A backup as a schedule says, and what comes after it.
    Scheduled(Scheduled),
    Verify(Verify),
    Delete(Delete),
    Prune(Prune),
    Restore(Restore),
    /// `backup_restore_check()`; leaves no row.
    RestoreCheck(Restore),
    Rollback(Rollback),
    /// `backup_extract()`; leaves no row.
    Extract(Extract),
    /// `backup_export()`; leaves no row.
    Export(Export),
    Import(Import),
    Scan(Scan),
    /// The runner's part of `backup_check()`; leaves no row.
    Check,
    /// `backup_compatibility()` of a backup of another database; leaves no row.
    Compare(Compare),
    /// Something that the session does itself; leaves no row but that of the audit.
    Record(Record),
}

/// A backup to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    pub database: String,
    /// Why it was made: manual, schedule, catch_up, retry, start.
    pub origin: String,
    /// The schedule it belongs to.
    pub schedule: Option<String>,
    pub comment: Option<String>,
    pub format: Format,
    pub compression: Compression,
    /// Connections of pg_dump; more than one needs the directory format.
    pub jobs: u16,
    /// pg_dump patterns.
    pub schemas: Vec<String>,
    pub tables: Vec<String>,
    pub exclude_tables: Vec<String>,
    pub exclude_table_data: Vec<String>,
    /// Absolute paths of files and folders that go into the archive too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<String>,
    pub globals: Globals,
    pub limits: Limits,
    /// Table of migrations beyond the known frameworks (`schema.table` or `table`), or empty.
    pub migrations_table: String,
    /// What the application says about itself.
    pub application: Application,
}

/// How long things may take, in milliseconds; 0 means without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// The whole job.
    pub runtime: u64,
    /// Time without any sign of progress.
    pub stall: u64,
    /// Waiting for a lock that another session holds.
    pub lock: u64,
}

/// Whether roles and tablespaces of the server go into the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Globals {
    Off,
    /// Roles without their password hashes.
    WithoutPasswords,
    On,
}

/// A schedule to look at: what it says is read when the job runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    pub schedule: String,
    /// The database that it backed up when the job was made. A schedule that says otherwise by now
    /// is looked at again.
    pub database: String,
    pub cause: Cause,
    pub defaults: Defaults,
}

/// Why a schedule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is, or may be, due: its row decides.
    Due,
    /// The server has started.
    Start,
    /// `backup_run()`.
    Manual,
}

/// The policy of a schedule to apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prune {
    pub schedule: String,
}

/// An archive to verify.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    pub backup: i64,
    /// As of the backup that it belongs to.
    pub origin: String,
    pub schedule: Option<String>,
    pub level: Level,
    pub limits: Limits,
}

/// An archive to delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    pub backup: i64,
}

/// A file to take into the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// A file or directory, absolute.
    pub path: String,
    /// As the user calls it.
    pub filename: String,
    /// `import` or `upload`.
    pub origin: String,
    pub comment: Option<String>,
    /// What it must have, when given.
    pub sha256: Option<String>,
    /// The file is ours: it is unlinked when it is done.
    pub take: bool,
    pub limits: Limits,
}

/// The backup directory to compare with the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Where to write what was found, one JSON object a line: it may be more than a slot holds.
    pub findings: String,
    pub limits: Limits,
}

/// An action of a session on an archive that leaves or comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Id of the backup or of the upload.
    pub id: i64,
}

impl Task {
    /// The word in the history's column `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Task::Backup(_) | Task::Scheduled(_) => "backup",
            Task::Verify(_) => "verify",
            Task::Delete(_) | Task::Prune(_) => "prune",
            Task::Restore(_) | Task::Rollback(_) => "restore",
            Task::Extract(_) => "extract",
            Task::Export(_) => "export",
            Task::Import(_) => "import",
            Task::Scan(_) => "scan",
            Task::Check | Task::RestoreCheck(_) | Task::Compare(_) | Task::Record(_) => "check",
        }
    }

    /// The database that the job reads, and that no second job may work on: None when it reads
    /// none.
    pub fn database(&self) -> Option<&str> {
        match self {
            Task::Backup(backup) => Some(&backup.database),
            Task::Scheduled(scheduled) => Some(&scheduled.database),
            Task::Restore(restore) => Some(restore.database()),
            Task::Rollback(rollback) => Some(&rollback.database),
            Task::Verify(_)
            | Task::Delete(_)
            | Task::Prune(_)
            | Task::Import(_)
            | Task::Scan(_)
            | Task::RestoreCheck(_)
            | Task::Extract(_)
            | Task::Export(_)
            | Task::Check
            | Task::Compare(_)
            | Task::Record(_) => None,
        }
    }

    /// The schedule that the job belongs to.
    pub fn schedule(&self) -> Option<&str> {
        match self {
            Task::Backup(backup) => backup.schedule.as_deref(),
            Task::Scheduled(scheduled) => Some(&scheduled.schedule),
            Task::Verify(verify) => verify.schedule.as_deref(),
            Task::Prune(prune) => Some(&prune.schedule),
            Task::Delete(_)
            | Task::Restore(_)
            | Task::RestoreCheck(_)
            | Task::Rollback(_)
            | Task::Extract(_)
            | Task::Export(_)
            | Task::Import(_)
            | Task::Scan(_)
            | Task::Check
            | Task::Compare(_)
            | Task::Record(_) => None,
        }
    }
}
