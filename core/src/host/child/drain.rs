//! Follows a child's stderr, so that the child never blocks on it, and keeps a bounded tail.
//!
//! In: the reading end of the pipe. Out: text. What must hold: the end of the child is enough. A
//! grandchild that keeps the pipe open, or goes on writing, holds up nothing: the pipe is never
//! read in blocking mode, and what the child itself wrote is in the pipe when the child is dead.

use crate::decide::redact::Tail;
use crate::error::{Failure, Result};
use crate::host::threads;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{ErrorKind, Read};
use std::process::ChildStderr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The most that is still read when the child is dead: more than a pipe of the default size (64
/// KiB) can hold, so everything of the child's, whoever else writes.
const LAST_BYTES: usize = 256 << 10;

/// Bytes per read.
const CHUNK: usize = 8 << 10;

/// The pauses while nothing comes. A child that writes much fills its 64 KiB in one of the long
/// ones at most, and waits.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Drain {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    source: Mutex<Source>,
    /// The child is dead: the thread ends, `finish` reads the rest.
    ended: AtomicBool,
}

struct Source {
    pipe: ChildStderr,
    tail: Tail,
}

/// What one read gave.
#[derive(PartialEq, Eq)]
enum Found {
    Bytes(usize),
    Nothing,
    /// Nobody holds the writing end any more.
    End,
}

impl Drain {
    /// Starts to follow. Errors: those of `fcntl(2)`, or no thread.
    pub(super) fn start(pipe: ChildStderr) -> Result<Self> {
        // The flag belongs to our end alone: the child's end is another open file.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| Failure::io("set up the pipe for error messages", &errno.into()))?;
        let source = Mutex::new(Source { pipe, tail: Tail::new() });
        let shared = Arc::new(Shared { source, ended: AtomicBool::new(false) });
        let followed = Arc::clone(&shared);
        let thread = threads::spawn("stderr", move || followed.follow())?;
        Ok(Self { shared, thread })
    }

    /// The text, once the child is dead. Never waits for anyone.
    pub(super) fn finish(self) -> String {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Its panic would be a defect of `Tail`; what was read before is still worth showing.
        threads::join(self.thread).ok();
        let mut source = self.shared.source();
        let mut left = LAST_BYTES;
        while left > 0 {
            match source.read() {
                Found::Bytes(n) => left = left.saturating_sub(n.max(1)),
                Found::Nothing | Found::End => break,
            }
        }
        source.tail.text()
    }
}

impl Shared {
    /// The thread: ends with the pipe, or with the child.
    fn follow(&self) {
        let mut pause = PAUSE_MIN;
        while !self.ended.load(Ordering::Acquire) {
            let found = self.source().read();
            match found {
                Found::Bytes(_) => pause = PAUSE_MIN,
                Found::End => return,
                Found::Nothing => {
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn read(&mut self) -> Found {
        let mut chunk = [0; CHUNK];
        match self.pipe.read(&mut chunk) {
            Ok(0) => Found::End,
            Ok(n) => {
                self.tail.push(&chunk[..n]);
                Found::Bytes(n)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Found::Bytes(0),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Found::Nothing,
            // No other error is known for a pipe; it must not make a loop that spins.
            Err(_) => Found::End,
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("pipe", &self.pipe).finish_non_exhaustive()
    }
}
