//! pg_backup: backup and restore as SQL functions. A thin shell around `pg_backup_core`.
//!
//! - `api`: the SQL surface, one file a noun.
//! - `worker`: launcher, runner, job slots in shared memory.
//! - `catalog`: the SQL that backends send through SPI.
//! - `settings`: every `pg_backup.*`. `error`: failures as PostgreSQL errors.
//! - `pg`: the fence: all calls of the server that Rust cannot check.

mod api;
mod catalog;
mod error;
mod pg;
mod settings;
#[cfg(feature = "pg_test")]
#[path = "../pgrx-tests/mod.rs"]
mod tests;
mod worker;

use pgrx::prelude::*;

pgrx::pg_module_magic!();

extension_sql_file!("../sql/tables.sql", name = "tables", bootstrap);
extension_sql_file!("../sql/audit.sql", name = "audit", requires = ["tables"]);
extension_sql_file!(
    "../sql/schedules.sql",
    name = "schedules",
    requires = [
        "tables",
        api::schedule::backup_schedule,
        api::schedule::backup_unschedule,
        api::schedule::backup_pause,
        api::schedule::backup_resume,
        api::schedule::backup_run,
        api::schedule::backup_next_runs,
        api::schedule::backup_next_run,
        api::schedule::backup_schedules_changed,
        api::schedule::backup_home_id,
        api::retention::backup_retention,
        api::retention::backup_prune,
        api::hook::backup_hook,
        api::hook::backup_run_hook,
    ]
);
extension_sql_file!("../sql/monitoring.sql", name = "monitoring", requires = ["schedules"]);
extension_sql_file!(
    "../sql/transfer.sql",
    name = "transfer",
    requires = [
        "tables",
        api::download::backup_download_chunks,
        api::upload::backup_upload_begin,
        api::upload::backup_upload_part,
        api::upload::backup_upload_finish,
        api::upload::backup_upload_abort,
        api::upload::backup_upload_rows,
    ]
);
extension_sql_file!(
    "../sql/views.sql",
    name = "views",
    requires = [
        "tables",
        "audit",
        api::compatibility::backup_compatibility_here,
        api::compatibility::backup_list_badges,
        api::progress::backup_progress_rows,
    ]
);
extension_sql_file!("../sql/functions.sql", name = "functions", finalize);

/// Runs once in the postmaster when the library is preloaded, else in every backend that loads
/// it: settings always, workers and shared memory only when preloaded.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    if pg::is_preloading() {
        pg::guard(pg::Asks {
            is_guarded: settings::is_restricted,
            refuse: error::refuse_as_superuser,
        });
        worker::register();
    }
}
