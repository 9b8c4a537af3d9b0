//! After a crash of anything: the databases with the extension get the truth about their runs,
//! and partial files without a living owner go. Nothing else is touched.

use super::context::Context;
use super::settle::settle;
use crate::catalog::recovery::{DATABASES, EXTENSION};
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::host::sweep::sweep;

/// A job that is alive: its home database's id, and the id of its run.
pub type Alive = (u32, i64);

/// Puts every database right. Gives what could not be done; the caller tries again later.
pub async fn recover(context: &Context<'_>, alive: &[Alive]) -> Result<Vec<Failure>> {
    let mut failures = sweep_partials(context);
    let access = &context.settings.access;
    let application = "pg_backup launcher";
    let control = context.control;
    let server = Server::connect(access, control, &access.connect_database, application).await?;
    let rows = server.rows(control, DATABASES, &[]).await?;
    drop(server);
    for row in rows {
        control.proceed()?;
        if let Err(failure) = recover_database(context, row.get(0), alive).await {
            match failure.class {
                Class::UndefinedDatabase => {}
                Class::Cancelled | Class::Interrupted => return Err(failure),
                _ => failures.push(failure),
            }
        }
    }
    Ok(failures)
}

/// Puts one database right, when it has the extension.
pub async fn recover_database(
    context: &Context<'_>,
    database: &str,
    alive: &[Alive],
) -> Result<usize> {
    let access = &context.settings.access;
    let control = context.control;
    let server = Server::connect(access, control, database, "pg_backup launcher").await?;
    let rows = server.rows(control, EXTENSION, &[]).await?;
    drop(server);
    let Some(row) = rows.first() else { return Ok(0) };
    let (schema, oid): (String, u32) = (row.get(0), row.get(1));
    let home = Home {
        database: database.to_owned(),
        schema,
        requested_by: String::new(),
        id: 0,
        queued_at: 0,
    };
    let here: Vec<i64> = alive.iter().filter(|(db, _)| *db == oid).map(|(_, id)| *id).collect();
    settle(context, &home, &here).await
}

/// Removes partial files and work directories that no living process holds.
pub fn sweep_partials(context: &Context<'_>) -> Vec<Failure> {
    let settings = context.settings;
    // Without a usable directory there is nothing to sweep; the next backup says what is wrong.
    let Ok(place) = BackupDir::open(&settings.directory, &settings.data_directory, false) else {
        return Vec::new();
    };
    sweep(&place, settings.system_identifier).failed
}
