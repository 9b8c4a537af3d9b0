//! Rows of the history: the one table that the engine writes. Each call is one statement and so
//! one transaction; rows are committed step by step, whatever the caller does.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::events::{Event, announce};
use super::{lock_timeout, qualified};
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::server::Server;

/// How long the history's own statements wait for a lock that somebody holds on its table.
const LOCK_TIME: Duration = Duration::from_secs(10);

/// What is said when the history is not there.
pub const DROPPED: &str = "the extension pg_backup was dropped meanwhile";

/// Id of a table by its quoted name; NULL when there is none.
const OID_OF: &str = "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid";

/// The history in one home database.
pub struct History<'a> {
    pub server: &'a Server,
    pub control: &'a dyn Control,
    pub(super) schema: String,
    /// Id of the table: an extension that was dropped and created again has another one, where
    /// the same ids are other runs.
    pub(super) table: u32,
    pub(super) runs: String,
    pub(super) manifests: String,
}

/// What a new row says.
#[derive(Debug, Clone, Default)]
pub struct NewRun<'a> {
    pub kind: &'a str,
    pub database: &'a str,
    pub origin: &'a str,
    pub schedule: Option<&'a str>,
    pub comment: Option<&'a str>,
    /// The backup that a verification or deletion works on.
    pub subject: Option<i64>,
}

/// What is known of an archive before it is published.
#[derive(Debug, Clone)]
pub struct ArchiveFacts<'a> {
    pub file: &'a str,
    pub size_bytes: i64,
    pub database_size_bytes: i64,
    pub sha256: &'a str,
    pub warnings: &'a [String],
    /// JSON as text: parsed, a large one would be many times as large.
    pub manifest: &'a str,
}

