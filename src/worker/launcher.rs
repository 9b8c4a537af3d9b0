//! The launcher: the one place that decides when a job runs.
//!
//! It starts with the server, again five seconds after it dies, and on a standby after promotion.
//! First it puts right what a crash left behind. Then it turns queued slots into runners: one job
//! a database at a time, `pg_backup.database_jobs` in all. It finishes jobs whose runner died. It
//! sleeps when there is nothing to do.

use std::time::{Duration, Instant};

use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::{Report, recovery, settle};
use pgrx::{pg_guard, pg_sys};

use super::control::cancelled;
use super::engine::{alive, engine};
use super::runner::encode;
use super::schedules::Schedules;
use super::slots::{self, Slot, State, Ticket};
use super::uploads::Uploads;
use super::verdict::{Verdict, concurrent, no_worker, verdict};
use crate::error::log_warning;
use crate::{pg, settings};

/// With jobs about, the launcher looks up at least so often.
const BUSY: Duration = Duration::from_secs(1);
/// Without any, it only wakes up to see that the world still turns.
const IDLE: Duration = Duration::from_secs(60);
/// Between two attempts at what went wrong.
const RETRY: Duration = Duration::from_secs(5);
/// How long a job may wait for a free worker slot of the server.
const WORKER_TIME: Duration = Duration::from_secs(10);
/// How long a runner may take from its start to its first step.
const START_TIME: i64 = 30_000_000;

/// Entry point.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_backup_launcher_main(_argument: pg_sys::Datum) {
    pg::begin_worker();
    slots::write(|table| table.launcher = pg::my_pid());
    pg::at_exit(let_go, 0);
    pg::show_activity("idle");
    let mut launcher = Launcher::new();
    while pg::stop_asked().is_none() {
        pg::reload_if_asked();
        launcher.round();
        pg::sleep(launcher.pause());
        pg::housekeeping();
    }
    pg::leave();
}

#[pg_guard]
unsafe extern "C-unwind" fn let_go(_code: i32, _argument: pg_sys::Datum) {
    slots::write(|table| table.launcher = 0);
}

struct Launcher {
    /// Runners that were asked for, until they have ended.
    runners: Vec<(Ticket, pg::Worker)>,
    schedules: Schedules,
    uploads: Uploads,
    recovered: bool,
    retry_at: Instant,
    /// Since when no worker slot of the server has been free.
    starved: Option<Instant>,
}

impl Launcher {
    fn new() -> Self {
        Self {
            runners: Vec::new(),
            schedules: Schedules::default(),
            uploads: Uploads::default(),
            recovered: false,
            retry_at: Instant::now(),
            starved: None,
        }
    }

    fn pause(&self) -> Duration {
        let busy = !self.recovered
            || slots::read(|t| t.slots.iter().any(|slot| slot.state != State::Free));
        self.uploads.pause(self.schedules.pause(if busy { BUSY } else { IDLE }))
    }

    fn round(&mut self) {
        self.recover();
        self.notice_ended_runners();
        self.finish_orphans();
        if self.recovered {
            self.schedules.round();
        }
        self.dispatch();
        self.uploads.round();
    }

    /// Once after the start, again until it succeeds.
    fn recover(&mut self) {
        if self.recovered || Instant::now() < self.retry_at {
            return;
        }
        self.retry_at = Instant::now() + RETRY;
        match engine(async |context| recovery::recover(context, &alive).await) {
            Ok(mut recovered) => {
                recovered.failures.drain(..).for_each(log_warning);
                self.schedules.begin(recovered);
                self.recovered = true;
            }
            Err(failure) if failure.class == Class::Interrupted => {}
            Err(failure) => log_warning(failure),
        }
    }

    /// A runner that ended before it took its slot leaves an orphan.
    fn notice_ended_runners(&mut self) {
        let now = pg::now_micros();
        self.runners.retain(|(ticket, worker)| {
            let ended = worker.has_ended();
            if ended {
                orphan(*ticket, |slot| slot.state == State::Starting);
            }
            !ended
        });
        // Started by a launcher that is no more.
        let lost: Vec<Ticket> = slots::read(|table| table.in_state(State::Starting).collect());
        for ticket in lost {
            if !self.runners.iter().any(|(own, _)| *own == ticket) {
                orphan(ticket, |slot| now - slot.started_at > START_TIME);
            }
        }
    }

