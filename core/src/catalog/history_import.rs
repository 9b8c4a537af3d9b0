//! Rows of archives that were not made here: imported, or found by a scan.

use chrono::{DateTime, Utc};

use super::history::{History, history_failure};
use crate::error::Result;

impl History<'_> {
    /// What was found out about the archive that run `id` brings in. Its database is not one of
    /// this server, whatever it is called. A comment that the row has stays. `made` is no later
    /// than now, whoever says so.
    pub async fn imported(
        &self,
        id: i64,
        database: &str,
        comment: Option<&str>,
        is_foreign: bool,
        made: DateTime<Utc>,
    ) -> Result<()> {
        let made = made.max(DateTime::UNIX_EPOCH).timestamp_micros();
        self.fitting(async |fit| {
            let sql = format!(
                "UPDATE {} SET database = $2, database_id = NULL, is_foreign = $4, \
                 comment = coalesce(comment, $3), made_at = least(pg_catalog.clock_timestamp(), \
                 pg_catalog.to_timestamp($5::bigint / 1000000.0)) WHERE id = $1 AND tableoid = {}",
                self.runs, self.table
            );
            let (database, comment) = (fit(database), comment.map(fit));
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&id, &database, &comment, &is_foreign, &made];
            let count = self.server.execute(self.control, &sql, &params).await;
            self.touched(id, count.map_err(history_failure)?)
        })
        .await
    }

    /// The SHA-256 of an archive that was adopted without one.
    pub async fn hashed(&self, id: i64, sha256: &str) -> Result<()> {
        let sql = format!("UPDATE {} SET sha256 = $2 WHERE id = $1 AND sha256 IS NULL", self.runs);
        let done = self.server.execute(self.control, &sql, &[&id, &sha256]).await;
        done.map(drop).map_err(history_failure)
    }
}
