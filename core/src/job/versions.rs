//! What a job says when the SQL of its database is of another version than the library.
//!
//! In: a session, or a failure. Out: the same failure, with the mismatch where there is one.
//! Must hold: a failure that has another reason keeps its words.

use super::context::Context;
use crate::catalog::recovery::{EXTENSION, ON_DISK};
use crate::decide::request::Home;
use crate::decide::versions::{LIBRARY, Versions};
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::server::Server;

/// What does not fit in the database of this session, where its extension is version `sql`. The
/// files on disk are only looked at when the SQL is not that of the library.
pub async fn mismatch(
    server: &Server,
    control: &dyn Control,
    sql: &str,
) -> Result<Option<Failure>> {
    if sql == LIBRARY {
        return Ok(None);
    }
    judged(server, control, sql).await
}

/// The same, and whether the library is that of the files on disk.
pub async fn judged(server: &Server, control: &dyn Control, sql: &str) -> Result<Option<Failure>> {
    let rows = server.rows(control, ON_DISK, &[]).await?;
    let on_disk: Option<String> = rows.first().map(|row| row.get(0));
    let versions = Versions { library: LIBRARY, sql, on_disk: on_disk.as_deref() };
    Ok(versions.mismatch(&server.database))
}

/// The failure to read a database whose SQL does not fit. Errors of connections and locks stay what
/// they are: they pass.
pub fn unreadable(failure: Failure, mismatch: Failure) -> Failure {
    if !may_be_of_it(&failure) {
        return failure;
    }
    let detail = format!(
        "Its schedules do not run: {}. Nothing of it was changed.",
        failure.message.trim_end_matches('.')
    );
    Failure { detail, ..mismatch }
}

/// The failure of a job in `home`, with what does not fit there.
pub async fn explained(context: &Context<'_>, home: &Home, failure: Failure) -> Failure {
    if !may_be_of_it(&failure) {
        return failure;
    }
    let (access, control) = (&context.settings.access, context.control);
    let asked = async {
        let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
        let rows = server.rows(control, EXTENSION, &[]).await?;
        match rows.first() {
            Some(row) => mismatch(&server, control, row.get(2)).await,
            None => Ok(None),
        }
    };
    // It is only to explain another failure.
    match asked.await {
        Ok(Some(mismatch)) => with_mismatch(failure, mismatch),
        _ => failure,
    }
}

/// A statement of ours that the database does not understand.
fn may_be_of_it(failure: &Failure) -> bool {
    failure.class == Class::Statement || is_said_to_be_dropped(failure)
}

/// A table that is missing is told as a whole extension that is gone.
fn is_said_to_be_dropped(failure: &Failure) -> bool {
    failure.class == Class::UndefinedObject && failure.message == crate::catalog::history::DROPPED
}

fn with_mismatch(failure: Failure, mismatch: Failure) -> Failure {
    if is_said_to_be_dropped(&failure) {
        return Failure { detail: failure.detail, ..mismatch };
    }
    let said =
        if failure.detail.is_empty() { String::new() } else { format!("{} ", failure.detail) };
    let detail = format!("{said}Also, {}.", mismatch.message);
    let hint = if failure.hint.is_empty() { mismatch.hint } else { failure.hint };
    Failure { detail, hint, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatched() -> Failure {
        Failure::new(Class::NotReady, "versions differ").detail("d").hint("Update.")
    }

    #[test]
    fn a_missing_table_is_told_as_the_older_version_that_it_is() {
        let dropped = Failure::new(Class::UndefinedObject, crate::catalog::history::DROPPED)
            .detail("no table x")
            .hint("Create it.");
        let told = with_mismatch(dropped, mismatched());
        assert_eq!((told.class, told.hint.as_str()), (Class::NotReady, "Update."));
        assert_eq!(told.detail, "no table x");
    }

    #[test]
    fn another_failed_statement_keeps_its_words_and_class() {
        let failed = Failure::new(Class::Statement, "division by zero").hint("Do not.");
        let told = with_mismatch(failed, mismatched());
        assert_eq!((told.class, told.hint.as_str()), (Class::Statement, "Do not."));
        assert_eq!(told.detail, "Also, versions differ.");
    }

    #[test]
    fn a_lock_that_was_not_granted_is_not_blamed_on_versions() {
        let locked = Failure::new(Class::LockTimeout, "lock");
        assert_eq!(unreadable(locked.clone(), mismatched()), locked);
        let failed = Failure::new(Class::Statement, "no column x");
        assert_eq!(unreadable(failed, mismatched()).class, Class::NotReady);
    }
}
