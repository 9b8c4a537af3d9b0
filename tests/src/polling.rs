//! The session of somebody who waits: one for a whole wait, not one for each look.
//!
//! A connection costs the server ten times what the look itself costs, and a wait is many looks.
//! In: that this thread waits (a [`Wait`]), and where to connect. Out: the session of the look
//! before. Must hold: only the database `postgres` is kept open, for a session elsewhere is in the
//! way of those who drop or rename its database; nothing stays open after the wait.

use postgres::Client;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

thread_local! {
    /// How many waits this thread is in, for one may lie in another.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static KEPT: RefCell<Option<(PathBuf, Client)>> = const { RefCell::new(None) };
}

/// While it lives, this thread waits for something.
pub struct Wait(());

impl Wait {
    pub fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            KEPT.take();
        }
    }
}

/// The session of the look before, if it is one of this cluster and still alive.
pub fn take(socket_dir: &Path, database: &str) -> Option<Client> {
    if database != "postgres" {
        return None;
    }
    let (of, client) = KEPT.take()?;
    (of == socket_dir && !client.is_closed()).then_some(client)
}

/// Keeps a session for the next look, if there can be one.
pub fn keep(socket_dir: &Path, database: &str, client: Client) {
    if database == "postgres" && DEPTH.get() > 0 && !client.is_closed() {
        KEPT.set(Some((socket_dir.to_owned(), client)));
    }
}
