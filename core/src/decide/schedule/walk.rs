//! From the wall clock to instants: the next time, the last one, and how many lie between.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta,
    TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use super::{Schedule, Times};
use crate::decide::zone::Zone;

/// How far a search goes: a 29 February of one day of the week comes after 40 years at the latest
/// (around 1900, 2100, 2200), any other date after 12. Both fields have to match when one begins
/// with `*`.
const DAYS_MAX: u32 = 41 * 366;
/// The longest gap that clocks have ever skipped within a day, in minutes.
const GAP_MAX: i64 = 24 * 60;
/// Due times that are counted one by one.
pub const COUNT_MAX: u32 = 1000;
const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// Bits of all hours.
const ALL_HOURS: u32 = (1 << 24) - 1;

/// Due times in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How many, at most a thousand.
    pub count: u32,
    /// The last one.
    pub last: Option<DateTime<Utc>>,
}

impl Schedule {
    /// The first time after `after`, strictly; None beyond the calendar.
    pub fn next_after(&self, zone: Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.times.hours == ALL_HOURS {
            true => self.times.next_real(zone.tz(), after),
            false => self.times.next_fixed(zone.tz(), after),
        }
    }

    /// The next `n` times after `after`.
    pub fn next_runs(&self, zone: Zone, after: DateTime<Utc>, n: usize) -> Vec<DateTime<Utc>> {
        let first = self.next_after(zone, after);
        std::iter::successors(first, |run| self.next_after(zone, *run)).take(n).collect()
    }

    /// The due times after `after` until `until`, that one included.
    pub fn due_between(&self, zone: Zone, after: DateTime<Utc>, until: DateTime<Utc>) -> Due {
        let first = self.next_after(zone, after).filter(|due| *due <= until);
        let all = std::iter::successors(first, |due| {
            self.next_after(zone, *due).filter(|due| *due <= until)
        });
        let count = all.take(COUNT_MAX as usize).count() as u32;
        let last = first.and_then(|first| self.last_until(zone, until).max(Some(first)));
        Due { count, last }
    }

    /// The last time until `until`, that one included.
    fn last_until(&self, zone: Zone, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.times.hours == ALL_HOURS {
            true => self.times.last_real(zone.tz(), until),
            false => self.times.last_fixed(zone.tz(), until),
        }
    }
}

impl Times {
    fn has_day(&self, date: NaiveDate) -> bool {
        let bit = |value: u32| 1_u32 << value;
        if u32::from(self.months) & bit(date.month()) == 0 {
            return false;
        }
        let last = date.checked_add_days(Days::new(1)).is_none_or(|next| next.day() == 1);
        // On the last day every later one counts too.
        let days = if self.clamped && last { !(bit(date.day()) - 1) } else { bit(date.day()) };
        let in_month = self.days & days != 0;
        let in_week = u32::from(self.weekdays) & bit(date.weekday().num_days_from_sunday()) != 0;
        if self.both { in_month && in_week } else { in_month || in_week }
    }

    fn has_minute(&self, minute: u32) -> bool {
        self.minutes & (1 << minute) != 0
    }

    /// For schedules that run in every hour: real time, minute by minute within a matching day.
    fn next_real(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut at = whole_minute(after)?.checked_add_signed(MINUTE)?;
        let mut days = 0;
        while days < DAYS_MAX {
            let local = wall(zone, at)?;
            if !self.has_day(local.date()) {
                days += 1;
                at = first_instant(zone, local.date().succ_opt()?, at)?;
            } else if self.has_minute(local.minute()) {
                return Some(at);
            } else {
                at = at.checked_add_signed(MINUTE)?;
            }
        }
        None
    }

    fn last_real(&self, zone: Tz, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut at = whole_minute(until)?;
        let mut days = 0;
        while days < DAYS_MAX {
            let local = wall(zone, at)?;
            if !self.has_day(local.date()) {
                days += 1;
                let begin = first_instant(zone, local.date(), DateTime::<Utc>::MIN_UTC)?;
                at = begin.min(at).checked_sub_signed(MINUTE)?;
            } else if self.has_minute(local.minute()) {
                return Some(at);
            } else {
                at = at.checked_sub_signed(MINUTE)?;
            }
        }
        None
    }

    /// For schedules with times of the day.
    fn next_fixed(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = wall(zone, after)?.date().pred_opt()?;
        let mut dates = first.iter_days().take(DAYS_MAX as usize);
        let later = |date: NaiveDate| self.split(zone, date, after).1;
        let (date, found) = dates.find_map(|date| Some((date, later(date)?)))?;
        // Where clocks go back over midnight, the next date may have begun before.
        let next = date.succ_opt().and_then(later);
        Some(found.min(next.unwrap_or(found)))
    }

    fn last_fixed(&self, zone: Tz, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = wall(zone, until)?.date().succ_opt()?;
        let dates = std::iter::successors(Some(first), |date| date.pred_opt());
        let before = |date: NaiveDate| self.split(zone, date, until).0;
        let mut dates = dates.take(DAYS_MAX as usize);
        let (date, found) = dates.find_map(|date| Some((date, before(date)?)))?;
        let previous = date.pred_opt().and_then(before);
        Some(found.max(previous.unwrap_or(found)))
    }

    /// Of the instants of one local day, by the rule for fixed times: the last one until `at` and
    /// the first one after it. A later time of a day is never an earlier instant, so that halving
    /// finds them: few conversions also for a time in every minute.
    fn split(
        &self,
        zone: Tz,
        date: NaiveDate,
        at: DateTime<Utc>,
    ) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        if !self.has_day(date) {
            return (None, None);
        }
        let hours = (0..24).filter(|hour| self.hours & (1 << hour) != 0);
        let minutes = |hour| (0..60).filter(|m| self.has_minute(*m)).map(move |m| (hour, m));
        let times: Vec<(u32, u32)> = hours.flat_map(minutes).collect();
        let instant = |(hour, minute): &(u32, u32)| fixed(zone, date, *hour, *minute);
        let begun = times.partition_point(|time| instant(time).is_some_and(|due| due <= at));
        let before = begun.checked_sub(1).and_then(|index| instant(&times[index]));
        (before, times.get(begun).and_then(instant))
    }
}

/// What the clock on the wall shows; None beyond the calendar.
fn wall(zone: Tz, at: DateTime<Utc>) -> Option<NaiveDateTime> {
    let utc = at.naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix())
}

fn whole_minute(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.timestamp().div_euclid(60).checked_mul(60)?, 0)
}

/// When a local time of a date is: the first of two, or the first minute after the gap it lies in.
/// None for a date that the zone skipped.
fn fixed(zone: Tz, date: NaiveDate, hour: u32, minute: u32) -> Option<DateTime<Utc>> {
    let mut local = date.and_hms_opt(hour, minute, 0)?;
    for _ in 0..GAP_MAX {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => {
                return Some(at.to_utc()).filter(|_| local.date() == date);
            }
            MappedLocalTime::None => local = local.checked_add_signed(MINUTE)?,
        }
    }
    None
}

/// The first instant of a local date, but never before `least` and a minute: time goes on.
fn first_instant(zone: Tz, date: NaiveDate, least: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut local = date.and_hms_opt(0, 0, 0)?;
    for _ in 0..=GAP_MAX {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => {
                return Some(at.to_utc().max(least.checked_add_signed(MINUTE)?));
            }
            MappedLocalTime::None => local = local.checked_add_signed(MINUTE)?,
        }
    }
    None
}
