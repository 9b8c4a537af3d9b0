//! Whoever hosts a job says whether it goes on, and takes its progress. The extension hosts jobs in
//! a worker; tests host them with a control of their own.

use crate::decide::progress::Progress;
use crate::error::Result;

/// The host's side of a job.
pub trait Control {
    /// Err when the job has to stop: cancelled, shutting down. Called at least every
    /// [`super::server::TICK`] from the thread that runs the job; must not block.
    fn proceed(&self) -> Result<()>;
    /// Shows progress to others. Cheap.
    fn report(&self, progress: &Progress);
    /// The run's row exists and has this id.
    fn started(&self, id: i64);
    /// Process ids of the sessions that wait for this job.
    fn waiters(&self) -> Vec<i32>;
    /// The run ended, but its row could not be told: the host has to see to it later.
    fn unrecorded(&self);
    /// A run has ended well, and its row warns of this.
    fn warned(&self, warnings: Vec<String>);
    /// A schedule of the home database has another next time than whoever planned it knows.
    fn schedules_changed(&self);
    /// Another database, of this id, has the name `database` from now on, and with it the history:
    /// jobs that have their home there are known by its id.
    fn home_replaced(&self, database: &str, id: u32);
}
