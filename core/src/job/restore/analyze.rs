//! Gathers the statistics of a database that was restored, with as many sessions as it was loaded
//! by.

use std::cell::Cell;

use futures_util::future::try_join_all;
use tokio_postgres::Row;

use super::Work;
use crate::catalog::restore::{ANALYZE, ANALYZED, analyze};
use crate::decide::restore::timescale::recorded;
use crate::error::Result;

/// With one session the server chooses the order, with several the largest tables come first.
/// TimescaleDB takes chunks along with their hypertable: there it is one session.
pub async fn all(work: &Work<'_>) -> Result<()> {
    let control = work.context.control;
    let session = work.session_in_target().await?;
    if work.restore.jobs <= 1 || recorded(&work.manifest).is_some() {
        return session.batch(control, ANALYZE).await;
    }
    let rows = session.rows(control, ANALYZED, &[]).await?;
    drop(session);
    let major = work.context.settings.access.major;
    let one = |row: &Row| analyze(row.get(0), row.get(1), row.get(2), major);
    let statements: Vec<String> = rows.iter().map(one).collect();
    let sessions = usize::from(work.restore.jobs).min(statements.len());
    let next = Cell::new(0);
    try_join_all((0..sessions).map(|_| some(work, &statements, &next))).await.map(drop)
}

/// One session: the next table that no other has taken, until there is none.
async fn some(work: &Work<'_>, statements: &[String], next: &Cell<usize>) -> Result<()> {
    let session = work.session_in_target().await?;
    while let Some(statement) = statements.get(next.replace(next.get() + 1)) {
        session.batch(work.context.control, statement).await?;
    }
    Ok(())
}
