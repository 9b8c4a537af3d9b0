//! What the timetable takes and when, while clocks, retries and databases change under it.

use super::*;

const HOME: u32 = 5;

fn home() -> Home {
    Home { database: "app".to_owned(), schema: "public".to_owned() }
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn entry(name: &str, cron: &str, last_due: &str) -> Entry {
    Entry::from_json(serde_json::json!({
        "name": name, "cron": cron, "timezone": "UTC", "database": "app", "active": true, "copy": false,
        "on_overlap": "skip", "catch_up": 0.0, "retries": 0, "at_start": name == "boot",
        "max_runtime": null, "requested_by": "postgres", "verify": null, "options": {}, "policy": {
            "keep_last": null, "keep_daily": null, "keep_weekly": null, "keep_monthly": null,
            "keep_yearly": null, "keep_within": null
        },
        "last_due": last_due, "attempt": 0, "retry_at": null
    }))
    .unwrap()
}

fn names(looks: &[Look]) -> Vec<&str> {
    looks.iter().map(|look| look.schedule.as_str()).collect()
}

/// Schedules at the full hour and at half past, both dealt with until 11:45.
fn two() -> Timetable {
    let mut table = Timetable::default();
    let hourly = entry("hourly", "hourly", "2026-11-21T11:45:00Z");
    let half = entry("half", "30 * * * *", "2026-11-21T11:45:00Z");
    let refused = table.replace(HOME, home(), &[hourly, half], at("2026-11-21T11:45:00Z"));
    assert!(refused.is_empty());
    table
}

#[test]
fn what_is_due_comes_once_and_in_order() {
    let mut table = two();
    assert_eq!(table.next(), Some(at("2026-11-21T12:00:00Z")));
    assert!(table.due(at("2026-11-21T11:59:59Z"), 10).is_empty());
    assert_eq!(names(&table.due(at("2026-11-21T12:00:00Z"), 10)), ["hourly"]);
    assert!(table.due(at("2026-11-21T12:00:20Z"), 10).is_empty());
    assert_eq!(table.next(), Some(at("2026-11-21T12:30:00Z")));
    assert_eq!(names(&table.due(at("2026-11-21T19:10:00Z"), 10)), ["half", "hourly"]);
    assert_eq!(table.next(), Some(at("2026-11-21T19:30:00Z")));
}

#[test]
fn more_than_can_be_taken_stays_due() {
    let mut table = two();
    assert_eq!(names(&table.due(at("2026-11-21T13:00:00Z"), 1)), ["hourly"]);
    assert_eq!(names(&table.due(at("2026-11-21T13:00:00Z"), 1)), ["half"]);
}

#[test]
fn a_look_that_came_to_nothing_is_taken_again_but_not_at_once() {
    let mut table = two();
    let noon = at("2026-11-21T12:00:00Z");
    table.due(noon, 10);
    let unchanged = entry("hourly", "hourly", "2026-11-21T11:45:00Z");
    table.replace(HOME, home(), &[unchanged], noon);
    assert!(table.due(noon, 10).is_empty());
    assert_eq!(names(&table.due(noon + AGAIN, 10)), ["hourly"]);
}

#[test]
fn a_due_time_soon_after_a_look_is_not_put_off() {
    let mut table = two();
    table.due(at("2026-11-21T12:29:55Z"), 10);
    assert_eq!(names(&table.due(at("2026-11-21T12:30:00Z"), 10)), ["half"]);
}

#[test]
fn a_look_is_put_off_while_there_is_no_room() {
    let mut table = two();
    let noon = at("2026-11-21T12:00:00Z");
    let looks = table.due(noon, 10);
    table.put_off(&looks[0], noon + TimeDelta::seconds(1));
    assert_eq!(names(&table.due(noon + TimeDelta::seconds(1), 10)), ["hourly"]);
    assert_eq!(table.next(), Some(at("2026-11-21T12:30:00Z")));
}

#[test]
fn a_start_is_one_look_also_where_a_due_time_has_passed() {
    let mut table = two();
    let boot = entry("boot", "hourly", "2026-11-20T00:00:00Z");
    let now = at("2026-11-21T12:10:00Z");
    table.replace(HOME, home(), &[boot], now);
    assert_eq!(names(&table.at_start(HOME, now)), ["boot"]);
    assert!(table.due(now, 10).is_empty());
    assert_eq!(table.next(), Some(at("2026-11-21T13:00:00Z")));
}

#[test]
fn a_clock_that_is_set_back_a_little_repeats_nothing() {
    let mut table = two();
    table.due(at("2026-11-21T12:00:01Z"), 10);
    assert!(table.due(at("2026-11-21T11:00:00Z"), 10).is_empty());
    assert!(table.due(at("2026-11-21T12:00:02Z"), 10).is_empty());
    assert_eq!(names(&table.due(at("2026-11-21T12:30:00Z"), 10)), ["half"]);
}

#[test]
fn a_clock_that_was_a_month_ahead_leaves_no_month_of_silence() {
    let mut table = two();
    assert_eq!(table.due(at("2026-12-24T12:00:00Z"), 10).len(), 2);
    assert!(table.due(at("2026-11-21T12:10:00Z"), 10).is_empty());
    assert_eq!(table.next(), Some(at("2026-11-21T12:30:00Z")));
}

#[test]
fn a_clock_that_is_set_back_puts_nothing_off_to_the_time_of_before() {
    let mut table = two();
    table.due(at("2026-11-21T12:00:00Z"), 10);
    let now = at("2026-11-21T11:00:00Z");
    let mut failed = entry("hourly", "hourly", "2026-11-21T11:00:00Z");
    failed.retry_at = Some(at("2026-11-21T11:00:30Z"));
    table.replace(HOME, home(), &[failed], now);
    assert_eq!(names(&table.due(at("2026-11-21T11:00:30Z"), 10)), ["hourly"]);
}

#[test]
fn a_retry_comes_before_the_next_due_time() {
    let mut table = Timetable::default();
    let mut failed = entry("hourly", "hourly", "2026-11-21T12:00:00Z");
    failed.retry_at = Some(at("2026-11-21T12:00:45Z"));
    let now = at("2026-11-21T12:00:15Z");
    table.replace(HOME, home(), &[failed], now);
    assert_eq!(table.next(), Some(at("2026-11-21T12:00:45Z")));
    assert_eq!(names(&table.due(at("2026-11-21T12:00:45Z"), 10)), ["hourly"]);
    assert_eq!(table.next(), Some(at("2026-11-21T13:00:00Z")));
}

#[test]
fn a_database_that_is_gone_is_forgotten() {
    let mut table = two();
    table.remove(HOME);
    assert_eq!(table.next(), None);
    assert!(table.databases().is_empty());
}
