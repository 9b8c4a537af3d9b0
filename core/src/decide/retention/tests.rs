//! Which backups stay, case by case. Random histories against a second model: `model`.

use super::*;
use crate::decide::interval::Interval;
use crate::error::Class;
use chrono_tz::Tz;

mod model;

const NOW: &str = "2026-11-21T12:00:00Z";

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn days(days: i32) -> Option<Interval> {
    Some(Interval { months: 0, days, micros: 0 })
}

fn backup(id: i64, text: &str) -> Candidate {
    Candidate { id, at: at(text), pinned: false, busy: false }
}

/// Backups with the ids 1, 2, 3 … in the order given.
fn backups(moments: &[&str]) -> Vec<Candidate> {
    (1..).zip(moments).map(|(id, text)| backup(id, text)).collect()
}

/// The verdicts as text, one a line: `2 keep: reason, reason` or `1 remove: reason`.
fn judged(policy: &Policy, zone: Tz, candidates: &[Candidate]) -> Vec<String> {
    let show = |verdict: Verdict| {
        let word = if verdict.keep { "keep" } else { "remove" };
        format!("{} {word}: {}", verdict.id, verdict.reasons.join(", "))
    };
    verdicts(policy, zone, at(NOW), candidates).into_iter().map(show).collect()
}

#[track_caller]
fn expect(policy: Policy, zone: Tz, candidates: &[Candidate], lines: &[&str]) {
    assert_eq!(judged(&policy, zone, candidates), lines);
}

#[test]
fn keep_last_counts_backups() {
    expect(
        Policy { keep_last: Some(2), ..Policy::default() },
        Tz::UTC,
        &backups(&["2026-11-18T03:00:00Z", "2026-11-20T03:00:00Z", "2026-11-19T03:00:00Z"]),
        &[
            "2 keep: last 1 of 2, newest good backup",
            "3 keep: last 2 of 2",
            "1 remove: no rule keeps it",
        ],
    );
}

#[test]
fn the_newest_of_a_day_stays_and_days_without_a_backup_do_not_count() {
    expect(
        Policy { keep_daily: Some(2), ..Policy::default() },
        Tz::UTC,
        &backups(&[
            "2026-01-01T03:00:00Z",
            "2026-02-01T03:00:00Z",
            "2026-02-01T15:00:00Z",
            "2026-11-20T03:00:00Z",
        ]),
        &[
            "4 keep: daily 2026-11-20, newest good backup",
            "3 keep: daily 2026-02-01",
            "2 remove: no rule keeps it",
            "1 remove: no rule keeps it",
        ],
    );
}

#[test]
fn a_week_is_an_iso_week_of_its_iso_year() {
    // 2021-01-03 is the Sunday of 2020-W53, 2024-12-30 the Monday of 2025-W01.
    expect(
        Policy { keep_weekly: Some(9), ..Policy::default() },
        Tz::UTC,
        &backups(&[
            "2020-12-28T03:00:00Z",
            "2021-01-03T03:00:00Z",
            "2021-01-04T03:00:00Z",
            "2024-12-29T03:00:00Z",
            "2024-12-30T03:00:00Z",
            "2025-01-05T03:00:00Z",
        ]),
        &[
            "6 keep: weekly 2025-W01, newest good backup",
            "5 remove: no rule keeps it",
            "4 keep: weekly 2024-W52",
            "3 keep: weekly 2021-W01",
            "2 keep: weekly 2020-W53",
            "1 remove: no rule keeps it",
        ],
    );
}

#[test]
fn months_and_years_keep_their_newest() {
    expect(
        Policy { keep_monthly: Some(2), keep_yearly: Some(3), ..Policy::default() },
        Tz::UTC,
        &backups(&[
            "2024-12-31T23:59:59Z",
            "2025-01-01T00:00:00Z",
            "2026-09-30T03:00:00Z",
            "2026-10-01T03:00:00Z",
            "2026-10-31T03:00:00Z",
            "2026-11-01T03:00:00Z",
        ]),
        &[
            "6 keep: monthly 2026-11, yearly 2026, newest good backup",
            "5 keep: monthly 2026-10",
            "4 remove: no rule keeps it",
            "3 remove: no rule keeps it",
            "2 keep: yearly 2025",
            "1 keep: yearly 2024",
        ],
    );
}

#[test]
fn a_day_is_one_of_the_schedules_zone() {
    let candidates = backups(&["2026-11-19T04:30:00Z", "2026-11-19T05:30:00Z"]);
    let policy = Policy { keep_daily: Some(7), ..Policy::default() };
    let kept = ["2 keep: daily 2026-11-19, newest good backup", "1 remove: no rule keeps it"];
    expect(policy.clone(), Tz::Europe__Paris, &candidates, &kept);
    let kept = ["2 keep: daily 2026-11-19, newest good backup", "1 keep: daily 2026-11-18"];
    expect(policy, Tz::America__New_York, &candidates, &kept);
}

