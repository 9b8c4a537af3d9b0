//! Hooks as backends write and read them, in the caller's transaction.

use pg_backup_core::catalog::hooks::with_roles;
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use super::{one, qualified, understood};
use crate::pg::Caller;

/// A hook as it is stored.
pub struct Hook {
    pub sql: String,
    pub role: String,
    pub role_id: u32,
    /// Whether the role is still the one that registered it, under whatever name.
    pub same_role: bool,
}

/// The hook of this name; None when there is none.
pub fn find(schema: &str, event: &str, name: &str) -> Result<Option<Hook>> {
    let entries = with_roles(&qualified(schema, "backup_hook_entries"));
    let sql = format!("{entries} WHERE h.event = $1 AND h.name = $2");
    understood(|| {
        Spi::connect(|client| {
            let table = client.select(&sql, Some(1), &[event.into(), name.into()])?;
            let Some(row) = table.into_iter().next() else { return Ok(None) };
            Ok(Some(Hook {
                sql: row.get::<String>(2)?.unwrap_or_default(),
                role: row.get::<String>(3)?.unwrap_or_default(),
                role_id: row.get::<pg_sys::Oid>(4)?.unwrap_or(pg_sys::Oid::INVALID).to_u32(),
                same_role: row.get::<bool>(5)?.unwrap_or(false),
            }))
        })
    })
}

/// How many hooks an event has.
pub fn count(schema: &str, event: &str) -> Result<i64> {
    let table = qualified(schema, "backup_hook_entries");
    let sql = format!("SELECT pg_catalog.count(*) FROM {table} WHERE event = $1");
    Ok(one::<i64>(&sql, &[event.into()])?.unwrap_or(0))
}

/// Registers a hook for `owner`.
pub fn upsert(schema: &str, event: &str, name: &str, sql: &str, owner: &Caller) -> Result<()> {
    let statement = format!(
        "INSERT INTO {} (event, name, sql, role, role_id, system) VALUES ($1, $2, $3, $4, $5, \
         (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)) \
         ON CONFLICT (event, name) DO UPDATE SET sql = excluded.sql, role = excluded.role, \
         role_id = excluded.role_id, system = excluded.system, changed_at = pg_catalog.now()",
        qualified(schema, "backup_hook_entries")
    );
    let role = pg_sys::Oid::from(owner.id);
    let args = [event.into(), name.into(), sql.into(), owner.name.as_str().into(), role.into()];
    understood(|| Spi::run_with_args(&statement, &args))
}

/// Runs the SQL of a hook, with the rights that the session has at the moment.
pub fn run(sql: &str) -> std::result::Result<(), SpiError> {
    Spi::run(sql)
}

/// The same for an assertion: its first column in its first row, where that is a boolean.
pub fn holds(sql: &str) -> Option<bool> {
    Spi::connect(|client| {
        // Never `update`: an assertion reads.
        let table = client.select(sql, Some(1), &[]).ok()?;
        table.into_iter().next()?.get::<bool>(1).ok()?
    })
}

/// Removes a hook.
pub fn delete(schema: &str, event: &str, name: &str) -> Result<()> {
    let sql = format!(
        "DELETE FROM {} WHERE event = $1 AND name = $2",
        qualified(schema, "backup_hook_entries")
    );
    let args = [event.into(), name.into()];
    understood(|| Spi::run_with_args(&sql, &args))
}

/// The failure of a hook that is not there.
pub fn no_hook(event: &str, name: &str) -> Failure {
    Failure::new(Class::UndefinedObject, format!("hook \"{name}\" at {event} does not exist"))
        .hint("See backup_hooks for the hooks of this database.")
}
