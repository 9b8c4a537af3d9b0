//! Hooks: which there are for an event, and how one is run in a session of its own.

use super::history::{History, history_failure};
use super::{ident, qualified};
use crate::decide::major::fire_event_triggers;
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

/// A hook that runs in another database than that of its row.
#[derive(Debug, Clone)]
pub struct Hook {
    pub name: String,
    pub sql: String,
    pub role: String,
    pub role_id: u32,
    /// Whether the role is still the one that registered it, under whatever name.
    pub same_role: bool,
}

impl History<'_> {
    /// The hooks for an event, in the order in which they run.
    pub async fn whole_hooks(&self, event: &str) -> Result<Vec<Hook>> {
        let table = qualified(&self.schema, "backup_hook_entries");
        let sql =
            format!("{} WHERE h.event = $1 ORDER BY h.name COLLATE \"C\"", with_roles(&table));
        let rows =
            self.server.rows(self.control, &sql, &[&event]).await.map_err(history_failure)?;
        let hook = |row: &tokio_postgres::Row| Hook {
            name: row.get(0),
            sql: row.get(1),
            role: row.get(2),
            role_id: row.get(3),
            same_role: row.get(4),
        };
        Ok(rows.iter().map(hook).collect())
    }
}

/// Selects hooks (`h`) with name, SQL, the role's name now, its id, and whether it is still the one
/// that registered the hook.
pub fn with_roles(table: &str) -> String {
    format!(
        "SELECT h.name, h.sql, coalesce(r.rolname::text, h.role), h.role_id, r.oid IS NOT NULL \
           FROM {table} h LEFT JOIN pg_catalog.pg_roles r ON r.oid = h.role_id \
            AND (r.rolname = h.role OR h.system = (SELECT c.system_identifier::text \
                                                     FROM pg_catalog.pg_control_system() c))"
    )
}

/// The functions that run SQL as a role, for this session only: the database need not have the
/// extension. Nobody but a superuser may call them.
pub const RUNNERS: &str = "
CREATE FUNCTION pg_temp.backup_run_as(oid, text, text) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'pg_backup', 'backup_run_as_wrapper'
SET search_path = pg_catalog, pg_temp;
CREATE FUNCTION pg_temp.backup_assert_as(oid, text, text) RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'pg_backup', 'backup_assert_as_wrapper'
SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION pg_temp.backup_run_as(oid, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pg_temp.backup_assert_as(oid, text, text) FROM PUBLIC";

/// Runs SQL: id and name of the role, the SQL.
pub const RUN_AS: &str = "SELECT pg_temp.backup_run_as($1, $2, $3)";

/// Asks SQL that reads only: true, or anything else.
pub const ASSERT_AS: &str = "SELECT pg_temp.backup_assert_as($1, $2, $3)";

/// Gives the transaction a setting that the hook can read.
pub const SET_FACT: &str = "SELECT pg_catalog.set_config($1, $2, true)";

/// Runs a hook with the rights of the role that registered it.
pub fn run_hook(schema: &str) -> String {
    format!("SELECT {}.backup_run_hook($1, $2)", ident(schema))
}

/// Begins a transaction whose statements may take `milliseconds`; 0: as long as they like. What
/// they do fires event triggers and is compiled as it is elsewhere.
pub fn begin_within(milliseconds: i32, major: u32) -> String {
    let fire = fire_event_triggers(major);
    format!("{fire}RESET jit; SET statement_timeout = {milliseconds}; BEGIN")
}

/// Ends the session `$1`.
pub const END_SESSION: &str = "SELECT pg_catalog.pg_terminate_backend($1)";
