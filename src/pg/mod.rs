//! The fence: everything of the server that Rust cannot check is called here and nowhere else.
//!
//! Out comes plain data. All of it runs on the main thread of its process, as pgrx enforces.

mod bytes;
mod guard;
mod guc;
mod latch;
mod process;
mod role;
mod row;
mod server;
mod spawn;
mod table;
mod transaction;
mod version;

pub use bytes::{Bytes, bytes_of_file};
pub use guard::{Asks, guard};
pub use guc::{define_checked_string, environment, reserve_prefix, set_boot_value};
pub use latch::{is_running, sleep, wake};
pub use process::{
    Stop, Worker, at_exit, begin_worker, check_interrupts, housekeeping, launch_worker, leave,
    register_static_worker, reload_if_asked, show_activity, stop_asked,
};
pub use role::{Caller, as_role, as_superuser, caller, parse};
pub use row::row;
pub use server::{
    bin_directory, bootstrap_superuser, current_role, data_directory, database_id, database_name,
    in_recovery, instant, is_pg_upgrade, is_preloading, knows_zone, my_pid, now_micros, port,
    socket_directory, system_identifier, takes_utf8, time_zone, timestamp,
};
pub use spawn::harden;
pub use table::with_table;
pub use transaction::{
    Event, has_written, on_transaction_end, subtransaction, with_fresh_snapshot,
};
pub use version::COMPILED;
