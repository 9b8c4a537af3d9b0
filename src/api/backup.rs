//! `backup_create()`.

use pg_backup_core::decide::backup_options::{Asked, BackupOptions};
use pg_backup_core::decide::request::{Backup, Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::backup::new_run;
use pgrx::prelude::*;

use super::{home, names, waited};
use crate::error::unwrap;
use crate::worker::call;
use crate::{catalog, pg, settings};

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
    wait: default!(Option<bool>, "true"),
) -> i64 {
    let options = BackupOptions {
        comment,
        format,
        compression,
        jobs,
        schemas: unwrap(names("schemas", schemas)),
        tables: unwrap(names("tables", tables)),
        exclude_tables: unwrap(names("exclude_tables", exclude_tables)),
        exclude_table_data: unwrap(names("exclude_table_data", exclude_table_data)),
        attach: unwrap(names("attach", attach)),
    };
    unwrap(create(options, database, wait.unwrap_or(true)))
}

fn create(options: BackupOptions, database: Option<String>, wait: bool) -> Result<i64> {
    call::ensure_ready()?;
    let backup = request(options, database)?;
    if wait {
        call::ensure_nothing_written("backup_create()")?;
        let request = Request { home: home(0)?, task: Task::Backup(backup) };
        return waited(&request);
    }
    let id = catalog::next_id(&catalog::schema()?)?;
    let home = home(id)?;
    catalog::insert_queued(&home, &new_run(&backup))?;
    call::run_at_commit(&Request { home, task: Task::Backup(backup) })?;
    Ok(id)
}

fn request(options: BackupOptions, database: Option<String>) -> Result<Backup> {
    let database = database.unwrap_or_else(pg::database_name);
    if !catalog::database_exists(&database)? {
        return Err(Failure::new(
            Class::UndefinedDatabase,
            format!("database \"{database}\" does not exist"),
        ));
    }
    let asked = Asked { database, origin: "manual".to_owned(), schedule: None };
    options.backup(asked, settings::defaults()?)
}
