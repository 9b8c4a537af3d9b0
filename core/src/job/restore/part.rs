//! Restores some tables: every definition, then the rows of the chosen relations and what is built
//! on them; then what was not chosen goes again, unless something that stays needs it.
//!
//! What must hold: no rows but those that were asked for are loaded, with the same rights as in a
//! whole restore; what differs from the dump is told as a warning of the run.

use std::collections::HashSet;
use std::path::Path;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::lists::{Lists, contents};
use super::loader::{alone, fed, loader, phase_of, point};
use super::relations::{Relation, chosen, none_chosen};
use super::{Work, into_schema, post_data};
use crate::catalog::part::{
    INCOMPLETE, KNOWN_NAMES, LOG_NOTHING, MATCHED, Patterns, detach_partition, drop_relation,
};
use crate::catalog::qualified;
use crate::decide::restore::part::{self, Entry, Late, Printed, printed, some};
use crate::decide::restore::plan::{Load, Section, pg_restore};
use crate::error::{Class, Result};
use crate::host::server::Server;

/// How often what was not chosen is tried again: each time, what needed it may be gone. A chain of
/// views is seldom longer.
const ROUNDS: usize = 50;

/// Loads the part, and drops the rest.
pub async fn load(work: &mut Work<'_>, unpacked: Option<&Path>) -> Result<()> {
    let text = contents(work, unpacked).await?;
    let session = work.session_in_target().await?;
    let lists = Lists::new(work)?;
    let definitions = lists.write("definitions", &part::definitions(&text))?;
    section(work, unpacked, Section::PreData, &definitions).await?;
    // Only now there are all schemas by which names are told apart.
    let entries = known(work, &session, &text).await?;
    let relations = chosen(work, &session).await?;
    let late = late(work, &session, &entries, &relations).await?;
    if late.is_empty() && !relations.iter().any(|relation| relation.is_chosen) {
        return Err(none_chosen());
    }
    if let Some(into) = &work.restore.into_schema {
        into_schema::fits(work, &session, &relations, into).await?;
    }
    detach(work, &session, &relations).await?;
    let mut names: HashSet<Printed> = relations
        .iter()
        .filter(|relation| relation.is_chosen)
        .map(|relation| printed(&relation.schema, &relation.name))
        .collect();
    names.extend(late.iter().map(|view| view.name.clone()));
    let mut unread = unread(work, &session, &relations).await?;
    let is_incomplete = |view: &&Late| !view.reads.iter().all(|read| names.contains(read));
    unread.extend(late.iter().filter(is_incomplete).map(|view| view.name.clone()));
    let rest = part::rest(&entries, &names, &unread, work.restore.into_schema.is_some());
    let list = lists.write("rest", &rest.list)?;
    let is_chosen = |schema: &str, name: &str| names.contains(&printed(schema, name));
    work.manifest.tables.retain(|table| is_chosen(&table.schema, &table.name));
    section(work, unpacked, Section::Data, &list).await?;
    match unpacked {
        None => section(work, unpacked, Section::PostData, &list).await?,
        Some(place) => post_data::load(work, place, &entries, rest.list, &lists).await?,
    }
    let left = drop_rest(work, &session, relations).await?;
    let unread = unread.into_iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    warn(work, &rest.foreign_keys, &left, unread).await
}

/// Chosen materialized views that are made behind the rows. Beside a live database there are none.
async fn late(
    work: &Work<'_>,
    session: &Server,
    entries: &[Entry],
    relations: &[Relation],
) -> Result<Vec<Late>> {
    if work.restore.into_schema.is_some() {
        return Ok(Vec::new());
    }
    let there = relations.iter().map(|relation| printed(&relation.schema, &relation.name));
    let late = part::late(entries, &there.collect());
    let (schemas, names): (Vec<String>, Vec<String>) =
        late.iter().map(|view| view.name.clone()).unzip();
    let patterns = Patterns::new(work.restore)?;
    let params: [&(dyn ToSql + Sync); 5] =
        [&patterns.schemas, &patterns.table_schemas, &patterns.tables, &schemas, &names];
    let rows = session.rows(work.context.control, MATCHED, &params).await?;
    let number = |row: &Row| usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
    Ok(rows.iter().filter_map(|row| late.get(number(row)).cloned()).collect())
}

