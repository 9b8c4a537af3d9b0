//! `backup_hook()`, and the function that runs a hook.

use pg_backup_core::catalog::hooks::HOOKS_MAX;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::hooks::role_is_gone;
use pgrx::prelude::*;

use super::ensure_superuser;
use crate::catalog::hooks::{self, Hook};
use crate::error::unwrap;
use crate::pg::Caller;
use crate::worker::call;
use crate::{catalog, pg};

/// Events that have hooks.
const EVENTS: [&str; 7] = [
    "before_backup",
    "after_backup",
    "before_restore",
    "after_restore",
    "after_swap",
    "on_failure",
    "assert",
];
/// Bytes of a name, as for every identifier of the server.
const NAME_MAX: usize = 63;

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_hook(event text, name text, sql text)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_hook(event: Option<String>, name: Option<String>, sql: Option<String>) {
    unwrap(hook(event, name, sql));
}

fn hook(event: Option<String>, name: Option<String>, sql: Option<String>) -> Result<()> {
    call::ensure_ready()?;
    let event = known(event.as_deref().unwrap_or("NULL"))?;
    let name = name.filter(|name| {
        !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control)
    });
    let name = name.ok_or_else(|| {
        Failure::new(Class::InvalidArgument, "invalid name of a hook").hint(format!(
            "Use 1 to {NAME_MAX} bytes without control characters, for example 'sessions'."
        ))
    })?;
    sql.iter().for_each(|sql| pg::parse(sql));
    let caller = pg::caller();
    pg::as_superuser(|| store(event, &name, sql.as_deref(), &caller))
}

/// Registers or removes. Not SECURITY DEFINER: whose hook it is must be asked before.
fn store(event: &str, name: &str, sql: Option<&str>, caller: &Caller) -> Result<()> {
    let schema = catalog::schema()?;
    let found = hooks::find(&schema, event, name)?;
    may_change(found.as_ref(), name, caller)?;
    let told = serde_json::json!({ "event": event, "name": name, "sql": sql });
    match sql {
        Some(_) if found.is_none() && hooks::count(&schema, event)? >= HOOKS_MAX.into() => {
            Err(Failure::new(Class::LimitExceeded, format!("too many hooks at {event}"))
                .detail(format!("There are {HOOKS_MAX}, which is the most."))
                .hint("Remove one with a NULL as its SQL, or put several into one."))
        }
        Some(sql) => hooks::upsert(&schema, event, name, sql, caller),
        None if found.is_none() => Err(hooks::no_hook(event, name)),
        None => hooks::delete(&schema, event, name),
    }?;
    catalog::audit::record("backup_hook", told)
}

fn known(event: &str) -> Result<&str> {
    if EVENTS.contains(&event) {
        return Ok(event);
    }
    Err(Failure::new(Class::InvalidArgument, format!("invalid event: \"{event}\""))
        .hint(format!("Hooks run at {}.", EVENTS.join(", "))))
}

/// A hook belongs to the role that registered it.
fn may_change(found: Option<&Hook>, name: &str, caller: &Caller) -> Result<()> {
    let Some(hook) = found else { return Ok(()) };
    if caller.superuser || hook.role_id == caller.id {
        return Ok(());
    }
    Err(Failure::new(Class::InsufficientPrivilege, format!("must be owner of hook \"{name}\""))
        .detail(format!("It was registered by role \"{}\".", hook.role))
        .hint("Use another name."))
}

/// Runs a hook with the rights of the role that registered it. For the runner.
#[pg_extern(volatile, parallel_unsafe)]
#[search_path(pg_catalog, pg_temp)]
fn backup_run_hook(event: String, name: String) {
    unwrap(run_hook(&event, &name));
}

fn run_hook(event: &str, name: &str) -> Result<()> {
    let hook = hooks::find(&catalog::schema()?, event, name)?;
    let hook = hook.ok_or_else(|| hooks::no_hook(event, name))?;
    if !hook.same_role {
        return Err(role_is_gone(&hook.role));
    }
    run_as(hook.role_id, &hook.role, &hook.sql)
}

/// Runs the SQL of a hook in a database that need not have the extension, where the runner makes
/// this function for its own session. Not part of the extension.
#[pg_extern(sql = false)]
fn backup_run_as(role_id: pg_sys::Oid, role: String, sql: String) {
    unwrap(ensure_superuser("run SQL as another role"));
    unwrap(run_as(role_id.to_u32(), &role, &sql));
}

/// The same for a query: its first column in its first row, where that is a boolean.
#[pg_extern(sql = false)]
fn backup_assert_as(role_id: pg_sys::Oid, role: String, sql: String) -> Option<bool> {
    unwrap(ensure_superuser("run SQL as another role"));
    let role_id = role_id.to_u32();
    pg::as_role(role_id, &role, || hooks::holds(&sql))
}

fn run_as(role_id: u32, role: &str, sql: &str) -> Result<()> {
    let ran = pg::as_role(role_id, role, || hooks::run(sql));
    ran.map_err(|error| {
        Failure::new(Class::Hook, "a hook cannot end its own transaction")
            .detail(format!("The server says: {error}."))
            .hint("A hook is one transaction: BEGIN, COMMIT and ROLLBACK cannot be in it.")
    })
}
