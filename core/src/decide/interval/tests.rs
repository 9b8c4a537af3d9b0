//! What an interval promises. Both tables hold the answers of PostgreSQL 15.20.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn interval(months: i32, days: i32, micros: i64) -> Interval {
    Interval { months, days, micros }
}

const HOUR: i64 = 3_600_000_000;

#[test]
fn before_agrees_with_the_server() {
    let table = [
        // Months are as long as they are.
        ("UTC", "2026-03-31T12:00:00Z", (1, 0, 0), "2026-02-28T12:00:00Z"),
        ("UTC", "2024-03-31T12:00:00Z", (1, 0, 0), "2024-02-29T12:00:00Z"),
        ("UTC", "2026-01-15T12:00:00Z", (1, 0, 0), "2025-12-15T12:00:00Z"),
        ("UTC", "2024-02-29T12:00:00Z", (12, 0, 0), "2023-02-28T12:00:00Z"),
        ("UTC", "2026-03-31T12:00:00Z", (1, 1, 0), "2026-02-27T12:00:00Z"),
        ("UTC", "2026-01-31T12:00:00Z", (-1, 0, 0), "2026-02-28T12:00:00Z"),
        ("UTC", "2026-03-01T00:00:00Z", (0, 0, 1), "2026-02-28T23:59:59.999999Z"),
        // A day of 23 or 25 hours; 24 hours are 24 hours.
        ("America/New_York", "2026-03-08T16:00:00Z", (0, 1, 0), "2026-03-07T17:00:00Z"),
        ("America/New_York", "2026-03-08T16:00:00Z", (0, 0, 24 * HOUR), "2026-03-07T16:00:00Z"),
        ("America/New_York", "2026-11-01T17:00:00Z", (0, 1, 0), "2026-10-31T16:00:00Z"),
        // A time that the clock skips, and one that it shows twice.
        ("America/New_York", "2026-03-09T06:30:00Z", (0, 1, 0), "2026-03-08T07:30:00Z"),
        ("America/New_York", "2026-11-02T06:30:00Z", (0, 1, 0), "2026-11-01T06:30:00Z"),
        ("Europe/Paris", "2026-04-29T00:30:00Z", (1, 0, 0), "2026-03-29T01:30:00Z"),
        ("Europe/Paris", "2026-11-25T01:30:00Z", (1, 0, 0), "2026-10-25T01:30:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T15:45:00Z", (0, 1, 0), "2026-10-03T15:45:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T15:15:00Z", (0, 1, 0), "2026-10-03T15:45:00Z"),
        // The day before is one that this island never had.
        ("Pacific/Apia", "2011-12-30T22:00:00Z", (0, 1, 0), "2011-12-30T22:00:00Z"),
        ("Asia/Kolkata", "2026-03-31T20:00:00Z", (1, 1, HOUR), "2026-02-27T19:00:00Z"),
    ];
    for (zone, start, (months, days, micros), expected) in table {
        let found = interval(months, days, micros).before(at(start), zone.parse().unwrap());
        assert_eq!(found, Some(at(expected)), "{zone} {start} - {months} {days} {micros}");
    }
}

#[test]
fn the_text_is_the_one_of_the_server() {
    let table = [
        ((0, 0, 0), "00:00:00"),
        ((1, 7, 4 * HOUR), "1 mon 7 days 04:00:00"),
        ((12, 0, 0), "1 year"),
        ((14, 3, 0), "1 year 2 mons 3 days"),
        ((0, 1, 0), "1 day"),
        ((0, 2, 1), "2 days 00:00:00.000001"),
        ((0, 0, 1_500_000), "00:00:01.5"),
        ((0, 0, -1), "-00:00:00.000001"),
        ((-14, 3, 5_000_000), "-1 years -2 mons +3 days 00:00:05"),
        ((0, -1, HOUR), "-1 days +01:00:00"),
        ((1, -1, -60_000_000), "1 mon -1 days -00:01:00"),
        ((-1, 0, 0), "-1 mons"),
        ((-12, 1, 0), "-1 years +1 day"),
        ((-13, 0, 0), "-1 years -1 mons"),
        ((0, 0, (1 << 53) - 1), "2501999:47:34.740991"),
    ];
    for ((months, days, micros), expected) in table {
        assert_eq!(interval(months, days, micros).to_string(), expected);
    }
}

#[test]
fn positive_means_that_no_part_leads_forward() {
    for (months, days, micros) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 3)] {
        assert!(interval(months, days, micros).is_positive());
    }
    for (months, days, micros) in [(0, 0, 0), (-1, 0, 0), (1, -29, 0), (0, 1, -1), (0, -1, HOUR)] {
        assert!(!interval(months, days, micros).is_positive());
    }
}

#[test]
fn an_interval_longer_than_time_leads_nowhere() {
    let now = at("2026-11-21T00:00:00Z");
    for longest in [interval(i32::MAX, 0, 0), interval(0, i32::MAX, 0), interval(i32::MIN, 0, 0)] {
        assert_eq!(longest.before(now, Tz::UTC), None, "{longest}");
    }
    assert!(interval(0, 0, i64::MAX).before(DateTime::<Utc>::MIN_UTC, Tz::UTC).is_none());
}

proptest! {
    #[test]
    fn a_positive_interval_never_leads_forward_nor_panics(
        seconds in -3_000_000_000_i64..9_000_000_000,
        months in 0..=i32::MAX, days in 0..=i32::MAX, micros in 0..=i64::MAX,
        shift in 0_u32..=31,
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
    ) {
        let start = DateTime::from_timestamp(seconds, 0).unwrap();
        // Shifted, so that short intervals come up as well.
        let span = interval(months >> shift, days >> shift, micros >> (2 * shift));
        if let Some(moment) = span.before(start, zone) {
            prop_assert!(moment <= start);
        }
    }

    #[test]
    fn any_interval_is_shown_and_subtracted_without_a_panic(
        months: i32, days: i32, micros: i64, seconds in -3_000_000_000_i64..9_000_000_000,
    ) {
        let span = interval(months, days, micros);
        let _ = span.before(DateTime::from_timestamp(seconds, 0).unwrap(), Tz::Europe__Paris);
        prop_assert!(!span.to_string().is_empty());
    }
}
