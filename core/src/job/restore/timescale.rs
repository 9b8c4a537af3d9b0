//! TimescaleDB's own order of a restore. In: a new database, empty, and a dump whose catalog must
//! be loaded before its chunks, by one connection, into the very version of the extension that
//! wrote it. Out: the same hypertables, with no job of a user running.
//!
//! What must hold (all of it measured, with the damage that follows otherwise): the extension is
//! made and told before anything is loaded; the end of the restore and the parking of the jobs are
//! one transaction; a database in which anything failed is never told that its restore is over;
//! the jobs get their schedules back before the swap, the workers come back after it.

mod jobs;
mod ready;

use std::path::{Path, PathBuf};

use super::extract;
use super::{Work, loader};
use crate::catalog::timescale::{
    COUNT_AS_SEEN, COUNT_AS_STORED, IS_APACHE, LOST_CHUNKS, UPDATE, UPDATE_EXTENSION,
    create_extension, create_schema, post_restore, pre_restore,
};
use crate::decide::archive_spec::CONTENTS_MAX;
use crate::decide::encoding::decode;
use crate::decide::manifest::Extension;
use crate::decide::progress::Phase;
use crate::decide::restore::plan::{pg_restore_catalog, pg_restore_contents};
use crate::decide::restore::timescale::{ListPaths, Lists, lists, recorded, version_in};
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::archive::reader::Payload;
use crate::host::child::{Stdout, Tool};
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::tools::{output, tool};

pub use jobs::{give_jobs_back, start_workers};
pub use ready::rows;

/// A script of one catalog table: 100,000 hypertables of 300 bytes.
const SCRIPT_MAX: u64 = 32 << 20;

/// A restore of TimescaleDB that has begun.
pub struct Timescale {
    /// Schema of the extension.
    schema: String,
    lists: Option<ListFiles>,
}

/// What pg_restore is told to load, in files. A script has none.
pub struct ListFiles {
    all: PathBuf,
    catalog: PathBuf,
    others: PathBuf,
    /// Where they are, until it is dropped.
    pub files: super::lists::Lists,
}

/// Where pg_restore reads the dump.
pub enum Source<'a> {
    Unpacked(&'a Path),
    Stream(&'a Path, &'a Payload),
}

/// Makes the extension in the version of the dump and tells it that a restore begins. None for a
/// database without it.
pub async fn begin(work: &mut Work<'_>, unpacked: Option<&Path>) -> Result<Option<Timescale>> {
    let Some(extension) = recorded(&work.manifest).cloned() else { return Ok(None) };
    if !work.restore.tables.is_empty() || !work.restore.schemas.is_empty() {
        // A part has no hypertables: the checks have seen to that.
        return Ok(None);
    }
    let (lists, version) = match work.manifest.dump.format.as_str() {
        "plain" => (None, None),
        _ => {
            let (path, member);
            let source = match unpacked {
                Some(path) => Source::Unpacked(path),
                None => {
                    (path, member) = extract::stream(work)?;
                    Source::Stream(&path, &member)
                }
            };
            let lists = lists_of(work, &source, &extension).await?;
            let script = catalog_script(work.context, &source, "metadata").await?;
            (Some(lists), version_in(&script).map(str::to_owned))
        }
    };
    let owner = lists.as_ref().and_then(|lists| lists.schema_owner.clone());
    let extension = Extension { version: version.unwrap_or(extension.version), ..extension };
    make(work, &extension, owner.as_deref()).await?;
    let lists = lists.map(|lists| ListFiles::write(work, &lists)).transpose()?;
    Ok(Some(Timescale { schema: extension.schema, lists }))
}

async fn make(work: &Work<'_>, extension: &Extension, owner: Option<&str>) -> Result<()> {
    let (control, schema) = (work.context.control, &extension.schema);
    let session = work.session_in_target().await?;
    session.batch(control, &create_schema(schema, owner)).await?;
    session.batch(control, &create_extension(schema, &extension.version)).await?;
    drop(session);
    work.session_in_target().await?.batch(control, &pre_restore(schema)).await
}

