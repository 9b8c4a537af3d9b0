//! The one error of the engine: what class it is, what happened, what is known, what to do.
//!
//! In: whatever went wrong in a decision, on the host or in a tool. Out: a [`Failure`] that is
//! plain data, so that it crosses shared memory and is stored in a row as it stands. The
//! extension maps [`Class`] to an SQLSTATE; nothing here knows one.

use serde::{Deserialize, Serialize};

/// What kind of thing went wrong: one class, one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An argument or a setting has a value that cannot work.
    InvalidArgument,
    /// A run, schedule or role that does not exist.
    UndefinedObject,
    /// A database that does not exist.
    UndefinedDatabase,
    /// The caller may not do this.
    InsufficientPrivilege,
    /// Sessions use a database that has to be renamed.
    InUse,
    /// The caller's transaction has already written something.
    ActiveTransaction,
    /// The server is a standby.
    InRecovery,
    /// Another job works on the same database, or the thing is in use.
    Concurrent,
    /// The server is not set up for this: not preloaded, launcher not running.
    NotReady,
    /// A configured limit of the server is used up: worker slots, job slots, locks.
    LimitExceeded,
    /// The server takes no further connection.
    TooManyConnections,
    /// The server cannot be reached, or the connection broke.
    Connection,
    /// No space left, or less than the reserve.
    DiskFull,
    /// The operating system refused a file operation.
    Io,
    /// A file or a directory that should be there is not.
    UndefinedFile,
    /// A file that must not be there is.
    DuplicateFile,
    /// A lock was not granted in time.
    LockTimeout,
    /// The waiting caller itself holds the lock that its job needs.
    Deadlock,
    /// Cancelled by the user.
    Cancelled,
    /// Ran longer than allowed, or stood still.
    Timeout,
    /// Ended by a shutdown or a crash.
    Interrupted,
    /// A hook of the user raised an error.
    Hook,
    /// A tool (pg_dump …) failed.
    ToolFailed,
    /// An archive is not what was written.
    Damaged,
    /// A statement of ours failed on the server.
    Statement,
    /// A defect of pg_backup.
    Internal,
}

/// A failed step, ready to be shown: message by PostgreSQL's error style guide, detail and hint
/// as full sentences. Empty strings where there is nothing to say. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub class: Class,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

/// The result of every step of the engine.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with a message only.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), detail: String::new(), hint: String::new() }
    }

    /// The same with a detail: what is known, in full sentences.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same with a hint: what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The failure that an error of reading or writing carries in itself, if it does.
    pub fn inside(error: &std::io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().cloned()
    }

    /// An operating system error while `doing` something ("create directory \"…\""): `DiskFull`,
    /// `UndefinedFile`, `DuplicateFile`, or `Io`.
    pub fn io(doing: impl std::fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let class = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Class::DiskFull,
            ErrorKind::NotFound => Class::UndefinedFile,
            ErrorKind::AlreadyExists => Class::DuplicateFile,
            _ => Class::Io,
        };
        Self::new(class, format!("could not {doing}: {error}"))
    }
}
