//! The SQL surface: one file a noun, a few lines a function. Arguments are read and checked here;
//! the work is done by jobs.

mod backup;
mod check;
mod compatibility;
mod contents;
mod delete;
pub mod download;
mod export;
mod extract;
mod hook;
mod import;
mod job;
mod progress;
mod restore;
mod restore_arguments;
mod retention;
mod schedule;
mod schedule_arguments;
pub mod upload;
mod verify;

use pg_backup_core::decide::request::{Home, Record, Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::Report;

use crate::error::{log_warning, warning};
use crate::worker::call;
use crate::{catalog, pg};

/// Errors unless the caller is a superuser. Only in functions that are not SECURITY DEFINER.
fn ensure_superuser(doing: &str) -> Result<()> {
    if pg::caller().superuser {
        return Ok(());
    }
    Err(Failure::new(Class::InsufficientPrivilege, format!("must be superuser to {doing}")))
}

/// Where the run of this call will be recorded. `id` is 0 unless it was handed out already.
fn home(id: i64) -> Result<Home> {
    Ok(Home {
        database: pg::database_name(),
        schema: catalog::schema()?,
        requested_by: pg::current_role(),
        id,
        queued_at: pg::now_micros(),
        asker: None,
    })
}

/// The same for an administrative action, which the job records in the audit: `call` is the
/// routine.
fn audited_home(call: &str, id: i64) -> Result<Home> {
    Ok(Home { asker: Some(catalog::audit::asker(call)?), ..home(id)? })
}

/// Records an action that the session does by itself and that no ROLLBACK undoes. The job that
/// writes it gives the caller's transaction no id.
fn record(action: &str, id: i64) -> Result<()> {
    let (home, task) = (audited_home(action, 0)?, Task::Record(Record { id }));
    call::run(&Request { home, task }).map(drop)
}

/// Runs a job, waits for its end, and warns the caller of what its run warns of. Gives the run's
/// id.
fn waited(request: &Request) -> Result<i64> {
    let Report { id, told, warnings, .. } = call::run(request)?;
    let is_told = |text: &String| warnings.iter().any(|beside| text.starts_with(&beside.message));
    told.iter().filter(|text| !is_told(text)).for_each(|text| warning(text));
    warnings.into_iter().for_each(log_warning);
    Ok(id)
}

/// An argument that must be there.
fn not_null<T>(name: &str, argument: Option<T>) -> Result<T> {
    argument.ok_or_else(|| {
        Failure::new(Class::InvalidArgument, format!("{name} must not be NULL"))
            .hint(format!("Give a value, for example by name: {name} => …"))
    })
}

/// The elements of a list. A NULL in it is a mistake, not a pattern. pgrx looks at the encoding
/// of a text, but not at that of the elements of an array.
fn names(argument: &str, list: Option<Vec<Option<String>>>) -> Result<Vec<String>> {
    let refused = |what: &str| Failure::new(Class::InvalidArgument, format!("{argument} {what}"));
    let list = list.unwrap_or_default().into_iter().collect::<Option<Vec<String>>>();
    let list = list.ok_or_else(|| {
        refused("must not contain NULL")
            .hint("Give each element as a text; leave the argument out for none.")
    })?;
    if list.iter().any(|name| std::str::from_utf8(name.as_bytes()).is_err()) {
        return Err(refused("must be valid UTF-8")
            .detail("In a database with another encoding only ASCII can be given.")
            .hint("Call it from a database in UTF8, and name this one as database."));
    }
    Ok(list)
}
