//! The runner: a dynamic worker that hosts one job and ends.
//!
//! It is connected to no database. Whatever happens to it, its slot is left in a state that the
//! launcher can act on: a callback sees to that even when the process ends by FATAL.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_backup_core::decide::request::{Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::job::context::Context;
use pg_backup_core::job::{self, Report};
use pgrx::{pg_guard, pg_sys};

use super::control::WorkerControl;
use super::slots::{self, State, Ticket};
use crate::{pg, settings};

/// Entry point. The argument is the index of the slot.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_backup_runner_main(argument: pg_sys::Datum) {
    pg::begin_worker();
    let index = argument.value();
    let Some((ticket, request)) = attach(index) else { return };
    pg::at_exit(let_go, index as i32);
    let request = match request {
        Ok(request) => request,
        Err(failure) => return finish(ticket, Err(failure), false),
    };
    pg::show_activity(&format!("{} of {}", request.task.kind(), subject(&request)));
    let result = catch_unwind(AssertUnwindSafe(|| host(ticket, &request)));
    let opened = matches!(request.task, Task::Restore(_) | Task::Rollback(_));
    finish(ticket, result.unwrap_or_else(|panic| Err(panicked(&*panic))), opened);
}

fn subject(request: &Request) -> &str {
    request.task.database().unwrap_or(&request.home.database)
}

/// Takes the job over from the launcher.
fn attach(index: usize) -> Option<(Ticket, Result<Request>)> {
    let (ticket, text) = slots::write(|table| {
        let slot = table.slots.get_mut(index).filter(|slot| slot.state == State::Starting)?;
        slot.state = State::Running;
        slot.runner = pg::my_pid();
        slot.started_at = pg::now_micros();
        Some((Ticket { index, generation: slot.generation }, slot.payload.get().to_owned()))
    })?;
    let request = serde_json::from_str(&text).map_err(|error| {
        Failure::new(Class::Internal, format!("could not read the job's request: {error}"))
    });
    Some((ticket, request))
}

/// Runs the job to its end.
fn host(ticket: Ticket, request: &Request) -> Result<Report> {
    let settings = settings::load();
    let control = WorkerControl { ticket: Some(ticket), ..WorkerControl::default() };
    let context = Context { settings: &settings, harden: pg::harden, control: &control };
    let runtime = super::event_loop();
    let runtime = runtime.map_err(|e| Failure::io("start the job's event loop", &e))?;
    let mut report = runtime.block_on(job::run(&context, request))?;
    report.tell(control.warned.take());
    Ok(report)
}

/// Gives the result to who waits, and what follows from it to the launcher. `opened`: the job
/// opened a database, in which there may be schedules.
fn finish(ticket: Ticket, result: Result<Report>, opened: bool) {
    let told = match &result {
        Ok(report) => report.fitted(slots::PAYLOAD),
        Err(failure) => Err(failure.clone()),
    };
    let text = encode(&told);
    let waiters = slots::write(|table| {
        let slot = table.get_mut(ticket)?;
        let waiters = slot.waiters();
        slot.runner = 0;
        let unclaimed = result.is_err() && slot.id == 0 && !slot.schedule.get().is_empty();
        let home = slot.home;
        slot.finish(told.is_ok(), &text);
        if unclaimed {
            // The due time is not dealt with: the launcher plans it again.
            table.schedules_changed(home);
        }
        if opened && result.is_ok() {
            table.databases_changed();
        }
        Some((waiters, table.launcher))
    });
    if let Some((waiters, launcher)) = waiters {
        waiters.into_iter().for_each(pg::wake);
        pg::wake(launcher);
    }
    match result {
        Ok(report) => report.warnings.into_iter().for_each(crate::error::log_warning),
        Err(failure) => crate::error::log_warning(failure),
    }
}

/// A result that fits the slot, where a report does already: what is too long of a failure is cut,
/// never left out.
pub fn encode(result: &Result<Report>) -> String {
    const LONGEST: usize = slots::PAYLOAD / 6;
    let text = match result {
        Ok(report) => serde_json::to_string(report),
        Err(failure) => serde_json::to_string(failure),
    };
    match (text, result) {
        (Ok(text), Err(failure)) if text.len() > slots::PAYLOAD => {
            let cut = |text: &str| text.chars().take(LONGEST / 4).collect::<String>();
            let short = Failure {
                class: failure.class,
                message: cut(&failure.message),
                detail: cut(&failure.detail),
                hint: cut(&failure.hint),
            };
            serde_json::to_string(&short).unwrap_or_default()
        }
        (text, _) => text.unwrap_or_default(),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
    Failure::new(Class::Internal, format!("the job failed by a defect: {text}"))
        .hint("Please report this with the server log.")
}

/// The last thing that a runner does, however it ends: a job without a result is the launcher's.
#[pg_guard]
unsafe extern "C-unwind" fn let_go(_code: i32, argument: pg_sys::Datum) {
    let launcher = slots::write(|table| {
        let own = pg::my_pid();
        let slot = table.slots.get_mut(argument.value())?;
        if slot.state != State::Running || slot.runner != own {
            return None;
        }
        slot.state = State::Orphaned;
        slot.runner = 0;
        Some(table.launcher)
    });
    pg::wake(launcher.unwrap_or(0));
}
