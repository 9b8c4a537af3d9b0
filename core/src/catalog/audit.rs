//! Rows of the audit that jobs write: one when they begin, completed when they are over.

use super::qualified;

/// A row for an action that begins: at (microseconds since the Unix epoch), role, session role,
/// address, application, action, detail. Gives its id.
pub fn begin(schema: &str) -> String {
    format!(
        "INSERT INTO {} (at, role, session_role, address, application, action, detail) \
         VALUES ($1, $2, $3, $4::text::pg_catalog.inet, $5, $6, $7) RETURNING id",
        qualified(schema, "backup_audit_entries")
    )
}

/// What became of it: id, the run's id, outcome, error.
pub fn end(schema: &str) -> String {
    format!(
        "UPDATE {} SET run_id = $2, outcome = $3, error = $4 WHERE id = $1",
        qualified(schema, "backup_audit_entries")
    )
}
