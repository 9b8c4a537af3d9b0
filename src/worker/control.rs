//! How a worker hosts jobs of the engine: it looks for signals and for a cancelled slot, shows
//! progress in the slot, and keeps up with what the server wants of every process.

use std::cell::RefCell;

use pg_backup_core::decide::progress::Progress;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::host::control::Control;

use super::slots::{self, Ticket};
use crate::pg::{self, Stop};

/// The control of a runner for its job, or of the launcher, which has none.
#[derive(Default)]
pub struct WorkerControl {
    pub ticket: Option<Ticket>,
    /// What runs of the job warned of.
    pub warned: RefCell<Vec<String>>,
}

impl WorkerControl {
    fn is_cancelled(&self) -> bool {
        let Some(ticket) = self.ticket else { return false };
        slots::read(|table| table.get(ticket).is_none_or(|slot| slot.cancel))
    }

    fn change(&self, change: impl FnOnce(&mut slots::Slot)) {
        let Some(ticket) = self.ticket else { return };
        slots::write(|table| table.get_mut(ticket).map(change));
    }
}

impl Control for WorkerControl {
    fn proceed(&self) -> Result<()> {
        pg::housekeeping();
        match pg::stop_asked() {
            Some(Stop::Terminate | Stop::PostmasterGone) => Err(stopped()),
            Some(Stop::Cancel) => Err(cancelled()),
            None if self.is_cancelled() => Err(cancelled()),
            None => Ok(()),
        }
    }

    fn report(&self, progress: &Progress) {
        self.change(|slot| slot.report(progress));
    }

    fn started(&self, id: i64) {
        self.change(|slot| match slot.id {
            0 => slot.id = id,
            first if first != id => slot.second = id,
            _ => {}
        });
    }

    fn waiters(&self) -> Vec<i32> {
        let Some(ticket) = self.ticket else { return Vec::new() };
        slots::read(|table| table.get(ticket).map(slots::Slot::waiters)).unwrap_or_default()
    }

    fn warned(&self, warnings: Vec<String>) {
        self.warned.borrow_mut().extend(warnings);
    }

    fn schedules_changed(&self) {
        let Some(ticket) = self.ticket else { return };
        let launcher = slots::write(|table| {
            let home = table.get(ticket)?.home;
            table.schedules_changed(home);
            Some(table.launcher)
        });
        pg::wake(launcher.unwrap_or(0));
    }

    fn home_replaced(&self, database: &str, id: u32) {
        slots::write(|table| table.home_replaced(database, id));
    }

    fn unrecorded(&self) {
        self.change(|slot| slot.unsettled = true);
    }
}

/// The failure of a job that was cancelled.
pub fn cancelled() -> Failure {
    Failure::new(Class::Cancelled, "canceling the job due to user request")
        .detail("Nothing was kept of it.")
}

fn stopped() -> Failure {
    Failure::new(Class::Interrupted, "terminating the job due to administrator command")
        .detail("Nothing was kept of it.")
        .hint("Start it again when the server is up.")
}
