//! What the restore of a script asks the server.

/// Names of all settings, in lower case. What is set under another name is of a newer version.
pub const SETTINGS: &str = "SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings";
