//! A schedule as its row tells it, in the shape that [`crate::catalog::schedules`] asks for.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::backup_options::BackupOptions;
use super::catch_up::GRACE;
use super::retention::Policy;
use super::schedule::Schedule;
use super::verify_level::Level;
use super::zone::Zone;
use crate::error::{Class, Failure, Result};

/// A last due time further ahead of the clock than this came from a wrong clock.
const CLOCK_ERROR: TimeDelta = TimeDelta::hours(24);

/// A row of the table of schedules.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    pub name: String,
    pub cron: String,
    pub timezone: String,
    /// The database that it backs up, never empty.
    pub database: String,
    /// Enabled, and no copy of another database's schedule.
    pub active: bool,
    /// In a copy of the database that it was made in, whose archives are not its own.
    pub copy: bool,
    pub on_overlap: String,
    /// Seconds after a due time in which a missed run is still made up for; 0 for never.
    pub catch_up: f64,
    pub retries: i32,
    pub at_start: bool,
    /// Seconds that a run may take.
    pub max_runtime: Option<f64>,
    pub verify: Option<String>,
    pub options: BackupOptions,
    pub policy: Policy,
    pub requested_by: String,
    pub last_due: DateTime<Utc>,
    pub attempt: i32,
    pub retry_at: Option<DateTime<Utc>>,
}

impl Entry {
    /// From the row as JSON. Errors: `Internal`, naming what cannot be read.
    pub fn from_json(value: serde_json::Value) -> Result<Entry> {
        serde_json::from_value(value).map_err(|error| {
            Failure::new(Class::Internal, format!("could not read a schedule: {error}"))
                .hint("Make it again with CALL backup_schedule(…).")
        })
    }

    /// The expression and its zone. Errors: one that this version does not know any more.
    pub fn times(&self) -> Result<(Schedule, Zone)> {
        Ok((Schedule::parse(&self.cron)?, Zone::parse(&self.timezone)?))
    }

    /// The level of the verification after each run.
    pub fn verify_level(&self) -> Result<Option<Level>> {
        self.verify.as_deref().map(str::parse::<Level>).transpose()
    }

    /// How long a missed run may be late.
    pub fn window(&self) -> TimeDelta {
        TimeDelta::milliseconds((self.catch_up * 1000.0) as i64)
    }

    /// Due times up to here are dealt with.
    pub fn dealt_with(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        believable(self.last_due, now)
    }
}

/// A last due time as it can be believed: one that is far in the future was written when the clock
/// was wrong, and would keep the schedule silent until then. What is due now is not dealt with.
pub fn believable(last_due: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if last_due > now + CLOCK_ERROR { now - GRACE } else { last_due }
}
