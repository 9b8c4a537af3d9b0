//! Schedules: a five-field cron expression by Vixie's rules (crontab(5)), or a form in words.
//!
//! Minutes of the wall clock of a zone become instants by two rules. A schedule that runs in every
//! hour follows real time: `*/15 * * * *` is every quarter of an hour, also in the hour that the
//! autumn repeats. Any other runs once a local day for each of its times: one that the spring skips
//! runs at the first minute after the gap, one that the autumn repeats runs the first time. Times
//! that fall together run once.

mod fields;
mod walk;
mod words;

pub use walk::{COUNT_MAX, Due};

use std::fmt;

use crate::error::{Class, Failure, Result};

/// Longer than any sensible expression.
const LONGEST: usize = 256;

/// When something runs, in the wall clock of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    times: Times,
}

/// The minutes of a wall clock that match: bit n stands for the value n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    minutes: u64,
    hours: u32,
    /// Days of the month from bit 1.
    days: u32,
    /// The last of the days above stands for the last day of a month that is shorter.
    clamped: bool,
    /// Months from bit 1.
    months: u16,
    /// Days of the week, Sunday is bit 0.
    weekdays: u8,
    /// Either of the two fields for days begins with `*`: then both have to match, else one.
    both: bool,
}

impl Schedule {
    /// Reads an expression. Errors: `InvalidArgument`, naming the expression, the part of it that
    /// is wrong, and what would do; also for one that never runs.
    pub fn parse(text: &str) -> Result<Schedule> {
        if text.len() > LONGEST {
            let shown: String = text.chars().take(40).collect();
            let message = format!("invalid schedule: \"{shown}…\" is too long");
            return Err(Failure::new(Class::InvalidArgument, message)
                .hint(format!("An expression has at most {LONGEST} bytes.")));
        }
        let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let word = text.split(' ').next().unwrap_or_default();
        let times = match words::FORMS.contains(&word) {
            true => words::parse(&text)?,
            false => fields::parse(&text)?,
        };
        Ok(Schedule { text, times })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An expression that cannot be taken.
fn refused(text: &str, what: impl fmt::Display) -> Failure {
    Failure::new(Class::InvalidArgument, format!("invalid schedule \"{text}\": {what}"))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
