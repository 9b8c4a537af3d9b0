//! What belongs to the live database, whatever is restored: history, schedules, hooks.
//!
//! In: both databases. Out: the rows of the live one in the other. Must hold: none is lost, and no
//! column of one, whichever of the two has the older extension; else nothing is swapped.

use std::cmp::Ordering;
use std::time::Duration;

use super::session::APPLICATION;
use crate::catalog::carry::{
    CARRIED, COLUMNS, LAST_ID, adopt, copy_in, copy_out, delete_all, install, lock, update,
};
use crate::catalog::recovery::EXTENSION;
use crate::catalog::{BEGIN, COMMIT, ident, qualified};
use crate::decide::versions::order;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::context::Context;

/// How long others may hold a lock on them.
const LOCK_TIME: Duration = Duration::from_secs(10);

/// The extension in one of the two databases.
struct Extension {
    schema: String,
    /// Id of the database.
    home: u32,
    version: String,
}

/// History, schedules and hooks of the live database, which win over those of the archive: they
/// tell of it until now. Where the live one has no extension, there is nothing to carry.
///
/// Gives the session that keeps others from writing them: what is written in the live database
/// after this would be lost with it. It has to be let go when nobody else can get in.
pub async fn carry_over(
    context: &Context<'_>,
    live: &str,
    staging: &str,
) -> Result<Option<Server>> {
    let (access, control) = (&context.settings.access, context.control);
    let from = Server::connect(access, control, live, APPLICATION).await?;
    let Some(theirs) = extension(context, &from).await? else { return Ok(None) };
    let to = Server::connect(access, control, staging, APPLICATION).await?;
    let ours = match extension(context, &to).await? {
        Some(ours) => ours,
        None => installed(context, &to, &theirs.schema).await?,
    };
    from.batch(control, &lock(&tables(context, &from, &theirs).await?, LOCK_TIME)).await?;
    to.batch(control, BEGIN).await?;
    if order(&ours.version, &theirs.version) == Ordering::Less {
        // What was made since then has to find its place.
        let updated = to.batch(control, &update(&theirs.version)).await;
        updated.map_err(|failure| older(live, &theirs, &ours, &failure.message))?;
    }
    for table in CARRIED {
        pour(context, (&from, &theirs), (&to, &ours), table).await?;
    }
    let last = from.one(control, LAST_ID, &[&qualified(&theirs.schema, "backup_runs")]).await?;
    to.batch(control, &adopt(&ours.schema, theirs.home, ours.home, last.get(0))).await?;
    to.batch(control, COMMIT).await?;
    Ok(Some(from))
}

/// The rows of one table. Where the live database does not have it, it has no rows of it.
async fn pour(
    context: &Context<'_>,
    (from, theirs): (&Server, &Extension),
    (to, ours): (&Server, &Extension),
    table: &str,
) -> Result<()> {
    let control = context.control;
    let (source, target) = (qualified(&theirs.schema, table), qualified(&ours.schema, table));
    let columns = columns(context, from, &source).await?;
    let known = self::columns(context, to, &target).await?;
    if let Some(column) = columns.iter().find(|column| !known.contains(column)) {
        let reason = format!("it has no column \"{column}\" in {target}");
        return Err(older(&from.database, theirs, ours, &reason));
    }
    if !known.is_empty() {
        to.batch(control, &delete_all(&target)).await?;
    }
    if columns.is_empty() {
        return Ok(());
    }
    let columns = columns.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ");
    from.pour(control, &copy_out(&source, &columns), to, &copy_in(&target, &columns)).await
}

/// The carried tables that are there.
async fn tables(
    context: &Context<'_>,
    server: &Server,
    extension: &Extension,
) -> Result<Vec<String>> {
    let mut tables = Vec::new();
    for table in CARRIED.map(|table| qualified(&extension.schema, table)) {
        if !columns(context, server, &table).await?.is_empty() {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// Makes the extension in the schema that it has in the live database.
async fn installed(context: &Context<'_>, to: &Server, schema: &str) -> Result<Extension> {
    to.batch(context.control, &install(schema)).await?;
    extension(context, to).await?.ok_or_else(|| {
        Failure::new(Class::Internal, "the extension that was just made is not there")
    })
}

async fn columns(context: &Context<'_>, server: &Server, table: &str) -> Result<Vec<String>> {
    let rows = server.rows(context.control, COLUMNS, &[&table]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn extension(context: &Context<'_>, server: &Server) -> Result<Option<Extension>> {
    let rows = server.rows(context.control, EXTENSION, &[]).await?;
    let of = |row: &tokio_postgres::Row| Extension {
        schema: row.get(0),
        home: row.get(1),
        version: row.get(2),
    };
    Ok(rows.first().map(of))
}

/// The other database has an extension that cannot hold what this one has.
fn older(live: &str, theirs: &Extension, ours: &Extension, reason: &str) -> Failure {
    let message = format!("the history of database \"{live}\" cannot be carried over");
    Failure::new(Class::NotReady, message)
        .detail(format!(
            "The extension pg_backup is version {} there and {} in the database that takes its \
             place: {reason}.",
            theirs.version, ours.version
        ))
        .hint(format!(
            "Install version {} of pg_backup or a newer one, restart the server, and call it \
             again.",
            theirs.version
        ))
}
