//! Schedules seen from outside: the clock of pg_backup, and the runs that its schedules made.
//!
//! In: a cluster of [`Faults::cluster`], whose clock a test may set. Out: rows of the history.
//! Must hold: nothing here waits for a minute to pass; that nothing more runs is known from the
//! launcher itself, not from time gone by.

use crate::job::LIMIT;
use crate::process::{wait_for, wait_until};
use crate::{Cluster, Faults};
use std::fs;

/// Rounds of the launcher after which it has looked at everything that was due before.
const ROUNDS: usize = 2;

/// A run of a schedule, as the history shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleRun {
    pub id: i64,
    pub kind: String,
    pub status: String,
    pub origin: String,
    /// Database that it is about.
    pub database: String,
    /// When it was due, in UTC: `2027-03-14 07:00:00`.
    pub due: String,
    pub error: String,
    pub detail: String,
    pub hint: String,
}

/// Seconds from now until a time that `date` can read, without a server to ask.
pub fn seconds_until(time: &str) -> i64 {
    let mut date = std::process::Command::new("date");
    let said = date.args(["-d", time, "+%s"]).output().expect("date runs").stdout;
    let then: i64 = String::from_utf8_lossy(&said).trim().parse().expect("a number");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    then - now.expect("after 1970").as_secs().cast_signed()
}

impl Faults {
    /// Sets the clock of pg_backup: a literal of timestamptz, for example
    /// `2027-03-14 01:59:59 America/New_York`. From then on it runs as any clock.
    pub fn set_time(&self, cluster: &Cluster, time: &str) {
        let ahead = format!(
            "SELECT extract(epoch FROM timestamptz '{time}' - pg_catalog.clock_timestamp())"
        );
        let seconds = cluster.value("postgres", &ahead);
        self.write_clock(&seconds);
        cluster.reload();
    }

    /// Sets it to so many seconds before (negative) or after the real one, also
    /// while there is no server.
    pub fn write_clock(&self, ahead: &str) {
        // Renamed into place: a clock that is read half written would stand at zero.
        let (new, clock) = (self.path().join("clock.new"), self.path().join("pg_backup_clock"));
        fs::write(&new, ahead).expect("the directory is ours");
        fs::rename(&new, &clock).expect("the directory is ours");
    }
}

impl Cluster {
    /// `CALL backup_schedule(arguments)` in `database`.
    pub fn schedule(&self, database: &str, arguments: &str) {
        self.sql(database, &format!("CALL backup_schedule({arguments})"));
    }

    /// The runs of a schedule that are in the history of `home`, oldest first.
    pub fn runs_of(&self, home: &str, schedule: &str) -> Vec<ScheduleRun> {
        let sql = format!(
            "SELECT id, kind, status, origin, database, \
                    to_char(queued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), \
                    error, error_detail, error_hint \
               FROM backup_history WHERE schedule = '{}' ORDER BY id",
            schedule.replace('\'', "''")
        );
        let rows = self.sql(home, &sql);
        rows.into_iter()
            .map(|row| {
                let mut texts = row.into_iter().map(Option::unwrap_or_default);
                let mut next = || texts.next().unwrap_or_default();
                ScheduleRun {
                    id: next().parse().expect("a number"),
                    kind: next(),
                    status: next(),
                    origin: next(),
                    database: next(),
                    due: next(),
                    error: next(),
                    detail: next(),
                    hint: next(),
                }
            })
            .collect()
    }

    /// Waits until the history of `home` has the ends of at least `count` runs of the schedule, and
    /// no job is at work on one; gives all of them.
    pub fn wait_for_runs(&self, home: &str, schedule: &str, count: usize) -> Vec<ScheduleRun> {
        let alive = ["queued", "running", "verifying"];
        wait_for(&format!("{count} runs of {schedule}"), LIMIT, || {
            let runs = self.runs_of(home, schedule);
            let ended = runs.iter().filter(|run| !alive.contains(&run.status.as_str())).count();
            let is_over = ended >= count && ended == runs.len() && !self.is_at_work(home, &runs);
            is_over.then_some(runs)
        })
    }

    /// Whether a job still works on what its row says has ended: the next run is in its way then.
    fn is_at_work(&self, home: &str, runs: &[ScheduleRun]) -> bool {
        let jobs = self.sql(home, "SELECT id::text, database FROM backup_progress");
        let is = |run: &ScheduleRun| [Some(run.id.to_string()), Some(run.database.clone())];
        runs.iter().any(|run| jobs.iter().any(|job| job[..] == is(run)))
    }

    /// Waits until the launcher has looked at every schedule that is due by now, and what came of
    /// it is over. A job by hand passes through the launcher after the schedules of its round.
    pub fn settle_schedules(&self) {
        for _ in 0..ROUNDS {
            let _ = self.try_sql("postgres", "SELECT backup_verify(0, 'file')");
        }
        self.wait_until_idle();
    }

    /// Waits until no job waits or runs.
    pub fn wait_until_idle(&self) {
        let jobs = "SELECT count(*) FROM backup_progress";
        wait_until("the end of all jobs", LIMIT, || self.value("postgres", jobs) == "0");
    }

    /// Everything is settled and the schedule has made exactly these runs: `status origin due`.
    pub fn assert_runs(&self, home: &str, schedule: &str, wanted: &[&str]) {
        self.settle_schedules();
        let runs = self.runs_of(home, schedule);
        let found = runs.iter().filter(|run| run.kind == "backup");
        let found = found.map(|run| format!("{} {} {}", run.status, run.origin, run.due));
        assert_eq!(found.collect::<Vec<_>>(), wanted, "{runs:?}");
    }

    /// A column of a schedule's row.
    pub fn entry(&self, home: &str, schedule: &str, column: &str) -> String {
        let name = schedule.replace('\'', "''");
        let sql = format!("SELECT {column} FROM backup_schedule_entries WHERE name = '{name}'");
        self.value(home, &sql)
    }
}
