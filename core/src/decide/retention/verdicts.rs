//! The judgement: one walk over the backups from the newest to the oldest.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::bucket::{Rule, Unit};
use super::{Candidate, Policy, Verdict};
use crate::decide::interval::Interval;

/// Judges the good backups of one schedule as of `now`; newest first. Days, weeks, months and
/// years are those of `zone`. A policy that [`Policy::validate`] refuses removes nothing: a row
/// changed by hand must not cost anybody a backup. O(n log n).
pub fn verdicts(
    policy: &Policy,
    zone: Tz,
    now: DateTime<Utc>,
    candidates: &[Candidate],
) -> Vec<Verdict> {
    let mut newest_first = candidates.to_vec();
    newest_first.sort_unstable_by_key(|candidate| Reverse((candidate.at, candidate.id)));
    let mut judge = Judge::new(policy, zone, now);
    newest_first.iter().map(|candidate| judge.verdict(candidate)).collect()
}

/// What the walk has used up so far.
struct Judge {
    is_valid: bool,
    zone: Tz,
    now: DateTime<Utc>,
    /// How many backups came by, those dated in the future left out.
    seen: usize,
    keep_last: usize,
    rules: [Rule; 4],
    within: Option<Within>,
}

impl Judge {
    fn new(policy: &Policy, zone: Tz, now: DateTime<Utc>) -> Self {
        let rules = [
            (Unit::Day, policy.keep_daily),
            (Unit::Week, policy.keep_weekly),
            (Unit::Month, policy.keep_monthly),
            (Unit::Year, policy.keep_yearly),
        ];
        Self {
            is_valid: policy.validate().is_ok(),
            zone,
            now,
            seen: 0,
            keep_last: wanted(policy.keep_last),
            rules: rules.map(|(unit, number)| Rule::new(unit, wanted(number))),
            within: policy.keep_within.map(|interval| Within::new(interval, now, zone)),
        }
    }

    fn verdict(&mut self, candidate: &Candidate) -> Verdict {
        let mut reasons = if candidate.at > self.now {
            vec!["dated in the future".into()]
        } else {
            self.reasons_of_rules(candidate.at)
        };
        let others = [
            (candidate.pinned, "pinned"),
            (candidate.busy, "in use"),
            (!self.is_valid, "policy is not valid"),
        ];
        reasons.extend(others.into_iter().filter(|(holds, _)| *holds).map(|(_, why)| why.into()));
        let keep = !reasons.is_empty();
        if !keep {
            reasons.push("no rule keeps it".into());
        }
        Verdict { id: candidate.id, keep, reasons }
    }

    /// The reasons that depend on the other backups and on the time; uses up places of the rules.
    fn reasons_of_rules(&mut self, at: DateTime<Utc>) -> Vec<String> {
        let mut reasons = Vec::new();
        self.seen += 1;
        if self.seen <= self.keep_last {
            reasons.push(format!("last {} of {}", self.seen, self.keep_last));
        }
        let date = at.with_timezone(&self.zone).date_naive();
        reasons.extend(self.rules.iter_mut().filter_map(|rule| rule.reason(date)));
        reasons.extend(self.within.as_ref().and_then(|within| within.reason(at)));
        if self.seen == 1 {
            reasons.push("newest good backup".into());
        }
        reasons
    }
}

/// A rule's number; a missing one keeps none.
fn wanted(number: Option<i32>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

/// The rule `keep_within`.
struct Within {
    /// The oldest moment that the rule keeps; None when it lies before all dates.
    since: Option<DateTime<Utc>>,
    reason: String,
}

impl Within {
    fn new(interval: Interval, now: DateTime<Utc>, zone: Tz) -> Self {
        Self { since: interval.before(now, zone), reason: format!("within {interval}") }
    }

    fn reason(&self, at: DateTime<Utc>) -> Option<String> {
        self.since.is_none_or(|since| at >= since).then(|| self.reason.clone())
    }
}
