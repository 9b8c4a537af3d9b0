//! Which policies are refused, and that the message names the argument.

use super::*;

#[test]
fn a_rule_that_makes_no_sense_is_refused_by_name() {
    let number = |number| Policy { keep_last: Some(number), ..Policy::default() };
    let within = |months, days, micros| Policy {
        keep_within: Some(Interval { months, days, micros }),
        ..Policy::default()
    };
    let zero = Some(0);
    let table = [
        (number(0), "keep_last must be positive, but is 0"),
        (number(-1), "keep_last must be positive, but is -1"),
        (number(i32::MIN), "keep_last must be positive, but is -2147483648"),
        (Policy { keep_daily: zero, ..number(3) }, "keep_daily must be positive, but is 0"),
        (Policy { keep_weekly: zero, ..number(3) }, "keep_weekly must be positive, but is 0"),
        (Policy { keep_monthly: zero, ..number(3) }, "keep_monthly must be positive, but is 0"),
        (Policy { keep_yearly: zero, ..number(3) }, "keep_yearly must be positive, but is 0"),
        (within(0, 0, 0), "keep_within must be positive, but is \"00:00:00\""),
        (within(0, -7, 0), "keep_within must be positive, but is \"-7 days\""),
        (within(1, -29, 0), "keep_within must be positive, but is \"1 mon -29 days\""),
        (within(0, 1, -1), "keep_within must be positive, but is \"1 day -00:00:00.000001\""),
        (Policy::default(), "retention policy has no rule"),
    ];
    for (policy, message) in table {
        let failure = policy.validate().unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (Class::InvalidArgument, message));
        assert!(failure.hint.contains("keep_") && failure.hint.ends_with('.'), "{}", failure.hint);
    }
}

#[test]
fn one_rule_is_enough() {
    let one = Some(1);
    let none = Policy::default();
    assert!(none.is_empty());
    for policy in [
        Policy { keep_last: one, ..none.clone() },
        Policy { keep_daily: one, ..none.clone() },
        Policy { keep_weekly: one, ..none.clone() },
        Policy { keep_monthly: one, ..none.clone() },
        Policy { keep_yearly: Some(i32::MAX), ..none.clone() },
        Policy { keep_within: days(1), ..none.clone() },
    ] {
        assert!(!policy.is_empty());
        assert_eq!(policy.validate(), Ok(()));
    }
}

#[test]
fn a_policy_survives_json() {
    let policy = Policy { keep_last: Some(3), keep_within: days(7), ..Policy::default() };
    let text = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
}
