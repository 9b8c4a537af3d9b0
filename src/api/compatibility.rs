//! Whether a backup fits: `backup_compatibility()`, and what stands behind `backup_list` and
//! `backup_inspect()`.

use pg_backup_core::decide::compatibility::{
    Badge, Compare, Compatibility, compare, compare_known, count,
};
use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::compare::{ADDED, BADGE, MORE, REMOVED};
use pgrx::prelude::*;

use super::{home, names, not_null};
use crate::catalog::migrations::{self, Recorded};
use crate::error::{notice, unwrap};
use crate::worker::call;
use crate::{catalog, settings};

/// A key of manifests, its badge, and how many names are on either side.
type Counted = (String, String, Option<i32>, Option<i32>);

/// A badge, and the names on either side; None where nothing was compared.
type Found = (String, Option<Vec<String>>, Option<Vec<String>>);

#[expect(clippy::type_complexity, reason = "one tuple is one row")]
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_compatibility(
    id: Option<i64>,
    known: default!(Option<Vec<Option<String>>>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(compatibility, String),
        name!(added, Option<Vec<String>>),
        name!(removed, Option<Vec<String>>),
    ),
> {
    TableIterator::once(unwrap(compatibility(id, known)))
}

/// The same without a job: `unknown` for a backup of another database.
#[expect(clippy::type_complexity, reason = "one tuple is one row")]
#[pg_extern(stable, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_compatibility_here(
    id: i64,
) -> TableIterator<
    'static,
    (
        name!(compatibility, String),
        name!(added, Option<Vec<String>>),
        name!(removed, Option<Vec<String>>),
    ),
> {
    TableIterator::once(unwrap(recorded(id).and_then(|found| here(&found))))
}

#[pg_extern(stable, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_list_badges() -> TableIterator<
    'static,
    (
        name!(migrations_key, String),
        name!(compatibility, String),
        name!(added, Option<i32>),
        name!(removed, Option<i32>),
    ),
> {
    TableIterator::new(unwrap(badges()))
}

fn badges() -> Result<Vec<Counted>> {
    let schema = catalog::schema()?;
    let applied = migrations::applied(&settings::migrations_table())?;
    let applied = migrations::hashes(&schema, &applied)?;
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let mut found = Vec::new();
    migrations::each_set(&schema, |key, archive| {
        let (badge, added, removed) = count(archive, &applied);
        let compared = badge != Badge::Unknown;
        let side = |count| compared.then(|| number(count));
        found.push((key, badge.as_str().to_owned(), side(added), side(removed)));
    })?;
    Ok(found)
}

fn compatibility(id: Option<i64>, known: Option<Vec<Option<String>>>) -> Result<Found> {
    let id = not_null("id", id)?;
    let recorded = recorded(id)?;
    if !recorded.good {
        return Ok(bare(Badge::Broken));
    }
    if known.is_some() {
        return Ok(told(compare_known(&recorded.migrations, &names("known", known)?)));
    }
    if recorded.own || recorded.migrations.is_empty() {
        return here(&recorded);
    }
    match catalog::database_exists(&recorded.database)? {
        true => elsewhere(id, recorded.database),
        false => Ok(bare(Badge::Unknown)),
    }
}

fn recorded(id: i64) -> Result<Recorded> {
    migrations::recorded(&catalog::schema()?, id)?.ok_or_else(|| {
        Failure::new(Class::UndefinedObject, format!("there is no good backup {id}"))
            .hint("See backup_list for the archives of this database.")
    })
}

fn here(recorded: &Recorded) -> Result<Found> {
    match (recorded.good, recorded.own) {
        (false, _) => Ok(bare(Badge::Broken)),
        (true, false) => Ok(bare(Badge::Unknown)),
        (true, true) => {
            let applied = migrations::applied(&settings::migrations_table())?;
            Ok(told(compare(&recorded.migrations, &applied)))
        }
    }
}

/// Asks a job, which can connect to the other database.
fn elsewhere(backup: i64, database: String) -> Result<Found> {
    let task = Task::Compare(Compare { backup, database });
    let report = call::run(&Request { home: home(0)?, task })?;
    let side = |subject: &str| {
        let rows = report.rows.iter().filter(|row| row.subject == subject);
        rows.map(|row| row.detail.clone()).collect::<Vec<_>>()
    };
    if let Some(more) = side(MORE).first() {
        notice(&format!("{more} more names do not fit into what a job gives back"));
    }
    let badge = side(BADGE).pop();
    let badge =
        badge.ok_or_else(|| Failure::new(Class::Internal, "the job gave back no comparison"))?;
    Ok((badge, Some(side(ADDED)), Some(side(REMOVED))))
}

fn bare(badge: Badge) -> Found {
    (badge.as_str().to_owned(), None, None)
}

fn told(found: Compatibility) -> Found {
    let Compatibility { badge, added, removed } = found;
    (badge.as_str().to_owned(), Some(added), Some(removed))
}
