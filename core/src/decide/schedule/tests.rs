//! Times of day across both changes of the clock, words and fields, and what is refused.

mod edges;

use super::*;
use crate::decide::zone::Zone;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use model::{local, times};
use proptest::prelude::*;

fn runs(text: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
    let zone = Zone::parse(zone).unwrap();
    let schedule = Schedule::parse(text).unwrap();
    let runs = schedule.next_runs(zone, local(zone.tz(), after), n);
    let shown =
        |at: &DateTime<Utc>| at.with_timezone(&zone.tz()).format("%Y-%m-%d %H:%M %z").to_string();
    runs.iter().map(shown).collect()
}

#[test]
fn a_fixed_time_that_the_spring_skips_runs_at_the_first_minute_after_the_gap() {
    assert_eq!(
        runs("30 2 * * *", "Europe/Paris", "2026-03-28 02:30", 3),
        ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200", "2026-03-31 02:30 +0200"]
    );
    assert_eq!(
        runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", 2),
        ["2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"]
    );
    assert_eq!(
        runs("0 2,3 * * *", "America/New_York", "2026-03-07 12:00", 3),
        ["2026-03-08 03:00 -0400", "2026-03-09 02:00 -0400", "2026-03-09 03:00 -0400"]
    );
}

#[test]
fn a_fixed_time_that_the_autumn_repeats_runs_once() {
    assert_eq!(
        runs("30 2 * * *", "Europe/Paris", "2026-10-24 12:00", 2),
        ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]
    );
    assert_eq!(
        runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", 2),
        ["2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"]
    );
}

#[test]
fn every_quarter_of_an_hour_is_a_real_one() {
    let paris = Zone::parse("Europe/Paris").unwrap();
    let quarter = Schedule::parse("*/15 * * * *").unwrap();
    for day in ["2026-03-28 23:00", "2026-10-24 23:00"] {
        let begin = local(paris.tz(), day);
        let runs = quarter.next_runs(paris, begin, 40);
        let gaps: Vec<i64> = runs.windows(2).map(|w| (w[1] - w[0]).num_minutes()).collect();
        assert!(gaps.iter().all(|gap| *gap == 15), "{gaps:?}");
    }
}

#[test]
fn the_thirteenth_and_fridays_are_either() {
    assert_eq!(
        runs("0 0 13 * 5", "UTC", "2026-11-11 00:00", 3),
        ["2026-11-13 00:00 +0000", "2026-11-20 00:00 +0000", "2026-11-27 00:00 +0000"]
    );
    // Every other day of the month, and of those the Mondays: a field that begins with a star.
    assert_eq!(
        runs("0 0 */2 * 1", "UTC", "2026-11-01 00:00", 2),
        ["2026-11-09 00:00 +0000", "2026-11-23 00:00 +0000"]
    );
}

#[test]
fn sunday_is_zero_and_seven_and_names_are_taken() {
    for text in ["0 3 * * 0", "0 3 * * 7", "0 3 * * SUN", "weekly sun 03:00", "0 3 * * 7-7"] {
        assert_eq!(
            runs(text, "UTC", "2026-11-21 00:00", 2),
            ["2026-11-22 03:00 +0000", "2026-11-29 03:00 +0000"],
            "{text}"
        );
    }
    assert_eq!(runs("0 3 1 jan-mar/2 *", "UTC", "2026-11-21 00:00", 3).len(), 3);
}

#[test]
fn a_day_that_a_month_does_not_have_is_its_last_one_in_words_only() {
    let months = |text| runs(text, "UTC", "2027-01-15 00:00", 3);
    let ends = ["2027-01-31 03:00 +0000", "2027-02-28 03:00 +0000", "2027-03-31 03:00 +0000"];
    assert_eq!(months("monthly last 03:00"), ends);
    assert_eq!(months("monthly 31 03:00"), ends);
    assert_eq!(
        months("monthly 30 03:00"),
        ["2027-01-30 03:00 +0000", "2027-02-28 03:00 +0000", "2027-03-30 03:00 +0000"]
    );
    assert_eq!(
        months("0 3 31 * *"),
        ["2027-01-31 03:00 +0000", "2027-03-31 03:00 +0000", "2027-05-31 03:00 +0000"]
    );
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2096-03-01 00:00", 1),
        ["2104-02-29 00:00 +0000"],
        "2100 is no leap year"
    );
}

#[test]
fn words_and_fields_are_shown_as_they_are_stored() {
    for (text, shown) in [
        ("  0   3 * *\tMon ", "0 3 * * mon"),
        ("Daily  03:00", "daily 03:00"),
        ("MONTHLY Last 3:05", "monthly last 3:05"),
        ("hourly", "hourly"),
    ] {
        assert_eq!(Schedule::parse(text).unwrap().to_string(), shown);
    }
}

