//! Jobs that start when the caller's transaction commits (`wait => false`).
//!
//! A slot is reserved at the call. Commit queues it, rollback frees it; so does a rollback to a
//! savepoint before the call, and the end of the session.

use std::cell::{Cell, RefCell};

use pg_backup_core::error::{Class, Failure};
use pgrx::{pg_guard, pg_sys};

use super::slots::{self, State, Ticket};
use crate::pg::{self, Event};

thread_local! {
    /// Reserved jobs, each with the savepoint it was asked for in.
    static PENDING: RefCell<Vec<(u32, Ticket)>> = const { RefCell::new(Vec::new()) };
    /// Whether this transaction has changed schedules.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Remembers a reserved job until the transaction ends.
pub fn add(ticket: Ticket) {
    pg::on_transaction_end(transaction_event);
    PENDING.with_borrow_mut(|pending| pending.push((pg::subtransaction(), ticket)));
}

/// Remembers that this transaction changes schedules: the launcher reads them when it commits.
/// One whose savepoint is rolled back makes it read them for nothing.
pub fn schedules_change() {
    if slots::is_ready() {
        pg::on_transaction_end(transaction_event);
        CHANGED.set(true);
    }
}

/// Whether a job of this transaction waits for its commit.
pub fn has(ticket: Ticket) -> bool {
    PENDING.with_borrow(|pending| pending.iter().any(|(_, own)| *own == ticket))
}

/// Sees to it that slots of this session are let go when it ends, however it ends.
pub fn watch_exit() {
    if !WATCHED.replace(true) {
        pg::at_exit(session_ends, 0);
    }
}

fn transaction_event(event: Event) {
    match event {
        Event::Committed => {
            tell_launcher();
            queue(take(|_| true));
        }
        Event::Aborted => {
            CHANGED.set(false);
            drop_all(take(|_| true));
        }
        Event::SubAborted { own } => drop_all(take(|savepoint| savepoint == own)),
        Event::SubCommitted { own, parent } => PENDING.with_borrow_mut(|pending| {
            pending.iter_mut().filter(|(at, _)| *at == own).for_each(|(at, _)| *at = parent);
        }),
        Event::Preparing => refuse_prepare(),
    }
}

fn tell_launcher() {
    if !CHANGED.replace(false) {
        return;
    }
    let home = pg::database_id();
    let launcher = slots::write(|table| {
        table.schedules_changed(home);
        table.launcher
    });
    pg::wake(launcher);
}

/// A prepared transaction is committed by another session, which knows nothing of it.
fn refuse_prepare() {
    if CHANGED.replace(false) {
        crate::error::raise(
            Failure::new(
                Class::ActiveTransaction,
                "cannot PREPARE a transaction that has changed schedules",
            )
            .hint("Change them in a transaction of their own."),
        );
    }
    if PENDING.with_borrow(Vec::is_empty) {
        return;
    }
    crate::error::raise(
        Failure::new(
            Class::ActiveTransaction,
            "cannot PREPARE a transaction that has started a backup with wait => false",
        )
        .hint("Start the backup in a transaction of its own."),
    );
}

fn take(wanted: impl Fn(u32) -> bool) -> Vec<Ticket> {
    PENDING.with_borrow_mut(|pending| {
        let (taken, kept) = pending.drain(..).partition(|(savepoint, _)| wanted(*savepoint));
        *pending = kept;
        let taken: Vec<(u32, Ticket)> = taken;
        taken.into_iter().map(|(_, ticket)| ticket).collect()
    })
}

fn queue(tickets: Vec<Ticket>) {
    if tickets.is_empty() {
        return;
    }
    let launcher = slots::write(|table| {
        for ticket in tickets {
            if let Some(slot) = table.get_mut(ticket).filter(|s| s.state == State::Reserved) {
                slot.state = State::Queued;
            }
        }
        table.launcher
    });
    pg::wake(launcher);
}

fn drop_all(tickets: Vec<Ticket>) {
    if tickets.is_empty() {
        return;
    }
    slots::write(|table| {
        for ticket in tickets {
            if let Some(slot) = table.get_mut(ticket).filter(|s| s.state == State::Reserved) {
                slot.state = State::Free;
            }
        }
    });
}

/// A session that ends takes its waiting jobs with it; what it started without waiting goes on.
#[pg_guard]
unsafe extern "C-unwind" fn session_ends(_code: i32, _argument: pg_sys::Datum) {
    let own = pg::my_pid();
    slots::write(|table| {
        for slot in table.slots.iter_mut().filter(|slot| slot.state != State::Free) {
            slot.observers.iter_mut().filter(|pid| **pid == own).for_each(|pid| *pid = 0);
            if slot.caller != own {
                continue;
            }
            match slot.state {
                State::Reserved => slot.state = State::Free,
                State::Finished => slot.release(),
                _ if slot.waits => {
                    slot.waits = false;
                    slot.cancel = true;
                }
                _ => {}
            }
        }
    });
}
