//! What retention judges: the good backups of one schedule.

use chrono::DateTime;

use super::history::{History, history_failure};
use super::qualified;
use crate::decide::retention::Candidate;
use crate::decide::schedule_entry::Entry;
use crate::error::Result;

/// The id of this database: rows of a copy have that of the original, whose archives they name.
const HERE: &str = "(SELECT d.oid FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database())";

/// The query for the candidates of the schedule `$1` that are of the database `$2`, whatever it was
/// called then: a schedule that was told to back up another one leaves alone what it made of the
/// first. Columns: id, begin in microseconds since the Unix
/// epoch, whether it is pinned, whether another run works on it.
pub fn candidates(schema: &str) -> String {
    let runs = qualified(schema, "backup_runs");
    format!(
        "SELECT r.id, (extract(epoch FROM coalesce(r.started_at, r.queued_at)) * 1000000)::bigint,
       r.pinned, r.id IN (SELECT b.subject FROM {runs} b
                           WHERE b.status IN ('queued', 'running', 'verifying')
                             AND b.subject IS NOT NULL)
  FROM {runs} r
 WHERE r.schedule = $1 AND r.file_state = 'available'
   AND r.home_id = {HERE}
   AND (r.database = $2
        OR r.database_id = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = $2::text))
   AND r.kind = 'backup' AND r.status = 'succeeded'
 ORDER BY r.id"
    )
}

/// One row of that query.
pub fn candidate(id: i64, micros: i64, pinned: bool, busy: bool) -> Candidate {
    let at = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    Candidate { id, at, pinned, busy }
}

impl History<'_> {
    /// The good backups of a schedule.
    pub async fn candidates(&self, entry: &Entry) -> Result<Vec<Candidate>> {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&entry.name, &entry.database];
        let rows = self.server.rows(self.control, &candidates(&self.schema), &params).await;
        let rows = rows.map_err(history_failure)?;
        Ok(rows.iter().map(|r| candidate(r.get(0), r.get(1), r.get(2), r.get(3))).collect())
    }
}