#[test]
fn a_date_that_comes_twice_is_one_bucket() {
    // 2010-11-07 00:01 in St. John's: the clock goes back to 23:01 of the day before.
    expect(
        Policy { keep_daily: Some(7), ..Policy::default() },
        Tz::America__St_Johns,
        &backups(&[
            "2010-11-07T02:00:00Z",
            "2010-11-07T02:30:30Z",
            "2010-11-07T03:00:00Z",
            "2010-11-07T04:00:00Z",
        ]),
        &[
            "4 keep: daily 2010-11-07, newest good backup",
            "3 keep: daily 2010-11-06",
            "2 remove: no rule keeps it",
            "1 remove: no rule keeps it",
        ],
    );
}

#[test]
fn keep_within_includes_its_edge_and_counts_days_by_the_calendar() {
    let now = "2026-03-29T12:00:00Z";
    // Paris lost an hour that morning: seven days ago by the clock is 13:00 UTC.
    let candidates = backups(&["2026-03-22T12:59:59.999999Z", "2026-03-22T13:00:00Z", now]);
    let policy = Policy { keep_within: days(7), ..Policy::default() };
    let kept: Vec<(i64, bool)> = verdicts(&policy, Tz::Europe__Paris, at(now), &candidates)
        .into_iter()
        .map(|verdict| (verdict.id, verdict.keep))
        .collect();
    assert_eq!(kept, [(3, true), (2, true), (1, false)]);
}

#[test]
fn an_interval_longer_than_time_keeps_all() {
    expect(
        Policy { keep_within: days(i32::MAX), ..Policy::default() },
        Tz::UTC,
        &backups(&["0001-01-01T00:00:00Z"]),
        &["1 keep: within 2147483647 days, newest good backup"],
    );
}

#[test]
fn reasons_add_up() {
    let mut candidates = backups(&["2026-11-01T03:00:00Z", "2026-11-20T03:00:00Z"]);
    candidates[1].pinned = true;
    candidates[1].busy = true;
    let one = Some(1);
    let policy = Policy {
        keep_last: Some(3),
        keep_daily: one,
        keep_weekly: one,
        keep_monthly: one,
        keep_yearly: one,
        keep_within: days(7),
    };
    let all = "2 keep: last 1 of 3, daily 2026-11-20, weekly 2026-W47, monthly 2026-11, \
               yearly 2026, within 7 days, newest good backup, pinned, in use";
    expect(policy, Tz::UTC, &candidates, &[all, "1 keep: last 2 of 3"]);
}

#[test]
fn pinned_and_busy_ones_stay_and_take_their_places() {
    let mut candidates = backups(&[
        "2026-11-01T03:00:00Z",
        "2026-11-02T03:00:00Z",
        "2026-11-19T03:00:00Z",
        "2026-11-20T03:00:00Z",
    ]);
    candidates[0].busy = true;
    candidates[1].pinned = true;
    candidates[3].pinned = true;
    expect(
        Policy { keep_last: Some(1), ..Policy::default() },
        Tz::UTC,
        &candidates,
        &[
            "4 keep: last 1 of 1, newest good backup, pinned",
            "3 remove: no rule keeps it",
            "2 keep: pinned",
            "1 keep: in use",
        ],
    );
}

#[test]
fn the_newest_stays_however_old_it_is() {
    expect(
        Policy { keep_within: days(1), ..Policy::default() },
        Tz::UTC,
        &backups(&["2001-01-01T00:00:00Z", "2002-01-01T00:00:00Z"]),
        &["2 keep: newest good backup", "1 remove: no rule keeps it"],
    );
}

#[test]
fn one_dated_in_the_future_stays_and_pushes_nothing_out() {
    let mut candidates = backups(&[
        "2026-11-20T03:00:00Z",
        NOW,
        "2026-11-21T12:00:00.000001Z",
        "2038-01-19T03:14:08Z",
    ]);
    candidates[2].pinned = true;
    expect(
        Policy { keep_last: Some(1), keep_daily: Some(2), ..Policy::default() },
        Tz::UTC,
        &candidates,
        &[
            "4 keep: dated in the future",
            "3 keep: dated in the future, pinned",
            "2 keep: last 1 of 1, daily 2026-11-21, newest good backup",
            "1 keep: daily 2026-11-20",
        ],
    );
}

#[test]
fn of_two_at_the_same_moment_the_larger_id_is_newer() {
    let moment = "2026-11-20T03:00:00Z";
    let candidates = [backup(7, moment), backup(9, moment), backup(8, moment)];
    expect(
        Policy { keep_last: Some(1), ..Policy::default() },
        Tz::UTC,
        &candidates,
        &[
            "9 keep: last 1 of 1, newest good backup",
            "8 remove: no rule keeps it",
            "7 remove: no rule keeps it",
        ],
    );
}

#[test]
fn a_policy_that_is_not_valid_removes_nothing() {
    let candidates = backups(&["2026-11-19T03:00:00Z", "2026-11-20T03:00:00Z"]);
    let negative = Policy { keep_last: Some(-1), ..Policy::default() };
    for policy in [Policy::default(), negative] {
        expect(
            policy,
            Tz::UTC,
            &candidates,
            &["2 keep: newest good backup, policy is not valid", "1 keep: policy is not valid"],
        );
    }
}

#[test]
fn no_backups_no_verdicts() {
    expect(Policy { keep_last: Some(1), ..Policy::default() }, Tz::UTC, &[], &[]);
}

mod policies;
