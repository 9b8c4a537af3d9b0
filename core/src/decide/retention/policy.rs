//! What a schedule keeps: the arguments `keep_…` of `backup_schedule`, and what makes sense.

use serde::{Deserialize, Serialize};

use crate::decide::interval::Interval;
use crate::error::{Class, Failure, Result};

/// The rules of a schedule; None where one is not used. A backup that any of them keeps stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The newest so many.
    pub keep_last: Option<i32>,
    /// The newest of each of so many days, in the schedule's zone as the three below.
    pub keep_daily: Option<i32>,
    /// The newest of each of so many ISO weeks.
    pub keep_weekly: Option<i32>,
    /// The newest of each of so many months.
    pub keep_monthly: Option<i32>,
    /// The newest of each of so many years.
    pub keep_yearly: Option<i32>,
    /// All that are not older.
    pub keep_within: Option<Interval>,
}

impl Policy {
    /// Whether no rule is set.
    pub fn is_empty(&self) -> bool {
        self.keep_within.is_none() && self.numbers().iter().all(|(_, number)| number.is_none())
    }

    /// Checks what the user gave.
    ///
    /// # Errors
    /// `InvalidArgument`, which names the argument: a number below 1, a `keep_within` that is not
    /// positive, or no rule at all.
    pub fn validate(&self) -> Result<()> {
        for (name, number) in self.numbers() {
            if let Some(number) = number.filter(|number| *number < 1) {
                return Err(not_positive(name, number, "1"));
            }
        }
        if let Some(within) = self.keep_within.filter(|within| !within.is_positive()) {
            return Err(not_positive("keep_within", format!("\"{within}\""), "'7 days'")
                .detail("No part of the interval may be negative, and one must be positive."));
        }
        if self.is_empty() {
            return Err(nothing_kept());
        }
        Ok(())
    }

    fn numbers(&self) -> [(&'static str, Option<i32>); 5] {
        [
            ("keep_last", self.keep_last),
            ("keep_daily", self.keep_daily),
            ("keep_weekly", self.keep_weekly),
            ("keep_monthly", self.keep_monthly),
            ("keep_yearly", self.keep_yearly),
        ]
    }
}

fn not_positive(name: &str, value: impl std::fmt::Display, example: &str) -> Failure {
    Failure::new(Class::InvalidArgument, format!("{name} must be positive, but is {value}")).hint(
        format!("Give {name} a value such as {example}, or leave it out to do without this rule."),
    )
}

fn nothing_kept() -> Failure {
    Failure::new(Class::InvalidArgument, "retention policy has no rule").hint(
        "Give at least one of keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly and \
         keep_within.",
    )
}
