//! What a restore leaves behind that did not come to its end: found by the id of the database,
//! which the row has had since before it existed.

use super::DROP_TIME;
use super::session::session_elsewhere;
use crate::catalog::database::drop_database;
use crate::catalog::history::History;
use crate::catalog::swap::{
    DATABASE_NOW, IS_TEMPLATE, SUBSCRIPTIONS_OF, allow_connections, drop_subscription, no_template,
};
use crate::decide::restore::standing::{Now, Standing, Target, standing};
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// What became of the database that a restore was making, or swapping back, when it died.
#[derive(Debug)]
pub enum Leftover {
    /// There is none, or none any more.
    Gone,
    /// It is whole and where it should be: the run succeeded.
    Finished,
    /// It has another name now, or was opened: it is somebody's, and stays.
    Taken(String),
    /// It is there and could not be dropped, or closed.
    Stuck(String, Failure),
    /// It is this very database: whoever looks from another one removes it.
    Here,
}

/// Looks for it. One that is whole stays, and so does one that was to be swapped back, closed as it
/// was, and one that somebody has taken over; any other is removed.
pub async fn leftover(
    context: &Context<'_>,
    history: &History<'_>,
    target: &Target,
) -> Result<Leftover> {
    let (server, control) = (history.server, history.control);
    let Some(now) = now(server, control, target.id).await? else { return Ok(Leftover::Gone) };
    match standing(target, &now) {
        Standing::Finished => Ok(Leftover::Finished),
        Standing::Taken => Ok(Leftover::Taken(now.name)),
        _ if now.name == server.database => Ok(Leftover::Here),
        Standing::Reopened => {
            let close = allow_connections(&now.name, false);
            gone(now.name, server.batch(control, &close).await, server)
        }
        Standing::Unfinished => {
            let removed = remove(context, server, target.id).await;
            gone(now.name, removed, server)
        }
    }
}

/// What stands in the way of one database is no reason to leave the rest as it is.
fn gone(name: String, done: Result<()>, server: &Server) -> Result<Leftover> {
    match done {
        Ok(()) => Ok(Leftover::Gone),
        Err(failure) => match failure.class {
            Class::Cancelled | Class::Interrupted => Err(failure),
            _ if server.is_closed() => Err(failure),
            _ => Ok(Leftover::Stuck(name, failure)),
        },
    }
}

/// Where the database with this id stands, if it is there.
pub(super) async fn now(server: &Server, control: &dyn Control, id: u32) -> Result<Option<Now>> {
    let rows = server.rows(control, DATABASE_NOW, &[&id]).await?;
    Ok(rows.first().map(|row| Now { name: row.get(0), is_open: row.get(1) }))
}

/// Removes a database by its id, if it is there.
pub async fn remove(context: &Context<'_>, server: &Server, target: u32) -> Result<()> {
    match now(server, context.control, target).await? {
        Some(now) => discard(context, server, &now.name).await,
        None => Ok(()),
    }
}

/// Drops a database, whoever is connected. The server refuses that of templates, and where there
/// are subscriptions: they go first, without their slots, which are those of the original.
pub async fn discard(context: &Context<'_>, server: &Server, name: &str) -> Result<()> {
    let control = context.control;
    if server.one(control, IS_TEMPLATE, &[&name]).await?.get(0) {
        server.batch(control, &no_template(name)).await?;
    }
    let rows = server.rows(control, SUBSCRIPTIONS_OF, &[&name]).await?;
    if !rows.is_empty() {
        server.batch(control, &allow_connections(name, true)).await?;
        let access = &context.settings.access;
        let inside = Server::connect(access, control, name, "pg_backup job").await?;
        for row in rows {
            inside.batch(control, &drop_subscription(row.get(0))).await?;
        }
    }
    server.batch(control, &drop_database(name)).await
}

/// The warning of a run that has done its work, and could not drop its scratch database.
pub fn stays(name: &str, why: &Failure) -> String {
    format!(
        "database \"{name}\" could not be dropped: {}; it is tried again when the server starts",
        why.message
    )
}

/// Whether a database is whole and has its name, whatever the last statement has said. `elsewhere`
/// are the databases that must not be asked.
pub async fn is_in_place(
    context: &Context<'_>,
    elsewhere: &[&str],
    target: &Target,
) -> Result<bool> {
    let control = last_words(context.control, DROP_TIME);
    let context = &Context { control: &control, ..*context };
    let server = session_elsewhere(context, elsewhere).await?;
    let now = now(&server, &control, target.id).await?;
    Ok(now.is_some_and(|now| standing(target, &now) == Standing::Finished))
}
