//! Hooks: which there are for an event, and how one is run in a session of its own.

use super::history::{History, history_failure};
use super::{ident, qualified};
use crate::error::Result;

/// Hooks of one event: `backup_hook()` takes no more, so that none is silently left out.
pub const HOOKS_MAX: u32 = 100;

impl History<'_> {
    /// Names of the hooks for an event, in the order in which they run.
    pub async fn hooks(&self, event: &str) -> Result<Vec<String>> {
        let table = qualified(&self.schema, "backup_hook_entries");
        let sql = format!("SELECT name FROM {table} WHERE event = $1 ORDER BY name COLLATE \"C\"");
        let rows =
            self.server.rows(self.control, &sql, &[&event]).await.map_err(history_failure)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Gives the transaction a setting that the hook can read.
pub const SET_FACT: &str = "SELECT pg_catalog.set_config($1, $2, true)";

/// Runs a hook with the rights of the role that registered it.
pub fn run_hook(schema: &str) -> String {
    format!("SELECT {}.backup_run_hook($1, $2)", ident(schema))
}
