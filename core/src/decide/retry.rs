//! Which failed runs are tried again, and when.

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Class;

/// Pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(30);

/// Whether the same run can succeed later without anybody's help.
pub fn is_transient(class: Class) -> bool {
    match class {
        Class::LimitExceeded
        | Class::TooManyConnections
        | Class::Connection
        | Class::DiskFull
        | Class::LockTimeout
        | Class::Deadlock
        | Class::Timeout
        | Class::Interrupted
        | Class::NotReady => true,
        Class::InvalidArgument
        | Class::UndefinedObject
        | Class::UndefinedDatabase
        | Class::InsufficientPrivilege
        | Class::ActiveTransaction
        | Class::InRecovery
        | Class::Concurrent
        | Class::InUse
        | Class::Io
        | Class::UndefinedFile
        | Class::DuplicateFile
        | Class::Cancelled
        | Class::Hook
        | Class::ToolFailed
        | Class::Damaged
        | Class::Statement
        | Class::Internal => false,
    }
}

/// When the attempt after `attempt` failed ones is due; None when there is none.
pub fn next_attempt(attempt: i32, retries: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if attempt < 1 || attempt > retries {
        return None;
    }
    let doubled = FIRST_PAUSE * 2_i32.pow(attempt.min(16) as u32 - 1);
    Some(now + doubled.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_an_hour_and_attempts_are_counted() {
        let now = DateTime::UNIX_EPOCH;
        let pause = |attempt| next_attempt(attempt, 10, now).map(|at| (at - now).num_seconds());
        let pauses: Vec<_> = (1..=10).map(pause).collect();
        let wanted = [30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800].map(Some);
        assert_eq!(pauses, wanted);
        assert_eq!(next_attempt(3, 2, now), None);
        assert_eq!(next_attempt(1, 0, now), None);
    }
}
