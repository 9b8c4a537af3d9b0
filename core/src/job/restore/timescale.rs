//! TimescaleDB's own order of a restore. In: a new database, empty, and a dump whose catalog must
//! be loaded before its chunks, by one connection, into the very version of the extension that
//! wrote it. Out: the same hypertables, with no job of a user running.
//!
//! What must hold (all of it measured, with the damage that follows otherwise): the extension is
//! made and told before anything is loaded; the end of the restore and the parking of the jobs are
//! one transaction; a database in which anything failed is never told that its restore is over;
//! the jobs get their schedules back before the swap, the workers come back after it.

mod ready;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Work, extract, load};
use crate::catalog::timescale::{
    COUNT_AS_STORED, INSTALLED, IS_APACHE, LOST_CHUNKS, UPDATE, UPDATE_EXTENSION, call,
    create_extension, give_back, post_restore, pre_restore,
};
use crate::catalog::{ident, timescale as sql};
use crate::decide::archive_spec::CONTENTS_MAX;
use crate::decide::manifest::Extension;
use crate::decide::naming::{archive_name, safe_name};
use crate::decide::progress::Phase;
use crate::decide::restore::plan::{Load, Section, pg_restore_catalog, pg_restore_contents};
use crate::decide::restore::timescale::{Lists, lists, recorded, version_in};
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::archive::reader::Payload;
use crate::host::child::{Stdout, Tool};
use crate::host::dir::BackupDir;
use crate::host::partial::WorkDir;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::tools::{output, tool};
use crate::job::wait::last_words;

pub use ready::rows;

/// How long the workers may take to be told.
const START_TIME: Duration = Duration::from_secs(10);
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
    /// Holds the files until it is dropped.
    _work: WorkDir,
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
    fault::point("timescale_begun");
    Ok(Some(Timescale { schema: extension.schema, lists }))
}

async fn make(work: &Work<'_>, extension: &Extension, owner: Option<&str>) -> Result<()> {
    let (control, schema) = (work.context.control, &extension.schema);
    let session = work.session_in_target().await?;
    let owner = owner.map(|owner| format!(" AUTHORIZATION {}", ident(owner))).unwrap_or_default();
    let create = format!("CREATE SCHEMA IF NOT EXISTS {}{owner}", ident(schema));
    session.batch(control, &create).await?;
    session.batch(control, &create_extension(schema, &extension.version)).await?;
    drop(session);
    work.session_in_target().await?.batch(control, &pre_restore(schema)).await
}

async fn lists_of(work: &Work<'_>, source: &Source<'_>, extension: &Extension) -> Result<Lists> {
    let args = pg_restore_contents(source.path());
    let contents = read(work.context, source, args, CONTENTS_MAX, "list the dump").await?;
    Ok(lists(&String::from_utf8_lossy(&contents), &work.manifest, extension))
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
        fault::point("timescale_finished");
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
            let psql = load::client(work, "psql", args.map(Into::into).to_vec());
            let psql = Tool { stdout: Stdout::Null, ..psql };
            load::alone(work, &psql, Phase::PostData).await?;
        }
        Ok(())
    }
}

impl ListFiles {
    fn write(work: &Work<'_>, lists: &Lists) -> Result<ListFiles> {
        let settings = work.context.settings;
        let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
        let safe = safe_name(&work.restore.target);
        let folder = place.folder(settings.system_identifier, &safe)?;
        // The first name may be that of the unpacked dump.
        let name = archive_name(&work.restore.target, chrono::Utc::now(), work.id, 1);
        let directory = WorkDir::create(&folder, &name)?;
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            let written = std::fs::write(&path, text);
            let failed = |e| Failure::io(format_args!("write \"{}\"", path.display()), &e);
            written.map_err(failed).map(|()| path.clone())
        };
        Ok(ListFiles {
            all: write("all", &lists.all)?,
            catalog: write("catalog", &lists.catalog)?,
            others: write("others", &lists.others)?,
            _work: directory,
        })
    }

    /// The runs of pg_restore: the catalog by itself, by one connection and as the superuser, for
    /// its tables belong to the extension; before the rows that need it.
    pub fn parts<'a>(&'a self, load: impl Fn(Section) -> Load<'a>) -> Vec<Load<'a>> {
        let listed = |section, list: &'a Path| Load { list: Some(list), ..load(section) };
        vec![
            listed(Section::PreData, &self.all),
            Load { jobs: 1, trusted: true, ..listed(Section::Data, &self.catalog) },
            listed(Section::Data, &self.others),
            listed(Section::PostData, &self.all),
        ]
    }
}

