//! What happens to due times that passed, and that no clock makes one run twice.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

const HOURLY_START: &str = "2026-11-21T03:00:00Z";
const OFF: Option<TimeDelta> = None;
const TWO_HOURS: Option<TimeDelta> = Some(TimeDelta::hours(2));

#[test]
fn the_table_of_decisions() {
    let due = at("2026-11-21T06:00:00Z");
    let run = Decision::Run { due };
    let catch_up = |count| Decision::CatchUp { due, count };
    let missed = |count| Decision::Missed { due, count };
    let table = [
        ("on the second", "06:00:00Z", TWO_HOURS, 1, run),
        ("the end of the grace", "06:01:00Z", TWO_HOURS, 1, run),
        ("the grace needs no window", "06:01:00Z", OFF, 1, run),
        ("on time after a pause", "06:00:20Z", OFF, 3, run),
        ("late", "06:01:00.000001Z", TWO_HOURS, 1, catch_up(1)),
        ("one run for three", "06:59:59Z", TWO_HOURS, 3, catch_up(3)),
        ("the end of the window", "08:00:00Z", TWO_HOURS, 3, catch_up(3)),
        ("past the window", "08:00:00.000001Z", TWO_HOURS, 3, missed(3)),
        ("catching up is off", "06:02:00Z", OFF, 3, missed(3)),
        ("a window of nothing is off", "06:02:00Z", Some(TimeDelta::zero()), 2, missed(2)),
        ("a negative window is off", "06:02:00Z", Some(TimeDelta::hours(-9)), 2, missed(2)),
        ("a window inside the grace", "06:00:50Z", Some(TimeDelta::seconds(5)), 1, run),
        ("an endless window", "23:00:00Z", Some(TimeDelta::MAX), 1000, catch_up(1000)),
        ("a count that was not counted", "07:00:00Z", TWO_HOURS, 0, catch_up(1)),
    ];
    for (what, time, window, count, expected) in table {
        let now = at(&format!("2026-11-21T{time}"));
        let decision = decide(at(HOURLY_START), now, window, count, Some(due));
        assert_eq!(decision, expected, "{what}");
    }
}

#[test]
fn nothing_is_due_without_a_due_time_after_the_last_one() {
    let last_due = at(HOURLY_START);
    let now = at("2026-11-21T03:30:00Z");
    let hour = TimeDelta::hours(1);
    let table = [
        ("none", now, None),
        ("the one that was dealt with", now, Some(last_due)),
        ("an earlier one", now, Some(last_due - hour)),
        ("one that is still to come", now, Some(now + hour)),
        ("the clock was set back", last_due - hour, Some(last_due - hour)),
        ("the clock was set back, no due time", last_due - hour, None),
    ];
    for (what, now, last) in table {
        assert_eq!(decide(last_due, now, TWO_HOURS, 1, last), Decision::Nothing, "{what}");
    }
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let (first, end) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let due = at(HOURLY_START);
    assert_eq!(decide(first, end, OFF, 9, Some(due)), Decision::Missed { due, count: 9 });
    assert_eq!(decide(end, first, TWO_HOURS, 9, Some(due)), Decision::Nothing);
}

/// A schedule that is due every `period` seconds.
struct Model {
    period: i64,
    window: Option<TimeDelta>,
    last_due: i64,
    now: i64,
}

impl Model {
    /// One look of the launcher after its clock moved by `step` seconds: how many due times
    /// passed, and what was decided.
    fn tick(&mut self, step: i64) -> (i64, Decision) {
        let moment = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        self.now += step;
        let passed = self.passed(self.last_due, self.now);
        let last = (passed > 0).then(|| moment(self.now.div_euclid(self.period) * self.period));
        let (last_due, now) = (moment(self.last_due), moment(self.now));
        let decision = decide(last_due, now, self.window, passed.try_into().unwrap(), last);
        self.last_due = decision.due().map_or(self.last_due, |due| due.timestamp());
        (passed, decision)
    }

    /// How many due times lie after `after` and not after `until`.
    fn passed(&self, after: i64, until: i64) -> i64 {
        (until.div_euclid(self.period) - after.div_euclid(self.period)).max(0)
    }
}

/// Mostly the next look; now and then a sleep, or a clock that is set.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..90, 1 => 90_i64..200_000, 1 => -200_000_i64..0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_due_time_is_dealt_with_once_whatever_the_clock_does(
        period in prop_oneof![Just(60_i64), Just(900), Just(3_600), Just(86_400)],
        window in prop::option::of((0_i64..200_000).prop_map(TimeDelta::seconds)),
        start in 1_700_000_000_i64..1_800_000_000,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut model = Model { period, window, last_due: start, now: start };
        let (mut latest, mut dealt_with) = (start, 0);
        let mut ran: Vec<DateTime<Utc>> = Vec::new();
        for step in steps {
            let before = model.last_due;
            let (passed, decision) = model.tick(step);
            latest = latest.max(model.now);
            prop_assert_eq!(decision == Decision::Nothing, passed == 0);
            if let Some(due) = decision.due() {
                dealt_with += passed;
                prop_assert!(before < due.timestamp() && due.timestamp() <= model.now);
                // Late runs are inside the window; what is on time always runs.
                let late = model.now - due.timestamp();
                let allowed = window.map_or(0, |window| window.num_seconds()).max(60);
                prop_assert_eq!(decision.runs(), late <= allowed);
                ran.extend(decision.runs().then_some(due));
            }
        }
        prop_assert!(ran.is_sorted_by(|earlier, later| earlier < later), "a due time ran twice");
        prop_assert_eq!(dealt_with, model.passed(start, latest));
    }
}
