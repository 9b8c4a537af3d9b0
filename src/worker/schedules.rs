//! The launcher's side of schedules: it keeps the timetable of the whole server, reads a database
//! again when its schedules have changed, and puts a job into a slot for each that is due. What
//! becomes of it is up to that job.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use pg_backup_core::decide::request::Cause;
use pg_backup_core::decide::timetable::{Look, Timetable};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::fault;
use pg_backup_core::job::recovery::{self, Found, Recovered};

mod look;
mod starts;
mod told;

use look::request;
use starts::Starts;
use told::Told;

use super::engine::{alive, engine};
use super::kept::KeptDatabases;
use super::slots::{self, State, Ticket};
use crate::error::log_warning;
use crate::settings;

/// Without any sign of a change, everything is read again so often: a change that did not go
/// through SQL of this server's sessions (a prepared transaction, say) shows then.
const READ_ALL: Duration = Duration::from_secs(3600);
/// Between two attempts to read what could not be read.
const RETRY: Duration = Duration::from_secs(5);
/// Reading takes at most this part of the launcher's time, however often schedules change.
const READING_SHARE: u32 = 10;
/// Between two looks at which databases there are.
const LOOK_AROUND: TimeDelta = TimeDelta::seconds(60);
/// How long a look waits for one before it at the same schedule.
const LOOKED_AT: TimeDelta = TimeDelta::seconds(10);
/// How long a look waits for a free slot before it asks again.
const NO_SLOT: TimeDelta = TimeDelta::seconds(1);

/// What the launcher knows of all schedules.
pub struct Schedules {
    timetable: Timetable,
    kept: KeptDatabases,
    starts: Starts,
    /// The server has started with this launcher.
    boot: bool,
    told: Told,
    /// Databases to be read again, and not before when.
    changed: BTreeSet<u32>,
    /// Those that were not put right yet since the launcher began.
    unsettled: BTreeSet<u32>,
    read_at: Instant,
    read_all_at: Instant,
    /// What databases there were at the last look, and when that was.
    databases: String,
    looked_around: DateTime<Utc>,
}

impl Default for Schedules {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            timetable: Timetable::default(),
            kept: KeptDatabases::default(),
            starts: Starts::default(),
            boot: false,
            told: Told::default(),
            changed: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            read_at: now,
            read_all_at: now + READ_ALL,
            databases: String::new(),
            looked_around: fault::now(),
        }
    }
}

impl Schedules {
    /// Takes what was found when the launcher began, and notes what could not be read. Since a
    /// start of the server this happens once with `at_start`; a standby that was promoted has not
    /// started.
    pub fn begin(&mut self, Recovered { databases: found, unread, fingerprint, .. }: Recovered) {
        starts::forget();
        self.databases = fingerprint;
        self.looked_around = fault::now();
        let first = slots::write(|table| !std::mem::replace(&mut table.started, true));
        self.boot = first && !super::began_as_standby();
        for found in found {
            self.learn_first(found);
        }
        for (id, failure) in unread {
            self.unsettled.insert(id);
            self.put_off(&[id], failure);
        }
    }

    /// Takes the schedules of a database that was not read since the launcher began.
    fn learn_first(&mut self, found: Found) {
        let id = found.id;
        self.unsettled.remove(&id);
        self.learn(found);
        if self.boot {
            self.starts.add(self.timetable.at_start(id, fault::now()));
        }
    }

    /// Takes the schedules of one database.
    pub fn learn(&mut self, found: Found) {
        found.failures.into_iter().for_each(log_warning);
        self.told.once(found.id, found.mismatch);
        let database = found.home.database.clone();
        self.kept.learn(found.id, found.home.clone(), found.kept);
        let now = fault::now();
        for (name, failure) in self.timetable.replace(found.id, found.home, &found.entries, now) {
            let message = format!("schedule \"{name}\" of database \"{database}\" cannot run");
            let detail = format!("{}. {}", failure.message, failure.detail);
            log_warning(Failure { message, detail, ..failure });
        }
    }

    /// One round of the launcher.
    pub fn round(&mut self) {
        self.read();
        self.look_around();
        for look in self.starts.take(room()) {
            let ticket = self.enter(&look, Cause::Start);
            self.starts.taken(look, ticket);
        }
        for look in self.timetable.due(fault::now(), room()) {
            self.enter(&look, Cause::Due);
        }
        self.drop_expired();
    }

    /// Lets the databases go that were kept long enough.
    fn drop_expired(&mut self) {
        let Some(keep) = settings::rollback_keep() else { return };
        while room() > 0 {
            let Some((home_id, request)) = self.kept.take_due(fault::now(), keep) else { return };
            let Ok(text) = serde_json::to_string(&request) else { return };
            slots::write(|table| {
                let (_, slot) = table.take(State::Queued)?;
                slot.describe(home_id, &request, &text);
                // A job that works on the live database is waited for.
                slot.patient = true;
                Some(())
            });
        }
    }

