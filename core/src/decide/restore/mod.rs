//! Restoring: which tool runs with which arguments, and which statements make the new database
//! what the old one was.

pub mod database;
pub mod globals;
pub mod into_schema;
pub mod part;
pub mod part_steps;
pub mod plan;
pub mod standing;
pub mod steps;
pub mod timescale;
