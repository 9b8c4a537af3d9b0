//! What `backup_schedule()` is told, and the checks that it has to pass: one that is not passed
//! names the argument and says what would do. Nothing is written before all are.

use pg_backup_core::decide::backup_options::BackupOptions;
use pg_backup_core::decide::interval::Interval as PlainInterval;
use pg_backup_core::decide::retention::Policy;
use pg_backup_core::decide::schedule::Schedule;
use pg_backup_core::decide::verify_level::Level;
use pg_backup_core::decide::zone::Zone;
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::JsonB;
use pgrx::datum::Interval;

use crate::catalog::schedules::Checked;
use crate::error::notice;
use crate::{catalog, pg, settings};

/// Bytes of a name, as for every identifier of the server.
const NAME_MAX: usize = 63;
/// Bytes of the options: they go through a job slot.
const OPTIONS_MAX: usize = 4096;
/// Attempts after the first.
const RETRIES: std::ops::RangeInclusive<i32> = 0..=10;
/// The longest window or limit, in seconds: a hundred years.
const LONGEST: f64 = 100.0 * 366.0 * 86400.0;
/// Kept for less than this, a backup is hardly one; '30' means 30 seconds to the server.
const SHORT_MICROS: i64 = 3_600_000_000;

/// As it was said.
pub struct Arguments {
    pub name: Option<String>,
    pub cron: Option<String>,
    pub timezone: Option<String>,
    pub database: Option<String>,
    /// last, daily, weekly, monthly, yearly.
    pub keep: [Option<i32>; 5],
    pub keep_within: Option<Interval>,
    pub enabled: Option<bool>,
    pub on_overlap: Option<String>,
    pub catch_up: Option<Interval>,
    pub retries: Option<i32>,
    pub at_start: Option<bool>,
    pub max_runtime: Option<Interval>,
    pub verify: Option<String>,
    pub options: Option<JsonB>,
}

impl Arguments {
    /// Checks everything. Errors: `InvalidArgument`, `UndefinedDatabase`.
    pub fn check(self) -> Result<Checked> {
        let name = name(self.name)?;
        let cron = self.cron.ok_or_else(|| {
            invalid("cron must not be NULL").hint("For example '0 3 * * *' or 'daily 03:00'.")
        })?;
        let schedule = Schedule::parse(&cron)?;
        let zone = zone(self.timezone)?;
        let database = database(self.database)?;
        let policy = policy(self.keep, self.keep_within)?;
        let on_overlap = self.on_overlap.unwrap_or_else(|| "skip".to_owned());
        if !matches!(on_overlap.as_str(), "skip" | "queue") {
            return Err(invalid(format!("invalid on_overlap: \"{on_overlap}\"")).hint(
                "Use 'skip' (a run that finds another one is recorded as skipped) or 'queue' (it \
                 waits).",
            ));
        }
        let retries = self.retries.unwrap_or(2);
        if !RETRIES.contains(&retries) {
            return Err(invalid(format!("invalid retries: {retries}")).hint("Use 0 to 10."));
        }
        let day = || Interval::from_days(1);
        let (options, max_runtime) = (options(self.options)?, self.max_runtime);
        max_runtime.as_ref().map(|limit| seconds("max_runtime", limit, false)).transpose()?;
        let catch_up = self.catch_up.unwrap_or_else(day);
        seconds("catch_up", &catch_up, true)?;
        Ok(Checked {
            name,
            schedule,
            zone,
            database,
            policy,
            enabled: self.enabled.unwrap_or(true),
            on_overlap,
            catch_up,
            retries,
            at_start: self.at_start.unwrap_or(false),
            max_runtime,
            verify: verify(self.verify)?,
            options,
        })
    }
}

/// NULL as the name of a schedule.
pub fn no_name() -> Failure {
    invalid("the name of the schedule must not be NULL").hint("Give it one, for example 'nightly'.")
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Class::InvalidArgument, message)
}

