//! Buckets of the calendar: days, ISO weeks, months and years in the schedule's zone.
//!
//! In: the local dates of backups, newest first. Out: a reason for the newest of each bucket until
//! the rule's number is used up. Only buckets that hold a backup count, so a pause of the
//! schedule costs no history.

use std::collections::HashSet;

use chrono::{Datelike, NaiveDate};

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Year and number of the bucket that holds `date`; a week belongs to its ISO year.
    fn key(self, date: NaiveDate) -> (i32, u32) {
        match self {
            Unit::Day => (date.year(), date.ordinal()),
            Unit::Week => (date.iso_week().year(), date.iso_week().week()),
            Unit::Month => (date.year(), date.month()),
            Unit::Year => (date.year(), 0),
        }
    }

    /// The reason that names the bucket of `date`.
    fn reason(self, date: NaiveDate) -> String {
        let (year, number) = self.key(date);
        match self {
            Unit::Day => format!("daily {date}"),
            Unit::Week => format!("weekly {year:04}-W{number:02}"),
            Unit::Month => format!("monthly {year:04}-{number:02}"),
            Unit::Year => format!("yearly {year:04}"),
        }
    }
}

/// A rule while it walks over the backups.
pub(super) struct Rule {
    unit: Unit,
    /// How many buckets the rule keeps.
    wanted: usize,
    /// A set, not the last key alone: where clocks go back over midnight (St. John's until 2011)
    /// the local date does.
    seen: HashSet<(i32, u32)>,
}

impl Rule {
    pub(super) fn new(unit: Unit, wanted: usize) -> Self {
        Self { unit, wanted, seen: HashSet::new() }
    }

    /// A reason to keep the backup of `date`, if it is the newest of its bucket and the rule has a
    /// bucket left. Must be called for every backup, newest first.
    pub(super) fn reason(&mut self, date: NaiveDate) -> Option<String> {
        let is_open = self.seen.len() < self.wanted;
        (is_open && self.seen.insert(self.unit.key(date))).then(|| self.unit.reason(date))
    }
}
