//! Uploads: an archive comes in parts over the connection, and is imported when it is whole. For
//! superusers: what is imported may be restored, and a restore runs what it finds.

use std::time::Duration;

use pg_backup_core::decide::ranges::multirange;
use pg_backup_core::decide::request::{Import, Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::fault;
use pg_backup_core::host::dir::BackupDir;
use pg_backup_core::host::upload::{NewUpload, Upload, Uploads};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::{audited_home, ensure_superuser, not_null, record, waited};
use crate::error::{log_warning, unwrap};
use crate::worker::call;
use crate::{pg, settings};

/// The most bytes of one part; see [`pg_backup_core::host::download::CHUNK_RANGE`].
const PART_MAX: usize = 16 << 20;

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_upload_begin(
    filename: Option<String>,
    size_bytes: Option<i64>,
    sha256: Option<String>,
) -> i64 {
    unwrap(begin(filename, size_bytes, sha256))
}

fn begin(filename: Option<String>, size: Option<i64>, sha256: Option<String>) -> Result<i64> {
    ensure_superuser("upload a backup")?;
    let new = NewUpload {
        filename: not_null("filename", filename)?,
        size_bytes: not_null("size_bytes", size)?,
        sha256: not_null("sha256", sha256)?,
        requested_by: pg::caller().name,
        database: pg::database_name(),
    };
    // What could not be imported need not come.
    call::ensure_ready()?;
    let (uploads, now) = (uploads(true)?, fault::now());
    if let Some(keep) = settings::upload_keep() {
        uploads.sweep(now, keep).failed.into_iter().for_each(log_warning);
    }
    let id = uploads.begin(new, now)?;
    record("backup_upload_begin", id)?;
    Ok(id)
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_upload_part(id: Option<i64>, at_byte: Option<i64>, data: Option<&[u8]>) -> i64 {
    let received = unwrap(part(id, at_byte, data));
    i64::try_from(received).unwrap_or(i64::MAX)
}

fn part(id: Option<i64>, at_byte: Option<i64>, data: Option<&[u8]>) -> Result<u64> {
    ensure_superuser("upload a backup")?;
    call::ensure_ready()?;
    let (id, data) = (not_null("id", id)?, not_null("data", data)?);
    let at = u64::try_from(not_null("at_byte", at_byte)?).map_err(|_| {
        Failure::new(Class::InvalidArgument, "at_byte must not be negative")
            .hint("It counts from 0.")
    })?;
    if data.len() > PART_MAX {
        return Err(Failure::new(Class::InvalidArgument, "the part is too large")
            .detail(format!("It has {} bytes, at most {PART_MAX} are taken.", data.len()))
            .hint("Send it in several parts."));
    }
    uploads(false)?.part(id, at, data, fault::now())
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_upload_finish(id: Option<i64>) -> i64 {
    unwrap(finish(id))
}

fn finish(id: Option<i64>) -> Result<i64> {
    ensure_superuser("upload a backup")?;
    let id = not_null("id", id)?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_upload_finish()")?;
    // Nobody else changes it from here to the end.
    let held = uploads(false)?.hold(id)?;
    held.ensure_whole()?;
    let Upload { filename, sha256, .. } = held.upload().clone();
    let import = Import {
        path: held.path().display().to_string(),
        filename,
        origin: "upload".to_owned(),
        comment: None,
        sha256: Some(sha256),
        take: true,
        limits: settings::limits(),
    };
    let home = audited_home("backup_upload_finish", 0)?;
    let run = waited(&Request { home, task: Task::Import(import) })?;
    // The backup is there, whatever becomes of what is left of the upload.
    held.finish().unwrap_or_else(log_warning);
    Ok(run)
}

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_upload_abort(id: Option<i64>) -> bool {
    unwrap(abort(id))
}

fn abort(id: Option<i64>) -> Result<bool> {
    ensure_superuser("abort an upload")?;
    call::ensure_ready()?;
    let id = not_null("id", id)?;
    let aborted = uploads(false)?.abort(id)?;
    if aborted {
        record("backup_upload_abort", id)?;
    }
    Ok(aborted)
}

/// The uploads of this cluster. A directory where the first one begins is made, and tried out.
fn uploads(begins: bool) -> Result<Uploads> {
    let settings = settings::load();
    let (wanted, data) = (&settings.directory, &settings.data_directory);
    let place = match begins {
        true => BackupDir::open(wanted, data, true)?,
        false => BackupDir::existing(wanted, data)?,
    };
    let uploads = Uploads::new(&place, settings.system_identifier, settings.min_free_space);
    Ok(uploads.pausing(pause))
}

/// Ends with an error when the query is cancelled.
fn pause(time: Duration) {
    pg::sleep(time);
    pg::check_interrupts();
}

type Row = (
    i64,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<TimestampWithTimeZone>,
    Option<TimestampWithTimeZone>,
    Option<String>,
);

#[expect(clippy::type_complexity, reason = "one tuple is one row")]
#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_upload_rows() -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(filename, Option<String>),
        name!(size_bytes, Option<i64>),
        name!(received_bytes, Option<i64>),
        name!(missing, Option<String>),
        name!(sha256, Option<String>),
        name!(requested_by, Option<String>),
        name!(database, Option<String>),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(last_part_at, Option<TimestampWithTimeZone>),
        name!(error, Option<String>),
    ),
> {
    TableIterator::new(unwrap(rows()))
}

fn rows() -> Result<Vec<Row>> {
    ensure_superuser("see uploads")?;
    let listed = match uploads(false) {
        // No backup was made yet.
        Err(failure) if failure.class == Class::UndefinedFile => Vec::new(),
        uploads => uploads?.list()?,
    };
    Ok(listed.into_iter().map(|(id, upload)| row(id, upload)).collect())
}

/// A text of another database, as this one can hold it.
fn held(text: String) -> String {
    if pg::takes_utf8() { text } else { text.replace(|c: char| !c.is_ascii(), "?") }
}

fn row(id: i64, upload: Result<Upload>) -> Row {
    let upload = match upload {
        Ok(upload) => upload,
        Err(failure) => {
            let error = Some(held(failure.message));
            return (id, None, None, None, None, None, None, None, None, None, error);
        }
    };
    let big = |bytes: u64| Some(i64::try_from(bytes).unwrap_or(i64::MAX));
    let missing = upload.received.gaps((0, upload.size_bytes));
    (
        id,
        Some(held(upload.filename)),
        big(upload.size_bytes),
        big(upload.received.total()),
        Some(multirange(&missing)),
        Some(upload.sha256),
        Some(held(upload.requested_by)),
        Some(held(upload.database)),
        pg::timestamp(upload.started_at.timestamp_micros()),
        upload.last_part_at.and_then(|at| pg::timestamp(at.timestamp_micros())),
        None,
    )
}
