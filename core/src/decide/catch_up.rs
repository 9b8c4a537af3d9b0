//! What to do about due times that passed: run, catch up with one run, or record them as missed.
//!
//! In: the last due time that was dealt with, the clock, the schedule's window, and what fell due
//! in between. Out: a [`Decision`]. However long the schedule slept (server down, standby, clock
//! set forward), one decision covers all of it, so there is no storm; with the clock set back
//! nothing is due until it has passed the last due time again, so no due time runs twice. For
//! both to hold the caller stores [`Decision::due`] as the last due time before it starts a run.

use chrono::{DateTime, TimeDelta, Utc};

/// A run that starts no later than this after its due time is on time. Long enough for a launcher
/// that was killed to be back (10 s) and for a busy server, and no longer than the closest two due
/// times lie apart.
pub const GRACE: TimeDelta = TimeDelta::seconds(60);

/// What to do. `due` is the latest due time that it covers, `count` how many it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is due.
    Nothing,
    /// Run on time. Earlier due times that passed before it are covered by this run.
    Run { due: DateTime<Utc> },
    /// One run, late, for all of them.
    CatchUp { due: DateTime<Utc>, count: u32 },
    /// No run: one row of the history says that these were missed.
    Missed { due: DateTime<Utc>, count: u32 },
}

impl Decision {
    /// The last due time that is dealt with once this is done: to be stored first.
    pub fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Decision::Nothing => None,
            Decision::Run { due } => Some(due),
            Decision::CatchUp { due, .. } | Decision::Missed { due, .. } => Some(due),
        }
    }

    /// Whether a run starts.
    pub fn runs(self) -> bool {
        matches!(self, Decision::Run { .. } | Decision::CatchUp { .. })
    }
}

/// Decides about the `count` due times after `last_due` and not after `now`, the latest of which
/// is `last`. `window` says how late a catch-up may start after that latest one; None, or a
/// window that is not positive, turns catching up off. A `last` out of these bounds is not due.
pub fn decide(
    last_due: DateTime<Utc>,
    now: DateTime<Utc>,
    window: Option<TimeDelta>,
    count: u32,
    last: Option<DateTime<Utc>>,
) -> Decision {
    let Some(due) = last.filter(|last| last_due < *last && *last <= now) else {
        return Decision::Nothing;
    };
    let late = now.signed_duration_since(due);
    // At least the one that `last` is.
    let count = count.max(1);
    if late <= GRACE {
        Decision::Run { due }
    } else if window.is_some_and(|window| late <= window) {
        Decision::CatchUp { due, count }
    } else {
        Decision::Missed { due, count }
    }
}

#[cfg(test)]
mod tests;
