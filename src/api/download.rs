//! The function behind `backup_download()`: the bytes of an archive, chunk by chunk, for
//! superusers. Each chunk is read when the client's query asks for it.

use pg_backup_core::error::Result;
use pg_backup_core::host::dir::BackupDir;
use pg_backup_core::host::download::Download;
use pgrx::prelude::*;

use super::contents::stored_archive;
use super::{ensure_superuser, not_null};
use crate::error::unwrap;
use crate::pg::{self, Bytes};
use crate::settings;

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

fn open(id: Option<i64>, chunk_bytes: Option<i32>, from_chunk: Option<i64>) -> Result<Download> {
    ensure_superuser("download a backup")?;
    let id = not_null("id", id)?;
    let chunk_bytes = not_null("chunk_bytes", chunk_bytes)?;
    let from_chunk = not_null("from_chunk", from_chunk)?;
    let (file, size) = stored_archive(id)?;
    let settings = settings::load();
    let place = BackupDir::existing(&settings.directory, &settings.data_directory)?;
    Download::open(&place.resolve(&file)?, size, chunk_bytes, from_chunk)
}

fn next(download: &mut Download) -> Result<Option<(i64, Bytes)>> {
    let Some(chunk) = download.next_chunk()? else { return Ok(None) };
    let data = pg::bytes_of_file(download.file(), chunk.at, chunk.length);
    let data = data.map_err(|error| download.failure(&error))?;
    Ok(Some((i64::try_from(chunk.number).unwrap_or(i64::MAX), data)))
}
