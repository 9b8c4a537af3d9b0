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

pub use crate::decide::quote::{ident, literal, qualified};

/// All of the statements, or none of them.
pub fn transaction(statements: &[String]) -> String {
    format!("BEGIN;\n{};\nCOMMIT", statements.join(";\n"))
}
