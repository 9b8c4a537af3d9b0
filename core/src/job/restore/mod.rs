//! A restore: from an archive to a database that did not exist before; which then stays beside the
//! live one, takes its place, or gives it some tables.
//!
//! Nothing that is there already is touched: the database is new, closed to clients until it is
//! whole, and gone again when anything fails. Its id is in the row before it exists, so that what
//! a crash leaves behind is found and removed.

mod analyze;
mod carry;
mod check;
mod compare;
mod ended;
mod extract;
mod failed;
mod globals;
mod into_schema;
mod lanes;
mod leftover;
mod lists;
mod load;
mod loader;
mod part;
mod part_check;
mod place;
mod post_data;
mod pour;
mod properties;
mod rehearse;
mod relations;
mod replaceable;
mod requirement;
mod rollback;
mod script;
mod session;
mod swap;
mod timescale;

pub use check::run as check;
pub use leftover::{Leftover, leftover};
pub use rehearse::rehearse;
pub use rollback::{none_kept, run as rollback};

use std::cell::Cell;
use std::time::Duration;

use self::failed::End;
use super::context::Context;
use super::hooks::{self, Event, Facts};
use super::wait::deadline;
use super::{Report, backup, ending};
use crate::catalog::database;
use crate::catalog::history::{History, NewRun};
use crate::catalog::history_files::StoredArchive;
use crate::catalog::restore::FREE_ID;
use crate::decide::manifest::Manifest;
use crate::decide::naming::cut_name;
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Backup, Home, Restore};
use crate::error::{Failure, Result};
use crate::fault;
use crate::host::archive::reader::Archive;
use crate::host::server::Server;

/// How long a database that is not needed any more may take to go after its job was told to stop.
const DROP_TIME: Duration = Duration::from_secs(30);

/// What every step works with.
struct Work<'a> {
    context: &'a Context<'a>,
    history: &'a History<'a>,
    restore: &'a Restore,
    id: i64,
    /// Id of the new database.
    target: u32,
    /// A session in a database that is neither the new one nor the one that it replaces.
    server: Server,
    archive: Archive,
    manifest: Manifest,
    /// The new database is what the archive holds, and is going to be opened.
    is_whole: Cell<bool>,
}

