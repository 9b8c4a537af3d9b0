//! What a restore leaves behind that did not come to its end: found by the id of the database,
//! which the row has had since before it existed.

use super::{DROP_TIME, Work, outside};
use crate::catalog::history::History;
use crate::catalog::history_unfinished::Target;
use crate::catalog::ident;
use crate::catalog::restore::{NAMES_NOW, SUBSCRIPTIONS_OF};
use crate::decide::restore::plan;
use crate::error::Result;
use crate::host::control::Control;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// What became of the database that a restore was making, or swapping back, when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// There is none, or none any more.
    Gone,
    /// It has taken its place: the run succeeded.
    SwappedIn,
    /// It is this very database: whoever looks from another one removes it.
    Here,
}

/// Looks for it. One that was swapped in stays, and so does one that was to be swapped back, closed
/// as it was; any other is removed.
pub async fn leftover(
    context: &Context<'_>,
    history: &History<'_>,
    target: &Target,
) -> Result<Leftover> {
    let (server, control) = (history.server, history.control);
    let Some(name) = name_of(server, control, target.id).await? else { return Ok(Leftover::Gone) };
    if target.name.as_ref().is_some_and(|made_as| *made_as != name) {
        return Ok(Leftover::SwappedIn);
    }
    if name == server.database {
        return Ok(Leftover::Here);
    }
    if target.is_kept {
        let close = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", ident(&name));
        server.batch(control, &close).await?;
        return Ok(Leftover::Gone);
    }
    remove(context, server, target.id).await.map(|()| Leftover::Gone)
}

async fn name_of(server: &Server, control: &dyn Control, id: u32) -> Result<Option<String>> {
    Ok(server.one(control, NAMES_NOW, &[&id, &""]).await?.get(0))
}

/// Removes a database by its id, if it is there.
pub async fn remove(context: &Context<'_>, server: &Server, target: u32) -> Result<()> {
    match name_of(server, context.control, target).await? {
        Some(name) => discard(context, server, &name).await,
        None => Ok(()),
    }
}

/// Drops a database, whoever is connected. The server refuses that where there are subscriptions:
/// they go first, without their slots, which are those of the original.
pub async fn discard(context: &Context<'_>, server: &Server, name: &str) -> Result<()> {
    let control = context.control;
    let rows = server.rows(control, SUBSCRIPTIONS_OF, &[&name]).await?;
    if !rows.is_empty() {
        let open = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", ident(name));
        server.batch(control, &open).await?;
        let access = &context.settings.access;
        let inside = Server::connect(access, control, name, "pg_backup job").await?;
        for row in rows {
            let name = ident(row.get(0));
            let sql = format!(
                "ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = \
                 NONE); DROP SUBSCRIPTION {name}"
            );
            inside.batch(control, &sql).await?;
        }
    }
    server.batch(control, &plan::drop_database(name)).await
}

/// Whether the new database has taken the place of the live one, whatever the swap has said.
pub async fn is_in_place(work: &Work<'_>) -> bool {
    let Some(live) = &work.restore.replace else { return false };
    let control = last_words(work.context.control, DROP_TIME);
    let context = &Context { control: &control, ..*work.context };
    let name = async {
        let server = outside(context, work.restore).await?;
        name_of(&server, &control, work.target).await
    };
    name.await.is_ok_and(|name| name.as_ref() == Some(live))
}
