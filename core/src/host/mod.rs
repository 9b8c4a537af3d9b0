//! Effects on the host: child processes, durable files, archives, the server connection.

pub mod archive;
pub mod cancel;
pub mod child;
pub mod control;
pub mod custom;
pub mod dir;
pub mod download;
pub mod fresh;
pub mod listing;
pub mod partial;
pub mod passfile;
pub mod pipe;
pub mod reach;
pub mod removal;
pub mod server;
pub mod signing;
pub mod source;
pub mod space;
pub mod sql_error;
pub mod stoppable;
pub mod sweep;
pub mod threads;
pub mod tree;
pub mod upload;
