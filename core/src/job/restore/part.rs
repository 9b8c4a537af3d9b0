//! Restores some tables: every definition, then the rows of the chosen relations and what is built
//! on them; then what was not chosen goes again, unless something that stays needs it.
//!
//! What must hold: no rows but those that were asked for are loaded, with the same rights as in a
//! whole restore; what differs from the dump is told as a warning of the run.

use std::collections::HashSet;
use std::path::Path;

use tokio_postgres::types::ToSql;

use super::lists::{Lists, contents};
use super::loader::{alone, fed, loader, phase_of, point};
use super::relations::{Relation, chosen, none_chosen};
use super::{Work, into_schema, post_data};
use crate::catalog::part::{
    CALLING, INCOMPLETE, KNOWN_NAMES, LOG_NOTHING, MATCHED, Patterns, detach_partition,
    disown_sequence, drop_relation,
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
    let mut relations = chosen(work, &session).await?;
    let mut told = vec![(OF_IDENTITY, disown(work, &session, &mut relations).await?)];
    told.push((OF_EXTENSION, of_extensions(work, &session, &relations).await?));
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
    told.push((KEYS, rest.foreign_keys));
    // Of the scratch database beside a live one, nothing stays.
    if work.restore.into_schema.is_none() {
        told.push((NEEDED, drop_rest(work, &session, relations).await?));
    }
    told.push((UNREAD, unread.into_iter().map(|(schema, name)| shown(&schema, &name)).collect()));
    let calling = session.rows(work.context.control, CALLING, &[]).await?;
    told.push((CALLS, calling.iter().map(|row| row.get(0)).collect()));
    warn(work, &told).await
}

const OF_IDENTITY: &str =
    "left out, because they are sequences of identity columns of tables that were not chosen";
const OF_EXTENSION: &str =
    "left out, because they belong to an extension, with which all of the database is restored";
const KEYS: &str = "foreign keys left out, because they refer to tables that were not chosen";
const NEEDED: &str = "there, but without rows, because something that stays needs them";
const UNREAD: &str = "materialized views without rows, because they read what was not chosen";
const CALLS: &str =
    "materialized views that may have other rows: their functions may read what was not chosen";

fn shown(schema: &str, name: &str) -> String {
    format!("{schema}.{name}")
}

/// A chosen sequence of a table that is not chosen becomes one of its own: it would go with that.
/// Gives those that cannot, which are not chosen any more.
async fn disown(
    work: &Work<'_>,
    session: &Server,
    relations: &mut [Relation],
) -> Result<Vec<String>> {
    let chosen: HashSet<u32> = relations
        .iter()
        .filter(|relation| relation.is_chosen)
        .map(|relation| relation.oid)
        .collect();
    let alone = relations.iter_mut().filter(|relation| {
        relation.is_chosen && relation.table.is_some_and(|table| !chosen.contains(&table))
    });
    let mut left = Vec::new();
    for sequence in alone {
        if sequence.is_identity {
            sequence.is_chosen = false;
            left.push(shown(&sequence.schema, &sequence.name));
            continue;
        }
        let name = qualified(&sequence.schema, &sequence.name);
        session.batch(work.context.control, &disown_sequence(&name)).await?;
        sequence.table = None;
    }
    Ok(left)
}

/// Tables of extensions that a pattern matches: those with rows in the archive that are no
/// relations of the users.
async fn of_extensions(
    work: &Work<'_>,
    session: &Server,
    relations: &[Relation],
) -> Result<Vec<String>> {
    let users: HashSet<Printed> =
        relations.iter().map(|relation| printed(&relation.schema, &relation.name)).collect();
    let tables = work.manifest.tables.iter().map(|table| (&table.schema, &table.name));
    let others: Vec<Printed> = tables
        .filter(|(schema, name)| !users.contains(&printed(schema, name)))
        .map(|(schema, name)| (schema.clone(), name.clone()))
        .collect();
    let matched = matched(work, session, &others).await?;
    Ok(matched.iter().map(|(schema, name)| shown(schema, name)).collect())
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
    let names: Vec<Printed> = late.iter().map(|view| view.name.clone()).collect();
    let chosen = matched(work, session, &names).await?;
    Ok(late.into_iter().filter(|view| chosen.contains(&view.name)).collect())
}

/// Those of some names that a pattern matches.
async fn matched(work: &Work<'_>, session: &Server, names: &[Printed]) -> Result<HashSet<Printed>> {
    let (schemas, relations): (Vec<&str>, Vec<&str>) =
        names.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip();
    let patterns = Patterns::new(work.restore)?;
    let params: [&(dyn ToSql + Sync); 5] =
        [&patterns.schemas, &patterns.table_schemas, &patterns.tables, &schemas, &relations];
    let rows = session.rows(work.context.control, MATCHED, &params).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
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

/// What is told, each with the names of what it is told about.
async fn warn(work: &Work<'_>, told: &[(&str, Vec<String>)]) -> Result<()> {
    let told = told.iter().filter(|(_, names)| !names.is_empty());
    let warnings: Vec<String> =
        told.map(|(what, names)| format!("{what}: {}", some(names))).collect();
    match warnings.as_slice() {
        [] => Ok(()),
        warnings => work.history.warn(work.id, warnings).await,
    }
}
