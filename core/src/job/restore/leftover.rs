//! What a restore leaves behind that did not come to its end: found by the id of the database,
//! which the row has had since before it existed.

use super::{DROP_TIME, Work, outside};
use crate::catalog::history::History;
use crate::catalog::swap::{DATABASE_NOW, SUBSCRIPTIONS_OF, allow_connections, drop_subscription};
use crate::decide::restore::plan;
use crate::decide::restore::standing::{Now, Standing, Target, standing};
use crate::error::Result;
use crate::host::control::Control;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// What became of the database that a restore was making, or swapping back, when it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// There is none, or none any more.
    Gone,
    /// It is whole and where it should be: the run succeeded.
    Finished,
    /// It has another name now, or was opened: it is somebody's, and stays.
    Taken(String),
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
            server.batch(control, &close).await.map(|()| Leftover::Gone)
        }
        Standing::Unfinished => remove(context, server, target.id).await.map(|()| Leftover::Gone),
    }
}

async fn now(server: &Server, control: &dyn Control, id: u32) -> Result<Option<Now>> {
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

/// Drops a database, whoever is connected. The server refuses that where there are subscriptions:
/// they go first, without their slots, which are those of the original.
pub async fn discard(context: &Context<'_>, server: &Server, name: &str) -> Result<()> {
    let control = context.control;
    let rows = server.rows(control, SUBSCRIPTIONS_OF, &[&name]).await?;
    if !rows.is_empty() {
        server.batch(control, &allow_connections(name, true)).await?;
        let access = &context.settings.access;
        let inside = Server::connect(access, control, name, "pg_backup job").await?;
        for row in rows {
            inside.batch(control, &drop_subscription(row.get(0))).await?;
        }
    }
    server.batch(control, &plan::drop_database(name)).await
}

/// Whether the new database is whole and has its name, whatever the last statement has said.
pub async fn is_in_place(work: &Work<'_>) -> bool {
    let Work { context, restore, .. } = work;
    let control = last_words(context.control, DROP_TIME);
    let context = &Context { control: &control, ..**context };
    let target = Target {
        id: work.target,
        name: restore.target.clone(),
        database: restore.database().to_owned(),
        is_kept: false,
    };
    let now = async {
        let server = outside(context, restore).await?;
        now(&server, &control, work.target).await
    };
    now.await.is_ok_and(|now| now.is_some_and(|now| standing(&target, &now) == Standing::Finished))
}
