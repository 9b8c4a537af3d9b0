//! An import: a file of somebody's becomes an archive of the catalogue.
//!
//! In: the path of an archive of ours, of a dump of pg_dump in any format, of an SQL script, or of
//! a backup of Tracearr. Out: a published archive with a manifest, read to its end; or a failure
//! and nothing but a row. The file itself is read once and never changed, and what is judged is
//! our copy of it. Nothing in it is run.

mod describe;
mod directory;
mod dump;
mod facts;
mod own;
mod pack;
mod publish;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Report;
use super::context::Context;
use super::wait::deadline;
use crate::catalog::history::{History, NewRun};
use crate::decide::archive_spec::{CONTENTS, MANIFEST, payload_member};
use crate::decide::manifest::Manifest;
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Home, Import};
use crate::error::{Class, Failure, Result};
use crate::host::archive::foreign::DUMP;
use crate::host::archive::reader::Archive;
use crate::host::dir::BackupDir;
use crate::host::partial::Partial;
use crate::host::server::Server;
use crate::host::source::{self, Room, Source};
use crate::host::space::free_bytes;
use crate::host::threads;

/// What every step of one import works with.
struct Work<'a> {
    context: &'a Context<'a>,
    import: &'a Import,
    history: &'a History<'a>,
    id: i64,
    started: DateTime<Utc>,
    place: BackupDir,
    /// Bytes that were moved.
    moved: Arc<AtomicU64>,
    /// The archive has its name: from here on a failure must not say that nothing was kept.
    published: Cell<bool>,
}

/// A complete archive, read to its end, still under its partial name.
struct Ready {
    partial: Partial,
    size: u64,
    sha256: String,
    manifest: Manifest,
    warnings: Vec<String>,
    is_foreign: bool,
}

/// Imports and records it.
pub async fn run(context: &Context<'_>, home: &Home, import: &Import) -> Result<Report> {
    let report = recorded(context, home, import).await?;
    if import.take {
        // What cannot be removed now is an abandoned upload, and swept as such.
        std::fs::remove_file(&import.path).ok();
    }
    Ok(report)
}

async fn recorded(context: &Context<'_>, home: &Home, import: &Import) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(import.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let (access, control) = (&context.settings.access, context.control);
    control.report(&Progress { phase: Phase::Connecting, ..Progress::default() });
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    // The database that the archive is of is not known yet.
    let new = NewRun {
        kind: "import",
        database: &home.database,
        origin: &import.origin,
        comment: import.comment.as_deref(),
        ..NewRun::default()
    };
    let id = history.begin(home, &new, "running").await?;
    control.started(id);
    let published = Cell::new(false);
    match steps(context, &history, id, import, &published).await {
        Ok(()) => Ok(Report { id, ..Report::default() }),
        Err(failure) if published.get() => Err(failure),
        Err(failure) => {
            let failure = named(import, failure);
            Err(super::ending::record(context, home, &history, id, failure).await)
        }
    }
}

/// The steps. Nothing is kept of a run that stops.
async fn steps(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    import: &Import,
    published: &Cell<bool>,
) -> Result<()> {
    let work = Work {
        context,
        import,
        history,
        id,
        started: Utc::now(),
        place: place(context)?,
        moved: Arc::default(),
        published: Cell::new(false),
    };
    let path = Path::new(&import.path);
    let ready = match source::open(path)? {
        Source::Directory(directory) => directory::take(&work, directory).await?,
        Source::File(file) => match dump::sniff(&file)? {
            dump::Found::Zip => {
                let archive = Archive::of(share(&file)?, path)?;
                match is_ours(&archive) {
                    true => own::take(&work, archive, file).await?,
                    false => dump::tracearr(&work, file).await?,
                }
            }
            dump::Found::Dump(found) => dump::file(&work, found, file).await?,
        },
    };
    let done = publish::publish(&work, ready).await;
    published.set(work.published.get());
    done
}

/// Whether it looks like one of ours: it has a manifest, or a list or a payload under our names.
fn is_ours(archive: &Archive) -> bool {
    let ours = |name: &String| payload_member(name).is_some() && name != DUMP;
    archive.has(MANIFEST) || archive.has(CONTENTS) || archive.names().iter().any(ours)
}

/// The directory, once there is room in it.
fn place(context: &Context<'_>) -> Result<BackupDir> {
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, true)?;
    let (free, reserve) = (free_bytes(place.path())?, settings.min_free_space);
    if free < reserve {
        return Err(Failure::new(Class::DiskFull, "too little free space for an import")
            .detail(format!(
                "\"{}\" has {free} bytes free, pg_backup.min_free_space keeps {reserve} bytes.",
                place.path().display()
            ))
            .hint("Free space, or point pg_backup.directory to another file system."));
    }
    Ok(place)
}

/// The failure, with the file that was meant: the caller may have called it otherwise.
fn named(import: &Import, failure: Failure) -> Failure {
    if failure.message.contains(&import.filename) || failure.class == Class::Cancelled {
        return failure;
    }
    let message = format!("could not import \"{}\": {}", import.filename, failure.message);
    Failure { message, ..failure }
}

/// A failure of a tool that is older than the dump, with what to do about it.
fn too_new(failure: Failure) -> Failure {
    let said = failure.detail.contains("unsupported version")
        || failure.message.contains("unsupported version");
    if !said {
        return failure;
    }
    Failure {
        class: Class::NotReady,
        message: "the dump was made by a newer pg_dump than this server's pg_restore can read"
            .to_owned(),
        hint: "Point pg_backup.bin_directory to tools that are at least as new, or make the dump \
               with --format=plain."
            .to_owned(),
        ..failure
    }
}

fn share(file: &std::fs::File) -> Result<std::fs::File> {
    file.try_clone().map_err(|e| Failure::io("share the file", &e))
}

impl Work<'_> {
    fn show(&self, phase: Phase) {
        let bytes_done = self.moved.load(Ordering::Relaxed);
        self.context.control.report(&Progress { phase, bytes_done, ..Progress::default() });
    }

    fn room(&self) -> Room {
        Room {
            place: self.place.path().to_owned(),
            reserve: self.context.settings.min_free_space,
            moved: self.moved.clone(),
        }
    }

    fn stall(&self) -> Duration {
        Duration::from_millis(self.import.limits.stall)
    }

    /// Runs `work` beside this thread, as long as bytes move.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let handle = threads::spawn("pg_backup copy", work)?;
        let moved = self.moved.clone();
        let control = self.context.control;
        let control = super::wait::moving(control, "reading the file", &moved, self.stall());
        super::wait::joined(&control, handle).await
    }

    /// Whether the bytes are those that the caller wants.
    fn ensure_hash(&self, sha256: &str) -> Result<()> {
        match &self.import.sha256 {
            Some(wanted) if !wanted.eq_ignore_ascii_case(sha256) => Err(Failure::new(
                Class::Damaged,
                format!("\"{}\" has another SHA-256 than it should have", self.import.filename),
            )
            .detail(format!("It is {sha256}, not {wanted}. Nothing was kept."))
            .hint("Copy the file again.")),
            _ => Ok(()),
        }
    }
}
