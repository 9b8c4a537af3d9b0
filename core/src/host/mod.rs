//! Effects on the host: child processes, durable files, archives, the server connection.

pub mod archive;
pub mod child;
pub mod control;
pub mod dir;
pub mod partial;
pub mod passfile;
pub mod pipe;
pub mod removal;
pub mod server;
pub mod space;
pub mod sql_error;
pub mod sweep;
pub mod threads;
