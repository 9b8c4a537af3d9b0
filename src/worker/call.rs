//! A backend's side of a job: put it into a slot, wait for its end or for the commit, give back
//! the result.

use std::time::{Duration, Instant};

use pg_backup_core::decide::request::Request;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::Report;

use super::control::cancelled;
use super::pending;
use super::slots::{self, OBSERVERS, State, Ticket};
use crate::pg;

/// A waiter looks up at least so often, should a wake-up get lost.
const LOOK_UP: Duration = Duration::from_millis(500);
/// How long a job may wait for the launcher to be there: it is back within ten seconds.
const LAUNCHER_TIME: Duration = Duration::from_secs(20);

/// Errors unless this server can run jobs at all.
pub fn ensure_ready() -> Result<()> {
    if !slots::is_ready() {
        return Err(not_preloaded());
    }
    if pg::in_recovery() {
        return Err(Failure::new(Class::InRecovery, "cannot run a job during recovery")
            .detail("This server is a standby: it cannot write the history.")
            .hint("Call it on the primary."));
    }
    Ok(())
}

/// What is missing when the library was not preloaded.
pub fn not_preloaded() -> Failure {
    Failure::new(Class::NotReady, "pg_backup is not in shared_preload_libraries")
        .detail("Jobs run in background workers, which are registered when the server starts.")
        .hint(
            "Add it to postgresql.conf: shared_preload_libraries = 'pg_backup' (after what is \
             there, separated by a comma), then restart the server.",
        )
}

/// Errors when the transaction has written something that a job, in sessions of its own, could
/// not see.
pub fn ensure_nothing_written(call: &str) -> Result<()> {
    if !pg::has_written() {
        return Ok(());
    }
    Err(Failure::new(
        Class::ActiveTransaction,
        format!("{call} cannot wait in a transaction that has already written something"),
    )
    .detail("The job runs in sessions of its own and does not see what is not committed.")
    .hint(
        "COMMIT first. A backup can also be started with wait => false: it begins at COMMIT and \
         holds what was committed.",
    ))
}

/// Runs a job and waits for its end. Ends the job when the wait is cancelled.
pub fn run(request: &Request) -> Result<Report> {
    let ticket = enter(request, State::Queued, true)?;
    let guard = CancelOnDrop(ticket);
    let result = wait_for_result(ticket);
    std::mem::forget(guard);
    result
}

/// Reserves a job that begins when this transaction commits.
pub fn run_at_commit(request: &Request) -> Result<()> {
    let ticket = enter(request, State::Reserved, false)?;
    pending::add(ticket);
    Ok(())
}

fn enter(request: &Request, state: State, waits: bool) -> Result<Ticket> {
    ensure_ready()?;
    pending::watch_exit();
    let text = serde_json::to_string(request);
    let text = text.map_err(|e| Failure::new(Class::Internal, e.to_string()))?;
    if text.len() > slots::PAYLOAD {
        return Err(Failure::new(Class::LimitExceeded, "the arguments are too long")
            .detail(format!("{} bytes, at most {} fit.", text.len(), slots::PAYLOAD))
            .hint("Use patterns instead of long lists of names."));
    }
    let (home, caller) = (pg::database_id(), pg::my_pid());
    let entered = slots::write(|table| {
        let launcher = table.launcher;
        let (index, slot) = table.take_for_session(state)?;
        slot.caller = caller;
        slot.waits = waits;
        slot.describe(home, request, &text);
        Some((Ticket { index, generation: slot.generation }, launcher))
    });
    let (ticket, launcher) = entered.ok_or_else(no_slot)?;
    if state == State::Queued {
        pg::wake(launcher);
    }
    Ok(ticket)
}

fn no_slot() -> Failure {
    Failure::new(Class::LimitExceeded, "too many jobs of pg_backup at the same time")
        .detail(format!(
            "At most {} of sessions are waiting or running in one server.",
            slots::SLOTS - slots::SHARE
        ))
        .hint("See backup_progress for them, and try again when some are done.")
}

/// What a look at the slot tells.
enum Seen {
    Waiting,
    NoLauncher,
    Done(bool, String),
    Gone,
}

