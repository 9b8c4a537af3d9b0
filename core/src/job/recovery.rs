//! The databases with the extension, as the launcher sees them: after a crash of anything they get
//! the truth about their runs, and partial files without a living owner go; and their schedules
//! are read. Nothing else is touched.

use super::context::Context;
use super::settle::{LAUNCHER_LOCK_TIME, settle};
use super::versions::{self, mismatch};
use crate::catalog::history::History;
use crate::catalog::lock_timeout;
use crate::catalog::recovery::{DATABASES, EXTENSION, FINGERPRINT, NAMES};
use crate::catalog::restore::Kept;
use crate::decide::request;
use crate::decide::schedule_entry::Entry;
use crate::decide::settings::Settings;
use crate::decide::timetable::Home;
use crate::error::{Class, Failure, Result};
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::host::sweep::sweep;
use crate::host::upload::Uploads;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// A job that is alive: its home database's id, and the id of its run.
pub type Alive = (u32, i64);

/// Asks which jobs are alive now: after the rows have been read, so that none is missed. One that
/// is just beginning has the id 0.
pub type Living<'a> = &'a dyn Fn() -> Vec<Alive>;

/// A database with the extension.
#[derive(Debug)]
pub struct Found {
    pub id: u32,
    pub home: Home,
    pub entries: Vec<Entry>,
    /// Databases that its restores have kept.
    pub kept: Vec<Kept>,
    /// What could not be done or read in it.
    pub failures: Vec<Failure>,
    /// Its SQL and the library are of different versions.
    pub mismatch: Option<Failure>,
}

/// What was found in the whole server.
#[derive(Debug, Default)]
pub struct Recovered {
    pub databases: Vec<Found>,
    /// What could not be done.
    pub failures: Vec<Failure>,
    /// Databases that could not be read, by their ids: the caller tries again.
    pub unread: Vec<(u32, Failure)>,
    /// That of [`fingerprint`], before any of them was read.
    pub fingerprint: String,
}

/// Puts every database right, and reads its schedules.
pub async fn recover(context: &Context<'_>, alive: Living<'_>) -> Result<Recovered> {
    let failures = sweep_partials(context);
    let mut recovered = all(context, Some(alive)).await?;
    recovered.failures.splice(0..0, failures);
    Ok(recovered)
}

/// Reads the schedules of every database.
pub async fn survey(context: &Context<'_>) -> Result<Recovered> {
    all(context, None).await
}

async fn all(context: &Context<'_>, alive: Option<Living<'_>>) -> Result<Recovered> {
    let server = connect(context, &context.settings.access.connect_database).await?;
    let fingerprint = fingerprint_in(context, &server).await?;
    let mut recovered = Recovered { fingerprint, ..Recovered::default() };
    let rows = server.rows(context.control, DATABASES, &[]).await?;
    let mut first = First { context, server: Some(server) };
    for row in rows {
        context.control.proceed()?;
        match first.database(row.get(1), alive).await {
            Ok(found) => recovered.databases.extend(found),
            Err(failure) => match failure.class {
                Class::UndefinedDatabase => {}
                Class::Cancelled | Class::Interrupted => return Err(failure),
                _ => recovered.unread.push((row.get(0), failure)),
            },
        }
    }
    Ok(recovered)
}

/// Reads the schedules of some databases by their ids, and puts those of `unsettled` right before;
/// None for one without the extension.
pub async fn read(
    context: &Context<'_>,
    ids: &[u32],
    unsettled: &BTreeSet<u32>,
    alive: Living<'_>,
) -> Result<Vec<(u32, Result<Option<Found>>)>> {
    let server = connect(context, &context.settings.access.connect_database).await?;
    let rows = server.rows(context.control, NAMES, &[&ids]).await?;
    let mut first = First { context, server: Some(server) };
    let mut read: Vec<(u32, Result<Option<Found>>)> = Vec::new();
    for row in &rows {
        let alive = unsettled.contains(&row.get(0)).then_some(alive);
        let found = match first.database(row.get(1), alive).await {
            Err(failure) if failure.class == Class::UndefinedDatabase => Ok(None),
            found => found,
        };
        read.push((row.get(0), found));
    }
    let gone = ids.iter().filter(|id| !rows.iter().any(|row| row.get::<_, u32>(0) == **id));
    read.extend(gone.map(|id| (*id, Ok(None))));
    Ok(read)
}

