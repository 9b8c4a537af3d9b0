//! When which schedule has to be looked at: what the launcher keeps in memory.
//!
//! In: the schedules of each database, and the clock. Out: those that are due. A due schedule is
//! only looked at: what becomes of it is decided by the job that reads its row, so that a
//! timetable that is out of date does no harm. An instant is a point in time, never a local one.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::Schedule;
use super::schedule_entry::{Entry, believable};
use super::zone::Zone;
use crate::error::Result;

/// A schedule whose look came to nothing (no connection, say) is not looked at again for so long.
const AGAIN: TimeDelta = TimeDelta::seconds(10);

/// Where a database with schedules is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub database: String,
    pub schema: String,
}

/// A schedule to look at now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Id of its home database.
    pub home_id: u32,
    pub home: Home,
    pub schedule: String,
    /// The database that it backs up.
    pub database: String,
    /// Whether it waits for a job that is in its way.
    pub queues: bool,
    /// The role that made it.
    pub requested_by: String,
}

/// What is known of one schedule.
#[derive(Debug, Clone)]
struct Planned {
    schedule: Schedule,
    zone: Zone,
    database: String,
    queues: bool,
    requested_by: String,
    at_start: bool,
    dealt_with: DateTime<Utc>,
    retry_at: Option<DateTime<Utc>>,
    /// When it was looked at last.
    looked_at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
}

impl Planned {
    fn new(entry: &Entry, now: DateTime<Utc>) -> Result<Planned> {
        let (schedule, zone) = entry.times()?;
        let mut planned = Planned {
            schedule,
            zone,
            database: entry.database.clone(),
            queues: entry.on_overlap == "queue",
            requested_by: entry.requested_by.clone(),
            at_start: entry.at_start,
            dealt_with: entry.dealt_with(now),
            retry_at: entry.retry_at,
            looked_at: DateTime::<Utc>::MIN_UTC,
            next: None,
        };
        planned.plan();
        Ok(planned)
    }

    fn plan(&mut self) {
        let due = self.schedule.next_after(self.zone, self.dealt_with);
        let first = [due, self.retry_at].into_iter().flatten().min();
        // What was due at the last look and still is was looked at in vain.
        let again = |at: DateTime<Utc>| at <= self.looked_at;
        self.next = first.map(|at| if again(at) { self.looked_at + AGAIN } else { at });
    }
}

#[derive(Debug)]
struct Database {
    home: Home,
    schedules: HashMap<String, Planned>,
}

/// All schedules of the server.
#[derive(Debug, Default)]
pub struct Timetable {
    databases: HashMap<u32, Database>,
    queue: BTreeSet<(DateTime<Utc>, u32, String)>,
    seen: Option<DateTime<Utc>>,
}

impl Timetable {
    /// Takes the schedules of one database in place of those that were known of it. Gives those
    /// that cannot be planned: the name and why.
    pub fn replace(
        &mut self,
        id: u32,
        home: Home,
        entries: &[Entry],
        now: DateTime<Utc>,
    ) -> Vec<(String, crate::error::Failure)> {
        let before = self.forget(id).unwrap_or_default();
        let mut schedules = HashMap::with_capacity(entries.len());
        let mut refused = Vec::new();
        for entry in entries {
            match Planned::new(entry, now) {
                Ok(mut planned) => {
                    if let Some(known) = before.get(&entry.name) {
                        // The clock may have been set back since.
                        planned.looked_at = known.looked_at.min(now);
                        planned.plan();
                    }
                    self.enqueue(id, &entry.name, &planned);
                    schedules.insert(entry.name.clone(), planned);
                }
                Err(failure) => refused.push((entry.name.clone(), failure)),
            }
        }
        self.databases.insert(id, Database { home, schedules });
        refused
    }

    /// Forgets a database that is gone, or is about to be read again.
    pub fn remove(&mut self, id: u32) {
        self.forget(id);
    }

