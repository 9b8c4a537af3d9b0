//! Job slots in shared memory: one job each, from the request to the result.
//!
//! States: free → reserved (until the caller commits) → queued → starting → running → finished →
//! free; a job whose process ended without a result is orphaned, and the launcher finishes it.
//! Every change is made under one lock, and none of them raises an error while it is held.

use pg_backup_core::decide::progress::{Phase, Progress};
use pg_backup_core::decide::request::{Request, Task};
use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

use super::text::Text;

/// Jobs that are known at the same time: waiting, running, or with a result nobody took yet.
pub const SLOTS: usize = 128;
/// Slots that schedules leave to people, and people to schedules.
pub const SHARE: usize = 32;
/// Bytes of a request or a result as JSON.
pub const PAYLOAD: usize = 6144;
/// Sessions that wait for one job with `backup_wait()` and whose locks are watched.
pub const OBSERVERS: usize = 4;
/// Blockers that are shown.
const BLOCKERS: usize = 4;
/// Databases whose schedules the launcher is told to read again; when there are more, it reads all.
const CHANGED: usize = 32;
/// `schema.name` with room for quotes.
const RELATION: usize = 140;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Free,
    Reserved,
    Queued,
    Starting,
    Running,
    Finished,
    Orphaned,
}

/// One job.
#[derive(Clone, Copy)]
pub struct Slot {
    pub state: State,
    /// Grows whenever the slot is taken: tells a job from the next one in the same place.
    pub generation: u64,
    /// Order of arrival.
    pub ticket: u64,
    /// Database that holds the row, and the row's id, 0 until there is one.
    pub home: u32,
    pub home_name: Text<64>,
    pub id: i64,
    /// Id of the run that comes after the first: a verification, a retention.
    pub second: i64,
    /// The session that asked; it gets the result when `waits`.
    pub caller: i32,
    pub waits: bool,
    pub observers: [i32; OBSERVERS],
    pub runner: i32,
    pub cancel: bool,
    /// The row could not be told how the job ended.
    pub unsettled: bool,
    pub succeeded: bool,
    /// A kind of job of which only `database_jobs` run at the same time.
    pub heavy: bool,
    /// Waits for a job that is in its way, instead of being skipped.
    pub patient: bool,
    pub schedule: Text<64>,
    pub kind: Text<16>,
    /// The database that no second job may work on; empty for none.
    pub database: Text<64>,
    /// Microseconds since the Unix epoch; 0 for not yet.
    pub queued_at: i64,
    pub started_at: i64,
    phase: Phase,
    relation: Text<RELATION>,
    relations: (u32, u32),
    bytes: (u64, u64),
    blocked_by: [i32; BLOCKERS],
    /// The request until the runner has taken it, the result when the job is finished.
    pub payload: Text<PAYLOAD>,
}

const FREE: Slot = Slot {
    state: State::Free,
    generation: 0,
    ticket: 0,
    home: 0,
    home_name: Text::EMPTY,
    id: 0,
    second: 0,
    caller: 0,
    waits: false,
    observers: [0; OBSERVERS],
    runner: 0,
    cancel: false,
    unsettled: false,
    succeeded: false,
    heavy: false,
    patient: false,
    schedule: Text::EMPTY,
    kind: Text::EMPTY,
    database: Text::EMPTY,
    queued_at: 0,
    started_at: 0,
    phase: Phase::Queued,
    relation: Text::EMPTY,
    relations: (0, 0),
    bytes: (0, 0),
    blocked_by: [0; BLOCKERS],
    payload: Text::EMPTY,
};

/// All slots, and who dispatches them.
#[derive(Clone, Copy)]
pub struct Table {
    pub launcher: i32,
    /// Schedules that run at every start have been looked at since this one.
    pub started: bool,
    tickets: u64,
    changed: [u32; CHANGED],
    all_changed: bool,
    pub slots: [Slot; SLOTS],
}

impl Default for Table {
    fn default() -> Self {
        Self {
            launcher: 0,
            started: false,
            tickets: 0,
            changed: [0; CHANGED],
            all_changed: false,
            slots: [FREE; SLOTS],
        }
    }
}

// SAFETY: plain data without a pointer; every bit pattern that is written comes from this module.
unsafe impl PGRXSharedMemory for Table {}

// SAFETY: the only lock of this name.
static TABLE: PgLwLock<Table> = unsafe { PgLwLock::new(c"pg_backup") };

/// Names a job in a slot for as long as it is that job's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub index: usize,
    pub generation: u64,
}

/// Reserves the shared memory; while the library is preloaded.
pub fn reserve() {
    pg_shmem_init!(TABLE);
    PRELOADED.set(true);
}

