//! Locks all tables of the dump, then takes the snapshot and exports it.
//!
//! The order matters: pg_dump alone takes its snapshot first, and a TRUNCATE that commits while
//! pg_dump waits for another table's lock leaves its table empty in the dump. Where the lock table
//! of the server cannot hold our locks and pg_dump's, pg_dump locks alone and a warning says so.

use super::{Phase, Work, phase};
use crate::catalog::snapshot::{EXPORT, Filters, LOCK_CAPACITY, TABLES, Table, lock_statement};
use crate::catalog::{BEGIN_SNAPSHOT, ROLLBACK};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::backup::watch::Watch;

/// Names in one LOCK statement.
const LOCK_BATCH: usize = 1000;
/// Tables that come and go while they are locked: so many times the list is read again.
const ATTEMPTS: u32 = 5;

/// A session that holds the locks and the snapshot until it is dropped.
pub struct Locked {
    pub session: Server,
    /// Name of the exported snapshot.
    pub snapshot: String,
    /// Tables that the dump will hold, in the order of schema and name.
    pub tables: Vec<Table>,
    /// False when the lock table was too small for us.
    pub locked_first: bool,
    pub warnings: Vec<String>,
    pub encoding: String,
}

/// Connects to the database, locks, exports.
pub async fn take(work: &Work<'_>) -> Result<Locked> {
    phase(work.context, Phase::Locking);
    let control = work.context.control;
    let access = &work.context.settings.access;
    let name = format!("pg_backup snapshot {}", work.id);
    let session = Server::connect(access, control, &work.backup.database, &name).await?;
    let filters = Filters::new(work.backup)?;
    for _ in 0..ATTEMPTS {
        let before = tables(work, &session, &filters, false).await?;
        if !enough_locks(work, &session, before.len()).await? {
            return without_locks(work, session, &filters).await;
        }
        session.batch(control, BEGIN_SNAPSHOT).await?;
        match lock(work, &session, &before).await {
            Ok(()) => {}
            Err(failure) if failure.class == Class::LimitExceeded => {
                session.batch(control, ROLLBACK).await?;
                return without_locks(work, session, &filters).await;
            }
            Err(failure) if failure.class == Class::UndefinedObject => {
                session.batch(control, ROLLBACK).await?;
                continue;
            }
            Err(failure) => return Err(failure),
        }
        let after = tables(work, &session, &filters, true).await?;
        if after.iter().all(|t| before.iter().any(|b| b.oid == t.oid)) {
            return export(work, session, after, true, Vec::new()).await;
        }
        session.batch(control, ROLLBACK).await?;
    }
    Err(Failure::new(Class::LockTimeout, "could not lock the tables of the dump")
        .detail("Tables were created or dropped during every attempt.")
        .hint("Try again when fewer tables come and go."))
}

async fn without_locks(work: &Work<'_>, session: Server, filters: &Filters) -> Result<Locked> {
    session.batch(work.context.control, BEGIN_SNAPSHOT).await?;
    let tables = tables(work, &session, filters, false).await?;
    let warning = "max_locks_per_transaction is too small to lock all tables before the snapshot: \
                   a table that is truncated while pg_dump starts can be empty in this backup";
    export(work, session, tables, false, vec![warning.to_owned()]).await
}

async fn export(
    work: &Work<'_>,
    session: Server,
    tables: Vec<Table>,
    locked_first: bool,
    warnings: Vec<String>,
) -> Result<Locked> {
    let row = session.one(work.context.control, EXPORT, &[]).await?;
    let (snapshot, encoding) = (row.get(0), row.get(1));
    Ok(Locked { session, snapshot, tables, locked_first, warnings, encoding })
}

async fn tables(
    work: &Work<'_>,
    session: &Server,
    filters: &Filters,
    locked: bool,
) -> Result<Vec<Table>> {
    let rows = session
        .rows(
            work.context.control,
            TABLES,
            &[
                &filters.schemas,
                &filters.table_schemas,
                &filters.tables,
                &filters.excluded_schemas,
                &filters.excluded,
                &locked,
            ],
        )
        .await?;
    let table = |row: &tokio_postgres::Row| Table {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        size_bytes: row.get::<_, i64>(3).unsigned_abs(),
        rows_estimate: row.get::<_, i64>(4).unsigned_abs(),
    };
    Ok(rows.iter().map(table).collect())
}

/// Whether the lock table holds our locks and pg_dump's beside what is taken, with room to spare.
async fn enough_locks(work: &Work<'_>, session: &Server, tables: usize) -> Result<bool> {
    let row = session.one(work.context.control, LOCK_CAPACITY, &[]).await?;
    let (capacity, taken): (i64, i64) = (row.get(0), row.get(1));
    Ok(locks_fit(capacity, taken, tables as i64, i64::from(work.backup.jobs)))
}

/// Ours, pg_dump's and those of each of its workers, in nine tenths of what is left.
fn locks_fit(capacity: i64, taken: i64, tables: i64, jobs: i64) -> bool {
    let needed = tables.saturating_mul(if jobs > 1 { 3 } else { 2 });
    needed <= (capacity - taken).max(0) / 10 * 9
}

/// Locks the tables while watching who is in the way.
async fn lock(work: &Work<'_>, session: &Server, tables: &[Table]) -> Result<()> {
    let mut watch = Watch::new(work, Phase::Locking, session.pid);
    // Parents before children and partitions, in the order of DDL, so that the two do not deadlock.
    let mut tables = tables.to_vec();
    tables.sort_by_key(|table| table.oid);
    for batch in tables.chunks(LOCK_BATCH) {
        let sql = lock_statement(batch);
        let locking = session.batch(work.context.control, &sql);
        let result = watch.during(locking).await;
        if result.is_err() {
            session.cancel().await;
        }
        result?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::locks_fit;

    #[test]
    fn locks_of_ours_and_of_pg_dump_must_fit_with_room_to_spare() {
        assert!(locks_fit(6400, 100, 2000, 1));
        assert!(!locks_fit(6400, 100, 3000, 1));
        assert!(!locks_fit(6400, 100, 2000, 2));
        assert!(!locks_fit(100, 200, 1, 1));
        assert!(locks_fit(6400, 0, 0, 1));
    }
}
