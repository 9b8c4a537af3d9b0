//! The one map from a failure to SQLSTATE, message, detail and hint.

use pg_backup_core::error::{Class, Failure};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// The SQLSTATE of a class of failures (PostgreSQL documentation, appendix A).
pub fn sqlstate(class: Class) -> PgSqlErrorCode {
    use PgSqlErrorCode as C;
    match class {
        Class::InvalidArgument => C::ERRCODE_INVALID_PARAMETER_VALUE,
        Class::UndefinedObject => C::ERRCODE_UNDEFINED_OBJECT,
        Class::UndefinedDatabase => C::ERRCODE_INVALID_CATALOG_NAME,
        Class::InsufficientPrivilege => C::ERRCODE_INSUFFICIENT_PRIVILEGE,
        Class::ActiveTransaction => C::ERRCODE_ACTIVE_SQL_TRANSACTION,
        Class::InRecovery => C::ERRCODE_READ_ONLY_SQL_TRANSACTION,
        Class::Concurrent => C::ERRCODE_OBJECT_IN_USE,
        Class::InUse => C::ERRCODE_OBJECT_IN_USE,
        Class::NotReady => C::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        Class::LimitExceeded => C::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        Class::TooManyConnections => C::ERRCODE_TOO_MANY_CONNECTIONS,
        Class::Connection => C::ERRCODE_CONNECTION_FAILURE,
        Class::DiskFull => C::ERRCODE_DISK_FULL,
        Class::Io => C::ERRCODE_IO_ERROR,
        Class::UndefinedFile => C::ERRCODE_UNDEFINED_FILE,
        Class::DuplicateFile => C::ERRCODE_DUPLICATE_FILE,
        Class::LockTimeout => C::ERRCODE_LOCK_NOT_AVAILABLE,
        Class::Deadlock => C::ERRCODE_T_R_DEADLOCK_DETECTED,
        Class::Cancelled | Class::Timeout => C::ERRCODE_QUERY_CANCELED,
        Class::Interrupted => C::ERRCODE_ADMIN_SHUTDOWN,
        Class::Hook => C::ERRCODE_TRIGGERED_ACTION_EXCEPTION,
        Class::ToolFailed => C::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
        Class::Damaged => C::ERRCODE_DATA_CORRUPTED,
        Class::Statement => C::ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION,
        Class::Internal => C::ERRCODE_INTERNAL_ERROR,
    }
}

/// Raises a failure as an ERROR of the current statement.
pub fn raise(failure: Failure) -> ! {
    report(failure).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Raises the error of a guarded session whose superuser calls a function that he must not.
pub fn refuse_as_superuser(function: u32) -> ! {
    raise(
        Failure::new(
            Class::InsufficientPrivilege,
            "a function that runs SQL or reaches files is called with the rights of a superuser",
        )
        .detail(format!("It is function {function} of the server."))
        .hint("If you trust every role that could write to that database: trusted => true."),
    )
}

/// The value, or an ERROR.
pub fn unwrap<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| raise(failure))
}

/// Tells the caller something that is no error.
pub fn notice(text: &str) {
    pgrx::notice!("{}", takeable(text));
}

/// Warns the caller of something that his call came to.
pub fn warning(text: &str) {
    pgrx::warning!("{}", takeable(text));
}

/// In ASCII where the database's encoding may not hold it: that would be an error about itself.
fn takeable(text: &str) -> String {
    match crate::pg::takes_utf8() {
        true => text.to_owned(),
        false => text.replace(|c: char| !c.is_ascii(), "?"),
    }
}

/// Writes a failure to the server log as a WARNING of a worker.
pub fn log_warning(failure: Failure) {
    report(failure).report(PgLogLevel::WARNING);
}

fn report(failure: Failure) -> ErrorReport {
    let message = takeable(&failure.message);
    let report = ErrorReport::new(sqlstate(failure.class), message, "pg_backup");
    let report = match takeable(&failure.detail) {
        detail if detail.is_empty() => report,
        detail => report.set_detail(detail),
    };
    match takeable(&failure.hint) {
        hint if hint.is_empty() => report,
        hint => report.set_hint(hint),
    }
}
