//! Roles and tablespaces of the server, and how missing ones are made.

/// Every role, and every tablespace.
pub const THERE: &str = "
SELECT ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles),
       ARRAY(SELECT spcname::text FROM pg_catalog.pg_tablespace)";

/// Hashes of passwords are in the statements: neither the log nor a library that collects
/// statements gets them.
pub const UNSEEN: &str = "
SET log_statement = none; SET log_min_duration_statement = -1;
SET log_min_duration_sample = -1; SET log_transaction_sample_rate = 0;
SET log_min_error_statement = panic; SET track_activities = off;
SET pg_stat_statements.track = none; SET pg_stat_statements.track_utility = off";

/// What statements are seen by again.
pub const SEEN: &str = "
RESET log_statement; RESET log_min_duration_statement; RESET log_min_duration_sample;
RESET log_transaction_sample_rate; RESET log_min_error_statement; RESET track_activities;
RESET pg_stat_statements.track; RESET pg_stat_statements.track_utility";
