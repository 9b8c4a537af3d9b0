//! `backup_extract()`.

use pg_backup_core::decide::export::Extract;
use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;

use super::{audited_home, not_null};
use crate::error::unwrap;
use crate::settings;
use crate::worker::call;

// Not SECURITY DEFINER: who calls is asked of the server's current user.
#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_extract(id: Option<i64>, member: Option<String>, directory: Option<String>) -> i64 {
    unwrap(extract(id, member, directory))
}

fn extract(id: Option<i64>, member: Option<String>, directory: Option<String>) -> Result<i64> {
    let backup = not_null("id", id)?;
    let member = not_null("member", member)?;
    let directory = not_null("directory", directory)?;
    if member.trim_matches('/').is_empty() {
        return Err(Failure::new(Class::InvalidArgument, "member must not be empty").hint(
            "Name one, or a folder of them such as 'attachments'. For everything there is \
                   backup_export() with layout => 'directory'.",
        ));
    }
    ensure_superuser("extract files from a backup")?;
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_extract()")?;
    let task = Task::Extract(Extract { backup, member, directory, limits: settings::limits() });
    let report = call::run(&Request { home: audited_home("backup_extract", 0)?, task })?;
    let files = report.copied.first().map_or(0, |copied| copied.files);
    Ok(i64::try_from(files).unwrap_or(i64::MAX))
}

/// Files are written with the rights of the server's operating system user.
pub(super) fn ensure_superuser(doing: &str) -> Result<()> {
    super::ensure_superuser(doing).map_err(|failure| {
        failure.detail("It writes files as the operating system user of the server.")
    })
}
