//! Another schedule, written to be obviously right and not fast: it looks at every real minute.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// Whether a value matches a field: a list of `*`, `a`, `a-b`, each perhaps with `/step`.
fn field_has(field: &str, value: u32, least: u32, most: u32) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (a, b) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((a, b)) => (a.parse().unwrap(), b.parse().unwrap()),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        value >= a && value <= b && (value - a).is_multiple_of(step.parse().unwrap())
    })
}

/// crontab(5): "run when either field matches the current time", if neither begins with `*`.
fn day_matches(fields: &[&str], date: NaiveDate) -> bool {
    let month = field_has(fields[3], date.month(), 1, 12);
    let dom = field_has(fields[2], date.day(), 1, 31);
    let sunday = date.weekday().num_days_from_sunday();
    let dow = field_has(fields[4], sunday, 0, 7) || (sunday == 0 && field_has(fields[4], 7, 0, 7));
    let star = |field: &str| field.starts_with('*');
    let both = star(fields[2]) || star(fields[4]);
    month && if both { dom && dow } else { dom || dow }
}

fn minute_matches(fields: &[&str], local: NaiveDateTime) -> bool {
    field_has(fields[0], local.minute(), 0, 59) && field_has(fields[1], local.hour(), 0, 23)
}

/// All times in `[begin, end)`, found minute by minute.
pub fn times(text: &str, zone: Tz, begin: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let fields: Vec<&str> = text.split(' ').collect();
    let every_hour = (0..24).all(|hour| field_has(fields[1], hour, 0, 23));
    let mut found = BTreeSet::new();
    let mut shown: BTreeSet<NaiveDateTime> = BTreeSet::new();
    // Two days before the window, so that what was shown before it is known.
    let mut at = begin - Duration::days(2);
    let mut before: Option<NaiveDateTime> = None;
    while at < end {
        let local = at.with_timezone(&zone).naive_local();
        if every_hour {
            if day_matches(&fields, local.date()) && minute_matches(&fields, local) {
                found.insert(at);
            }
        } else {
            // Every minute of the wall clock that this real minute brings: itself, unless it was
            // shown before, and those of the same day that the clock has just skipped.
            let mut minute = match before {
                Some(before) if before < local => before + Duration::minutes(1),
                _ => local,
            };
            while minute <= local {
                let first = shown.insert(minute);
                let same_day = minute.date() == local.date();
                let due = day_matches(&fields, minute.date()) && minute_matches(&fields, minute);
                if first && same_day && due {
                    found.insert(at);
                }
                minute += Duration::minutes(1);
            }
        }
        before = Some(local);
        at += Duration::minutes(1);
    }
    found.range(begin..end).copied().collect()
}

/// The instant of a local time that exists once.
pub fn local(zone: Tz, text: &str) -> DateTime<Utc> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    zone.from_local_datetime(&local).unwrap().to_utc()
}
