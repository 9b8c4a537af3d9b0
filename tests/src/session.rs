//! The session of the last question, for the next one.
//!
//! A connection costs the server ten times what most questions cost, and a test asks many, above
//! all while it waits. In: where to connect, and what was asked. Out: a session as good as new.
//! Must hold: only sessions in `postgres` stay open, for elsewhere they are in the way of those who
//! drop or rename their database; not after what may change with what settings or rights a new
//! session begins; and what a statement left in its session is discarded.

use postgres::Client;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

thread_local! {
    static KEPT: RefCell<Option<(PathBuf, Client)>> = const { RefCell::new(None) };
}

/// What begins a statement that changes nothing about the sessions after it.
const HARMLESS: [&str; 10] = [
    "SELECT ",
    "WITH ",
    "CALL ",
    "SHOW ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "CREATE TABLE ",
    "CREATE DATABASE ",
    "DROP DATABASE ",
];
const HOME: &str = "postgres";

/// The session of the statement before, if `sql` may run in it: both harmless, that session of this
/// cluster and still alive. After anything else none stays open.
pub fn take(socket_dir: &Path, database: &str, sql: &str) -> Option<Client> {
    if database != HOME && is_harmless(sql) {
        return None;
    }
    let (of, mut client) = KEPT.take()?;
    let fits = of == socket_dir && database == HOME && is_harmless(sql);
    (fits && client.batch_execute("DISCARD ALL").is_ok()).then_some(client)
}

/// Keeps a session for the next statement, if it may stay open after `sql`.
pub fn keep(socket_dir: &Path, database: &str, sql: &str, client: Client) {
    if database == HOME && is_harmless(sql) && !client.is_closed() {
        KEPT.set(Some((socket_dir.to_owned(), client)));
    }
}

/// Closes what is open. For whoever is about to do something else than to ask.
pub fn close() {
    KEPT.take();
}

/// One statement, and of those, and none that wants the database for itself.
fn is_harmless(sql: &str) -> bool {
    let is_one = !sql.trim_end().trim_end_matches(';').contains(';');
    is_one && HARMLESS.iter().any(|word| sql.starts_with(word)) && !sql.contains(" TEMPLATE ")
}