thread_local! {
    /// Whether the postmaster loaded the library; inherited by every process it forks.
    static PRELOADED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether there is shared memory to talk about.
pub fn is_ready() -> bool {
    PRELOADED.get()
}

/// Looks at the table.
pub fn read<T>(look: impl FnOnce(&Table) -> T) -> T {
    look(&TABLE.share())
}

/// Changes the table.
pub fn write<T>(change: impl FnOnce(&mut Table) -> T) -> T {
    change(&mut TABLE.exclusive())
}

impl Table {
    /// Takes a free slot; None when there is none.
    pub fn take(&mut self, state: State) -> Option<(usize, &mut Slot)> {
        let index = self.slots.iter().position(|slot| slot.state == State::Free)?;
        self.tickets += 1;
        let generation = self.slots[index].generation + 1;
        self.slots[index] = Slot { state, generation, ticket: self.tickets, ..FREE };
        Some((index, &mut self.slots[index]))
    }

    /// The same for a session: schedules keep their share.
    pub fn take_for_session(&mut self, state: State) -> Option<(usize, &mut Slot)> {
        let taken = |slot: &&Slot| slot.state != State::Free && slot.caller != 0;
        if self.slots.iter().filter(taken).count() >= SLOTS - SHARE {
            return None;
        }
        self.take(state)
    }

    /// Slots that schedules may take now.
    pub fn room_for_schedules(&self) -> usize {
        let in_use = |slot: &&Slot| slot.state != State::Free;
        let taken = self.slots.iter().filter(in_use).filter(|slot| slot.caller == 0).count();
        let free = SLOTS - self.slots.iter().filter(in_use).count();
        (SLOTS - SHARE).saturating_sub(taken).min(free)
    }

    /// Whether a look at this schedule waits, or has not come to a result.
    pub fn is_looked_at(&self, home: u32, schedule: &str) -> bool {
        self.slots.iter().any(|slot| {
            let waits = matches!(slot.state, State::Queued | State::Starting)
                || (slot.state == State::Running && slot.id == 0);
            waits && slot.caller == 0 && slot.home == home && slot.schedule.get() == schedule
        })
    }

    /// The slot of a job, while it is that job's.
    pub fn get(&self, ticket: Ticket) -> Option<&Slot> {
        let slot = self.slots.get(ticket.index)?;
        (slot.generation == ticket.generation && slot.state != State::Free).then_some(slot)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(ticket.index)?;
        (slot.generation == ticket.generation && slot.state != State::Free).then_some(slot)
    }

    /// The job that writes row `id` of a database.
    pub fn find(&self, home: u32, id: i64) -> Option<Ticket> {
        let found = |slot: &Slot| slot.state != State::Free && slot.home == home && slot.id == id;
        let index = self.slots.iter().position(found)?;
        Some(Ticket { index, generation: self.slots[index].generation })
    }

    /// The schedules of a database are others by now.
    pub fn schedules_changed(&mut self, home: u32) {
        if self.changed.contains(&home) {
            return;
        }
        match self.changed.iter_mut().find(|place| **place == 0) {
            Some(place) => *place = home,
            None => self.all_changed = true,
        }
    }

    /// Notes that there may be schedules in databases that were closed or not there.
    pub fn databases_changed(&mut self) {
        self.all_changed = true;
    }

    /// Takes the databases whose schedules are others by now, and whether all have to be read.
    pub fn take_changed(&mut self) -> (Vec<u32>, bool) {
        let all = std::mem::replace(&mut self.all_changed, false);
        let changed = std::mem::replace(&mut self.changed, [0; CHANGED]);
        (changed.into_iter().filter(|home| *home != 0).collect(), all)
    }

    /// Jobs in one state, by order of arrival.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = Ticket> + use<> {
        let mut found: Vec<(u64, Ticket)> = Vec::new();
        for (index, slot) in self.slots.iter().enumerate().filter(|(_, s)| s.state == state) {
            found.push((slot.ticket, Ticket { index, generation: slot.generation }));
        }
        found.sort_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, ticket)| ticket)
    }
}

impl Slot {
    /// Fills a slot that was just taken with what is asked for.
    pub fn describe(&mut self, home: u32, request: &Request, payload: &str) {
        self.home = home;
        self.home_name.set(&request.home.database);
        self.id = request.home.id;
        self.heavy = matches!(
            request.task,
            Task::Backup(_) | Task::Scheduled(_) | Task::Verify(_) | Task::Restore(_)
        );
        self.queued_at = request.home.queued_at;
        self.kind.set(request.task.kind());
        self.database.set(request.task.database().unwrap_or_default());
        self.schedule.set(request.task.schedule().unwrap_or_default());
        self.payload.set_whole(payload);
    }

    /// Whether the job has a runner, or is about to.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, State::Starting | State::Running)
    }

    /// Shows progress.
    pub fn report(&mut self, progress: &Progress) {
        self.phase = progress.phase;
        self.relation.set(&progress.relation);
        self.relations = (progress.relations_done, progress.relations_total);
        self.bytes = (progress.bytes_done, progress.bytes_total);
        self.blocked_by = [0; BLOCKERS];
        for (place, pid) in self.blocked_by.iter_mut().zip(&progress.blocked_by) {
            *place = *pid;
        }
    }

    /// The progress that was shown last.
    pub fn progress(&self) -> Progress {
        Progress {
            phase: self.phase,
            relation: self.relation.get().to_owned(),
            relations_done: self.relations.0,
            relations_total: self.relations.1,
            bytes_done: self.bytes.0,
            bytes_total: self.bytes.1,
            blocked_by: self.blocked_by.into_iter().filter(|pid| *pid != 0).collect(),
        }
    }

    /// The sessions that wait for this job.
    pub fn waiters(&self) -> Vec<i32> {
        let caller = self.waits.then_some(self.caller);
        caller.into_iter().chain(self.observers).filter(|pid| *pid != 0).collect()
    }

    /// The job is over. A caller that waits takes the result and frees the slot; without one the
    /// slot is free at once, unless the row still has to be told.
    pub fn finish(&mut self, succeeded: bool, result: &str) {
        self.succeeded = succeeded;
        self.payload.set_whole(result);
        if self.waits {
            self.state = State::Finished;
        } else {
            self.release();
        }
    }

    /// Nobody needs the result any more.
    pub fn release(&mut self) {
        self.waits = false;
        self.state = if self.unsettled { State::Orphaned } else { State::Free };
    }
}
