//! Waiting for threads and children from the thread that runs the job: look, let the control
//! speak, look again. Nothing here blocks.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::context::Control;
use crate::decide::progress::Progress;
use crate::error::{Class, Failure, Result};
use crate::host::threads;

/// Between two looks: short against a dump, long against a system call.
const PAUSE: Duration = Duration::from_millis(4);

/// Asks `ready` until it has something.
pub async fn until<T>(
    control: &dyn Control,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        control.proceed()?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The result of a thread, once it has ended.
pub async fn joined<T>(control: &dyn Control, handle: JoinHandle<Result<T>>) -> Result<T> {
    until(control, || Ok(handle.is_finished().then_some(()))).await?;
    threads::join(handle)?
}

/// Two steps side by side; the first failure ends both.
pub async fn both<A, B>(
    a: impl Future<Output = Result<A>>,
    b: impl Future<Output = Result<B>>,
) -> Result<(A, B)> {
    tokio::try_join!(a, b)
}

/// A control with a time limit of its own.
pub struct Deadline<'a> {
    inner: &'a dyn Control,
    until: Option<Instant>,
    limit: Duration,
}

impl<'a> Deadline<'a> {
    /// Lets `inner` speak, and fails after `limit`; zero is no limit.
    pub fn new(inner: &'a dyn Control, limit: Duration) -> Self {
        let until = (!limit.is_zero()).then(|| Instant::now() + limit);
        Self { inner, until, limit }
    }
}

impl Control for Deadline<'_> {
    fn proceed(&self) -> Result<()> {
        self.inner.proceed()?;
        if self.until.is_none_or(|until| Instant::now() < until) {
            return Ok(());
        }
        let seconds = self.limit.as_secs_f32();
        Err(Failure::new(Class::Timeout, format!("ran longer than {seconds} s"))
            .hint("Raise pg_backup.max_runtime; 0 sets no limit."))
    }

    fn report(&self, progress: &Progress) {
        self.inner.report(progress);
    }

    fn started(&self, id: i64) {
        self.inner.started(id);
    }

    fn waiters(&self) -> Vec<i32> {
        self.inner.waiters()
    }

    fn unrecorded(&self) {
        self.inner.unrecorded();
    }
}

/// A control that also fails when a counter stands still for too long.
pub struct Moving<'a> {
    inner: &'a dyn Control,
    what: &'static str,
    counter: &'a AtomicU64,
    seen: Cell<(u64, Instant)>,
    limit: Duration,
}

impl<'a> Moving<'a> {
    /// Lets `inner` speak, and fails when `counter`, the progress of `what`, does not change for
    /// `limit`; zero is no limit.
    pub fn new(
        inner: &'a dyn Control,
        what: &'static str,
        counter: &'a AtomicU64,
        limit: Duration,
    ) -> Self {
        let seen = Cell::new((counter.load(Ordering::Relaxed), Instant::now()));
        Self { inner, what, counter, seen, limit }
    }
}

impl Control for Moving<'_> {
    fn proceed(&self) -> Result<()> {
        self.inner.proceed()?;
        let (last, since) = self.seen.get();
        let now = self.counter.load(Ordering::Relaxed);
        if now != last {
            self.seen.set((now, Instant::now()));
            return Ok(());
        }
        if self.limit.is_zero() || since.elapsed() < self.limit {
            return Ok(());
        }
        let seconds = self.limit.as_secs_f32();
        Err(Failure::new(Class::Timeout, format!("{} has not moved for {seconds} s", self.what))
            .hint("Look for a stopped process or a hanging disk; see pg_backup.stall_timeout."))
    }

    fn report(&self, progress: &Progress) {
        self.inner.report(progress);
    }

    fn started(&self, id: i64) {
        self.inner.started(id);
    }

    fn waiters(&self) -> Vec<i32> {
        self.inner.waiters()
    }

    fn unrecorded(&self) {
        self.inner.unrecorded();
    }
}

/// A control for the last words of a job that was told to stop: it goes on, but not for long.
pub struct LastWords<'a> {
    inner: &'a dyn Control,
    until: Instant,
}

impl<'a> LastWords<'a> {
    /// Goes on for at most `limit`.
    pub fn new(inner: &'a dyn Control, limit: Duration) -> Self {
        Self { inner, until: Instant::now() + limit }
    }
}

impl Control for LastWords<'_> {
    fn proceed(&self) -> Result<()> {
        // The host does its own housekeeping in there; its verdict is known already.
        let _ = self.inner.proceed();
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Failure::new(Class::Timeout, "the history did not answer in time"))
    }

    fn report(&self, progress: &Progress) {
        self.inner.report(progress);
    }

    fn started(&self, id: i64) {
        self.inner.started(id);
    }

    fn waiters(&self) -> Vec<i32> {
        self.inner.waiters()
    }

    fn unrecorded(&self) {
        self.inner.unrecorded();
    }
}
