//! The caller's transaction: whether it has written, and how it ends.

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

/// What happens to a transaction or to one of its savepoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Committed,
    Aborted,
    /// PREPARE TRANSACTION is about to happen; an error still stops it.
    Preparing,
    /// Savepoint `own` is released into `parent`.
    SubCommitted {
        own: u32,
        parent: u32,
    },
    /// Savepoint `own` is rolled back.
    SubAborted {
        own: u32,
    },
}

type Listener = fn(Event);

thread_local! {
    static LISTENER: Cell<Option<Listener>> = const { Cell::new(None) };
}

/// Whether the transaction has written something: it has a transaction id then.
pub fn has_written() -> bool {
    // SAFETY: reads state of this process.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

/// Number of the savepoint that is open, unique within the transaction.
pub fn subtransaction() -> u32 {
    // SAFETY: reads state of this process.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Has `listener` told how transactions of this session end, from now on. It must not raise,
/// except while preparing.
pub fn on_transaction_end(listener: Listener) {
    let before = LISTENER.replace(Some(listener));
    if before.is_some() {
        return;
    }
    // SAFETY: functions of this library, which stays loaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(savepoint), std::ptr::null_mut());
    }
}

/// Runs queries that see what has been committed during this statement, as far as the isolation
/// level allows.
pub fn with_fresh_snapshot<T>(query: impl FnOnce() -> T) -> T {
    // SAFETY: a snapshot of this transaction, popped below; on an error the server pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
    let result = query();
    // SAFETY: the snapshot that was pushed above is the top again.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

fn tell(event: Event) {
    if let Some(listener) = LISTENER.get() {
        listener(event);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent as E;
    match event {
        E::XACT_EVENT_COMMIT => tell(Event::Committed),
        E::XACT_EVENT_ABORT => tell(Event::Aborted),
        E::XACT_EVENT_PRE_PREPARE => tell(Event::Preparing),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn savepoint(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::SubXactEvent as E;
    match event {
        E::SUBXACT_EVENT_COMMIT_SUB => tell(Event::SubCommitted { own, parent }),
        E::SUBXACT_EVENT_ABORT_SUB => tell(Event::SubAborted { own }),
        _ => {}
    }
}
