//! `backup_export()`.

use pg_backup_core::decide::export::{Export, Layout};
use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::Result;
use pg_backup_core::job::CopiedOut;
use pgrx::prelude::*;

use super::extract::ensure_superuser;
use super::{audited_home, not_null};
use crate::error::unwrap;
use crate::settings;
use crate::worker::call;

#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_export(
    id: Option<i64>,
    directory: Option<String>,
    layout: default!(Option<String>, "'zip'"),
) -> TableIterator<
    'static,
    (name!(path, String), name!(size_bytes, i64), name!(sha256, Option<String>)),
> {
    let copied = unwrap(export(id, directory, layout));
    TableIterator::new(copied.into_iter().map(|copied| {
        (copied.path, i64::try_from(copied.bytes).unwrap_or(i64::MAX), copied.sha256)
    }))
}

fn export(
    id: Option<i64>,
    directory: Option<String>,
    layout: Option<String>,
) -> Result<Vec<CopiedOut>> {
    let backup = not_null("id", id)?;
    let directory = not_null("directory", directory)?;
    let layout = Layout::from_word(&not_null("layout", layout)?)?;
    ensure_superuser("export a backup")?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_export()")?;
    let task = Task::Export(Export { backup, directory, layout, limits: settings::limits() });
    Ok(call::run(&Request { home: audited_home("backup_export", 0)?, task })?.copied)
}
