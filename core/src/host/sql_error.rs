//! What an error of the server or of the connection means for a job.

use tokio_postgres::error::SqlState;

use crate::decide::settings::Access;
use crate::error::{Class, Failure};

/// A failed statement in `database`, whose encoding is that (empty where it is not known).
pub fn statement(database: &str, encoding: &str, error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure::new(
            Class::Connection,
            format!("lost the connection to database \"{database}\""),
        )
        .detail(format!("The client library says: {}.", chain(error)))
        .hint("See the server log for the reason; then start the job again.");
    };
    let message = format!("{} (in database \"{database}\")", db.message());
    let failure = Failure::new(class_of(db.code()), message);
    let failure = failure.detail(db.detail().unwrap_or_default());
    // What the server says itself is nearer to the point.
    failure.hint(db.hint().or(hint_of(db.code(), encoding)).unwrap_or_default())
}

/// A failed attempt to connect to `database`.
pub fn connecting(access: &Access, database: &str, error: &tokio_postgres::Error) -> Failure {
    let place = format!("host \"{}\", port {}, user \"{}\"", access.host, access.port, access.user);
    match error.as_db_error() {
        Some(db) if db.code() == &SqlState::UNDEFINED_DATABASE => {
            Failure::new(Class::UndefinedDatabase, db.message().to_owned())
        }
        Some(_) => {
            let failure = statement(database, "", error);
            let detail = format!("The runner connects with {place}. {}", failure.detail);
            Failure { detail: detail.trim_end().to_owned(), ..failure }
        }
        None => {
            Failure::new(Class::Connection, format!("could not connect to database \"{database}\""))
                .detail(format!("The runner connects with {place}: {}.", chain(error)))
                .hint("Check pg_backup.host, pg_backup.port, pg_backup.user and pg_hba.conf.")
        }
    }
}

fn class_of(code: &SqlState) -> Class {
    match code {
        c if *c == SqlState::UNDEFINED_DATABASE => Class::UndefinedDatabase,
        c if *c == SqlState::TOO_MANY_CONNECTIONS => Class::TooManyConnections,
        c if *c == SqlState::OUT_OF_MEMORY => Class::LimitExceeded,
        c if *c == SqlState::LOCK_NOT_AVAILABLE => Class::LockTimeout,
        c if *c == SqlState::DISK_FULL => Class::DiskFull,
        c if *c == SqlState::IO_ERROR => Class::Io,
        c if *c == SqlState::DATA_CORRUPTED => Class::Io,
        c if *c == SqlState::INDEX_CORRUPTED => Class::Io,
        c if *c == SqlState::INSUFFICIENT_PRIVILEGE => Class::InsufficientPrivilege,
        c if *c == SqlState::ADMIN_SHUTDOWN => Class::Interrupted,
        c if *c == SqlState::CRASH_SHUTDOWN => Class::Interrupted,
        c if *c == SqlState::CANNOT_CONNECT_NOW => Class::Interrupted,
        c if *c == SqlState::QUERY_CANCELED => Class::Cancelled,
        c if *c == SqlState::OBJECT_IN_USE => Class::InUse,
        c if *c == SqlState::UNDEFINED_TABLE => Class::UndefinedObject,
        c if *c == SqlState::INVALID_SCHEMA_NAME => Class::UndefinedObject,
        _ => Class::Statement,
    }
}

fn hint_of(code: &SqlState, encoding: &str) -> Option<&'static str> {
    if *code == SqlState::T_R_DEADLOCK_DETECTED {
        return Some("The backup and another session waited for each other. Run it again.");
    }
    if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE && encoding == "SQL_ASCII" {
        return Some(
            "SQL_ASCII lets names in that are not valid UTF-8. Find it with client_encoding = \
             'SQL_ASCII', rename what it belongs to, and run this again.",
        );
    }
    hint_of_class(class_of(code))
}

/// The hint of a statement of ours that failed by this class, where the server gave none.
pub fn hint_of_class(class: Class) -> Option<&'static str> {
    match class {
        Class::TooManyConnections => Some(
            "The runner needs up to three connections beside those of pg_dump. Raise \
             max_connections or superuser_reserved_connections.",
        ),
        Class::LimitExceeded => Some("Raise max_locks_per_transaction."),
        Class::InsufficientPrivilege => {
            Some("pg_backup.user must be a superuser; the default is the bootstrap superuser.")
        }
        _ => None,
    }
}

/// The error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
