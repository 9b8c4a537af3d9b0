//! Gathers the statistics of a database that was restored, with as many sessions as it was loaded
//! by.
//!
//! The rows are there by now. What does not let itself be analyzed, as a table with a partition on
//! a server that does not answer, or with an index whose function fails, is told as a warning.

use std::cell::{Cell, RefCell};
use std::mem;

use futures_util::future::try_join_all;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Work;
use crate::catalog::restore::{ANALYZE, ANALYZED, PARTITIONS, analyze};
use crate::decide::restore::part::some;
use crate::decide::restore::timescale::recorded;
use crate::error::{Class, Failure, Result};

/// One table, as it is called in a warning.
struct Table {
    name: String,
    statement: String,
    /// Of one that is partitioned.
    oid: Option<u32>,
}

/// Tables without statistics, and why the first of them has none.
#[derive(Default)]
struct Left {
    names: Vec<String>,
    why: String,
    partitioned: Vec<u32>,
}

/// The largest tables come first. TimescaleDB takes chunks along with their hypertable: there the
/// server chooses, in one session.
pub async fn all(work: &Work<'_>) -> Result<()> {
    let left = RefCell::<Left>::default();
    if recorded(&work.manifest).is_some() {
        let name = "the database".to_owned();
        let tables = [Table { name, statement: ANALYZE.to_owned(), oid: None }];
        shared_out(work, &tables, &left).await?;
    } else {
        shared_out(work, &tables(work, ANALYZED, &[]).await?, &left).await?;
        // The server has not come to the partitions of a table that it could not analyze.
        let partitioned = mem::take(&mut left.borrow_mut().partitioned);
        if !partitioned.is_empty() {
            let partitions = tables(work, PARTITIONS, &[&partitioned]).await?;
            shared_out(work, &partitions, &left).await?;
        }
    }
    let Left { mut names, why, .. } = left.into_inner();
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    let warning = format!("not analyzed: {}; the server said first: {why}", some(&names));
    work.history.warn(work.id, &[warning]).await
}

/// What a query gives.
async fn tables(
    work: &Work<'_>,
    query: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Table>> {
    let session = work.session_in_target().await?;
    let major = work.context.settings.access.major;
    let table = |row: &Row| {
        let (schema, name, is_partitioned): (&str, &str, bool) =
            (row.get(0), row.get(1), row.get(2));
        Table {
            name: format!("{schema}.{name}"),
            statement: analyze(schema, name, is_partitioned, major),
            oid: is_partitioned.then(|| row.get(3)),
        }
    };
    let rows = session.rows(work.context.control, query, params).await?;
    Ok(rows.iter().map(table).collect())
}

/// As many sessions as the restore has connections.
async fn shared_out(work: &Work<'_>, tables: &[Table], left: &RefCell<Left>) -> Result<()> {
    let sessions = usize::from(work.restore.jobs).clamp(1, tables.len().max(1));
    let next = Cell::new(0);
    try_join_all((0..sessions).map(|_| each(work, tables, &next, left))).await?;
    for table in tables.iter().skip(next.get()) {
        left.borrow_mut().add(table, "no connection was left".to_owned());
    }
    Ok(())
}

/// One session: the next table that no other has taken, until there is none. Where the server takes
/// no more connections, the other sessions do it.
async fn each(
    work: &Work<'_>,
    tables: &[Table],
    next: &Cell<usize>,
    left: &RefCell<Left>,
) -> Result<()> {
    let control = work.context.control;
    let session = match work.session_in_target().await {
        Err(failure) if failure.class == Class::TooManyConnections => return Ok(()),
        session => session?,
    };
    while let Some(table) = tables.get(next.replace(next.get() + 1)) {
        if let Err(failure) = session.batch(control, &table.statement).await {
            control.proceed()?;
            if session.is_closed() || !is_of_the_table(&failure) {
                return Err(failure);
            }
            left.borrow_mut().add(table, failure.message);
        }
    }
    Ok(())
}

impl Left {
    fn add(&mut self, table: &Table, why: String) {
        if self.names.is_empty() {
            self.why = why;
        }
        self.names.push(table.name.clone());
        self.partitioned.extend(table.oid);
    }
}

/// Whether the server can go on with the next table: it is neither full nor broken. Somebody may
/// have cancelled just this statement.
fn is_of_the_table(failure: &Failure) -> bool {
    matches!(
        failure.class,
        Class::Statement
            | Class::InsufficientPrivilege
            | Class::UndefinedObject
            | Class::LockTimeout
            | Class::Cancelled
    )
}
