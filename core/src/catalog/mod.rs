//! The SQL that the engine sends through its client connections. Every name of the catalog is
//! qualified, every name of a user is quoted here or bound as a parameter.

pub mod audit;
pub mod carry;
pub mod database;
pub mod events;
pub mod facts;
pub mod gather;
pub mod globals;
pub mod history;
pub mod history_end;
pub mod history_files;
pub mod history_import;
pub mod history_unfinished;
pub mod hooks;
pub mod into_schema;
pub mod migrations;
pub mod part;
pub mod properties;
pub mod recovery;
pub mod restore;
pub mod restore_part_steps;
pub mod restore_steps;
pub mod retention;
pub mod scan;
pub mod schedules;
pub mod script;
pub mod snapshot;
pub mod swap;
pub mod timescale;
pub mod watch;

use std::time::Duration;

pub use crate::decide::quote::{ident, literal, qualified};

/// Begins a transaction, and its two ends.
pub const BEGIN: &str = "BEGIN";
pub const COMMIT: &str = "COMMIT";
pub const ROLLBACK: &str = "ROLLBACK";
/// One whose queries all see the same, and change nothing.
pub const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Locks are waited for no longer than this, in this session.
pub fn lock_timeout(limit: Duration) -> String {
    format!("SET lock_timeout = {}", limit.as_millis())
}

/// All of the statements, or none of them.
pub fn transaction(statements: &[String]) -> String {
    format!("BEGIN;\n{};\nCOMMIT", statements.join(";\n"))
}
