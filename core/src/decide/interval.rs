//! A span of time as PostgreSQL counts it: months, days and microseconds, each for itself.
//!
//! In: the three parts of an `interval`. Out: the moment that lies this span before another, and
//! the text that the server would show. A day is a day of the calendar in a zone, 23 to 25 hours
//! long; a month has as many days as it has. Rules: `timestamptz_mi_interval` and
//! `DetermineTimeZoneOffset` of PostgreSQL 15, compared with the server's own answers.

use std::fmt;

use chrono::{
    DateTime, Days, LocalResult, Months, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

const MONTHS_PER_YEAR: i32 = 12;
const MICROS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3_600;

/// The three parts of an `interval`: months, days, and microseconds. Any of them may be negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// `at` − this interval: first the months (a day that the month lacks becomes its last), then
    /// the days, both by the clock on the wall in `zone`, then the microseconds. A time that the
    /// clock skips is read with the offset before the change, one that it shows twice with the
    /// offset after it. None where the result leaves the range of dates.
    pub fn before(self, at: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut moment = at;
        if self.months != 0 {
            let local = moment.with_timezone(&zone).naive_local();
            moment = instant(minus_months(local, self.months)?, zone)?;
        }
        if self.days != 0 {
            let local = moment.with_timezone(&zone).naive_local();
            moment = instant(minus_days(local, self.days)?, zone)?;
        }
        moment.checked_sub_signed(TimeDelta::microseconds(self.micros))
    }

    /// Whether no part is negative and one is positive, so that [`before`](Self::before) never
    /// leads to a later moment. Stricter than `> interval '0'`: '1 mon -29 days' is positive for
    /// the server, and yet ends in the future in every February.
    pub fn is_positive(self) -> bool {
        let none_negative = self.months >= 0 && self.days >= 0 && self.micros >= 0;
        none_negative && (self.months > 0 || self.days > 0 || self.micros > 0)
    }
}

fn minus_months(local: NaiveDateTime, months: i32) -> Option<NaiveDateTime> {
    let number = Months::new(months.unsigned_abs());
    if months > 0 { local.checked_sub_months(number) } else { local.checked_add_months(number) }
}

fn minus_days(local: NaiveDateTime, days: i32) -> Option<NaiveDateTime> {
    let number = Days::new(days.unsigned_abs().into());
    if days > 0 { local.checked_sub_days(number) } else { local.checked_add_days(number) }
}

/// The moment at which the clock on the wall shows `local`.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(_, moment) => Some(moment.to_utc()),
        LocalResult::None => {
            let (_, before) = GapInfo::new(&local, &zone)?.begin?;
            Some(local.checked_sub_offset(before.fix())?.and_utc())
        }
    }
}

/// As the server writes it with `IntervalStyle = postgres`: "1 mon 7 days 04:00:00".
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Parts { empty: true, after_negative: false };
        parts.write(f, self.months / MONTHS_PER_YEAR, "year")?;
        parts.write(f, self.months % MONTHS_PER_YEAR, "mon")?;
        parts.write(f, self.days, "day")?;
        if self.micros == 0 && !parts.empty {
            return Ok(());
        }
        let space = if parts.empty { "" } else { " " };
        let sign = match (self.micros < 0, parts.after_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        write!(f, "{space}{sign}")?;
        write_clock(f, self.micros.unsigned_abs())
    }
}

/// What has been written so far.
struct Parts {
    empty: bool,
    after_negative: bool,
}

impl Parts {
    /// A part that is not zero. Behind a negative one a positive one carries its sign.
    fn write(&mut self, f: &mut fmt::Formatter<'_>, value: i32, unit: &str) -> fmt::Result {
        if value == 0 {
            return Ok(());
        }
        let space = if self.empty { "" } else { " " };
        let sign = if self.after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        *self = Self { empty: false, after_negative: value < 0 };
        write!(f, "{space}{sign}{value} {unit}{plural}")
    }
}

/// Hours, minutes and seconds; the fraction without zeros at its end.
fn write_clock(f: &mut fmt::Formatter<'_>, micros: u64) -> fmt::Result {
    let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    let hours = seconds / SECONDS_PER_HOUR;
    let minutes = seconds % SECONDS_PER_HOUR / SECONDS_PER_MINUTE;
    write!(f, "{hours:02}:{minutes:02}:{:02}", seconds % SECONDS_PER_MINUTE)?;
    if fraction == 0 {
        return Ok(());
    }
    write!(f, ".{}", format!("{fraction:06}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests;
