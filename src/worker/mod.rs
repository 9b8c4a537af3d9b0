//! Workers and what they share. A backend fills a slot; the launcher decides when its job may
//! run and starts a runner; the runner does the job and leaves the result in the slot.

pub mod call;
mod control;
mod engine;
mod kept;
mod launcher;
pub mod pending;
mod runner;
mod schedules;
pub mod slots;
pub mod text;
mod uploads;
mod verdict;

use std::cell::Cell;

use crate::pg;

thread_local! {
    /// Whether the postmaster began as a standby; inherited by every process it forks.
    static STANDBY: Cell<bool> = const { Cell::new(false) };
}

/// Reserves shared memory and registers the launcher; while the library is preloaded.
pub fn register() {
    let signals = ["standby.signal", "recovery.signal"].map(|file| pg::data_directory().join(file));
    STANDBY.set(signals.iter().any(|file| file.exists()));
    slots::reserve();
    // During pg_upgrade no schedule may run, and no session of ours may be in the way.
    if !pg::is_pg_upgrade() {
        pg::register_static_worker(c"pg_backup launcher", c"pg_backup_launcher_main");
    }
}

/// Whether this server began as a standby, or to recover to a point in time: when it becomes a
/// primary, that is no start of it.
fn began_as_standby() -> bool {
    STANDBY.get()
}

/// An event loop for one piece of work. The stack of its helper threads (they look up host names)
/// is said outright: the environment of the server must not choose it.
fn event_loop() -> std::io::Result<tokio::runtime::Runtime> {
    const STACK: usize = 2 << 20;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().thread_stack_size(STACK).build()
}