fn wait_for_result(ticket: Ticket) -> Result<Report> {
    let mut unattended = Instant::now();
    loop {
        match look(ticket) {
            Seen::Done(succeeded, text) => return decode(succeeded, &text),
            Seen::Gone => return Err(cancelled()),
            Seen::Waiting => unattended = Instant::now(),
            Seen::NoLauncher if unattended.elapsed() < LAUNCHER_TIME => {}
            Seen::NoLauncher => {
                abandon(ticket);
                return Err(no_launcher());
            }
        }
        pg::sleep(LOOK_UP);
        pg::check_interrupts();
    }
}

fn look(ticket: Ticket) -> Seen {
    slots::write(|table| {
        let launcher = table.launcher;
        let Some(slot) = table.get_mut(ticket) else { return Seen::Gone };
        match slot.state {
            State::Finished => {
                let seen = Seen::Done(slot.succeeded, slot.payload.get().to_owned());
                slot.release();
                seen
            }
            State::Queued if !pg::is_running(launcher) => Seen::NoLauncher,
            _ => Seen::Waiting,
        }
    })
}

fn no_launcher() -> Failure {
    Failure::new(Class::NotReady, "the pg_backup launcher is not running")
        .detail("It is a background worker that the server starts again when it ends.")
        .hint(
            "See the server log. When it says \"too many background workers\", raise \
             max_worker_processes and restart the server.",
        )
}

fn decode(succeeded: bool, text: &str) -> Result<Report> {
    let broken = |error: serde_json::Error| {
        Failure::new(Class::Internal, format!("could not read the job's result: {error}"))
    };
    if succeeded {
        return serde_json::from_str(text).map_err(broken);
    }
    Err(serde_json::from_str::<Failure>(text).unwrap_or_else(broken))
}

/// Lets go of a job: it is cancelled where it is.
fn abandon(ticket: Ticket) {
    let (runner, launcher) = slots::write(|table| {
        let launcher = table.launcher;
        let Some(slot) = table.get_mut(ticket) else { return (0, launcher) };
        slot.waits = false;
        slot.cancel = true;
        if slot.state == State::Finished {
            slot.release();
        }
        (slot.runner, launcher)
    });
    pg::wake(runner);
    pg::wake(launcher);
}

struct CancelOnDrop(Ticket);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        abandon(self.0);
    }
}

/// Cancels the job that writes row `id` of this database; false when no such job is alive.
pub fn cancel(id: i64) -> bool {
    let home = pg::database_id();
    let found = slots::write(|table| {
        let ticket = table.find(home, id)?;
        let launcher = table.launcher;
        let slot = table.get_mut(ticket)?;
        // One that is only reserved is refused when its transaction commits: its row is in there.
        slot.cancel = true;
        Some((slot.runner, launcher))
    });
    let Some((runner, launcher)) = found else { return false };
    pg::wake(runner);
    pg::wake(launcher);
    true
}

/// Waits until the job that writes row `id` of this database is no longer alive, at most until
/// `limit`; false when it still is.
pub fn wait_until_gone(id: i64, limit: Option<Duration>) -> Result<bool> {
    const PAUSE: Duration = Duration::from_millis(100);
    let (home, started) = (pg::database_id(), Instant::now());
    let _observer = Observer::new(home, id);
    loop {
        let Some(ticket) = slots::read(|table| table.find(home, id)) else { return Ok(true) };
        if pending::has(ticket) {
            return Err(Failure::new(
                Class::ActiveTransaction,
                format!("run {id} begins when this transaction commits"),
            )
            .hint("COMMIT, then call backup_wait()."));
        }
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        pg::sleep(left.unwrap_or(PAUSE).min(PAUSE));
        pg::check_interrupts();
    }
}

/// This session among the observers of a job, so that its locks are watched.
struct Observer(u32, i64);

impl Observer {
    fn new(home: u32, id: i64) -> Self {
        pending::watch_exit();
        Self::replace(home, id, 0, pg::my_pid());
        Self(home, id)
    }

    fn replace(home: u32, id: i64, from: i32, to: i32) {
        slots::write(|table| {
            let ticket = table.find(home, id)?;
            let observers: &mut [i32; OBSERVERS] = &mut table.get_mut(ticket)?.observers;
            let place = observers.iter_mut().find(|pid| **pid == from)?;
            *place = to;
            Some(())
        });
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        Self::replace(self.0, self.1, pg::my_pid(), 0);
    }
}
