//! `backup_create()`.

use std::str::FromStr;

use pg_backup_core::decide::format::{Compression, Format};
use pg_backup_core::decide::pattern::{schema_pattern, table_pattern};
use pg_backup_core::decide::request::{Backup, Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;

use super::home;
use crate::error::unwrap;
use crate::worker::call;
use crate::{catalog, pg, settings};

/// Connections of pg_dump, as `pg_backup.jobs` allows.
const JOBS: std::ops::RangeInclusive<i32> = 1..=64;

/// What the caller said, before defaults.
struct Arguments {
    comment: Option<String>,
    database: Option<String>,
    format: Option<String>,
    compression: Option<String>,
    jobs: Option<i32>,
    schemas: Vec<String>,
    tables: Vec<String>,
    exclude_tables: Vec<String>,
    exclude_table_data: Vec<String>,
    attach: Vec<String>,
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[expect(clippy::too_many_arguments, reason = "the contract of the SQL function")]
fn backup_create(
    comment: default!(Option<String>, "NULL"),
    database: default!(Option<String>, "NULL"),
    format: default!(Option<String>, "NULL"),
    compression: default!(Option<String>, "NULL"),
    jobs: default!(Option<i32>, "NULL"),
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
    tables: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude_tables: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude_table_data: default!(Option<Vec<Option<String>>>, "NULL"),
    attach: default!(Option<Vec<Option<String>>>, "NULL"),
    wait: default!(bool, "true"),
) -> i64 {
    let arguments = Arguments {
        comment,
        database,
        format,
        compression,
        jobs,
        schemas: unwrap(names("schemas", schemas)),
        tables: unwrap(names("tables", tables)),
        exclude_tables: unwrap(names("exclude_tables", exclude_tables)),
        exclude_table_data: unwrap(names("exclude_table_data", exclude_table_data)),
        attach: unwrap(names("attach", attach)),
    };
    unwrap(create(arguments, wait))
}

fn create(arguments: Arguments, wait: bool) -> Result<i64> {
    call::ensure_ready()?;
    let backup = request(arguments)?;
    if wait {
        call::ensure_nothing_written("backup_create()")?;
        let request = Request { home: home(0)?, task: Task::Backup(backup) };
        return Ok(call::run(&request)?.id);
    }
    let id = catalog::next_id(&catalog::schema()?)?;
    let home = home(id)?;
    catalog::insert_queued(&home, &backup)?;
    call::run_at_commit(&Request { home, task: Task::Backup(backup) })?;
    Ok(id)
}

fn request(arguments: Arguments) -> Result<Backup> {
    if !arguments.attach.is_empty() {
        return Err(Failure::new(Class::InvalidArgument, "attach is not supported yet")
            .hint("Leave it out; a later version adds files to the archive."));
    }
    let database = arguments.database.unwrap_or_else(pg::database_name);
    if !catalog::database_exists(&database)? {
        return Err(Failure::new(
            Class::UndefinedDatabase,
            format!("database \"{database}\" does not exist"),
        ));
    }
    arguments.schemas.iter().try_for_each(|pattern| schema_pattern(pattern).map(drop))?;
    let lists = [&arguments.tables, &arguments.exclude_tables, &arguments.exclude_table_data];
    lists.into_iter().flatten().try_for_each(|pattern| table_pattern(pattern).map(drop))?;
    let (format, jobs) = format_and_jobs(arguments.format.as_deref(), arguments.jobs)?;
    let compression = match arguments.compression.as_deref() {
        Some(text) => Compression::from_str(text)?,
        None => settings::compression()?,
    };
    Ok(Backup {
        database,
        origin: "manual".to_owned(),
        comment: arguments.comment,
        format,
        compression,
        jobs,
        schemas: arguments.schemas,
        tables: arguments.tables,
        exclude_tables: arguments.exclude_tables,
        exclude_table_data: arguments.exclude_table_data,
        globals: settings::globals(),
        limits: settings::limits(),
        migrations_table: settings::migrations_table(),
        application: settings::application(),
    })
}

/// Several connections need the directory format. What was said outright must fit together; a
/// default gives way.
fn format_and_jobs(format: Option<&str>, jobs: Option<i32>) -> Result<(Format, u16)> {
    let said = format.map(Format::from_str).transpose()?;
    let wanted = jobs.unwrap_or_else(settings::jobs);
    if !JOBS.contains(&wanted) {
        return Err(Failure::new(Class::InvalidArgument, format!("invalid jobs: {wanted}"))
            .hint("Use 1 to 64 connections."));
    }
    match (said, wanted) {
        (Some(Format::Directory), count) => Ok((Format::Directory, count as u16)),
        (Some(format), 1) => Ok((format, 1)),
        (Some(format), _) if jobs.is_none() => Ok((format, 1)),
        (Some(format), count) => Err(Failure::new(
            Class::InvalidArgument,
            format!("jobs => {count} does not go with format => '{}'", format.as_str()),
        )
        .hint("Only the directory format is dumped by several connections; leave format out.")),
        (None, 1) => Ok((Format::Custom, 1)),
        (None, count) => Ok((Format::Directory, count as u16)),
    }
}

/// The elements of a list. A NULL in it is a mistake, not a pattern. pgrx looks at the encoding
/// of a text, but not at that of the elements of an array.
fn names(argument: &str, list: Option<Vec<Option<String>>>) -> Result<Vec<String>> {
    let refused = |what: &str| Failure::new(Class::InvalidArgument, format!("{argument} {what}"));
    let list = list.unwrap_or_default().into_iter().collect::<Option<Vec<String>>>();
    let list = list.ok_or_else(|| {
        refused("must not contain NULL")
            .hint("Give each pattern as a text; leave the argument out for none.")
    })?;
    if list.iter().any(|name| std::str::from_utf8(name.as_bytes()).is_err()) {
        return Err(refused("must be valid UTF-8")
            .detail("In a database with another encoding only ASCII can be given.")
            .hint("Call it from a database in UTF8, and name this one as database."));
    }
    Ok(list)
}