async fn known(work: &Work<'_>, session: &Server, text: &str) -> Result<Vec<Entry>> {
    let row = session.one(work.context.control, KNOWN_NAMES, &[]).await?;
    let (schemas, roles): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
    part::entries(text, &schemas, &roles)
}

async fn section(
    work: &mut Work<'_>,
    unpacked: Option<&Path>,
    section: Section,
    list: &Path,
) -> Result<()> {
    let load = Load {
        section,
        jobs: work.restore.jobs,
        trusted: work.restore.trusted,
        source: unpacked,
        list: Some(list),
    };
    let args = pg_restore(&work.restore.target, &load);
    let tool = loader(work, args, work.restore.trusted);
    match unpacked {
        None => fed(work, tool, phase_of(section)).await?,
        Some(_) => alone(work, &tool, phase_of(section)).await?,
    }
    crate::fault::point(point(section));
    Ok(())
}

/// A chosen partition of a table that is not chosen becomes a table of its own: it would go with
/// its parent.
async fn detach(work: &Work<'_>, session: &Server, relations: &[Relation]) -> Result<()> {
    for relation in relations.iter().filter(|relation| relation.is_chosen) {
        let Some(parent) = &relation.parent else { continue };
        let name = qualified(&relation.schema, &relation.name);
        session.batch(work.context.control, &detach_partition(parent, &name)).await?;
    }
    Ok(())
}

/// Chosen materialized views that read what is not chosen: their rows would be others.
async fn unread(
    work: &Work<'_>,
    session: &Server,
    relations: &[Relation],
) -> Result<HashSet<Printed>> {
    let chosen: Vec<u32> = relations.iter().filter(|r| r.is_chosen).map(|r| r.oid).collect();
    let rows = session.rows(work.context.control, INCOMPLETE, &[&chosen]).await?;
    let unread: HashSet<u32> = rows.iter().map(|row| row.get(0)).collect();
    let of = relations.iter().filter(|relation| unread.contains(&relation.oid));
    Ok(of.map(|relation| printed(&relation.schema, &relation.name)).collect())
}

/// Drops what was not chosen, as far as nothing else needs it. Gives what is left.
async fn drop_rest(
    work: &Work<'_>,
    session: &Server,
    relations: Vec<Relation>,
) -> Result<Vec<String>> {
    let control = work.context.control;
    let goes = |relation: &Relation| !relation.is_chosen && relation.table.is_none();
    let mut rest: Vec<Relation> = relations.into_iter().filter(goes).collect();
    // What was made last needs what was made before it.
    rest.reverse();
    // What cannot go is found by trying; that is nothing for the server's log.
    session.batch(control, LOG_NOTHING).await?;
    for _ in 0..ROUNDS {
        let mut left = Vec::new();
        for relation in &rest {
            let name = qualified(&relation.schema, &relation.name);
            match session.batch(control, &drop_relation(&relation.kind, &name)).await {
                Ok(()) => {}
                Err(failure) if failure.class == Class::Statement => left.push(relation.clone()),
                Err(failure) => return Err(failure),
            }
        }
        let stuck = left.len() == rest.len();
        rest = left;
        if stuck {
            break;
        }
    }
    Ok(rest.iter().map(|relation| format!("{}.{}", relation.schema, relation.name)).collect())
}

async fn warn(
    work: &Work<'_>,
    foreign_keys: &[String],
    left: &[String],
    unread: Vec<String>,
) -> Result<()> {
    let mut warnings = Vec::new();
    for (what, names) in [
        ("foreign keys left out, because they refer to tables that were not chosen", foreign_keys),
        ("there, but without rows, because something chosen needs them", left),
        ("materialized views without rows, because they read what was not chosen", &unread),
    ] {
        if !names.is_empty() {
            warnings.push(format!("{what}: {}", some(names)));
        }
    }
    match warnings.as_slice() {
        [] => Ok(()),
        warnings => work.history.warn(work.id, warnings).await,
    }
}
