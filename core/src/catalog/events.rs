//! Events: `NOTIFY pg_backup` with a small JSON payload, in the home database of a run.
//!
//! Sent after the row is committed, in a statement of its own: whoever gets an event can read the
//! row, and a full queue (a listener that sits in a transaction) does not fail the run. An event
//! may get lost, a row not.

use serde::Serialize;

use crate::host::control::Control;
use crate::host::server::Server;

/// Characters of an error in an event: the payload of NOTIFY must stay below 8000 bytes.
const ERROR_MAX: usize = 400;
/// Bytes of the whole payload.
const PAYLOAD_MAX: usize = 7999;

/// Something that happened to a run.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    /// started, succeeded, failed, skipped, missed, pruned.
    pub event: &'a str,
    pub id: i64,
    pub kind: &'a str,
    pub database: &'a str,
    pub status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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

    /// The payload. Names are short, so that only the error can make it too long.
    pub fn payload(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.len() <= PAYLOAD_MAX {
            return text;
        }
        let short = Event { error: None, ..self.clone() };
        serde_json::to_string(&short).unwrap_or_default()
    }
}

/// An error as an event tells it.
pub fn short(error: &str) -> String {
    error.chars().take(ERROR_MAX).collect()
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

    fn event(error: Option<String>) -> Event<'static> {
        let (event, kind, database, status) = ("failed", "backup", "sh\"op", "failed");
        Event { event, id: 7, kind, database, status, schedule: None, error }
    }

    #[test]
    fn an_event_is_small_json_without_what_is_not_known() {
        let text = event(None).payload();
        let wanted =
            r#"{"event":"failed","id":7,"kind":"backup","database":"sh\"op","status":"failed"}"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn an_error_that_makes_an_event_too_long_is_left_out() {
        let long = short(&"\u{1}".repeat(5000));
        assert!(event(Some(long)).payload().len() <= PAYLOAD_MAX);
        let longer = "\u{1}".repeat(5000);
        assert_eq!(event(Some(longer)).payload(), event(None).payload());
    }

    #[test]
    fn json_in_ascii_says_the_same() {
        let text = escaped("{\"a\":\"é𝄞\"}");
        assert!(text.is_ascii());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "é𝄞");
    }
}
