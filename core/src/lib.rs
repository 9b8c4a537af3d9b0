//! `pg_backup_core`: the engine of pg_backup. It knows neither pgrx nor the server's memory, and
//! it forbids unsafe code; the extension is a thin shell around it. The words, the same in SQL,
//! Rust, logs and documents:
//! - **run**: one attempt of any kind (backup, verify, prune …), a row of the history. **job**: a
//!   run while it is alive. **slot**: its place in shared memory.
//! - **backup**: a run that succeeded: its archive was read back and decoded.
//! - **archive**: the zip file of a backup. **member**: one file inside it. **payload**: the
//!   members that pg_dump made. **manifest**: the member that describes all others.
//! - **home**: the database whose extension tables hold the run's row.
//! - **partial**: an archive that is not published yet. **foreign**: one that nobody proves ours.
//! - **staging**: the database that a restore makes. **kept**: the one that it replaced.
//! - **outcome**: how a child process ended. **failure**: why a job did not succeed.
//! - **schedule**, **policy**, **verdict**: what makes runs, what keeps backups, and why.
//! - **badge**: whether a backup fits a database. **hook**: SQL of somebody around a run.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod decide;
pub mod error;
pub mod fault;
pub mod host;
pub mod job;
