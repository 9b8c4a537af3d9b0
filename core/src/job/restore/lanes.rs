//! Loads a dump of custom format with several connections, and unpacks nothing but its head.
//!
//! In: an archive whose dump can only be read from its beginning to its end. Each connection has
//! tables of its own and reads the dump by itself; definitions, indexes and constraints stand in
//! the head, which lies in a file for the time, so that pg_restore can make them in parallel.
//! Out: the same as from one connection.
//!
//! What must hold: rows are written with the rights of their owners, definitions are not; what is
//! built early is not built again.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;

use super::lists::{Lists, is_unreadable};
use super::loader::{Fed, alone, ended, judged, loader, piped, point};
use super::{Work, extract, post_data};
use crate::decide::archive_spec::CONTENTS_MAX;
use crate::decide::encoding::decode;
use crate::decide::progress::{Phase, Progress};
use crate::decide::restore::lanes::{Lanes, lanes};
use crate::decide::restore::plan::{Load, Section, pg_restore, pg_restore_verbose_contents};
use crate::error::{Failure, Result};
use crate::host::archive::reader::Payload;
use crate::host::custom::{Layout, Without, layout};
use crate::job::tools::{output, tool};
use crate::job::wait::moving;

/// What is loaded, and by how many.
pub struct Plan {
    lanes: Lanes,
    /// List for the rows of each lane.
    rows: Vec<PathBuf>,
    /// The beginning of the dump, with its table of contents.
    head: PathBuf,
    lists: Lists,
    archive: PathBuf,
    member: Payload,
    /// Where the rows of others can be left out, if the dump is of a version that is known.
    layout: Option<Layout>,
}

