//! Threads beside the main one: signals never reach them, and a panic becomes a failure.
//!
//! In: a name and a closure. Out: a join handle. What must hold: a handler of the server runs on
//! the main thread only (it touches memory that belongs to it), so a new thread is born with
//! every signal blocked, and the caller's mask is as before when `spawn` returns.

use crate::error::{Class, Failure, Result};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::any::Any;
use std::thread::{Builder, JoinHandle};

/// Memory for each thread's stack, bytes: the default of Rust's library, said outright because it
/// would else listen to RUST_MIN_STACK, and a small value there ends the whole server.
const STACK: usize = 2 << 20;

/// Starts a thread that no signal is delivered to. Its name is cut by the kernel after 15 bytes.
///
/// Errors: `LimitExceeded` when the system gives no thread, `Internal` when the mask cannot be
/// read or set (`pthread_sigmask(3)`: only for arguments that make no sense) or the name has NUL.
pub fn spawn<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    if name.contains('\0') {
        return Err(Failure::new(Class::Internal, "a thread's name contains a NUL byte"));
    }
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(mask_failure)?;
    let spawned = Builder::new().name(name.to_owned()).stack_size(STACK).spawn(f);
    before.thread_set_mask().map_err(mask_failure)?;
    spawned.map_err(|e| {
        Failure::new(Class::LimitExceeded, format!("could not start thread \"{name}\": {e}"))
            .hint("Raise the limit of processes of the server's user, or free memory.")
    })
}

/// Waits for the end of a thread, however long it takes: the caller makes sure that it ends.
///
/// Errors: `Internal` with the panic's text when the thread panicked.
pub fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    let name = handle.thread().name().unwrap_or("unnamed").to_owned();
    handle.join().map_err(|panic| {
        Failure::new(Class::Internal, format!("thread \"{name}\" panicked: {}", text(&*panic)))
    })
}

fn mask_failure(error: nix::Error) -> Failure {
    Failure::new(Class::Internal, format!("could not change the signal mask: {error}"))
}

/// What `panic!` was called with: a literal, or a formatted string.
fn text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    fn mask() -> SigSet {
        SigSet::thread_get_mask().unwrap()
    }

    #[test]
    fn a_thread_is_born_with_every_signal_blocked() {
        let theirs = join(spawn("masked", mask).unwrap()).unwrap();
        let never_blocked = [Signal::SIGKILL, Signal::SIGSTOP];
        for signal in Signal::iterator().filter(|s| !never_blocked.contains(s)) {
            assert!(theirs.contains(signal), "{signal} reaches the thread");
        }
    }

    #[test]
    fn the_mask_of_the_caller_is_as_before() {
        let one = SigSet::from(Signal::SIGUSR2);
        let original = one.thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
        join(spawn("quiet", || ()).unwrap()).unwrap();
        let after = mask();
        original.thread_set_mask().unwrap();
        assert_eq!(after, one);
    }

    #[test]
    fn a_result_comes_back() {
        assert_eq!(join(spawn("sum", || 1 + 1).unwrap()), Ok(2));
    }

    #[test]
    fn a_panic_is_a_failure_with_its_text() {
        let literal = spawn("writer", || panic!("no more ideas")).unwrap();
        let failure = join::<()>(literal).unwrap_err();
        assert_eq!(failure.class, Class::Internal);
        assert_eq!(failure.message, "thread \"writer\" panicked: no more ideas");
        let formatted = spawn("writer", || panic!("{} ideas", 0)).unwrap();
        assert!(join::<()>(formatted).unwrap_err().message.ends_with("panicked: 0 ideas"));
    }

    #[test]
    fn a_name_with_nul_is_refused() {
        assert_eq!(spawn("a\0b", || ()).unwrap_err().class, Class::Internal);
    }
}