    /// How long the launcher may sleep, at most `longest`.
    pub fn pause(&self, longest: Duration) -> Duration {
        let mut pause = self.starts.pause(longest);
        let now = Instant::now();
        if !self.changed.is_empty() || self.read_all_at <= now {
            pause = pause.min(self.read_at.saturating_duration_since(now));
        }
        let expires = settings::rollback_keep().and_then(|keep| self.kept.next(keep));
        let next = self.timetable.next().into_iter().chain(expires).min();
        if let Some(next) = next.filter(|_| room() > 0) {
            // A millisecond more: the latch counts whole ones, and must not wake us before.
            let left = (next - fault::now()).to_std().unwrap_or_default();
            pause = pause.min(left + Duration::from_millis(1));
        }
        pause
    }

    /// The database of a job has to be read again.
    pub fn read_again(&mut self, ticket: Ticket) {
        self.changed.extend(slots::read(|table| table.get(ticket).map(|slot| slot.home)));
    }

    fn read(&mut self) {
        let (changed, all) = slots::write(slots::Table::take_changed);
        let now = Instant::now();
        self.changed.extend(changed);
        if all {
            self.read_all_at = now;
        }
        if now < self.read_at {
            return;
        }
        if now >= self.read_all_at {
            return self.read_all(now);
        }
        if self.changed.is_empty() {
            return;
        }
        let ids: Vec<u32> = std::mem::take(&mut self.changed).into_iter().collect();
        let unsettled = self.unsettled.clone();
        let read = engine(async |context| recovery::read(context, &ids, &unsettled, &alive).await);
        match read {
            Ok(read) => {
                self.read_at = now + now.elapsed() * READING_SHARE;
                read.into_iter().for_each(|(id, found)| self.take(id, found));
            }
            Err(failure) => self.put_off(&ids, failure),
        }
    }

    fn take(&mut self, id: u32, found: Result<Option<Found>>) {
        match found {
            Ok(Some(found)) if self.unsettled.contains(&id) => self.learn_first(found),
            Ok(Some(found)) => self.learn(found),
            Ok(None) => {
                self.unsettled.remove(&id);
                self.forget(id);
            }
            Err(failure) => self.put_off(&[id], failure),
        }
    }

    fn forget(&mut self, id: u32) {
        self.timetable.remove(id);
        self.kept.remove(id);
    }

    fn put_off(&mut self, ids: &[u32], failure: Failure) {
        if let (Class::NotReady, [id]) = (failure.class, ids) {
            // Only a restart or an upgrade helps, and both have it read again.
            return self.told.once(*id, Some(failure));
        }
        self.changed.extend(ids);
        self.read_at = Instant::now() + RETRY;
        if !matches!(failure.class, Class::Interrupted | Class::Concurrent) {
            log_warning(failure);
        }
    }

    fn read_all(&mut self, now: Instant) {
        self.read_all_at = now + READ_ALL;
        // Without the jobs that are alive: nothing is settled, only read.
        match engine(async |context| recovery::survey(context).await) {
            Ok(survey) => {
                let read = survey.databases.iter().map(|found| found.id);
                let known: BTreeSet<u32> =
                    read.chain(survey.unread.iter().map(|(id, _)| *id)).collect();
                let gone = self.timetable.databases().into_iter().filter(|id| !known.contains(id));
                gone.for_each(|id| self.timetable.remove(id));
                self.kept.retain(|id| known.contains(&id));
                survey.databases.into_iter().for_each(|found| self.learn(found));
                survey.failures.into_iter().for_each(log_warning);
                // What cannot be read now stays as it was known.
                survey.unread.into_iter().for_each(|(id, failure)| self.put_off(&[id], failure));
            }
            Err(failure) => {
                self.read_all_at = now + RETRY;
                log_warning(failure);
            }
        }
        self.read_at = self.read_at.max(now + now.elapsed() * READING_SHARE);
    }

    /// Once a minute: a database that was renamed or opened, or whose original is gone, may have
    /// other schedules now, and no trigger tells of it.
    fn look_around(&mut self) {
        let now = fault::now();
        // A clock that was set back must not keep us from it.
        if (self.looked_around..self.looked_around + LOOK_AROUND).contains(&now) {
            return;
        }
        self.looked_around = now;
        let Ok(seen) = engine(async |context| recovery::fingerprint(context).await) else { return };
        if std::mem::replace(&mut self.databases, seen) != self.databases {
            self.read_all(Instant::now());
        }
    }

    /// Puts a job for the look into a slot, if there is room. Of a start the result is kept.
    fn enter(&mut self, look: &Look, cause: Cause) -> Option<Ticket> {
        if slots::read(|table| table.is_looked_at(look.home_id, &look.schedule)) {
            // It deals with what is due when it has its turn.
            self.timetable.put_off(look, fault::now() + LOOKED_AT);
            return None;
        }
        let entered = request(look, cause).and_then(|(request, text)| {
            let entered = slots::write(|table| {
                let (index, slot) = table.take(State::Queued)?;
                slot.describe(look.home_id, &request, &text);
                slot.patient = look.queues;
                slot.waits = cause == Cause::Start;
                Some(Ticket { index, generation: slot.generation })
            });
            entered.ok_or_else(|| Failure::new(Class::LimitExceeded, "no free job slot"))
        });
        if let Err(failure) = &entered {
            self.timetable.put_off(look, fault::now() + NO_SLOT);
            log_warning(failure.clone());
        }
        entered.ok()
    }
}

/// Slots that schedules may take now.
fn room() -> usize {
    slots::read(slots::Table::room_for_schedules)
}
