//! The audit as backends write it, in the caller's transaction.

use pg_backup_core::decide::request::Asker;
use pg_backup_core::error::Result;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::Value;

use super::{schema, spi_failure, understood};

const ASKER: &str = "
SELECT session_user::text, pg_catalog.host(pg_catalog.inet_client_addr()),
       pg_catalog.current_setting('application_name')";

/// Who calls `action`, for a job that records it.
pub fn asker(action: &str) -> Result<Asker> {
    let found = Spi::connect(|client| {
        let row = client.select(ASKER, Some(1), &[])?.first();
        Ok(Asker {
            action: action.to_owned(),
            session_role: row.get::<String>(1)?.unwrap_or_default(),
            address: row.get::<String>(2)?,
            application: row.get::<String>(3)?.unwrap_or_default(),
        })
    });
    found.map_err(|error| spi_failure(&error))
}

/// Records what this transaction does: gone with its ROLLBACK, as what it did is.
pub fn record(action: &str, detail: Value) -> Result<()> {
    let sql = format!("SELECT {}($1, $2)", super::qualified(&schema()?, "backup_audit_record"));
    let args = [action.into(), JsonB(detail).into()];
    understood(|| Spi::run_with_args(&sql, &args))
}