/// Shares the tables out. None for a table of contents that cannot be read: pg_restore can do
/// without, or says better what is wrong.
pub async fn plan(work: &mut Work<'_>) -> Result<Option<Plan>> {
    work.phase(Phase::Extracting).await;
    let (archive, member) = extract::stream(work)?;
    let read = Arc::<AtomicU64>::default();
    let inner = extract::reader(&archive, &member)?;
    let feed = Counted { inner, read: read.clone(), ended: Arc::default() };
    let list = tool(work.context, "pg_restore", pg_restore_verbose_contents(None), Vec::new());
    let feed: Box<dyn Read + Send> = Box::new(feed);
    let listed = output(work.context, &list, Some(feed), CONTENTS_MAX, "list the dump").await;
    let bytes = match listed {
        Ok(bytes) => bytes,
        Err(failure) if is_unreadable(&failure) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let contents = decode(&bytes, &work.manifest.facts.database.encoding);
    let lanes = match lanes(&contents, &work.manifest, work.restore.jobs) {
        Err(failure) if is_unreadable(&failure) => return Ok(None),
        lanes => lanes?,
    };
    let lists = Lists::new(work)?;
    let numbered = lanes.lanes.iter().enumerate();
    let rows = numbered.map(|(lane, of)| lists.write(&format!("rows_{lane}"), &of.rows));
    let rows = rows.collect::<Result<_>>()?;
    let head = lists.path().join("head.dump");
    // All that pg_restore has read for the list, and what waited for it in the pipe.
    let length = read.load(Ordering::Relaxed);
    extract::head(work, &archive, &member, length, &head).await?;
    let opened = File::open(&head).map_err(|e| Failure::io("read the head of the dump", &e))?;
    let layout = layout(opened);
    Ok(Some(Plan { lanes, rows, head, lists, archive, member, layout }))
}

/// Counts what is read, and ends with the tool that it is read for: what others load may be many
/// times what this one does, and comes behind it.
struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.ended.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Plan {
    /// What a lane reads. What others load is left out before it has gone through a pipe.
    fn reader(
        &self,
        lane: usize,
        read: &Arc<AtomicU64>,
        ended: &Arc<AtomicBool>,
    ) -> Result<Box<dyn Read + Send>> {
        let inner = extract::reader(&self.archive, &self.member)?;
        let counted = Counted { inner, read: read.clone(), ended: ended.clone() };
        Ok(match self.layout {
            Some(layout) => {
                let of = self.lanes.of.clone();
                let foreign = move |id| of.get(&id).is_some_and(|other| *other != lane);
                Box::new(Without::new(counted, layout, foreign))
            }
            None => Box::new(counted),
        })
    }
}

/// Loads everything.
pub async fn load(work: &Work<'_>, plan: &Plan) -> Result<()> {
    let trusted = work.restore.trusted;
    let source = Some(plan.head.as_path());
    let definitions = Load { section: Section::PreData, jobs: 1, trusted, source, list: None };
    let args = pg_restore(&work.restore.target, &definitions);
    alone(work, &loader(work, args, trusted), Phase::PreData).await?;
    crate::fault::point(point(Section::PreData));
    work.phase(Phase::Data).await;
    let moved = Moved::new(work, plan.rows.len());
    let early = try_join_all((0..plan.rows.len()).map(|lane| one(work, plan, lane, &moved)));
    let early = early.await?;
    crate::fault::point(point(Section::Data));
    let rest = plan.lanes.rest(&early);
    post_data::load(work, &plan.head, &plan.lanes.entries, rest, &plan.lists).await
}

/// How far the lanes are.
struct Moved {
    lanes: Vec<Arc<AtomicU64>>,
    loading: Cell<usize>,
    /// Bytes of all rows, which each lane reads.
    total: u64,
}

impl Moved {
    fn new(work: &Work<'_>, lanes: usize) -> Moved {
        let total = work.manifest.tables.iter().map(|table| table.bytes).sum();
        let loading = Cell::new(lanes);
        Moved { lanes: (0..lanes).map(|_| Arc::default()).collect(), loading, total }
    }

    fn report(&self, work: &Work<'_>) {
        let read: u64 = self.lanes.iter().map(|lane| lane.load(Ordering::Relaxed)).sum();
        let bytes_done = (read / self.lanes.len().max(1) as u64).min(self.total);
        let progress = Progress {
            phase: Phase::Data,
            bytes_done,
            bytes_total: self.total,
            ..Progress::default()
        };
        work.context.control.report(&progress);
    }

    /// The lane has all its rows. Whether others still load.
    fn loaded(&self, lane: usize) -> bool {
        self.lanes[lane].store(self.total, Ordering::Relaxed);
        self.loading.set(self.loading.get().saturating_sub(1));
        self.loading.get() > 0
    }
}

/// One lane: its rows, and its indexes while others still load rows. Whether it has built them.
async fn one(work: &Work<'_>, plan: &Plan, lane: usize, moved: &Moved) -> Result<bool> {
    let trusted = work.restore.trusted;
    let list = Some(plan.rows[lane].as_path());
    let load = Load { section: Section::Data, jobs: 1, trusted, source: None, list };
    let tool = loader(work, pg_restore(&work.restore.target, &load), trusted);
    let counter = &moved.lanes[lane];
    let ended = Arc::<AtomicBool>::default();
    let reader = plan.reader(lane, counter, &ended)?;
    let stall = Duration::from_millis(work.restore.limits.stall);
    let checked = moving(work.context.control, tool.name, counter, stall);
    let shown = || moved.report(work);
    let fed = Fed { reader, moved: Arc::default(), ended };
    judged(piped(work, tool, fed, &checked, shown).await?, Phase::Data)?;
    let others_load = moved.loaded(lane);
    let Some(list) = plan.lanes.lanes[lane].early().filter(|_| others_load) else {
        return Ok(false);
    };
    built(work, plan, &plan.lists.write(&format!("early_{lane}"), &list)?).await?;
    Ok(true)
}

/// What can be built early.
async fn built(work: &Work<'_>, plan: &Plan, list: &Path) -> Result<()> {
    let trusted = work.restore.trusted;
    let (source, list) = (Some(plan.head.as_path()), Some(list));
    let load = Load { section: Section::PostData, jobs: 1, trusted, source, list };
    let tool = loader(work, pg_restore(&work.restore.target, &load), trusted);
    judged(ended(work, &tool).await?, Phase::PostData)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of rows of entry 2 that does not end.
    struct Endless(Arc<AtomicBool>, u32);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            self.0.store(self.1 == 100, Ordering::Relaxed);
            buffer.fill(1);
            Ok(buffer.len())
        }
    }

    #[test]
    fn what_others_load_is_not_read_to_its_end_for_a_tool_that_has_ended() {
        let ended = Arc::<AtomicBool>::default();
        let begin = [&[1_u8, 0, 2, 0, 0, 0][..], &[0, 0, 0, 0, 127]].concat();
        let inner = std::io::Cursor::new(begin).chain(Endless(ended.clone(), 0));
        let counted = Counted { inner: Box::new(inner), read: Arc::default(), ended };
        let layout = crate::host::custom::Layout { head: 0, ints: 4 };
        let mut rest = Vec::new();
        Without::new(counted, layout, |id| id == 2).read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{} bytes", rest.len());
    }
}
