//! Living jobs: wait for one, cancel one.

use std::time::Duration;

use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;

use super::not_null;
use crate::catalog::{self, audit};
use crate::error::{unwrap, warning};
use crate::worker::{call, slots};

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_wait(id: Option<i64>, timeout: default!(Option<Interval>, "NULL")) -> String {
    unwrap(not_null("id", id).and_then(|id| wait(id, timeout)))
}

fn wait(id: i64, timeout: Option<Interval>) -> Result<String> {
    let schema = catalog::schema()?;
    let limit = timeout.as_ref().map(duration).transpose()?;
    if slots::is_ready() {
        call::wait_until_gone(id, limit)?;
    }
    let (status, warnings) = catalog::status(&schema, id)?.ok_or_else(|| {
        Failure::new(Class::UndefinedObject, format!("run {id} does not exist"))
            .detail("A run that was started after this transaction's snapshot is not seen by it.")
            .hint("See backup_history for the runs of this database.")
    })?;
    if !["queued", "running", "verifying"].contains(&status.as_str()) {
        warnings.iter().for_each(|text| warning(text));
    }
    Ok(status)
}

fn duration(interval: &Interval) -> Result<Duration> {
    let micros = interval.as_micros();
    let micros = u64::try_from(micros)
        .map_err(|_| Failure::new(Class::InvalidArgument, "timeout must not be negative"))?;
    Ok(Duration::from_micros(micros))
}

#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_cancel(id: i64) -> bool {
    let cancelled = slots::is_ready() && call::cancel(id);
    if cancelled {
        unwrap(audit::record("backup_cancel", serde_json::json!({ "id": id })));
    }
    cancelled
}
