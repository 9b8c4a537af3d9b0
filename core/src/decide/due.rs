//! What a look at a schedule comes to: pure, from its row and the clock.

use chrono::{DateTime, Utc};

use super::catch_up::{Decision, decide};
use super::request::Cause;
use super::schedule_entry::Entry;
use crate::error::Result;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// A backup.
    Run {
        /// Due times up to here are dealt with by it; None when it deals with none.
        due: Option<DateTime<Utc>>,
        /// The word in the history's column `origin`.
        origin: &'static str,
        /// Failed attempts before this one.
        attempt: i32,
    },
    /// A row that says that `count` due times, the last one `due`, passed without a run.
    Missed {
        due: DateTime<Utc>,
        count: u32,
    },
}

/// Decides. Errors: an expression or zone that cannot be read.
pub fn step(entry: &Entry, cause: Cause, now: DateTime<Utc>) -> Result<Step> {
    if cause == Cause::Manual {
        return Ok(Step::Run { due: None, origin: "manual", attempt: 0 });
    }
    if !entry.active {
        return Ok(Step::Nothing);
    }
    let (schedule, zone) = entry.times()?;
    let after = entry.dealt_with(now);
    let due = schedule.due_between(zone, after, now);
    if cause == Cause::Start {
        let due = Some(due.last.unwrap_or(after));
        return Ok(match entry.at_start {
            true => Step::Run { due, origin: "start", attempt: 0 },
            false => Step::Nothing,
        });
    }
    Ok(match decide(after, now, Some(entry.window()), due.count, due.last) {
        Decision::Run { due } => Step::Run { due: Some(due), origin: "schedule", attempt: 0 },
        Decision::CatchUp { due, .. } => {
            Step::Run { due: Some(due), origin: "catch_up", attempt: 0 }
        }
        Decision::Missed { due, count } => Step::Missed { due, count },
        Decision::Nothing if entry.retry_at.is_some_and(|at| at <= now) => {
            Step::Run { due: Some(after), origin: "retry", attempt: entry.attempt }
        }
        Decision::Nothing => Step::Nothing,
    })
}
