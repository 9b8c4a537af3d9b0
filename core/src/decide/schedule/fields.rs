//! The five fields of a cron expression: minute, hour, day of month, month, day of week. `croner`
//! reads each; what it takes beyond crontab(5) is refused before (L, W, #, ?, @daily, seconds,
//! empty items), and each field by itself, so that an error can name it.

use croner::parser::{CronParser, Seconds, Year};

use super::{Times, refused};
use crate::error::{Failure, Result};

/// Names of days, from Sunday.
pub const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Days of each month from January, in a leap year.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const HINT: &str = "Five fields are minute, hour, day of month, month and day of week, for example \
                    '0 3 * * *'; or in words 'daily 03:00'.";

/// One of the five.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    Field { name: "day of week", least: 0, most: 7, names: &WEEKDAYS },
];

/// Reads an expression in lower case with single spaces.
pub fn parse(text: &str) -> Result<Times> {
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    if text.starts_with('@') {
        return Err(refused(text, "names with @ are not taken").hint(
            "Use 'hourly' or 'daily 03:00'; at_start => true runs at every start of the server.",
        ));
    }
    let Ok(parts): Result<[&str; 5], _> = parts.as_slice().try_into() else {
        return Err(refused(text, format!("it has {}, not 5", counted(parts.len()))).hint(HINT));
    };
    let mut bits = [0; 5];
    for (index, part) in parts.iter().enumerate() {
        bits[index] = field(text, index, part)?;
    }
    let [minutes, hours, days, months, weekdays] = bits;
    let times = Times {
        minutes,
        hours: hours as u32,
        days: days as u32,
        clamped: false,
        months: months as u16,
        weekdays: weekdays as u8,
        both: parts[2].starts_with('*') || parts[4].starts_with('*'),
    };
    if times.both && !has_a_date(&times) {
        let what = format!("it never runs: no such month has a day {}", parts[2]);
        return Err(
            refused(text, what).hint("For the last day of every month write 'monthly last 03:00'.")
        );
    }
    Ok(times)
}

fn counted(fields: usize) -> String {
    if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") }
}

fn has_a_date(times: &Times) -> bool {
    let months = (1..).zip(MONTH_DAYS).filter(|(month, _)| times.months & (1 << month) != 0);
    let up_to = |day: u32| u32::MAX >> (31 - day);
    months.into_iter().any(|(_, days)| times.days & up_to(days) != 0)
}

/// The values of one field as bits.
fn field(text: &str, index: usize, part: &str) -> Result<u64> {
    let field = &FIELDS[index];
    part.split(',').try_for_each(|item| check(text, field, item))?;
    let mut parts = ["*"; 5];
    parts[index] = part;
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(&parts.join(" ")).map_err(|_| unclear(text, field, part))?;
    let pattern = &cron.pattern;
    let component =
        [&pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week]
            [index];
    Ok(component.values().into_iter().fold(0, |bits, value| bits | 1 << value))
}

/// One item of a list: `*`, a value or a range, perhaps with a step. Errors: what crontab(5) does
/// not have, and values out of range.
fn check(text: &str, field: &Field, item: &str) -> Result<()> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if let Some(step) = step {
        let number = number(step).filter(|n| (1..=field.most).contains(n));
        if number.is_none() || !(range == "*" || range.contains('-')) {
            return Err(unclear(text, field, item));
        }
    }
    if range == "*" {
        return Ok(());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first = value(text, field, item, first)?;
    let last = value(text, field, item, last)?;
    if first > last {
        return Err(refused(text, format!("{} \"{item}\" goes backwards", field.name)).hint(
            "Put the smaller value first; a range across the end is two ranges: 22-23,0-4.",
        ));
    }
    Ok(())
}

fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn value(text: &str, field: &Field, item: &str, value: &str) -> Result<u32> {
    if let Some(index) = field.names.iter().position(|name| *name == value) {
        return Ok(index as u32 + field.least);
    }
    let number = number(value).ok_or_else(|| unclear(text, field, item))?;
    if (field.least..=field.most).contains(&number) {
        return Ok(number);
    }
    Err(refused(text, format!("{} {number} is out of range", field.name))
        .hint(format!("A {} is {} to {}.", field.name, field.least, field.most)))
}

fn unclear(text: &str, field: &Field, item: &str) -> Failure {
    let names = match field.names {
        [] => String::new(),
        [first, .., last] => format!(", or {first} to {last}"),
        [one] => format!(", or {one}"),
    };
    refused(text, format!("{} \"{item}\" is not clear", field.name)).hint(format!(
        "A {} is {} to {}{names}; * for any, 1-5 for a range, */2 or 1-9/2 for steps, commas \
         between several.",
        field.name, field.least, field.most
    ))
}
