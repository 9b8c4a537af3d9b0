//! The relations of a database that was restored in part, and which of them were asked for.

use super::Work;
use crate::catalog::part::{Patterns, RELATIONS};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;

/// A relation of the new database.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `pg_class.relkind`.
    pub kind: String,
    pub is_chosen: bool,
    /// The partitioned table that it is part of and that is not chosen, as SQL.
    pub parent: Option<String>,
    /// The table that a sequence belongs to: it comes and goes with it.
    pub table: Option<u32>,
    pub owner: String,
    /// Whether it is the sequence of an identity column.
    pub is_identity: bool,
}

/// Every relation that is there, and which are chosen.
pub async fn chosen(work: &Work<'_>, session: &Server) -> Result<Vec<Relation>> {
    let Patterns { schemas, table_schemas, tables } = Patterns::new(work.restore)?;
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&schemas, &table_schemas, &tables];
    let rows = session.rows(work.context.control, RELATIONS, &params).await?;
    let relation = |row: &tokio_postgres::Row| Relation {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        kind: row.get(3),
        is_chosen: row.get(4),
        parent: row.get(5),
        table: row.get(6),
        owner: row.get(7),
        is_identity: row.get(8),
    };
    Ok(rows.iter().map(relation).collect())
}

/// Why nothing is restored of what matches.
pub fn none_chosen() -> Failure {
    Failure::new(Class::UndefinedObject, "no table of the archive is chosen").detail(
        "What belongs to an extension is restored with the whole database only, the sequence \
             of an identity column with its table.",
    )
}
