//! What differs between major versions of PostgreSQL in what we send to a server.
//!
//! In: the major version of the running server. Out: settings and statements that it knows.
//! What must hold: a setting that a server does not know ends its session at once, so none is sent
//! to one that is too old. Columns that were renamed are read through `to_jsonb` where they are.

/// The first with event triggers on login, `event_triggers`, and `transaction_timeout`.
const LOGIN_TRIGGERS: u32 = 17;

/// The first whose ANALYZE of a table takes the tables along that inherit from it, unless told not
/// to.
const ANALYZE_ONLY: u32 = 18;

/// Settings that a role or a database may have set against a dump, put back (facts measured with
/// `ALTER ROLE … SET`). pg_dump writes strings as its session reads them. A client that dies is
/// noticed within a second.
const SESSION: &str = "-c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 \
    -c default_transaction_read_only=off -c track_activities=on \
    -c standard_conforming_strings=on -c role=none -c client_connection_check_interval=1s";

/// A trigger on login runs with the rights of whoever logs in, and one that fails lets nobody in.
const SESSION_17: &str = " -c transaction_timeout=0 -c event_triggers=off";

/// Settings of every session of ours and of the tools', as in `PGOPTIONS`.
pub fn session_options(major: u32) -> String {
    let newer = if major >= LOGIN_TRIGGERS { SESSION_17 } else { "" };
    format!("{SESSION}{newer}")
}

/// For a session that is in: its own statements fire event triggers as everybody's do.
pub fn fire_event_triggers(major: u32) -> &'static str {
    if major >= LOGIN_TRIGGERS { "SET event_triggers = on;\n" } else { "" }
}

/// What stands before the name of a table in ANALYZE, so that it takes no other along.
pub fn analyze_only(major: u32) -> &'static str {
    if major >= ANALYZE_ONLY { "ONLY " } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_only_told_what_it_knows() {
        for (major, newer) in [(15, false), (16, false), (17, true), (18, true)] {
            let options = session_options(major);
            assert!(options.contains("-c idle_session_timeout=0 "));
            assert_eq!(options.ends_with(" -c event_triggers=off"), newer, "{major}");
            assert_eq!(options.contains("transaction_timeout=0 -c event"), newer, "{major}");
            assert_eq!(fire_event_triggers(major).is_empty(), !newer, "{major}");
        }
    }
}