async fn lists_of(work: &Work<'_>, source: &Source<'_>, extension: &Extension) -> Result<Lists> {
    let args = pg_restore_contents(source.path());
    let contents = read(work.context, source, args, CONTENTS_MAX, "list the dump").await?;
    let contents = decode(&contents, &work.manifest.facts.database.encoding);
    lists(&contents, &work.manifest, extension)
}

/// The rows of one table of TimescaleDB's catalog, as a script.
pub async fn catalog_script(
    context: &Context<'_>,
    source: &Source<'_>,
    table: &str,
) -> Result<String> {
    let args = pg_restore_catalog(table, source.path());
    let script = read(context, source, args, SCRIPT_MAX, "read TimescaleDB's catalog").await?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

async fn read(
    context: &Context<'_>,
    source: &Source<'_>,
    args: Vec<std::ffi::OsString>,
    cap: u64,
    what: &str,
) -> Result<Vec<u8>> {
    let tool = tool(context, "pg_restore", args, Vec::new());
    let feed = match source {
        Source::Unpacked(_) => None,
        Source::Stream(path, member) => Some(extract::reader(path, member)?),
    };
    output(context, &tool, feed, cap, what).await
}

impl Source<'_> {
    fn path(&self) -> Option<&Path> {
        match self {
            Source::Unpacked(path) => Some(path),
            Source::Stream(..) => None,
        }
    }
}

impl Timescale {
    /// What pg_restore is told to load; None for a script.
    pub fn lists(&self) -> Option<&ListFiles> {
        self.lists.as_ref()
    }

    /// The end of a restore that has failed nowhere: jobs are parked, chunks looked for, and the
    /// extension is brought to this server's version.
    pub async fn finish(self, work: &Work<'_>) -> Result<()> {
        let control = work.context.control;
        fault::point("timescale_loaded");
        let session = work.session_in_target().await?;
        let is_apache = session.one(control, IS_APACHE, &[]).await?.get(0);
        session.batch(control, &post_restore(&self.schema, is_apache)).await?;
        drop(session);
        // A session that was there before sees the mode of the restore for ever.
        let session = work.session_in_target().await?;
        let lost = session.rows(control, LOST_CHUNKS, &[]).await?;
        if let Some(row) = lost.first() {
            let name: Option<String> = row.get(0);
            return Err(Failure::new(Class::Damaged, "chunks of hypertables are missing").detail(
                format!(
                    "{} hypertables differ; {} has {} chunks, {} are there.",
                    lost.len(),
                    name.unwrap_or_default(),
                    row.get::<_, i64>(1),
                    row.get::<_, i64>(2)
                ),
            ));
        }
        if session.one(control, UPDATE, &[]).await?.get(0) {
            drop(session);
            let args = ["--no-psqlrc", "--no-password", "--quiet", "--command", UPDATE_EXTENSION];
            let psql = loader::client(work, "psql", args.map(Into::into).to_vec());
            let psql = Tool { stdout: Stdout::Null, ..psql };
            loader::alone(work, &psql, Phase::PostData).await?;
        }
        Ok(())
    }
}

impl ListFiles {
    fn write(work: &Work<'_>, lists: &Lists) -> Result<ListFiles> {
        let files = super::lists::Lists::new(work)?;
        Ok(ListFiles {
            all: files.write("all", &lists.all)?,
            catalog: files.write("catalog", &lists.catalog)?,
            others: files.write("others", &lists.others)?,
            files,
        })
    }

    /// Where they lie.
    pub fn paths(&self) -> ListPaths<'_> {
        ListPaths { all: &self.all, catalog: &self.catalog, others: &self.others }
    }
}

/// Rows are counted as the dump has them; what follows sees hypertables again.
pub async fn count_as_stored(work: &Work<'_>, session: &Server, on: bool) -> Result<()> {
    if recorded(&work.manifest).is_none() {
        return Ok(());
    }
    let sql = if on { COUNT_AS_STORED } else { COUNT_AS_SEEN };
    session.batch(work.context.control, sql).await
}