/// What is wrong with each, as a part of the message.
const BAD: [(&str, &str); 62] = [
    ("", "it has 0 fields, not 5"),
    ("   ", "it has 0 fields"),
    ("*", "it has 1 field, not 5"),
    ("* * * *", "it has 4 fields"),
    ("0 0 3 * * *", "it has 6 fields"),
    ("0 0 3 * * * 2026", "it has 7 fields"),
    ("@reboot", "names with @"),
    ("@daily", "names with @"),
    ("@every 5m", "names with @"),
    ("60 * * * *", "minute 60 is out of range"),
    ("99 * * * *", "minute 99 is out of range"),
    ("100 * * * *", "minute \"100\" is not clear"),
    ("-1 * * * *", "minute \"-1\" is not clear"),
    ("1.5 * * * *", "minute \"1.5\" is not clear"),
    ("1,,2 * * * *", "minute \"\" is not clear"),
    (",1 * * * *", "minute \"\" is not clear"),
    ("1, * * * *", "minute \"\" is not clear"),
    ("*/0 * * * *", "minute \"*/0\" is not clear"),
    ("*/60 * * * *", "minute \"*/60\" is not clear"),
    ("*/ * * * *", "minute \"*/\" is not clear"),
    ("/5 * * * *", "minute \"/5\" is not clear"),
    ("5/10 * * * *", "minute \"5/10\" is not clear"),
    ("1-5/2/2 * * * *", "minute \"1-5/2/2\" is not clear"),
    ("30-10 * * * *", "minute \"30-10\" goes backwards"),
    ("1-2-3 * * * *", "minute \"1-2-3\" is not clear"),
    ("** * * * *", "minute \"**\" is not clear"),
    ("*5 * * * *", "minute \"*5\" is not clear"),
    ("mon * * * *", "minute \"mon\" is not clear"),
    ("٣ * * * *", "minute \"٣\" is not clear"),
    ("0 24 * * *", "hour 24 is out of range"),
    ("0 3pm * * *", "hour \"3pm\" is not clear"),
    ("0 22-4 * * *", "hour \"22-4\" goes backwards"),
    ("0 H * * *", "hour \"h\" is not clear"),
    ("0 3 0 * *", "day of month 0 is out of range"),
    ("0 3 32 * *", "day of month 32 is out of range"),
    ("0 3 L * *", "day of month \"l\" is not clear"),
    ("0 3 15W * *", "day of month \"15w\" is not clear"),
    ("0 3 ? * *", "day of month \"?\" is not clear"),
    ("0 3 * 0 *", "month 0 is out of range"),
    ("0 3 * 13 *", "month 13 is out of range"),
    ("0 3 * january *", "month \"january\" is not clear"),
    ("0 3 * mon *", "month \"mon\" is not clear"),
    ("0 3 * dec-jan *", "month \"dec-jan\" goes backwards"),
    ("0 3 * * 8", "day of week 8 is out of range"),
    ("0 3 * * jan", "day of week \"jan\" is not clear"),
    ("0 3 * * sunday", "day of week \"sunday\" is not clear"),
    ("0 3 * * fri-mon", "day of week \"fri-mon\" goes backwards"),
    ("0 3 * * mon#1", "day of week \"mon#1\" is not clear"),
    ("0 3 * * 5L", "day of week \"5l\" is not clear"),
    ("0 3 * * +1", "day of week \"+1\" is not clear"),
    ("0 0 31 2 *", "it never runs"),
    ("0 0 30 2 *", "it never runs"),
    ("0 0 31 4,6,9,11 *", "it never runs"),
    ("daily", "daily takes a time"),
    ("daily 25:00", "\"25:00\" is no time of day"),
    ("daily 3", "\"3\" is no time of day"),
    ("daily 03:60", "\"03:60\" is no time of day"),
    ("weekly 03:00", "weekly takes a day of the week"),
    ("weekly someday 03:00", "\"someday\" is no day of the week"),
    ("monthly 32 03:00", "\"32\" is no day of the month"),
    ("monthly 0 03:00", "\"0\" is no day of the month"),
    ("hourly 15", "hourly stands alone"),
];

#[test]
fn what_is_wrong_is_named_with_a_hint() {
    for (text, part) in BAD {
        let failure = Schedule::parse(text).expect_err(text);
        assert_eq!(failure.class, Class::InvalidArgument, "{text}");
        assert!(failure.message.contains(part), "{text}: {failure}");
        assert!(failure.message.starts_with("invalid schedule \""), "{text}: {failure}");
        assert!(!failure.hint.is_empty(), "{text}: {failure}");
    }
}

