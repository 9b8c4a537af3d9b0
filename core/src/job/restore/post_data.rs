//! Loads the section post-data by several connections, in an order in which they cannot block each
//! other for good.

use std::path::Path;

use super::Work;
use super::lists::Lists;
use super::loader::{ended, judged, loader, point};
use crate::decide::progress::Phase;
use crate::decide::restore::part::Entry;
use crate::decide::restore::plan::{Load, Section, pg_restore};
use crate::decide::restore::post_data::runs;
use crate::error::Result;

/// Loads what is in the list from the file or directory at `source`, whose entries these are.
pub async fn load(
    work: &Work<'_>,
    source: &Path,
    entries: &[Entry],
    list: String,
    lists: &Lists,
) -> Result<()> {
    let trusted = work.restore.trusted;
    work.phase(Phase::PostData).await;
    for run in runs(entries, list) {
        let jobs = if run.is_parallel { work.restore.jobs } else { 1 };
        let list = lists.write(&format!("post_data_{}", run.name), &run.list)?;
        let (source, list) = (Some(source), Some(list.as_path()));
        let load = Load { section: Section::PostData, jobs, trusted, source, list };
        let args = pg_restore(&work.restore.target, &load);
        judged(ended(work, &loader(work, args, trusted)).await?, Phase::PostData)?;
    }
    crate::fault::point(point(Section::PostData));
    Ok(())
}