    /// Tells the rows of jobs that died, and their callers.
    fn finish_orphans(&mut self) {
        let orphans: Vec<Ticket> = slots::read(|table| table.in_state(State::Orphaned).collect());
        if orphans.is_empty() || (self.recovered && Instant::now() < self.retry_at) {
            return;
        }
        for ticket in orphans {
            let home = |slot: &Slot| slot.home_name.get().to_owned();
            let Some(home) = slots::read(|table| table.get(ticket).map(home)) else { continue };
            if let Err(failure) = self.settle(ticket, &home) {
                log_warning(failure);
                self.retry_at = Instant::now() + RETRY;
            }
        }
    }

    fn settle(&mut self, ticket: Ticket, home: &str) -> Result<()> {
        let settled = engine(async |context| {
            recovery::sweep_partials(context).into_iter().for_each(log_warning);
            recovery::database(context, home, Some(&alive)).await
        });
        match settled {
            Ok(Some(found)) => self.schedules.learn(found),
            Ok(None) => {}
            Err(failure) if failure.class == Class::UndefinedDatabase => {}
            Err(failure) => return Err(failure),
        }
        slots::write(|table| {
            let slot = table.get_mut(ticket)?;
            slot.unsettled = false;
            if slot.kind.get() == "restore" {
                // It may have come as far as the swap.
                table.databases_changed();
            }
            Some(())
        });
        conclude(ticket, settle::interrupted());
        Ok(())
    }

    /// Starts what may start, in order of arrival.
    fn dispatch(&mut self) {
        let queued: Vec<Ticket> = slots::read(|table| table.in_state(State::Queued).collect());
        for ticket in queued {
            match slots::read(|table| verdict(&table.slots, ticket, settings::database_jobs())) {
                Verdict::Start => self.start(ticket),
                Verdict::Wait => {}
                Verdict::Cancelled => self.refuse(ticket, cancelled()),
                Verdict::Concurrent(other) => self.refuse(ticket, concurrent(ticket, &other)),
            }
        }
    }

    fn start(&mut self, ticket: Ticket) {
        slots::write(|table| {
            let slot = table.get_mut(ticket)?;
            slot.state = State::Starting;
            slot.started_at = pg::now_micros();
            Some(())
        });
        let (name, function) = (c"pg_backup runner", c"pg_backup_runner_main");
        if let Some(worker) = pg::launch_worker(name, function, ticket.index as i32) {
            self.runners.push((ticket, worker));
            self.starved = None;
            return;
        }
        slots::write(|table| table.get_mut(ticket).map(|slot| slot.state = State::Queued));
        let since = *self.starved.get_or_insert_with(Instant::now);
        if since.elapsed() >= WORKER_TIME {
            self.refuse(ticket, no_worker(WORKER_TIME));
        }
    }

    /// Ends a job that never ran: a row says why, and so does the error of its caller.
    fn refuse(&mut self, ticket: Ticket, failure: Failure) {
        let text = slots::read(|t| t.get(ticket).map(|slot| slot.payload.get().to_owned()));
        let request = text.and_then(|text| serde_json::from_str::<Request>(&text).ok());
        let has_row = |Request { home, task }: &Request| {
            home.id != 0 || matches!(task, Task::Backup(_) | Task::Scheduled(_))
        };
        if let Some(Request { home, task }) = request.filter(has_row) {
            let recorded = engine(async |context| {
                settle::record_unstarted(context, &home, &task, &failure).await
            });
            let untold = recorded.is_err();
            slots::write(|table| {
                let slot = table.get_mut(ticket)?;
                slot.id = *recorded.as_ref().unwrap_or(&slot.id);
                // The row of a caller who did not wait still says that it is queued.
                slot.unsettled = untold && home.id != 0;
                Some(())
            });
            recorded.map_or_else(log_warning, drop);
            if task.schedule().is_some() {
                // A retry may be planned; a due time that could not be told of is due again.
                self.schedules.read_again(ticket);
            }
        }
        conclude(ticket, failure);
    }
}

fn orphan(ticket: Ticket, when: impl FnOnce(&Slot) -> bool) {
    slots::write(|table| {
        let slot = table.get_mut(ticket).filter(|slot| when(slot))?;
        slot.state = State::Orphaned;
        Some(())
    });
}

/// Gives a job that has no runner its result.
fn conclude(ticket: Ticket, failure: Failure) {
    let text = encode(&Result::<Report>::Err(failure));
    let waiters = slots::write(|table| {
        let slot = table.get_mut(ticket)?;
        let waiters = slot.waiters();
        slot.finish(false, &text);
        Some(waiters)
    });
    waiters.into_iter().flatten().for_each(pg::wake);
}
