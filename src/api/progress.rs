//! Rows behind the view `backup_progress`: every job of the server, from shared memory.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::pg;
use crate::worker::slots::{self, Slot, State};

/// Bytes as SQL has them.
fn big(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(clippy::type_complexity, reason = "one tuple is one row")]
#[pg_extern(volatile, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_progress_rows() -> TableIterator<
    'static,
    (
        name!(id, Option<i64>),
        name!(home, pg_sys::Oid),
        name!(kind, String),
        name!(database, Option<String>),
        name!(phase, String),
        name!(relation, Option<String>),
        name!(relations_done, i32),
        name!(relations_total, i32),
        name!(bytes_done, i64),
        name!(bytes_total, i64),
        name!(queued_at, Option<TimestampWithTimeZone>),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(pid, Option<i32>),
        name!(blocked_by, Vec<i32>),
    ),
> {
    let shown =
        |slot: &&Slot| matches!(slot.state, State::Queued | State::Starting | State::Running);
    let slots: Vec<Slot> = if slots::is_ready() {
        slots::read(|table| table.slots.iter().filter(shown).copied().collect())
    } else {
        Vec::new()
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    TableIterator::new(slots.into_iter().map(move |slot| {
        let progress = slot.progress();
        (
            (slot.id != 0).then_some(slot.id),
            pg_sys::Oid::from(slot.home),
            slot.kind.get().to_owned(),
            some(slot.database.get()).or_else(|| some(slot.home_name.get())),
            progress.phase.as_str().to_owned(),
            some(&progress.relation),
            progress.relations_done as i32,
            progress.relations_total as i32,
            big(progress.bytes_done),
            big(progress.bytes_total),
            pg::timestamp(slot.queued_at),
            pg::timestamp(slot.started_at),
            (slot.runner != 0).then_some(slot.runner),
            progress.blocked_by,
        )
    }))
}
