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

/// An event loop for one piece of work. The stack of its helper threads (they look up host names)
/// is said outright: the environment of the server must not choose it.
fn event_loop() -> std::io::Result<tokio::runtime::Runtime> {
    const STACK: usize = 2 << 20;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().thread_stack_size(STACK).build()
}
