//! Workers: how they are registered, begin, look up and end.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

use super::version;

/// Functions of the server as addresses: what pgrx exports are wrappers that cannot be handlers.
mod c {
    use std::ffi::c_int;
    unsafe extern "C-unwind" {
        pub fn die(signal: c_int);
        pub fn SignalHandlerForConfigReload(signal: c_int);
    }
}

/// How long the postmaster waits before it starts a static worker again.
const RESTART_SECONDS: i32 = 5;

/// Why a worker has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: shutdown of the server, or pg_terminate_backend().
    Terminate,
    /// SIGINT: pg_cancel_backend().
    Cancel,
    /// The postmaster is gone.
    PostmasterGone,
}

/// A worker that was asked for.
#[derive(Debug)]
pub struct Worker(*mut pg_sys::BackgroundWorkerHandle);

impl Worker {
    /// Whether the worker has ended, or will never begin.
    pub fn has_ended(&self) -> bool {
        let mut pid = 0;
        // SAFETY: the handle was given by the server and is freed only in Drop.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.0, &raw mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: the handle was allocated by the server in a context that lives as long as the
        // launcher.
        unsafe { pg_sys::pfree(self.0.cast()) };
    }
}

fn description(name: &CStr, function: &CStr, argument: i32) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
            as i32,
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
        bgw_main_arg: pg_sys::Datum::from(argument),
        ..Default::default()
    };
    fill(&mut worker.bgw_name, name);
    fill(&mut worker.bgw_type, name);
    fill(&mut worker.bgw_library_name, c"pg_backup");
    fill(&mut worker.bgw_function_name, function);
    worker
}

/// Copies a name that is shorter than the field; the rest stays NUL.
fn fill(field: &mut [c_char], name: &CStr) {
    let room = field.len() - 1;
    for (to, from) in field[..room].iter_mut().zip(name.to_bytes()) {
        *to = *from as c_char;
    }
}

/// Registers a worker that the postmaster starts, and starts again, by itself.
pub fn register_static_worker(name: &CStr, function: &CStr) {
    let mut worker = description(name, function, 0);
    worker.bgw_restart_time = RESTART_SECONDS;
    // SAFETY: called while the library is preloaded; the server copies the description.
    unsafe { pg_sys::RegisterBackgroundWorker(&raw mut worker) };
}

/// Asks for a worker that runs once; None when all worker slots are taken.
pub fn launch_worker(name: &CStr, function: &CStr, argument: i32) -> Option<Worker> {
    let mut worker = description(name, function, argument);
    worker.bgw_restart_time = pg_sys::BGW_NEVER_RESTART;
    let mut handle = std::ptr::null_mut();
    // SAFETY: the server copies the description; the handle is allocated in a context that lives
    // as long as this process.
    let registered = unsafe {
        worker.bgw_notify_pid = pg_sys::MyProcPid;
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let registered = pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle);
        pg_sys::MemoryContextSwitchTo(before);
        registered
    };
    // Lazily: a `Worker` that is not there must not be dropped.
    registered.then(|| Worker(handle))
}

/// First steps of a worker: handlers, signals, and a place in pg_stat_activity. It is connected
/// to no database, so that it blocks none.
pub fn begin_worker() {
    // SAFETY: the server's own handlers; called once, before anything else.
    unsafe {
        version::set_handler(libc::SIGTERM, Some(c::die));
        version::set_handler(libc::SIGHUP, Some(c::SignalHandlerForConfigReload));
        pg_sys::BackgroundWorkerUnblockSignals();
        let none = pg_sys::InvalidOid;
        pg_sys::BackgroundWorkerInitializeConnectionByOid(none, none, 0);
    }
}

/// What the process title and pg_stat_activity say of this worker.
pub fn show_activity(text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: the server copies the text.
    unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
    }
}

/// Why this process should stop, if it should. Raises nothing.
pub fn stop_asked() -> Option<Stop> {
    // SAFETY: flags that signal handlers of this process set; the postmaster is our parent until
    // it dies.
    unsafe {
        if libc::getppid() != pg_sys::PostmasterPid {
            return Some(Stop::PostmasterGone);
        }
        if pg_sys::ProcDiePending != 0 {
            return Some(Stop::Terminate);
        }
        (pg_sys::QueryCancelPending != 0).then_some(Stop::Cancel)
    }
}

/// What every process of the server owes the others while it is busy: without it, CREATE and DROP
/// DATABASE elsewhere would wait for us.
pub fn housekeeping() {
    // SAFETY: the flag is set by a signal handler; processing is allowed wherever interrupts are.
    unsafe {
        if pg_sys::ProcSignalBarrierPending != 0 {
            pg_sys::ProcessProcSignalBarrier();
        }
    }
}

/// Reads the configuration again when the server was told to.
pub fn reload_if_asked() {
    // SAFETY: the flag is set by the handler of SIGHUP; called between two steps of the launcher.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Ends the statement or the process when somebody asked for it.
pub fn check_interrupts() {
    pgrx::check_for_interrupts!();
}

/// Has `callback(argument)` called when this process ends, also when it ends by FATAL, which runs
/// no destructor of Rust.
pub fn at_exit(
    callback: unsafe extern "C-unwind" fn(code: i32, argument: pg_sys::Datum),
    argument: i32,
) {
    // SAFETY: the callback is a function of this library, which stays loaded.
    unsafe { pg_sys::before_shmem_exit(Some(callback), pg_sys::Datum::from(argument)) };
}

/// Ends this worker so that the postmaster starts it again, if it is static.
pub fn leave() -> ! {
    version::proc_exit(1)
}
