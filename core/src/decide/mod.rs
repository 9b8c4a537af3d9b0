//! Decisions: pure functions and plain data. Time, settings and the server's identity come in as
//! arguments; nothing here touches a file, a process or a connection.

pub mod archive_spec;
pub mod copy_rows;
pub mod dump_plan;
pub mod format;
pub mod manifest;
pub mod naming;
pub mod pattern;
pub mod progress;
pub mod redact;
pub mod request;
pub mod settings;
pub mod toc;
pub mod verify_level;
