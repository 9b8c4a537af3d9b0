//! What belongs to the live database, whatever is restored: history, schedules, hooks.

use std::time::Duration;

use super::swap::APPLICATION;
use crate::catalog::carry::{
    CARRIED, COLUMNS, LAST_ID, adopt, copy_in, copy_out, delete_all, install, lock,
};
use crate::catalog::recovery::EXTENSION;
use crate::catalog::{BEGIN, COMMIT, ident, qualified};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::context::Context;

/// How long others may hold a lock on them.
const LOCK_TIME: Duration = Duration::from_secs(10);

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
    let Some((theirs, their_id)) = extension(context, &from).await? else { return Ok(None) };
    let to = Server::connect(access, control, staging, APPLICATION).await?;
    let (ours, our_id) = match extension(context, &to).await? {
        Some(ours) => ours,
        None => installed(context, &to, &theirs).await?,
    };
    from.batch(control, &lock(&theirs, LOCK_TIME)).await?;
    to.batch(control, BEGIN).await?;
    for table in CARRIED {
        let (source, target) = (qualified(&theirs, table), qualified(&ours, table));
        let columns = common_columns(context, (&from, &source), (&to, &target)).await?;
        to.batch(control, &delete_all(&target)).await?;
        let (out, into) = (copy_out(&source, &columns), copy_in(&target, &columns));
        from.pour(control, &out, &to, &into).await?;
    }
    let last = from.one(control, LAST_ID, &[&qualified(&theirs, "backup_runs")]).await?;
    to.batch(control, &adopt(&ours, their_id, our_id, last.get(0))).await?;
    to.batch(control, COMMIT).await?;
    Ok(Some(from))
}

/// Makes the extension in the schema that it has in the live database.
async fn installed(context: &Context<'_>, to: &Server, schema: &str) -> Result<(String, u32)> {
    to.batch(context.control, &install(schema)).await?;
    extension(context, to).await?.ok_or_else(|| {
        Failure::new(Class::Internal, "the extension that was just made is not there")
    })
}

/// The columns that both tables have: the extension may be of another version in each.
async fn common_columns(
    context: &Context<'_>,
    (from, source): (&Server, &str),
    (to, target): (&Server, &str),
) -> Result<String> {
    let theirs = from.rows(context.control, COLUMNS, &[&source]).await?;
    let ours = to.rows(context.control, COLUMNS, &[&target]).await?;
    let ours: Vec<String> = ours.iter().map(|row| row.get(0)).collect();
    let both = theirs.iter().map(|row| row.get::<_, String>(0)).filter(|name| ours.contains(name));
    Ok(both.map(|name| ident(&name)).collect::<Vec<_>>().join(", "))
}

/// Schema of the extension, and the id of the database.
async fn extension(context: &Context<'_>, server: &Server) -> Result<Option<(String, u32)>> {
    let rows = server.rows(context.control, EXTENSION, &[]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}
