//! What must happen in a child between fork and exec (measured: what a child of a worker inherits
//! otherwise is a blocked SIGTERM, ignored signals, WAL and table files open for writing, and the
//! pipe by which the postmaster's death is noticed).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The highest classic signal number; real-time signals are not used by the server.
const LAST_SIGNAL: libc::c_int = 31;
/// `CLOSE_RANGE_CLOEXEC`: close at exec, so that the error pipe of the standard library lives on.
const CLOEXEC: libc::c_uint = 4;
/// Exit code of a child whose parent died before it could ask to be told.
const ORPHAN: libc::c_int = 127;

/// Resets signal mask and dispositions, ties the child's life to ours, leaks no file. The child
/// of a worker that dies is killed, not asked: it may be stopped, or deaf to SIGTERM.
pub fn harden(command: &mut Command) {
    let parent = std::process::id() as libc::pid_t;
    // SAFETY: the closure runs in the child after fork; it calls only functions that are safe
    // there (signal-safety(7)): no allocation, no lock, plain system calls.
    unsafe { command.pre_exec(move || prepare(parent)) };
}

fn prepare(parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: plain system calls on memory of this frame, in a child with one thread.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        for signal in 1..=LAST_SIGNAL {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::getppid() != parent {
            libc::_exit(ORPHAN);
        }
        if libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