    /// Databases that are known.
    pub fn databases(&self) -> Vec<u32> {
        self.databases.keys().copied().collect()
    }

    /// The schedules that are due, first those that have been for longest; at most `most`.
    pub fn due(&mut self, now: DateTime<Utc>, most: usize) -> Vec<Look> {
        self.mind_the_clock(now);
        let mut looks = Vec::new();
        while looks.len() < most && self.queue.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, id, name)) = self.queue.pop_first() else { break };
            looks.extend(self.look(id, &name, now));
        }
        looks
    }

    /// Schedules of a database that run at every start of the server.
    pub fn at_start(&mut self, home: u32, now: DateTime<Utc>) -> Vec<Look> {
        let starting = |(id, database): (&u32, &Database)| {
            let names = database.schedules.iter().filter(|(_, planned)| planned.at_start);
            names.map(|(name, _)| (*id, name.clone())).collect::<Vec<_>>()
        };
        let names: Vec<(u32, String)> =
            self.databases.iter().filter(|(id, _)| **id == home).flat_map(starting).collect();
        for (id, name) in &names {
            self.dequeue(*id, name);
        }
        names.into_iter().filter_map(|(id, name)| self.look(id, &name, now)).collect()
    }

    /// Puts a look off that could not be taken on: every job slot is in use.
    pub fn put_off(&mut self, look: &Look, until: DateTime<Utc>) {
        self.dequeue(look.home_id, &look.schedule);
        let database = self.databases.get_mut(&look.home_id);
        let Some(planned) = database.and_then(|d| d.schedules.get_mut(&look.schedule)) else {
            return;
        };
        planned.next = Some(until);
        let planned = planned.clone();
        self.enqueue(look.home_id, &look.schedule, &planned);
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// Takes a schedule as looked at: what is due by now is dealt with, unless the row says
    /// otherwise when it is read again.
    fn look(&mut self, id: u32, name: &str, now: DateTime<Utc>) -> Option<Look> {
        let database = self.databases.get_mut(&id)?;
        let planned = database.schedules.get_mut(name)?;
        planned.dealt_with = now.max(planned.dealt_with);
        planned.retry_at = None;
        planned.looked_at = now;
        planned.plan();
        let look = Look {
            home_id: id,
            home: database.home.clone(),
            schedule: name.to_owned(),
            database: planned.database.clone(),
            queues: planned.queues,
            requested_by: planned.requested_by.clone(),
        };
        let planned = planned.clone();
        self.enqueue(id, name, &planned);
        Some(look)
    }

    /// A clock that was far ahead and is right again must not leave everything planned for the
    /// wrong time.
    fn mind_the_clock(&mut self, now: DateTime<Utc>) {
        let before = self.seen.replace(now);
        if before.is_none_or(|before| believable(before, now) == before) {
            return;
        }
        self.queue.clear();
        for (id, database) in &mut self.databases {
            for (name, planned) in &mut database.schedules {
                planned.dealt_with = believable(planned.dealt_with, now);
                planned.looked_at = DateTime::<Utc>::MIN_UTC;
                planned.plan();
                self.queue.extend(planned.next.map(|at| (at, *id, name.clone())));
            }
        }
    }

    fn forget(&mut self, id: u32) -> Option<HashMap<String, Planned>> {
        let schedules = self.databases.remove(&id)?.schedules;
        for (name, planned) in &schedules {
            if let Some(at) = planned.next {
                self.queue.remove(&(at, id, name.clone()));
            }
        }
        Some(schedules)
    }

    fn enqueue(&mut self, id: u32, name: &str, planned: &Planned) {
        self.queue.extend(planned.next.map(|at| (at, id, name.to_owned())));
    }

    fn dequeue(&mut self, id: u32, name: &str) {
        let planned = self.databases.get(&id).and_then(|d| d.schedules.get(name));
        if let Some(at) = planned.and_then(|planned| planned.next) {
            self.queue.remove(&(at, id, name.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