/// A text that changes when a database is made, dropped, renamed, opened or closed: what is a copy,
/// and what is not, may be another then.
pub async fn fingerprint(context: &Context<'_>) -> Result<String> {
    fingerprint_in(context, &connect(context, &context.settings.access.connect_database).await?)
        .await
}

async fn fingerprint_in(context: &Context<'_>, server: &Server) -> Result<String> {
    Ok(server.one(context.control, FINGERPRINT, &[]).await?.get(0))
}

async fn connect(context: &Context<'_>, database: &str) -> Result<Server> {
    let access = &context.settings.access;
    Server::connect(access, context.control, database, "pg_backup launcher").await
}

/// The session that has listed the databases reads its own one, too: that saves a connection.
struct First<'a> {
    context: &'a Context<'a>,
    server: Option<Server>,
}

impl<'a> First<'a> {
    /// As [`database`]. What was listed is its own only by the name that it has connected to.
    async fn database(&mut self, name: &str, alive: Option<Living<'_>>) -> Result<Option<Found>> {
        let own = name == self.context.settings.access.connect_database;
        match self.server.take_if(|_| own) {
            Some(server) => in_session(self.context, server, name, alive).await,
            None => database(self.context, name, alive).await,
        }
    }
}

/// Reads one database, when it has the extension; with the jobs that are alive, puts it right
/// before.
pub async fn database(
    context: &Context<'_>,
    name: &str,
    alive: Option<Living<'_>>,
) -> Result<Option<Found>> {
    in_session(context, connect(context, name).await?, name, alive).await
}

async fn in_session(
    context: &Context<'_>,
    server: Server,
    name: &str,
    alive: Option<Living<'_>>,
) -> Result<Option<Found>> {
    let control = context.control;
    server.batch(control, &lock_timeout(LAUNCHER_LOCK_TIME)).await?;
    let rows = server.rows(control, EXTENSION, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (schema, id): (String, u32) = (row.get(0), row.get(1));
    let mismatch = mismatch(&server, control, row.get(2)).await?;
    let found = read_database(context, &server, (name, schema, id), alive).await;
    match (found, mismatch) {
        (Ok(found), mismatch) => Ok(Some(Found { mismatch, ..found })),
        (Err(failure), None) => Err(failure),
        (Err(failure), Some(mismatch)) => Err(versions::unreadable(failure, mismatch)),
    }
}

async fn read_database(
    context: &Context<'_>,
    server: &Server,
    (name, schema, id): (&str, String, u32),
    alive: Option<Living<'_>>,
) -> Result<Found> {
    let control = context.control;
    let home = request::Home {
        database: name.to_owned(),
        schema: schema.clone(),
        requested_by: String::new(),
        id: 0,
        queued_at: 0,
        asker: None,
    };
    let lock = LAUNCHER_LOCK_TIME;
    let history = History::open_within(server, control, &home, lock).await?;
    let mut failures = Vec::new();
    if let Some(alive) = alive {
        let here = || -> Vec<i64> {
            alive().into_iter().filter(|(home, _)| *home == id).map(|(_, run)| run).collect()
        };
        failures = settle(context, &history, &here).await?;
    }
    history.adopt().await?;
    let mut entries = Vec::new();
    for entry in history.schedules_active().await? {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(failure) => failures.push(failure),
        }
    }
    let kept = history.all_kept().await?;
    let home = Home { database: name.to_owned(), schema };
    Ok(Found { id, home, entries, kept, failures, mismatch: None })
}

/// Removes uploads that got no part for longer than `keep`.
pub fn sweep_uploads(settings: &Settings, now: DateTime<Utc>, keep: TimeDelta) -> Vec<Failure> {
    let place = BackupDir::existing(&settings.directory, &settings.data_directory);
    let Ok(place) = place else { return Vec::new() };
    Uploads::new(&place, settings.system_identifier, 0).sweep(now, keep).failed
}

/// Removes partial files and work directories that no living process holds.
pub fn sweep_partials(context: &Context<'_>) -> Vec<Failure> {
    let settings = context.settings;
    // Without a usable directory there is nothing to sweep; the next backup says what is wrong.
    let Ok(place) = BackupDir::open(&settings.directory, &settings.data_directory, false) else {
        return Vec::new();
    };
    sweep(&place, settings.system_identifier).failed
}
