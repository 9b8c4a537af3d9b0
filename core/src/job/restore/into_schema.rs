//! Puts the tables of a part into a new schema of the live database, from the scratch database that
//! the part was restored into.
//!
//! What must hold: the live database is written in one transaction, which is committed only when
//! every tool has ended well; nothing in it but the new schema changes; rows are written with the
//! rights of their owners; the scratch database goes on every path.

use super::compare::{Group, groups};
use super::pour::pour;
use super::relations::{Relation, chosen};
use super::session::session_in;
use super::{DROP_TIME, Work, leftover};
use crate::catalog::gather::{Counted, Moved, gather};
use crate::catalog::into_schema::{
    OTHER_PARENTS, analyze_tables, no_inherit, types_by_name, used_types,
};
use crate::catalog::qualified;
use crate::decide::progress::Phase;
use crate::decide::request::IntoSchema;
use crate::decide::restore::part::some;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::{LAST_WORDS, clearing, last_words};

/// Looks whether they can go there, before any row is read.
pub async fn fits(
    work: &Work<'_>,
    session: &Server,
    relations: &[Relation],
    into: &IntoSchema,
) -> Result<()> {
    let (moved, _) = split(relations);
    if !moved.iter().any(|relation| relation.kind != "S") {
        return Err(no_table());
    }
    gather(&into.schema, &as_moved(&moved))?;
    compare_types(work, session, &moved, into).await
}

/// Puts the chosen tables there.
pub async fn transfer(work: &Work<'_>, into: &IntoSchema) -> Result<()> {
    work.phase(Phase::Opening).await;
    let session = work.session_in_target().await?;
    let (moved, left) = split(&chosen(work, &session).await?);
    cut_from_parents(work, &session, &moved).await?;
    let groups = groups(work, &session).await?;
    let counts: Vec<Counted> = groups.into_iter().map(counted).collect();
    session.batch(work.context.control, &gather(&into.schema, &as_moved(&moved))?).await?;
    fault::point("gathered");
    pour(work, into, &counts).await?;
    fault::point("poured");
    warn(work, &left).await;
    analyze(work, into, &moved).await;
    Ok(())
}

/// They are all in one schema by then.
fn counted(group: Group) -> Counted {
    let tables = group.tables.into_iter().map(|(_, name)| name).collect();
    Counted { name: group.name.1, tables, rows: group.rows }
}

/// Chosen relations that are moved, and those that cannot be.
fn split(relations: &[Relation]) -> (Vec<Relation>, Vec<Relation>) {
    relations.iter().filter(|relation| relation.is_chosen).cloned().partition(is_movable)
}

/// Tables with rows of their own, and sequences that belong to none of them.
fn is_movable(relation: &Relation) -> bool {
    matches!(relation.kind.as_str(), "r" | "p") || relation.kind == "S" && relation.table.is_none()
}

fn as_moved(relations: &[Relation]) -> Vec<Moved> {
    let moved = |relation: &Relation| Moved {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        is_sequence: relation.kind == "S",
        owner: relation.owner.clone(),
    };
    relations.iter().map(moved).collect()
}

fn no_table() -> Failure {
    Failure::new(Class::InvalidArgument, "no table is chosen that has rows of its own")
        .hint("Views, materialized views and foreign tables cannot be put into a schema.")
}

/// Types that the tables use have to be the same in the live database: values are read by them.
async fn compare_types(
    work: &Work<'_>,
    session: &Server,
    moved: &[Relation],
    into: &IntoSchema,
) -> Result<()> {
    let control = work.context.control;
    let ids: Vec<u32> = moved.iter().map(|relation| relation.oid).collect();
    let text = |row: &tokio_postgres::Row| -> [String; 3] { [row.get(0), row.get(1), row.get(2)] };
    let used = session.rows(control, &used_types(), &[&ids]).await?;
    let used: Vec<[String; 3]> = used.iter().map(text).collect();
    let schemas: Vec<&str> = used.iter().map(|[schema, ..]| schema.as_str()).collect();
    let names: Vec<&str> = used.iter().map(|[_, name, _]| name.as_str()).collect();
    let live = session_in(work.context, &into.database, work.id).await?;
    let found = live.rows(control, &types_by_name(), &[&schemas, &names]).await?;
    let found: Vec<[String; 3]> = found.iter().map(text).collect();
    let differs = used.iter().filter(|one| !found.contains(one)).map(|one| {
        let here = found.iter().any(|other| other[..2] == one[..2]);
        let what = if here { "is another one there" } else { "is not there" };
        format!("{} {what}", qualified(&one[0], &one[1]))
    });
    let differs: Vec<String> = differs.collect();
    if differs.is_empty() {
        return Ok(());
    }
    let message = format!("database \"{}\" has not the types that the tables need", into.database);
    Err(Failure::new(Class::NotReady, message)
        .detail(format!("Type {}. Nothing was changed.", some(&differs)))
        .hint(
            "Restore the tables into a new database with target => '…', and copy the rows as text.",
        ))
}

/// A table whose parent stays behind must not become a child of the live one.
async fn cut_from_parents(work: &Work<'_>, session: &Server, moved: &[Relation]) -> Result<()> {
    let ids: Vec<u32> = moved.iter().map(|relation| relation.oid).collect();
    let control = work.context.control;
    for row in session.rows(control, OTHER_PARENTS, &[&ids]).await? {
        let (child, parent): (String, String) = (row.get(0), row.get(1));
        session.batch(control, &no_inherit(&child, &parent)).await?;
    }
    Ok(())
}

/// The tables are there: what is said from here on is a warning.
async fn warn(work: &Work<'_>, left: &[Relation]) {
    let left = left.iter().filter(|relation| relation.kind != "S");
    let left: Vec<String> =
        left.map(|relation| format!("{}.{}", relation.schema, relation.name)).collect();
    let mut warnings = vec![
        "foreign keys, triggers, rules, policies and extended statistics were left out".to_owned(),
    ];
    if !left.is_empty() {
        warnings.push(format!("left out, because they have no rows of their own: {}", some(&left)));
    }
    let _ = work.history.warn(work.id, &warnings).await;
}

/// Statistics, so that joins with the new tables are planned well.
async fn analyze(work: &Work<'_>, into: &IntoSchema, moved: &[Relation]) {
    let tables = moved.iter().filter(|relation| relation.kind != "S");
    let names: Vec<String> = tables.map(|table| qualified(&into.schema, &table.name)).collect();
    let analyzed = async {
        let live = session_in(work.context, &into.database, work.id).await?;
        live.batch(work.context.control, &analyze_tables(&names)).await
    };
    if let Err(failure) = analyzed.await {
        let warning = format!("the tables were not analyzed: {}", failure.message);
        let _ = work.history.warn(work.id, &[warning]).await;
    }
}

/// Drops the scratch database of a restore that succeeded.
pub async fn finished(work: &Work<'_>) -> Result<()> {
    let control = clearing(work.context.control, DROP_TIME);
    let context = &Context { control: &control, ..*work.context };
    if let Err(left) = leftover::remove(context, &work.server, work.target).await {
        let control = last_words(work.context.control, LAST_WORDS);
        let warning = leftover::stays(&work.restore.target, &left);
        work.history.with_control(&control).warn(work.id, &[warning]).await?;
    }
    Ok(())
}
