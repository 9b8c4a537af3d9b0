//! The same judgement a second time, the slow way: no walk, no state. Each rule is a question about
//! the set of all backups, asked anew for each of them; dates are computed from day numbers.

use super::*;
use chrono::{Offset, TimeDelta, TimeZone};
use proptest::prelude::*;

const DAY: i64 = 86_400;
/// 1970-01-01 was a Thursday; weeks begin on Monday.
const THURSDAY: i64 = 3;

/// Days since 1970-01-01 by the clock on the wall in `zone`.
fn day_number(moment: DateTime<Utc>, zone: Tz) -> i64 {
    let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc();
    (moment.timestamp() + i64::from(offset)).div_euclid(DAY)
}

/// A date of the calendar.
struct Civil {
    year: i64,
    /// From 0.
    day_of_year: i64,
    month: i64,
    day: i64,
}

/// The date of a day number from 1970 on: counted up year by year, month by month.
fn civil(mut day: i64) -> Civil {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let (day_of_year, mut month) = (day, 1);
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    Civil { year, day_of_year, month, day: day + 1 }
}

/// The names of the four buckets, which are the reasons too, in the order day, week, month, year.
/// A week belongs to the year of its Thursday.
fn buckets(moment: DateTime<Utc>, zone: Tz) -> [String; 4] {
    let number = day_number(moment, zone);
    let Civil { year, month, day, .. } = civil(number);
    let thursday = civil(number - (number + THURSDAY).rem_euclid(7) + THURSDAY);
    [
        format!("daily {year}-{month:02}-{day:02}"),
        format!("weekly {}-W{:02}", thursday.year, thursday.day_of_year / 7 + 1),
        format!("monthly {year}-{month:02}"),
        format!("yearly {year}"),
    ]
}

/// A backup and its buckets.
type Dated = (Candidate, [String; 4]);

fn is_newer(one: &Candidate, other: &Candidate) -> bool {
    one.at > other.at || (one.at == other.at && one.id > other.id)
}

/// Every reason to keep `one`, in any order.
fn reasons(policy: &Policy, now: DateTime<Utc>, all: &[Dated], one: &Dated) -> Vec<String> {
    let flags =
        [(one.0.pinned, "pinned"), (one.0.busy, "in use"), (one.0.at > now, "dated in the future")];
    let mut reasons: Vec<String> =
        flags.iter().filter(|(holds, _)| *holds).map(|(_, why)| why.to_string()).collect();
    if one.0.at > now {
        return reasons;
    }
    let is_past_and_newer = |other: &&Dated| other.0.at <= now && is_newer(&other.0, &one.0);
    let newer: Vec<&Dated> = all.iter().filter(is_past_and_newer).collect();
    if newer.is_empty() {
        reasons.push("newest good backup".to_owned());
    }
    let numbers = [policy.keep_daily, policy.keep_weekly, policy.keep_monthly, policy.keep_yearly];
    for (unit, number) in numbers.into_iter().enumerate() {
        let mut taken: Vec<&str> = newer.iter().map(|other| other.1[unit].as_str()).collect();
        taken.sort();
        taken.dedup();
        let has_room = number.is_some_and(|number| taken.len() < number.try_into().unwrap());
        if has_room && !taken.contains(&one.1[unit].as_str()) {
            reasons.push(one.1[unit].clone());
        }
    }
    let rank = newer.len() + 1;
    if let Some(last) = policy.keep_last.filter(|last| rank <= (*last).try_into().unwrap()) {
        reasons.push(format!("last {rank} of {last}"));
    }
    let is_within = |within: &Interval| now - one.0.at <= TimeDelta::microseconds(within.micros);
    reasons.extend(policy.keep_within.filter(is_within).map(|within| format!("within {within}")));
    reasons
}

fn zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![
        Tz::UTC,
        Tz::America__New_York,
        Tz::Europe__Paris,
        Tz::Australia__Lord_Howe,
        Tz::America__St_Johns,
        Tz::Pacific__Apia,
    ])
}

fn policy() -> impl Strategy<Value = Policy> {
    let number = || prop::option::of(1_i32..6);
    // Microseconds only: days and months of an interval have tests of their own.
    let within = (1_i64..400 * DAY).prop_map(|seconds| Interval {
        months: 0,
        days: 0,
        micros: seconds * 1_000_000,
    });
    (number(), number(), number(), number(), number(), prop::option::of(within)).prop_map(
        |(keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within)| Policy {
            keep_last,
            keep_daily,
            keep_weekly,
            keep_monthly,
            keep_yearly,
            keep_within,
        },
    )
}

/// Up to 24 backups around `now`: minutes apart, days apart or years apart, some at the same
/// moment, some in the future; ids in no order.
fn history() -> impl Strategy<Value = Vec<(i64, bool, bool)>> {
    let spread = prop::sample::select(vec![300_i64, 3_600, DAY, 7 * DAY, 90 * DAY]);
    let one = (-4_i64..24, prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (spread, 0_i64..3_600, prop::collection::vec(one, 0..24)).prop_map(|(spread, shift, list)| {
        list.into_iter().map(|(n, pinned, busy)| (n * (spread + shift), pinned, busy)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn random_histories_are_judged_as_the_slow_model_does(
        zone in zone(), policy in policy(), history in history(),
        // 2010 to 2011: St. John's goes back over midnight, Apia loses a day.
        now in prop_oneof![1_267_000_000_i64..1_330_000_000, 1_700_000_000_i64..1_900_000_000],
    ) {
        prop_assume!(!policy.is_empty());
        let moment = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut dated: Vec<Dated> = Vec::new();
        for (n, &(age, pinned, busy)) in (0_i64..).zip(&history) {
            // 7 and 31 share no factor: ids that are distinct and in no order.
            let one = Candidate { id: n * 7 % 31, at: moment(now - age), pinned, busy };
            dated.push((one, buckets(one.at, zone)));
        }
        let all: Vec<Candidate> = dated.iter().map(|one| one.0).collect();
        let found = verdicts(&policy, zone, moment(now), &all);
        prop_assert_eq!(found.len(), all.len());
        let of = |id| dated.iter().find(|one| one.0.id == id).unwrap();
        for pair in found.windows(2) {
            prop_assert!(is_newer(&of(pair[0].id).0, &of(pair[1].id).0), "not newest first");
        }
        for mut verdict in found {
            let one = of(verdict.id);
            let mut expected = reasons(&policy, moment(now), &dated, one);
            prop_assert_eq!(verdict.keep, !expected.is_empty(), "{:?} {:?}", one, expected);
            if expected.is_empty() {
                expected.push("no rule keeps it".to_owned());
            }
            expected.sort();
            verdict.reasons.sort();
            prop_assert_eq!(verdict.reasons, expected, "{:?}", one);
        }
    }
}
