//! Decisions: pure functions and plain data. Time, settings and the server's identity come in as
//! arguments; nothing here touches a file, a process or a connection.

pub mod archive_spec;
pub mod attachments;
pub mod backup_options;
pub mod catch_up;
pub mod compatibility;
pub mod copy_rows;
pub mod copy_text;
pub mod directories;
pub mod due;
pub mod dump_plan;
pub mod encoding;
pub mod export;
pub mod format;
pub mod frameworks;
pub mod import;
pub mod interval;
pub mod manifest;
pub mod naming;
pub mod pattern;
pub mod pieces;
pub mod progress;
pub mod ranges;
pub mod redact;
pub mod request;
pub mod restore;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod schedule_entry;
pub mod script;
pub mod settings;
pub mod timetable;
pub mod toc;
pub mod verify_level;
pub mod zone;
