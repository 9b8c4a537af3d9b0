//! One slot: a job from its request to its result, as plain data that every process reads.

use pg_backup_core::decide::progress::{Phase, Progress};
use pg_backup_core::decide::request::{Request, Task};

use crate::worker::text::Text;

/// Bytes of a request or a result as JSON.
pub const PAYLOAD: usize = 6144;
/// Sessions that wait for one job with `backup_wait()` and whose locks are watched.
pub const OBSERVERS: usize = 4;
/// Blockers that are shown.
const BLOCKERS: usize = 4;
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

/// A slot without a job.
pub const FREE: Slot = Slot {
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

impl Slot {
    /// An empty slot that was just taken.
    pub fn taken(state: State, generation: u64, ticket: u64) -> Slot {
        Slot { state, generation, ticket, ..FREE }
    }

    /// Fills a slot that was just taken with what is asked for.
    pub fn describe(&mut self, home: u32, request: &Request, payload: &str) {
        self.home = home;
        self.home_name.set(&request.home.database);
        self.id = request.home.id;
        self.heavy = matches!(
            request.task,
            Task::Backup(_)
                | Task::Scheduled(_)
                | Task::Verify(_)
                | Task::Restore(_)
                | Task::Import(_)
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
