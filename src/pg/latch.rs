//! Sleeping on the process latch, and waking others.

use std::time::Duration;

use pgrx::pg_sys;

/// Sleeps until somebody wakes this process or `limit` is over. Ends the process when the
/// postmaster is gone.
pub fn sleep(limit: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let millis = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    // SAFETY: waits on the latch of this process, as every loop of the server does.
    unsafe {
        let latch = pg_sys::MyLatch;
        pg_sys::WaitLatch(latch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(latch);
    }
}

/// Wakes the process `pid` of this server; nothing happens when there is none.
pub fn wake(pid: i32) {
    if pid == 0 {
        return;
    }
    // SAFETY: the entry is in shared memory, which outlives the process; a latch that belongs to
    // somebody else by now wakes that one for nothing.
    unsafe {
        let entry = pg_sys::BackendPidGetProc(pid);
        if !entry.is_null() {
            pg_sys::SetLatch(&raw mut (*entry).procLatch);
        }
    }
}

/// Whether a process of this server has this id.
pub fn is_running(pid: i32) -> bool {
    // SAFETY: looks through shared memory under the server's own lock.
    pid != 0 && !unsafe { pg_sys::BackendPidGetProc(pid) }.is_null()
}