fn name(name: Option<String>) -> Result<String> {
    let name = name.ok_or_else(no_name)?;
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        let start: String = name.chars().take(NAME_MAX).filter(|c| !c.is_control()).collect();
        return Err(invalid(format!("invalid name of a schedule: \"{start}\"")).hint(format!(
            "Use 1 to {NAME_MAX} bytes without control characters, for example 'nightly'."
        )));
    }
    Ok(name)
}

/// A zone that both this extension and the server know; without a name that of the session.
pub fn zone(name: Option<String>) -> Result<Zone> {
    let said = name.is_some();
    let name = name.unwrap_or_else(pg::time_zone);
    let zone = Zone::parse(&name).map_err(|failure| match said {
        true => failure,
        false => {
            Failure { message: format!("{} (the session's TimeZone)", failure.message), ..failure }
                .hint("Give a zone, for example timezone => 'Europe/Paris'.")
        }
    })?;
    if !pg::knows_zone(zone.name()) {
        return Err(invalid(format!("the server does not know the time zone \"{}\"", zone.name()))
            .detail("pg_backup's own tables of time zones have it, those of the server do not.")
            .hint("Update the server's time zone data (package tzdata), or use another zone."));
    }
    Ok(zone)
}

fn database(name: Option<String>) -> Result<Option<String>> {
    let Some(name) = name else { return Ok(None) };
    if !catalog::database_exists(&name)? {
        return Err(Failure::new(
            Class::UndefinedDatabase,
            format!("database \"{name}\" does not exist"),
        )
        .hint("Leave database out for the one you are in; see pg_database for the others."));
    }
    Ok((name != pg::database_name()).then_some(name))
}

fn policy(keep: [Option<i32>; 5], within: Option<Interval>) -> Result<Policy> {
    let [keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly] = keep;
    let keep_within = within.map(|within| PlainInterval {
        months: within.months(),
        days: within.days(),
        micros: within.micros(),
    });
    let policy =
        Policy { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within };
    if policy.is_empty() {
        return Ok(policy);
    }
    policy.validate()?;
    if let Some(within) = keep_within
        && within.months == 0
        && within.days == 0
        && within.micros < SHORT_MICROS
    {
        notice(&format!(
            "keep_within is {within}: a number without a unit means seconds; write '30 days' for \
             days"
        ));
    }
    Ok(policy)
}

fn seconds(argument: &str, interval: &Interval, zero: bool) -> Result<()> {
    let seconds = interval.as_micros() as f64 / 1e6;
    let least = if zero { seconds >= 0.0 } else { seconds >= 1.0 };
    if least && seconds <= LONGEST {
        return Ok(());
    }
    let least = if zero { "zero" } else { "one second" };
    Err(invalid(format!("invalid {argument}: {seconds} seconds"))
        .hint(format!("Use an interval from {least} to 100 years, for example '6 hours'.")))
}

/// The level, by its word.
fn verify(level: Option<String>) -> Result<Option<&'static str>> {
    let level = level.map(|level| level.parse::<Level>()).transpose()?;
    Ok(level.map(Level::as_str))
}

/// Options that make a backup: tried here, so that the first run is not the first to find out.
fn options(options: Option<JsonB>) -> Result<JsonB> {
    let options = options.unwrap_or_else(|| JsonB(serde_json::json!({})));
    let size = options.0.to_string().len();
    if size > OPTIONS_MAX {
        return Err(invalid(format!("options are too long: {size} bytes"))
            .hint(format!("At most {OPTIONS_MAX} bytes; use patterns instead of long lists.")));
    }
    let asked = pg_backup_core::decide::backup_options::Asked {
        database: pg::database_name(),
        origin: "schedule".to_owned(),
        schedule: None,
    };
    BackupOptions::from_json(&options.0.to_string())?.backup(asked, settings::defaults()?)?;
    Ok(options)
}
