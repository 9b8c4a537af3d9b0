//! Looks at the start of the server: each is taken until it has come to something. No due time in
//! a row remembers them.

use std::time::{Duration, Instant};

use pg_backup_core::decide::retry::is_transient;
use pg_backup_core::decide::timetable::Look;
use pg_backup_core::error::Failure;

use crate::worker::slots::{self, Slot, State, Ticket};

/// Between two attempts.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Starts {
    waiting: Vec<Look>,
    under_way: Vec<(Ticket, Look)>,
    /// Those that wait are not taken before.
    not_before: Option<Instant>,
}

impl Starts {
    pub fn add(&mut self, looks: Vec<Look>) {
        self.waiting.extend(looks);
    }

    /// How long the launcher may sleep for them, at most `longest`.
    pub fn pause(&self, longest: Duration) -> Duration {
        if self.waiting.is_empty() { longest } else { longest.min(RETRY) }
    }

    /// Those to take now, at most `most`.
    pub fn take(&mut self, most: usize) -> Vec<Look> {
        self.collect();
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Vec::new();
        }
        let most = self.waiting.len().min(most);
        self.waiting.drain(..most).collect()
    }

    /// One was put into a slot, whose result is kept for us, or there was no room.
    pub fn taken(&mut self, look: Look, ticket: Option<Ticket>) {
        match ticket {
            Some(ticket) => self.under_way.push((ticket, look)),
            None => self.again(look),
        }
    }

    fn again(&mut self, look: Look) {
        self.waiting.push(look);
        self.not_before = Some(Instant::now() + RETRY);
    }

    /// Takes the results of those that have ended.
    fn collect(&mut self) {
        for (ticket, look) in std::mem::take(&mut self.under_way) {
            match slots::write(|table| table.get_mut(ticket).map(ended)) {
                Some(None) => self.under_way.push((ticket, look)),
                Some(Some(true)) => self.again(look),
                Some(Some(false)) | None => {}
            }
        }
    }
}

/// Whether the look came to nothing, for a reason that passes; None while it is under way.
fn ended(slot: &mut Slot) -> Option<bool> {
    if slot.state != State::Finished {
        return None;
    }
    let passes = || {
        let failure = serde_json::from_str::<Failure>(slot.payload.get());
        failure.is_ok_and(|failure| is_transient(failure.class))
    };
    let in_vain = !slot.succeeded && slot.id == 0 && passes();
    slot.release();
    Some(in_vain)
}

/// Frees slots whose results were kept for a launcher that is no more.
pub fn forget() {
    slots::write(|table| {
        let kept = |slot: &&mut Slot| slot.caller == 0 && slot.waits;
        for slot in table.slots.iter_mut().filter(kept) {
            match slot.state {
                State::Finished => slot.release(),
                _ => slot.waits = false,
            }
        }
    });
}
