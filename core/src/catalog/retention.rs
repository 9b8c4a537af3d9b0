//! What retention judges: the good backups of one schedule.

use chrono::DateTime;

use super::history::{History, history_failure};
use super::qualified;
use crate::decide::retention::Candidate;
use crate::error::Result;

/// The query for the candidates of the schedule `$1`: id, begin in microseconds since the Unix
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
    pub async fn candidates(&self, schedule: &str) -> Result<Vec<Candidate>> {
        let rows = self.server.rows(self.control, &candidates(&self.schema), &[&schedule]).await;
        let rows = rows.map_err(history_failure)?;
        Ok(rows.iter().map(|r| candidate(r.get(0), r.get(1), r.get(2), r.get(3))).collect())
    }
}
