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

/// Decides about a look that was taken at `looked_at` and has its turn now: how late it is does not
/// depend on how long it had to wait for others. Errors: an expression or zone that cannot be read.
pub fn step(
    entry: &Entry,
    cause: Cause,
    looked_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Step> {
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
    let judged_at = due.last.map_or(now, |last| looked_at.clamp(last, now.max(last)));
    Ok(match decide(after, judged_at, Some(entry.window()), due.count, due.last) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    /// A schedule at every full hour that has dealt with everything until noon.
    fn entry(change: impl FnOnce(&mut Entry)) -> Entry {
        let mut entry = Entry::from_json(serde_json::json!({
            "name": "s", "cron": "hourly", "timezone": "UTC", "database": "app", "active": true, "copy": false,
            "on_overlap": "skip", "catch_up": 7200.0, "retries": 2, "at_start": true,
            "max_runtime": null, "verify": null, "options": {}, "policy": {}, "attempt": 0,
            "requested_by": "postgres", "last_due": "2026-11-21T12:00:00+00:00", "retry_at": null
        }))
        .unwrap();
        change(&mut entry);
        entry
    }

    fn at(time: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(&format!("2026-11-21T{time}Z")).unwrap().to_utc()
    }

    fn look(entry: &Entry, cause: Cause, now: &str) -> Step {
        step(entry, cause, at(now), at(now)).unwrap()
    }

    #[test]
    fn a_due_schedule_runs_and_one_that_slept_makes_up_or_tells() {
        let entry = entry(|_| {});
        let run = |due, origin| Step::Run { due: Some(at(due)), origin, attempt: 0 };
        assert_eq!(look(&entry, Cause::Due, "12:59:59"), Step::Nothing);
        assert_eq!(look(&entry, Cause::Due, "13:00:00"), run("13:00:00", "schedule"));
        assert_eq!(look(&entry, Cause::Due, "15:30:00"), run("15:00:00", "catch_up"));
        let entry = self::entry(|entry| entry.catch_up = 0.0);
        let missed = Step::Missed { due: at("15:00:00"), count: 3 };
        assert_eq!(look(&entry, Cause::Due, "15:30:00"), missed);
    }

    #[test]
    fn a_look_that_had_to_wait_is_as_late_as_when_it_was_taken() {
        let entry = entry(|entry| entry.catch_up = 0.0);
        let waited = |looked_at, now| step(&entry, Cause::Due, at(looked_at), at(now)).unwrap();
        let run = |due| Step::Run { due: Some(at(due)), origin: "schedule", attempt: 0 };
        assert_eq!(waited("13:00:00", "13:50:00"), run("13:00:00"));
        assert_eq!(waited("13:00:00", "14:05:00"), run("14:00:00"));
        let missed = Step::Missed { due: at("13:00:00"), count: 1 };
        assert_eq!(waited("13:40:00", "13:50:00"), missed);
    }

    #[test]
    fn a_start_is_one_run_that_deals_with_what_was_due() {
        let run = |due| Step::Run { due: Some(at(due)), origin: "start", attempt: 0 };
        let entry = entry(|_| {});
        assert_eq!(look(&entry, Cause::Start, "12:30:00"), run("12:00:00"));
        assert_eq!(look(&entry, Cause::Start, "15:30:00"), run("15:00:00"));
        let entry = self::entry(|entry| entry.at_start = false);
        assert_eq!(look(&entry, Cause::Start, "15:30:00"), Step::Nothing);
    }

    #[test]
    fn a_retry_runs_at_its_time_unless_the_next_due_time_has_come() {
        let entry = entry(|entry| {
            entry.attempt = 1;
            entry.retry_at = Some(at("12:01:00"));
        });
        assert_eq!(look(&entry, Cause::Due, "12:00:59"), Step::Nothing);
        let retry = Step::Run { due: Some(at("12:00:00")), origin: "retry", attempt: 1 };
        assert_eq!(look(&entry, Cause::Due, "12:01:00"), retry);
        let next = Step::Run { due: Some(at("13:00:00")), origin: "schedule", attempt: 0 };
        assert_eq!(look(&entry, Cause::Due, "13:00:10"), next);
    }

    #[test]
    fn a_row_from_a_clock_that_was_far_ahead_does_not_stop_the_schedule() {
        let entry = entry(|entry| entry.last_due = at("12:00:00") + TimeDelta::days(90));
        let run = Step::Run { due: Some(at("13:00:00")), origin: "schedule", attempt: 0 };
        assert_eq!(look(&entry, Cause::Due, "13:00:05"), run);
        assert_eq!(look(&entry, Cause::Due, "13:05:00"), Step::Nothing);
    }

    #[test]
    fn a_schedule_that_is_not_active_runs_by_hand_only() {
        let entry = entry(|entry| entry.active = false);
        for cause in [Cause::Due, Cause::Start] {
            assert_eq!(look(&entry, cause, "13:00:00"), Step::Nothing);
        }
        let by_hand = Step::Run { due: None, origin: "manual", attempt: 0 };
        assert_eq!(look(&entry, Cause::Manual, "13:00:00"), by_hand);
    }
}
