//! What a database says of its migrations: read for the manifest of a backup, and to compare a
//! backup with the database that it is to replace.

use crate::catalog::migrations::{BACK, BEFORE, CANDIDATES, LIMIT_WAIT, copy};
use crate::decide::copy_text;
use crate::decide::frameworks::{
    CELL_MAX, CELLS_MAX, Reading, Row, TABLE_MAX, TABLES_MAX, TOAST_MAX, reading, tables,
};
use crate::decide::manifest::Migrations;
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::server::Server;

/// What every framework says has been applied. A table that cannot be read is left out: the
/// backup matters more. The session is in a transaction.
pub async fn applied_migrations(
    control: &dyn Control,
    session: &Server,
    named: &str,
) -> Result<Vec<Migrations>> {
    let limits = (TABLE_MAX as i64, TOAST_MAX as i64);
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&tables(), &named, &limits.0, &limits.1, &TABLES_MAX];
    session.batch(control, BEFORE).await?;
    session.batch(control, LIMIT_WAIT).await?;
    let rows = left_out(session.rows(control, CANDIDATES, &params).await)?.unwrap_or_default();
    let (mut found, mut room) = (Vec::new(), CELLS_MAX);
    for row in rows {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        let columns: Vec<String> = row.get(2);
        let Some(reading) = reading(&schema, &table, &columns, named) else { continue };
        let sql = copy(&schema, &table, &reading.columns);
        if let Some(ids) = names(control, session, &sql, &reading, &mut room).await? {
            let table = format!("{schema}.{table}");
            found.push(Migrations::applied(reading.framework, table, ids));
        }
    }
    session.batch(control, BACK).await?;
    Ok(found)
}

/// The names in one table; None when it cannot be read. The snapshot's transaction goes on.
async fn names(
    control: &dyn Control,
    session: &Server,
    sql: &str,
    reading: &Reading,
    room: &mut usize,
) -> Result<Option<Vec<String>>> {
    let (mut rows, mut left) = (Vec::new(), *room);
    let each = |line: &[u8]| {
        left = left.checked_sub(line.len()).ok_or_else(strange)?;
        row(line).map(|row| rows.push(row))
    };
    let copied = session.copy_out(control, sql, each).await;
    match left_out(copied)? {
        Some(()) => {
            *room = left;
            Ok(reading.names(rows))
        }
        None => {
            session.batch(control, BACK).await?;
            session.batch(control, LIMIT_WAIT).await?;
            Ok(None)
        }
    }
}

fn left_out<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(failure) if matches!(failure.class, Class::Statement | Class::LockTimeout) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn row(line: &[u8]) -> Result<Row> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.len() <= CELL_MAX);
    text.map(copy_text::cells).ok_or_else(strange)
}

fn strange() -> Failure {
    Failure::new(Class::Statement, "a table of migrations holds something else")
}
