//! The session of the last question, for the next one.
//!
//! A connection costs the server ten times what most questions cost, and a test asks many, above
//! all while it waits. In: where to connect, and what was asked. Out: a session as good as new.
//! Must hold: only sessions in `postgres` stay open, for elsewhere they are in the way of those who
//! drop or rename their database; only after a question, for after anything else new sessions may
//! begin with other settings; and what a question left in its session is discarded.

use postgres::Client;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

thread_local! {
    static KEPT: RefCell<Option<(PathBuf, Client)>> = const { RefCell::new(None) };
}

/// What begins a statement that is only a question, or the call of a procedure.
const QUESTIONS: [&str; 3] = ["SELECT ", "CALL ", "SHOW "];

/// The session of the question before, if `sql` is one, too, and that session is of this cluster
/// and still alive. Else none stays open.
pub fn take(socket_dir: &Path, database: &str, sql: &str) -> Option<Client> {
    let (of, mut client) = KEPT.take()?;
    let fits = of == socket_dir && may_stay(database, sql);
    (fits && client.batch_execute("DISCARD ALL").is_ok()).then_some(client)
}

/// Keeps a session for the next question, if it may stay open after `sql`.
pub fn keep(socket_dir: &Path, database: &str, sql: &str, client: Client) {
    if may_stay(database, sql) && !client.is_closed() {
        KEPT.set(Some((socket_dir.to_owned(), client)));
    }
}

/// Closes what is open. For whoever is about to do something else than to ask.
pub fn close() {
    KEPT.take();
}

fn may_stay(database: &str, sql: &str) -> bool {
    let is_one = !sql.trim_end().trim_end_matches(';').contains(';');
    database == "postgres" && is_one && QUESTIONS.iter().any(|word| sql.starts_with(word))
}