/// Restores and records it.
pub async fn run(context: &Context<'_>, home: &Home, restore: &Restore) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(restore.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let (access, control) = (&context.settings.access, context.control);
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    let stored = history.archive(restore.backup).await?;
    let new = NewRun {
        kind: "restore",
        database: restore.database(),
        origin: "manual",
        comment: Some(&format!("backup {}", restore.backup)),
        subject: Some(restore.backup),
        ..NewRun::default()
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    let restore = &placed(restore, id);
    let facts = facts(id, restore);
    match steps(context, home, &history, id, restore, &stored, &facts).await {
        Ok(End::Whole) => ended::ended(context, home, &history, restore, id, &facts).await,
        Ok(End::Unknown(failure)) => {
            control.unrecorded();
            Err(failure)
        }
        Err(failure) => {
            let failure = ending::record(context, home, &history, id, failure).await;
            ended::on_failure(context, home, id, &facts, &failure).await;
            Err(failure)
        }
    }
}

/// A database that will not keep its name gets one that tells the run.
fn placed(restore: &Restore, id: i64) -> Restore {
    let target = match restore.target.as_str() {
        "" => cut_name(restore.database(), &format!("_restoring_{id}")),
        target => target.to_owned(),
    };
    Restore { target, ..restore.clone() }
}

/// What hooks can read of it.
fn facts(id: i64, restore: &Restore) -> Facts {
    Facts::new(id, "restore", restore.database())
        .with("origin", "manual")
        .with("backup", restore.backup.to_string())
        .with("staging", restore.target.clone())
}

/// The steps. What fails after the database was made takes it away again.
async fn steps(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    id: i64,
    restore: &Restore,
    stored: &StoredArchive,
    facts: &Facts,
) -> Result<End> {
    let mut work = checked(context, history, id, restore, stored).await?;
    hooks::run(context, home, history, Event::BeforeRestore, facts).await?;
    if let Some(backup) = &restore.safety_backup {
        safety(context, home, backup, id).await?;
    }
    let done = async {
        create(&mut work).await?;
        filled(&mut work).await?;
        if let Some(into) = &restore.into_schema {
            return into_schema::transfer(&work, into).await;
        }
        announce(context, history, id, restore, Phase::Hooks).await;
        let staging = &restore.target;
        hooks::run_in(context, history, Event::AfterRestore, facts, staging).await?;
        timescale::give_jobs_back(&work).await?;
        work.phase(Phase::Opening).await;
        properties::apply(&work).await?;
        fault::point("opened");
        match &restore.replace {
            Some(live) => swap::swap_in(&work, live).await,
            None => Ok(()),
        }
    };
    if let Err(failure) = done.await {
        return failed::end(&work, failure).await;
    }
    if restore.into_schema.is_some() {
        into_schema::finished(&work).await?;
    }
    Ok(End::Whole)
}

/// An archive of the database before it is replaced. It is a run of its own.
async fn safety(context: &Context<'_>, home: &Home, backup: &Backup, id: i64) -> Result<()> {
    let home = Home { id: 0, ..home.clone() };
    let backup = Backup { comment: Some(format!("before restore {id}")), ..backup.clone() };
    let made = backup::run(context, &home, &backup).await;
    made.map(drop).map_err(|failure| Failure {
        message: format!("the backup before the restore failed: {}", failure.message),
        ..failure
    })
}

/// Looks whether everything is there, and refuses before anything is made.
async fn checked<'a>(
    context: &'a Context<'a>,
    history: &'a History<'a>,
    id: i64,
    restore: &'a Restore,
    stored: &StoredArchive,
) -> Result<Work<'a>> {
    announce(context, history, id, restore, Phase::Checking).await;
    let server = outside(context, restore).await?;
    let (mut archive, manifest) = check::passed(context, &server, restore, stored).await?;
    globals::make(context, history, id, restore, &mut archive, &manifest).await?;
    let target = server.one(context.control, FREE_ID, &[]).await?.get(0);
    let is_whole = Cell::new(false);
    Ok(Work { context, history, restore, id, target, server, archive, manifest, is_whole })
}

/// Makes the empty database. Also when that fails it may be there: a cancel may come too late.
async fn create(work: &mut Work<'_>) -> Result<()> {
    let Work { context, history, restore, id, target, server, manifest, .. } = work;
    let (id, target) = (*id, *target);
    let kept = match restore.replace.as_deref() {
        Some(live) => Some(swap::free_kept_name(context, server, live, id).await?),
        None => None,
    };
    history.set_target(id, target, &restore.target, kept.as_deref()).await?;
    fault::point("before_create");
    announce(context, history, id, restore, Phase::Creating).await;
    let sql = database::create(&restore.target, target, &manifest.facts.database);
    server.batch(context.control, &sql).await?;
    fault::point("after_create");
    Ok(())
}

/// Fills the new database and compares it with the manifest.
async fn filled(work: &mut Work<'_>) -> Result<()> {
    load::load(work).await?;
    fault::point("loaded");
    load::compare_and_analyze(work).await
}

/// A session in a database that is neither made nor replaced: for what belongs to no database in
/// particular, and for the swap.
async fn outside(context: &Context<'_>, restore: &Restore) -> Result<Server> {
    let names: Vec<&str> =
        restore.replace.as_deref().into_iter().chain([restore.target.as_str()]).collect();
    session::session_elsewhere(context, &names).await
}

/// Shows a phase.
fn show(context: &Context<'_>, phase: Phase) {
    context.control.report(&Progress { phase, ..Progress::default() });
}

/// Shows a phase, and tells whoever listens.
async fn announce(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    restore: &Restore,
    phase: Phase,
) {
    show(context, phase);
    history.announce_phase(id, restore.database(), phase).await;
}

impl Work<'_> {
    /// Shows a phase, and tells whoever listens.
    async fn phase(&self, phase: Phase) {
        announce(self.context, self.history, self.id, self.restore, phase).await;
    }
}
