//! Workers and what they share. A backend fills a slot; the launcher decides when its job may
//! run and starts a runner; the runner does the job and leaves the result in the slot.

pub mod call;
mod control;
mod launcher;
mod pending;
mod runner;
pub mod slots;
pub mod text;

use crate::pg;

/// Reserves shared memory and registers the launcher; while the library is preloaded.
pub fn register() {
    slots::reserve();
    pg::register_static_worker(c"pg_backup launcher", c"pg_backup_launcher_main");
}