impl<'a> History<'a> {
    /// The history in the extension's schema of `home`, through a session in that database.
    pub async fn open(
        server: &'a Server,
        control: &'a dyn Control,
        home: &Home,
    ) -> Result<History<'a>> {
        Self::open_within(server, control, home, LOCK_TIME).await
    }

    /// The same for somebody who waits no longer than this for a lock.
    pub async fn open_within(
        server: &'a Server,
        control: &'a dyn Control,
        home: &Home,
        lock: Duration,
    ) -> Result<History<'a>> {
        server.batch(control, &lock_timeout(lock)).await?;
        let runs = qualified(&home.schema, "backup_runs");
        let row = server.one(control, OID_OF, &[&runs]).await?;
        let table = row.get::<_, Option<u32>>(0).ok_or_else(|| {
            history_failure(Failure::new(Class::UndefinedObject, format!("{runs} is not there")))
        })?;
        Ok(History {
            server,
            control,
            schema: home.schema.clone(),
            table,
            runs,
            manifests: qualified(&home.schema, "backup_manifests"),
        })
    }

    /// The same history through another session in the same database.
    pub fn with_server<'b>(&'b self, server: &'b Server) -> History<'b> {
        self.with(server, self.control)
    }

    /// The same history for somebody whose waits another control looks after.
    pub fn with_control<'b>(&'b self, control: &'b dyn Control) -> History<'b> {
        self.with(self.server, control)
    }

    fn with<'b>(&'b self, server: &'b Server, control: &'b dyn Control) -> History<'b> {
        History {
            server,
            control,
            schema: self.schema.clone(),
            table: self.table,
            runs: self.runs.clone(),
            manifests: self.manifests.clone(),
        }
    }

    /// A row for a run that begins: a new one, or the one that a caller who did not wait has left
    /// under the id that the request carries.
    pub async fn begin(&self, home: &Home, run: &NewRun<'_>, status: &str) -> Result<i64> {
        let id = self.fitting(async |fit| self.insert(home, run, status, fit).await).await;
        let id = id.inspect_err(|failure| self.unclear(failure))?;
        self.begun(id, run, status).await;
        Ok(id)
    }

    /// A row whose COMMIT was cut off may be there: the launcher looks.
    pub(super) fn unclear(&self, failure: &Failure) {
        let cut = [Class::Cancelled, Class::Timeout, Class::Interrupted, Class::Connection];
        if cut.contains(&failure.class) {
            self.control.unrecorded();
        }
    }

    /// Tells whoever listens of a run that has begun.
    pub(super) async fn begun(&self, id: i64, run: &NewRun<'_>, status: &str) {
        if status != "running" {
            return;
        }
        let NewRun { kind, database, schedule, .. } = *run;
        let event = Event::of_status(status);
        let event = Event { event, id, kind, database, status, schedule, phase: None };
        announce(self.server, self.control, &event).await;
    }

    pub(super) async fn insert(
        &self,
        home: &Home,
        run: &NewRun<'_>,
        status: &str,
        fit: Fit,
    ) -> Result<i64> {
        let (columns, values) = match home.id {
            0 => ("", ""),
            _ => ("id, ", "$10, "),
        };
        let sql = format!(
            "INSERT INTO {} ({columns}kind, database, status, origin, requested_by, queued_at, \
             started_at, comment, subject, schedule, database_id) \
             VALUES ({values}$1, $2, $3, $4, $5, $6, \
             CASE WHEN $3 <> 'queued' THEN pg_catalog.clock_timestamp() END, $7, $8, $9, \
             (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = $2::text)) \
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, \
             started_at = excluded.started_at RETURNING id",
            self.runs
        );
        let queued = SystemTime::UNIX_EPOCH
            + Duration::from_micros(u64::try_from(home.queued_at).unwrap_or(0));
        let database = fit(run.database);
        let mut params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![
            &run.kind,
            &database,
            &status,
            &run.origin,
            &home.requested_by,
            &queued,
            &run.comment,
            &run.subject,
            &run.schedule,
        ];
        if home.id != 0 {
            params.push(&home.id);
        }
        let row = self.server.one(self.control, &sql, &params).await.map_err(history_failure)?;
        Ok(row.get(0))
    }

    /// The archive is complete under its partial name; next it is read back and published. The
    /// row knows size and hash from now on, so that a crash right after the rename is told apart.
    pub async fn verifying(&self, id: i64, facts: &ArchiveFacts<'_>) -> Result<()> {
        self.fitting(async |fit| self.verifying_as(id, facts, fit).await).await
    }

    async fn verifying_as(&self, id: i64, facts: &ArchiveFacts<'_>, fit: Fit) -> Result<()> {
        let warnings: Vec<Cow<'_, str>> = facts.warnings.iter().map(|text| fit(text)).collect();
        let manifest = fit(facts.manifest);
        let sql = format!(
            "WITH run AS (UPDATE {} SET status = 'verifying', file = $2, size_bytes = $3, \
             database_size_bytes = $4, sha256 = $5, warnings = $6 \
             WHERE id = $1 AND tableoid = {} RETURNING id) \
             INSERT INTO {} (id, manifest) SELECT id, $7::text::jsonb FROM run",
            self.runs, self.table, self.manifests
        );
        let count = self
            .server
            .execute(
                self.control,
                &sql,
                &[
                    &id,
                    &facts.file,
                    &facts.size_bytes,
                    &facts.database_size_bytes,
                    &facts.sha256,
                    &warnings,
                    &manifest,
                ],
            )
            .await
            .map_err(history_failure)?;
        self.touched(id, count)
    }

    /// Writes texts as they are, or, where the encoding of the home database cannot hold them,
    /// with every character beyond ASCII replaced: the row matters more. The manifest inside the
    /// archive keeps them.
    pub(super) async fn fitting<T>(&self, write: impl AsyncFn(Fit) -> Result<T>) -> Result<T> {
        match write(as_is).await {
            Err(failure) if failure.class == Class::Statement && self.server.encoding != "UTF8" => {
                write(ascii).await
            }
            written => written,
        }
    }

    /// Whether a run has a row that no job has begun.
    pub async fn is_queued(&self, id: i64) -> Result<bool> {
        let sql = format!("SELECT true FROM {} WHERE id = $1 AND status = 'queued'", self.runs);
        let rows = self.server.rows(self.control, &sql, &[&id]).await.map_err(history_failure)?;
        Ok(!rows.is_empty())
    }

    pub(super) fn touched(&self, id: i64, count: u64) -> Result<()> {
        if count == 1 {
            return Ok(());
        }
        Err(Failure::new(Class::UndefinedObject, format!("run {id} is no longer in the history")))
    }
}

/// Makes a text fit for the row.
pub(super) type Fit = for<'t> fn(&'t str) -> Cow<'t, str>;

fn as_is(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

fn ascii(text: &str) -> Cow<'_, str> {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// The history is where the extension is: when its table is gone, so is the extension.
pub(super) fn history_failure(failure: Failure) -> Failure {
    if failure.class != Class::UndefinedObject {
        return failure;
    }
    Failure::new(Class::UndefinedObject, DROPPED)
        .detail(failure.message)
        .hint("Run CREATE EXTENSION pg_backup again; archives that are complete stay on disk.")
}
