//! Dates that are rare, and the ends of the calendar.

use super::*;

#[test]
fn a_date_and_a_day_of_the_week_that_rarely_meet_are_found() {
    for (text, after, next) in [
        ("0 3 */31 2 1", "2027-02-02 00:00", "2038-02-01 03:00 +0000"),
        ("0 0 29 2 */7", "2032-03-01 00:00", "2060-02-29 00:00 +0000"),
        ("0 0 29 2 */7", "2088-03-01 00:00", "2128-02-29 00:00 +0000"),
        ("0 * 29 2 */7", "2088-03-01 00:00", "2128-02-29 00:00 +0000"),
    ] {
        assert_eq!(runs(text, "UTC", after, 1), [next], "{text}");
    }
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    for zone in ["UTC", "Europe/Paris", "America/New_York"].map(|name| Zone::parse(name).unwrap()) {
        for text in ["* * * * *", "0 3 * * *", "59 23 31 12 *"] {
            let schedule = Schedule::parse(text).unwrap();
            for day in 0..3 {
                let late = DateTime::<Utc>::MAX_UTC - TimeDelta::days(day);
                let early = DateTime::<Utc>::MIN_UTC + TimeDelta::days(day);
                assert!(schedule.next_after(zone, late).is_none_or(|next| next > late));
                assert!(schedule.next_after(zone, early).is_none_or(|next| next > early));
                assert!(schedule.due_between(zone, early, early).last.is_none());
                assert!(schedule.due_between(zone, late, late).last.is_none());
            }
        }
    }
}
