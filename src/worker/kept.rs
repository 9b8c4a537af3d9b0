//! Databases that restores have replaced and kept: the launcher drops each when
//! `pg_backup.rollback_keep` is over.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use pg_backup_core::catalog::restore::Kept;
use pg_backup_core::decide::request::{self, KeptEnd, Request, Rollback, Task};
use pg_backup_core::decide::timetable::Home;

/// Who asks for it, in the history.
const REQUESTED_BY: &str = "pg_backup";

/// What the launcher knows of them, by the id of the database whose history says so.
#[derive(Debug, Default)]
pub struct KeptDatabases(BTreeMap<u32, (Home, Vec<Kept>)>);

impl KeptDatabases {
    /// Takes those of one database.
    pub fn learn(&mut self, home_id: u32, home: Home, kept: Vec<Kept>) {
        match kept.is_empty() {
            true => self.remove(home_id),
            false => _ = self.0.insert(home_id, (home, kept)),
        }
    }

    pub fn remove(&mut self, home_id: u32) {
        self.0.remove(&home_id);
    }

    /// Forgets those of other databases than these.
    pub fn retain(&mut self, known: impl Fn(u32) -> bool) {
        self.0.retain(|id, _| known(*id));
    }

    /// Takes out one whose time is over: each is tried once, until its database is read again.
    pub fn take_due(&mut self, now: DateTime<Utc>, keep: TimeDelta) -> Option<(u32, Request)> {
        let (home_id, (home, kept)) =
            self.0.iter_mut().find(|(_, (_, kept))| kept.iter().any(|k| k.since + keep <= now))?;
        let place = kept.iter().position(|k| k.since + keep <= now)?;
        let Kept { restore, database, .. } = kept.remove(place);
        let task = Task::Rollback(Rollback { restore, database, end: KeptEnd::Expired });
        let home = request::Home {
            database: home.database.clone(),
            schema: home.schema.clone(),
            requested_by: REQUESTED_BY.to_owned(),
            id: 0,
            queued_at: now.timestamp_micros(),
            asker: None,
        };
        Some((*home_id, Request { home, task }))
    }

    /// When the next one's time is over.
    pub fn next(&self, keep: TimeDelta) -> Option<DateTime<Utc>> {
        let all = self.0.values().flat_map(|(_, kept)| kept);
        all.map(|kept| kept.since + keep).min()
    }
}
