//! Events: `NOTIFY pg_backup` with a small JSON payload, in the home database of a run.
//!
//! Sent after the row is committed, in a statement of its own: whoever gets an event can read the
//! row, and a full queue (a listener that sits in a transaction) does not fail the run. An event
//! may get lost, a row not. Whoever may connect to the database may hear the channel: an event
//! holds no text of an error, which may quote data.

use serde::Serialize;

use crate::host::control::Control;
use crate::host::server::Server;

/// Something that happened to a run.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    /// started, phase, succeeded, failed, skipped, missed, pruned.
    pub event: &'a str,
    pub id: i64,
    pub kind: &'a str,
    pub database: &'a str,
    pub status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<&'a str>,
    /// How far a restore is, for the event `phase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'a str>,
}

impl Event<'_> {
    /// The event of a run that has just got this status.
    pub fn of_status(status: &str) -> &str {
        match status {
            "running" => "started",
            "succeeded" | "skipped" | "missed" => status,
            _ => "failed",
        }
    }

    /// The payload: far below the 8000 bytes that NOTIFY takes, for all names are short.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Sends an event, if that can be done.
pub async fn announce(server: &Server, control: &dyn Control, event: &Event<'_>) {
    let payload = event.payload();
    let payload = if server.encoding == "UTF8" { payload } else { escaped(&payload) };
    let sql = "SELECT pg_catalog.pg_notify('pg_backup', $1)";
    // The row is the truth; whoever missed the event reads it there.
    let _ = server.rows(control, sql, &[&payload]).await;
}

/// JSON in ASCII, for databases whose encoding may not hold what a name holds.
fn escaped(json: &str) -> String {
    let mut units = [0; 2];
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_small_json_without_what_is_not_known() {
        let (event, kind, database, status) = ("failed", "backup", "sh\"op", "failed");
        let event = Event { event, id: 7, kind, database, status, schedule: None, phase: None };
        let wanted =
            r#"{"event":"failed","id":7,"kind":"backup","database":"sh\"op","status":"failed"}"#;
        assert_eq!(event.payload(), wanted);
    }

    #[test]
    fn json_in_ascii_says_the_same() {
        let text = escaped("{\"a\":\"é𝄞\"}");
        assert!(text.is_ascii());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "é𝄞");
    }
}
