//! Statements of ours that the SQL of this database may not understand.
//!
//! In: a statement for SPI. Out: its result; or an ERROR that says that the extension here is of
//! another version, where that is why. Must hold: with equal versions errors are what they were.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use pg_backup_core::decide::versions::{LIBRARY, Versions};
use pg_backup_core::error::Result;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use super::spi_failure;
use crate::{error, pg};

thread_local! {
    /// Version of the extension in this database, as it was read last.
    static SQL: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes the version of the extension, for an error that may come.
pub(super) fn seen(version: &str) {
    SQL.with_borrow_mut(|sql| version.clone_into(sql));
}

/// Runs a statement. A column, table or function that is not there is told as the mismatch of
/// versions that it comes from.
pub(super) fn understood<T>(
    statement: impl FnOnce() -> std::result::Result<T, SpiError>,
) -> Result<T> {
    let run = AssertUnwindSafe(|| statement().map_err(|error| spi_failure(&error)));
    PgTryBuilder::new(run)
        .catch_when(PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN, |caught| blame(caught))
        .catch_when(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, |caught| blame(caught))
        .catch_when(PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION, |caught| blame(caught))
        .execute()
}

fn blame(caught: CaughtError) -> ! {
    let sql = SQL.with_borrow(String::clone);
    // The transaction has failed: what is on disk cannot be asked any more.
    let versions = Versions { library: LIBRARY, sql: &sql, on_disk: None };
    let mismatch = versions.mismatch(&pg::database_name()).filter(|_| !sql.is_empty());
    match (mismatch, &caught) {
        (Some(mismatch), CaughtError::PostgresError(report)) => {
            let detail = format!("This call needs what is not there: {}.", report.message());
            error::raise(mismatch.detail(detail))
        }
        _ => caught.rethrow(),
    }
}