/// Rows are counted as the dump has them; what follows sees hypertables again.
pub async fn count_as_stored(work: &Work<'_>, session: &Server, on: bool) -> Result<()> {
    if recorded(&work.manifest).is_none() {
        return Ok(());
    }
    let sql = if on { COUNT_AS_STORED } else { "RESET timescaledb.restoring" };
    session.batch(work.context.control, sql).await
}

/// Jobs get the schedules that they had, in a database that takes the name that it had. In any
/// other they stay parked: two databases with the same policies and connections to the outside are
/// not what a copy is for.
pub async fn give_jobs_back(work: &Work<'_>) -> Result<()> {
    let facts = &work.manifest.facts;
    let jobs: Vec<_> = facts.timescaledb_jobs.iter().filter(|job| job.scheduled).collect();
    if recorded(&work.manifest).is_none() || jobs.is_empty() {
        return Ok(());
    }
    let control = work.context.control;
    let replace = work.restore.replace.is_some();
    if !replace && work.restore.target != facts.database.name {
        let warning = format!(
            "TimescaleDB's jobs are parked in \"{}\", a copy: alter_job(…, scheduled => true) \
             starts them",
            work.restore.target
        );
        return work.history.warn(work.id, &[warning]).await;
    }
    let session = work.session_in_target().await?;
    let Some(found) = installed(work.context, &session, "stop_background_workers").await? else {
        return Ok(());
    };
    if let (true, Some(functions)) = (replace, &found.functions) {
        // They would be stopped by the swap anyway; until then no job runs.
        session.batch(control, &call(functions, "stop_background_workers")).await?;
    }
    let ids: Vec<i32> = jobs.iter().map(|job| job.job_id).collect();
    let starts: Vec<_> = jobs.iter().map(|job| job.next_start).collect();
    let is_apache = session.one(control, IS_APACHE, &[]).await?.get(0);
    session.rows(control, &give_back(&found.schema, is_apache), &[&ids, &starts]).await?;
    fault::point("jobs_given_back");
    Ok(())
}

/// The extension of a database.
struct Installed {
    schema: String,
    /// Schema of the function that was asked for.
    functions: Option<String>,
}

async fn installed(
    context: &Context<'_>,
    session: &Server,
    function: &str,
) -> Result<Option<Installed>> {
    let rows = session.rows(context.control, INSTALLED, &[&function]).await?;
    Ok(rows.first().map(|row| Installed { schema: row.get(0), functions: row.get(2) }))
}

/// Starts the workers of a database again: a rename stops them, whether it succeeds or not, and
/// nothing but a restart of the server would bring them back. Errors: with what to do by hand.
pub async fn start_workers(context: &Context<'_>, database: &str) -> Result<()> {
    let control = last_words(context.control, START_TIME);
    let context = &Context { control: &control, ..*context };
    let access = &context.settings.access;
    let function = "start_background_workers";
    let started = async {
        let session = Server::connect(access, &control, database, "pg_backup swap").await?;
        let found = installed(context, &session, function).await?;
        match found.and_then(|found| found.functions) {
            Some(schema) => session.batch(&control, &sql::call(&schema, function)).await,
            None => Ok(()),
        }
    };
    started.await.map_err(|failure: Failure| {
        let what = format!("could not start TimescaleDB's workers in database \"{database}\"");
        Failure::new(failure.class, what).detail(format!("{}.", failure.message)).hint(format!(
            "SELECT _timescaledb_functions.{function}() in it, or restart the server."
        ))
    })
}