#[test]
fn ten_kilobytes_of_text_are_refused_at_once() {
    for text in ["* ".repeat(5000), "1,".repeat(5000), "daily ".repeat(2000), "é".repeat(5000)] {
        let failure = Schedule::parse(&text).unwrap_err();
        assert!(failure.message.ends_with("is too long") && failure.message.len() < 150);
    }
}

#[test]
fn due_times_are_counted_and_the_last_one_is_found_over_years() {
    let utc = Zone::parse("UTC").unwrap();
    let at = |text| local(utc.tz(), text);
    let due =
        |text, after, until| Schedule::parse(text).unwrap().due_between(utc, at(after), at(until));
    let none = due("0 3 * * *", "2026-11-20 03:00", "2026-11-21 02:59");
    assert_eq!(none, Due { count: 0, last: None });
    let three = due("0 3 * * *", "2026-11-20 03:00", "2026-11-23 03:00");
    assert_eq!(three, Due { count: 3, last: Some(at("2026-11-23 03:00")) });
    let many = due("* * * * *", "2016-01-01 00:00", "2026-11-23 03:07");
    assert_eq!(many, Due { count: 1000, last: Some(at("2026-11-23 03:07")) });
    let leap = due("0 0 29 2 *", "2020-01-01 00:00", "2027-12-31 00:00");
    assert_eq!(leap, Due { count: 2, last: Some(at("2024-02-29 00:00")) });
}

#[test]
fn zones_with_days_of_their_own_kind_do_not_stop_the_search() {
    // Samoa had no 30 December 2011; St. John's went back over midnight until 2011.
    for (zone, after) in
        [("Pacific/Apia", "2011-12-29 12:00"), ("America/St_Johns", "2010-11-06 22:00")]
    {
        let zone = Zone::parse(zone).unwrap();
        for text in ["0 3 * * *", "*/20 * * * *", "0,30 0,23 * * *", "* * 30 12 *"] {
            let begin = local(zone.tz(), after);
            let wanted =
                times(text, zone.tz(), begin + TimeDelta::minutes(1), begin + TimeDelta::days(3));
            let runs = Schedule::parse(text).unwrap().next_runs(zone, begin, wanted.len());
            assert_eq!(runs, wanted, "{text} in {zone}");
        }
    }
}

/// A field as people write it, and as hostile ones do.
fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let range = (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let step = 1..=(most / 2).max(1);
    let item = prop_oneof![
        3 => Just("*".to_owned()),
        3 => (least..=most).prop_map(|n| n.to_string()),
        1 => step.clone().prop_map(|step| format!("*/{step}")),
        1 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (range, step).prop_map(|((a, b), step)| format!("{a}-{b}/{step}")),
    ];
    proptest::collection::vec(item, 1..3).prop_map(|items| items.join(","))
}

fn expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
        .prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

/// Days around the changes of the clocks, and others.
const DAYS: [&str; 6] =
    ["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn times_are_those_that_looking_at_every_minute_finds(
        text in expression(),
        zone in prop_oneof![
            Just("America/New_York"), Just("Europe/Paris"), Just("Australia/Lord_Howe"), Just("UTC")
        ],
        day in prop_oneof![
            3 => (0..DAYS.len()).prop_map(|day| Utc.from_utc_datetime(
                &chrono::NaiveDate::parse_from_str(DAYS[day], "%Y-%m-%d").unwrap().into())),
            1 => (0_i64..20_000).prop_map(|day| DateTime::from_timestamp(day * 86_400, 0).unwrap()),
        ],
        minute in 0_i64..1440,
    ) {
        let zone = Zone::parse(zone).unwrap();
        let Ok(schedule) = Schedule::parse(&text) else { return Ok(()) };
        let begin = day + TimeDelta::minutes(minute);
        let end = begin + TimeDelta::days(3);
        let wanted = times(&text, zone.tz(), begin + TimeDelta::minutes(1), end);
        let mut runs = schedule.next_runs(zone, begin, wanted.len() + 1);
        runs.retain(|run| *run < end);
        prop_assert_eq!(&runs, &wanted);
        let until = end - TimeDelta::minutes(1);
        let due = schedule.due_between(zone, begin, until);
        prop_assert_eq!(due.last, wanted.last().copied());
        prop_assert_eq!(due.count as usize, wanted.len().min(1000));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-0-9*,/a-zA-Z@#:? ]{0,40}") {
        if let Ok(schedule) = Schedule::parse(&text) {
            let zone = Zone::parse("Europe/Paris").unwrap();
            prop_assert!(schedule.next_after(zone, DateTime::UNIX_EPOCH).is_some());
            prop_assert_eq!(Schedule::parse(&schedule.to_string()).unwrap(), schedule);
        }
    }
}
