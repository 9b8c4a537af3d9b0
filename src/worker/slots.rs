//! Job slots in shared memory: one job each, from the request to the result.
//!
//! States: free → reserved (until the caller commits) → queued → starting → running → finished →
//! free; a job whose process ended without a result is orphaned, and the launcher finishes it.
//! Every change is made under one lock, and none of them raises an error while it is held.

use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

mod slot;

use slot::FREE;
pub use slot::{OBSERVERS, PAYLOAD, Slot, State};

/// Jobs that are known at the same time: waiting, running, or with a result nobody took yet.
pub const SLOTS: usize = 128;
/// Slots that schedules leave to people, and people to schedules.
pub const SHARE: usize = 32;
/// Databases whose schedules the launcher is told to read again; when there are more, it reads all.
const CHANGED: usize = 32;
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
        self.slots[index] = Slot::taken(state, generation, self.tickets);
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

    /// The job that writes row `id` of a database. One without a row has the id 0, and is nobody's
    /// to name.
    pub fn find(&self, home: u32, id: i64) -> Option<Ticket> {
        let found =
            |slot: &Slot| id > 0 && slot.state != State::Free && slot.home == home && slot.id == id;
        let index = self.slots.iter().position(found)?;
        Some(Ticket { index, generation: self.slots[index].generation })
    }

    /// Jobs of this home are those of another database that has its name now.
    pub fn home_replaced(&mut self, database: &str, id: u32) {
        let of_it =
            |slot: &&mut Slot| slot.state != State::Free && slot.home_name.get() == database;
        self.slots.iter_mut().filter(of_it).for_each(|slot| slot.home = id);
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
