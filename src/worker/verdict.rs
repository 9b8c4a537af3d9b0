//! What becomes of a queued job: a decision by all slots, and the words for jobs that never run.

use std::time::Duration;

use pg_backup_core::error::{Class, Failure};

use super::slots::{self, Slot, State, Ticket};

/// Microseconds by which schedules that are due together may be apart: the launcher may have been
/// busy in between.
const TOGETHER: i64 = 60_000_000;

/// What becomes of a queued job now.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Start,
    Wait,
    Cancelled,
    /// This job works on the same database, or came first.
    Concurrent(InTheWay),
}

/// A job as it is told to whom it is in the way.
#[derive(Debug, PartialEq, Eq)]
pub struct InTheWay {
    kind: String,
    /// Of its run and its runner, 0 where there is none yet.
    id: i64,
    runner: i32,
    waits: bool,
}

/// Decides about one queued job by all others.
pub fn verdict(all: &[Slot], ticket: Ticket, limit: usize) -> Verdict {
    let Some(own) = all.get(ticket.index).filter(|slot| slot.state == State::Queued) else {
        return Verdict::Wait;
    };
    if own.cancel {
        return Verdict::Cancelled;
    }
    let in_the_way = |other: &&Slot| {
        let first = other.is_under_way()
            || (other.state == State::Queued && other.ticket < own.ticket && !other.cancel);
        first && !own.database.get().is_empty() && other.database.get() == own.database.get()
    };
    if let Some(other) = all.iter().find(in_the_way) {
        // Of one schedule only one waits: else a long job would be followed by a storm.
        let same = |slot: &Slot| slot.home == own.home && slot.schedule.get() == own.schedule.get();
        let one_waits = |slot: &Slot| {
            let scheduled = !slot.schedule.get().is_empty();
            scheduled && slot.state == State::Queued && slot.ticket < own.ticket && same(slot)
        };
        if (own.patient || is_tie(own, other)) && !all.iter().any(one_waits) {
            return Verdict::Wait;
        }
        return Verdict::Concurrent(InTheWay {
            kind: other.kind.get().to_owned(),
            id: other.id,
            runner: other.runner,
            waits: other.state == State::Queued,
        });
    }
    let running = all.iter().filter(|slot| slot.heavy && slot.is_under_way()).count();
    if own.heavy && running >= limit { Verdict::Wait } else { Verdict::Start }
}

/// Whether two schedules of one database fell due together: then neither is in the way of the
/// other, and the second one waits.
fn is_tie(own: &Slot, other: &Slot) -> bool {
    let two = [own, other].iter().all(|slot| !slot.schedule.get().is_empty());
    let together = (own.queued_at - other.queued_at).abs() <= TOGETHER;
    let same = own.home == other.home && own.schedule.get() == other.schedule.get();
    two && together && !same
}

/// Why a job that found another one in its way never runs.
pub fn concurrent(ticket: Ticket, other: &InTheWay) -> Failure {
    let (database, kind, has_row) = slots::read(|table| {
        let told = |slot: &Slot| {
            let kind = slot.kind.get().to_owned();
            // Of these a row is made; others may have been given one.
            let has_row = slot.id != 0 || kind == "backup";
            (slot.database.get().to_owned(), kind, has_row)
        };
        table.get(ticket).map(told).unwrap_or_default()
    });
    let which = if kind == other.kind { "another" } else { "a" };
    let does = if other.waits { "waiting" } else { "running" };
    let mut detail = match (other.id, other.runner) {
        (0, _) if other.waits => "It came first.".to_owned(),
        (0, _) => "It has just begun.".to_owned(),
        (id, 0) => format!("It is run {id}."),
        (id, pid) => format!("It is run {id}, process id {pid}."),
    };
    if has_row {
        detail.push_str(" This call is recorded as skipped.");
    }
    let kind = &other.kind;
    let message = format!("{which} {kind} of database \"{database}\" is {does}");
    Failure::new(Class::Concurrent, message)
        .detail(detail)
        .hint("Wait for it: backup_progress shows how far it is.")
}

pub fn no_worker(waited: Duration) -> Failure {
    Failure::new(Class::LimitExceeded, "could not start a background worker")
        .detail(format!("No worker slot was free for {} s.", waited.as_secs()))
        .hint("Raise max_worker_processes and restart the server, or try again later.")
}
