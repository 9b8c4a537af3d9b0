//! Steps of the engine that the launcher runs by itself, and what it tells them of living jobs.

use pg_backup_core::error::{Failure, Result};
use pg_backup_core::job::context::Context;
use pg_backup_core::job::recovery;

use super::control::WorkerControl;
use super::slots::{self, Slot, State};
use crate::{pg, settings};

/// Runs a step of the engine to its end. The event loop goes with it, and so do connections that
/// were dropped in it: a session that lingers would be in the way of others.
pub fn engine<T>(step: impl AsyncFnOnce(&Context<'_>) -> Result<T>) -> Result<T> {
    let runtime = super::event_loop();
    let runtime = runtime.map_err(|e| Failure::io("start an event loop", &e))?;
    let settings = settings::load();
    let control = WorkerControl::default();
    let context = Context { settings: &settings, harden: pg::harden, control: &control };
    runtime.block_on(step(&context))
}

/// Every job that still has a word to say about its row.
pub fn alive() -> Vec<recovery::Alive> {
    slots::read(|table| {
        let alive = |slot: &&Slot| {
            // One that waits has no row yet, or one that it was given.
            let waits = slot.state == State::Queued || slot.state == State::Reserved;
            let over = matches!(slot.state, State::Free | State::Finished | State::Orphaned);
            !over && (slot.id != 0 || !waits)
        };
        let runs = |slot: &Slot| {
            let second = (slot.second != 0).then_some((slot.home, slot.second));
            std::iter::once((slot.home, slot.id)).chain(second).collect::<Vec<_>>()
        };
        table.slots.iter().filter(alive).flat_map(runs).collect()
    })
}
