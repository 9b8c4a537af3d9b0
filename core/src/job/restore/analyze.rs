//! Gathers the statistics of a database that was restored, with as many sessions as it was loaded
//! by.

use std::cell::Cell;

use futures_util::future::try_join_all;

use super::Work;
use crate::catalog::restore::{ANALYZE, ANALYZED, analyze};
use crate::error::Result;

/// With one session the server chooses the order, with several the largest tables come first.
pub async fn all(work: &Work<'_>) -> Result<()> {
    let control = work.context.control;
    let session = work.session_in_target().await?;
    if work.restore.jobs <= 1 {
        return session.batch(control, ANALYZE).await;
    }
    let rows = session.rows(control, ANALYZED, &[]).await?;
    drop(session);
    let tables: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let sessions = usize::from(work.restore.jobs).min(tables.len());
    let next = Cell::new(0);
    try_join_all((0..sessions).map(|_| some(work, &tables, &next))).await.map(drop)
}

/// One session: the next table that no other has taken, until there is none.
async fn some(work: &Work<'_>, tables: &[(String, String)], next: &Cell<usize>) -> Result<()> {
    let session = work.session_in_target().await?;
    while let Some((schema, table)) = tables.get(next.replace(next.get() + 1)) {
        session.batch(work.context.control, &analyze(schema, table)).await?;
    }
    Ok(())
}
