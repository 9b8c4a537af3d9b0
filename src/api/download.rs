//! The function behind `backup_download()`: the bytes of an archive, chunk by chunk, for
//! superusers. Each chunk is read when the client's query asks for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pg_backup_core::error::Result;
use pg_backup_core::host::dir::BackupDir;
use pg_backup_core::host::download::Download;
use pgrx::prelude::*;

use super::contents::stored_archive;
use super::{ensure_superuser, not_null, record};
use crate::error::unwrap;
use crate::pg::{self, Bytes};
use crate::settings;
use crate::worker::call;

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_download_chunks(
    id: Option<i64>,
    chunk_bytes: Option<i32>,
    from_chunk: Option<i64>,
) -> TableIterator<'static, (name!(chunk_no, i64), name!(data, Bytes))> {
    let mut download = unwrap(open(id, chunk_bytes, from_chunk));
    TableIterator::new(std::iter::from_fn(move || unwrap(next(&mut download))))
}

/// A session that asks for the chunks of a backup one by one is on record once in this time.
const RECORD_EVERY: Duration = Duration::from_secs(3600);
/// Backups that a session remembers to have recorded.
const REMEMBERED: usize = 100;

/// What this session has recorded, and when.
static RECORDED: Mutex<BTreeMap<i64, Instant>> = Mutex::new(BTreeMap::new());

fn open(id: Option<i64>, chunk_bytes: Option<i32>, from_chunk: Option<i64>) -> Result<Download> {
    ensure_superuser("download a backup")?;
    call::ensure_ready()?;
    let id = not_null("id", id)?;
    let chunk_bytes = not_null("chunk_bytes", chunk_bytes)?;
    let from_chunk = not_null("from_chunk", from_chunk)?;
    let (file, size) = stored_archive(id)?;
    let settings = settings::load();
    let place = BackupDir::existing(&settings.directory, &settings.data_directory)?;
    let download = Download::open(&place.resolve(&file)?, size, chunk_bytes, from_chunk)?;
    recorded(id)?;
    Ok(download)
}

/// Puts the download on record, before the first byte is given.
fn recorded(id: i64) -> Result<()> {
    let remembered = || RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered().get(&id).is_some_and(|at| at.elapsed() < RECORD_EVERY) {
        return Ok(());
    }
    record("backup_download", id)?;
    let mut remembered = remembered();
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
    remembered.insert(id, Instant::now());
    Ok(())
}

fn next(download: &mut Download) -> Result<Option<(i64, Bytes)>> {
    let Some(chunk) = download.next_chunk()? else { return Ok(None) };
    let data = pg::bytes_of_file(download.file(), chunk.at, chunk.length);
    let data = data.map_err(|error| download.failure(&error))?;
    Ok(Some((i64::try_from(chunk.number).unwrap_or(i64::MAX), data)))
}
