//! The harness of the tests from outside: throwaway clusters, real clients, planted faults.
//!
//! In: the private PostgreSQL tree that `make test-install` makes. Out: a [`Cluster`] per test,
//! its own data directory and socket, no TCP, nothing shared with any PostgreSQL of the machine.
//! As root the server runs as the operating system's user `postgres`, else as the caller.
//!
//! Must hold: a test that ends, also by a panic or a kill, leaves no process, mount or file.
//! A cluster belongs to the thread that started it: the kernel ends the server with that thread.

mod ability;
mod check;
mod client;
mod cluster;
pub mod described;
pub mod doctest;
pub mod document;
mod errors;
mod everything;
mod expect;
mod fake;
mod hooks;
mod hostile;
mod job;
mod kitchen_sink;
mod place;
mod pool;
mod process;
pub mod readme;
pub mod reference;
mod replace;
mod sample;
mod schedule;
mod server;
mod session;
mod shape;
mod shop;
mod standby;
mod template;
mod timescale;
mod tmpfs;
mod tree;
mod upgraded;

pub use ability::{major, needs_extension, needs_icu, needs_libxml, needs_major, skipped};
pub use check::{DEAF, Faults, Gate, LINGERING, STOPPED};
pub use client::Rows;
pub use cluster::{Builder, Cluster, Mode};
pub use errors::{DbError, sqlstate};
pub use everything::run_tool;
pub use expect::{CONTENT, assert_same_text, script};
pub use hostile::{Guard, HARM, Victim};
pub use job::{Call, LIMIT, Run, names_below};
pub use place::{base, bin, give_to_server, tree_dirs};
pub use process::{
    children_of, command_line, is_alive, processes_with, signal, wait_for, wait_until,
};
pub use replace::{NEW, OLD, crash_at};
pub use sample::sample;
pub use schedule::{ScheduleRun, seconds_until};
pub use shape::Shape;
pub use shop::into_schema;
pub use timescale::{PRELOADED, install_timescaledb};
pub use tmpfs::{Tmpfs, tmpfs};
pub use tree::{plant_app, tree};
pub use upgraded::{own_programs, programs_of};
