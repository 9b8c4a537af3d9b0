//! Forms in words: `hourly`, `daily 03:00`, `weekly sun 03:00`, `monthly 1 03:00`,
//! `monthly last 03:00`. A day that a month does not have is its last one.

use super::fields::WEEKDAYS;
use super::{Times, refused};
use crate::error::Result;

/// The first words.
pub const FORMS: [&str; 4] = ["hourly", "daily", "weekly", "monthly"];

const HINT: &str = "Forms in words are 'hourly', 'daily 03:00', 'weekly sun 03:00', 'monthly 1 \
                    03:00' and 'monthly last 03:00'.";

/// Every day of every month; minutes and hours as given.
fn daily(minutes: u64, hours: u32) -> Times {
    Times { minutes, hours, days: !1, clamped: false, months: 0x1ffe, weekdays: 0x7f, both: true }
}

/// Reads a form whose first word is one of [`FORMS`], in lower case with single spaces.
pub fn parse(text: &str) -> Result<Times> {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["hourly"] => Ok(daily(1, (1 << 24) - 1)),
        ["daily", at] => time(text, at),
        ["weekly", day, at] => {
            let day = WEEKDAYS.iter().position(|name| name == day).ok_or_else(|| {
                refused(text, format!("\"{day}\" is no day of the week"))
                    .hint("Use sun, mon, tue, wed, thu, fri or sat.")
            })?;
            Ok(Times { weekdays: 1 << day, ..time(text, at)? })
        }
        ["monthly", day, at] => {
            let day = day_of_month(text, day)?;
            Ok(Times { days: 1 << day, clamped: true, ..time(text, at)? })
        }
        [form, ..] => {
            let what = match *form {
                "hourly" => "hourly stands alone",
                "daily" => "daily takes a time",
                "weekly" => "weekly takes a day of the week and a time",
                _ => "monthly takes a day of the month and a time",
            };
            Err(refused(text, what).hint(HINT))
        }
        [] => Err(refused(text, "it is empty").hint(HINT)),
    }
}

fn day_of_month(text: &str, day: &str) -> Result<u32> {
    if day == "last" {
        return Ok(31);
    }
    let number = day.parse::<u32>().ok().filter(|n| (1..=31).contains(n) && digits(day));
    number.ok_or_else(|| {
        refused(text, format!("\"{day}\" is no day of the month"))
            .hint("Use 1 to 31, or last; a day that a month does not have is its last one.")
    })
}

fn digits(text: &str) -> bool {
    (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `HH:MM` of every day.
fn time(text: &str, at: &str) -> Result<Times> {
    let parsed = at.split_once(':').filter(|(h, m)| digits(h) && digits(m) && m.len() == 2);
    let parsed = parsed.and_then(|(h, m)| Some((h.parse::<u32>().ok()?, m.parse::<u32>().ok()?)));
    match parsed.filter(|(hour, minute)| *hour < 24 && *minute < 60) {
        Some((hour, minute)) => Ok(daily(1 << minute, 1 << hour)),
        None => Err(refused(text, format!("\"{at}\" is no time of day"))
            .hint("Write hours and minutes from 00:00 to 23:59.")),
    }
}
