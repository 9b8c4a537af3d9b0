//! Loads the dump: pg_restore once for each section, or psql for a plain dump; then counts.

use std::path::Path;

use tokio_postgres::Row;

use super::compare::compare;
use super::lists::{Lists, contents, is_unreadable};
use super::loader::{alone, fed, loader, phase_of, point};
use super::timescale::{self, Timescale};
use super::{Work, analyze, extract, lanes, part, post_data};
use crate::catalog::restore::WITH_LINE_ENDS;
use crate::decide::restore;
use crate::decide::restore::lanes::is_shared_out;
use crate::decide::restore::part::{is_part, printed};
use crate::decide::restore::plan::{Load, Section, pg_restore};
use crate::error::Result;
use crate::job::wait::both;

/// Loads everything.
pub async fn load(work: &mut Work<'_>) -> Result<()> {
    if is_shared_out(&work.manifest, work.restore)
        && let Some(plan) = lanes::plan(work).await?
    {
        return lanes::load(work, &plan).await;
    }
    let unpacked = match work.manifest.dump.format.as_str() {
        "plain" => None,
        "custom" | "tar" if work.restore.jobs <= 1 => None,
        _ => Some(extract::unpack(work).await?),
    };
    let unpacked = unpacked.as_ref().map(|unpacked| unpacked.path.as_path());
    let timescale = timescale::begin(work, unpacked).await?;
    match work.manifest.dump.format.as_str() {
        "plain" => {
            super::script::load(work).await?;
        }
        _ => sections(work, unpacked, timescale.as_ref()).await?,
    }
    if let Some(timescale) = timescale {
        timescale.finish(work).await?;
    }
    with_line_ends(work).await
}

/// Gives tables of a manifest their names: in directory format they are known from pg_restore's
/// list, which has spaces for line ends.
async fn with_line_ends(work: &mut Work<'_>) -> Result<()> {
    if work.manifest.dump.format != "directory" {
        return Ok(());
    }
    let session = work.session_in_target().await?;
    let rows = session.rows(work.context.control, WITH_LINE_ENDS, &[]).await?;
    let name = |row: &Row| -> (String, String) { (row.get(0), row.get(1)) };
    for (schema, name) in rows.iter().map(name) {
        let listed = printed(&schema, &name);
        let tables = work.manifest.tables.iter_mut();
        for table in tables.filter(|table| (&table.schema, &table.name) == (&listed.0, &listed.1)) {
            (table.schema, table.name) = (schema.clone(), name.clone());
        }
    }
    Ok(())
}

async fn sections(
    work: &mut Work<'_>,
    unpacked: Option<&Path>,
    timescale: Option<&Timescale>,
) -> Result<()> {
    if is_part(work.restore) {
        return part::load(work, unpacked).await;
    }
    for load in parts(work, unpacked, timescale) {
        let section = load.section;
        if let (Section::PostData, Some(unpacked)) = (section, unpacked)
            && post_data(work, unpacked, timescale).await?
        {
            continue;
        }
        let restore = loader(work, pg_restore(&work.restore.target, &load), load.trusted);
        match unpacked {
            None => fed(work, restore, phase_of(section)).await?,
            Some(_) => alone(work, &restore, phase_of(section)).await?,
        }
        crate::fault::point(point(section));
    }
    Ok(())
}

/// The last section, by several connections. Whether it could be done so: where the table of
/// contents cannot be read, pg_restore can do without a list, or says better what is wrong.
async fn post_data(
    work: &mut Work<'_>,
    unpacked: &Path,
    timescale: Option<&Timescale>,
) -> Result<bool> {
    if work.restore.jobs <= 1 {
        return Ok(false);
    }
    let text = contents(work, Some(unpacked)).await;
    let facts = &work.manifest.facts;
    let entries = text.and_then(|text| {
        let entries = restore::part::entries(&text, &facts.schemas, &facts.roles)?;
        Ok((entries, restore::part::everything(&text)))
    });
    let (entries, list) = match entries {
        Err(failure) if is_unreadable(&failure) => return Ok(false),
        entries => entries?,
    };
    let made;
    let lists = match timescale.and_then(Timescale::lists) {
        Some(lists) => &lists.files,
        None => {
            made = Lists::new(work)?;
            &made
        }
    };
    post_data::load(work, unpacked, &entries, list, lists).await?;
    Ok(true)
}

/// One run of pg_restore each.
fn parts<'a>(
    work: &Work<'_>,
    source: Option<&'a Path>,
    timescale: Option<&'a Timescale>,
) -> Vec<Load<'a>> {
    let (jobs, trusted) = (work.restore.jobs, work.restore.trusted);
    let load = |section| Load { section, jobs, trusted, source, list: None };
    match timescale.and_then(Timescale::lists) {
        Some(lists) => restore::timescale::parts(load, lists.paths()),
        None => Section::ALL.map(load).to_vec(),
    }
}

/// Counts the rows of every table against the manifest, and gathers statistics: beside each other,
/// but for TimescaleDB, which has to be told in between.
pub async fn compare_and_analyze(work: &Work<'_>) -> Result<()> {
    if restore::timescale::recorded(&work.manifest).is_some() {
        compare(work).await?;
        return analyze::all(work).await;
    }
    both(compare(work), analyze::all(work)).await.map(drop)
}
