//! Waiting for threads and children from the thread that runs the job: look, let the control
//! speak, look again. Nothing here blocks.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::decide::progress::Progress;
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::threads;

/// Between two looks: short against a dump, long against a system call.
const PAUSE: Duration = Duration::from_millis(4);

/// How long a job that ends badly may try to say so.
pub const LAST_WORDS: Duration = Duration::from_secs(15);

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

/// A control that judges what another one says.
pub struct Judged<'a, J> {
    inner: &'a dyn Control,
    judge: J,
}

impl<J: Fn(Result<()>) -> Result<()>> Control for Judged<'_, J> {
    fn proceed(&self) -> Result<()> {
        (self.judge)(self.inner.proceed())
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

    fn warned(&self, warnings: Vec<String>) {
        self.inner.warned(warnings);
    }

    fn schedules_changed(&self) {
        self.inner.schedules_changed();
    }

    fn home_replaced(&self, database: &str, id: u32) {
        self.inner.home_replaced(database, id);
    }
}

/// Lets `inner` speak, and fails after `limit`; zero is no limit.
pub fn deadline(inner: &dyn Control, limit: Duration) -> impl Control {
    timed(inner, limit, "pg_backup.max_runtime")
}

/// The same with the setting that sets the limit.
pub fn timed<'a>(
    inner: &'a dyn Control,
    limit: Duration,
    setting: &'static str,
) -> impl Control + 'a {
    let started = Instant::now();
    let judge = move |said: Result<()>| {
        said?;
        if limit.is_zero() || started.elapsed() < limit {
            return Ok(());
        }
        let seconds = limit.as_secs_f32();
        Err(Failure::new(Class::Timeout, format!("ran longer than {seconds} s"))
            .hint(format!("Raise {setting}; 0 sets no limit.")))
    };
    Judged { inner, judge }
}

/// Lets `inner` speak, and fails when `counter`, the progress of `what`, does not change for
/// `limit`; zero is no limit.
pub fn moving<'a>(
    inner: &'a dyn Control,
    what: &'static str,
    counter: &'a AtomicU64,
    limit: Duration,
) -> impl Control + 'a {
    let seen = Cell::new((counter.load(Ordering::Relaxed), Instant::now()));
    let judge = move |said: Result<()>| {
        said?;
        let (last, since) = seen.get();
        let now = counter.load(Ordering::Relaxed);
        if now != last {
            seen.set((now, Instant::now()));
        }
        if now != last || limit.is_zero() || since.elapsed() < limit {
            return Ok(());
        }
        let seconds = limit.as_secs_f32();
        Err(Failure::new(Class::Timeout, format!("{what} has not moved for {seconds} s"))
            .hint("Look for a stopped process or a hanging disk; see pg_backup.stall_timeout."))
    };
    Judged { inner, judge }
}

/// Lets `inner` speak, but for its time limits: for steps that have limits of their own.
pub fn patient(inner: &dyn Control) -> impl Control {
    let judge = |said: Result<()>| match said {
        Err(failure) if failure.class == Class::Timeout => Ok(()),
        said => said,
    };
    Judged { inner, judge }
}

/// For the last words of a job that was told to stop, and for steps that must come to their end:
/// goes on whatever `inner` says, but for at most `limit`.
pub fn last_words(inner: &dyn Control, limit: Duration) -> impl Control {
    let started = Instant::now();
    let judge = move |_verdict_is_known: Result<()>| match started.elapsed() < limit {
        true => Ok(()),
        false => Err(no_answer(limit)),
    };
    Judged { inner, judge }
}

/// For what has to be cleared away, which may take long: goes on as long as `inner` does, and when
/// that says stop for at most `limit` more.
pub fn clearing(inner: &dyn Control, limit: Duration) -> impl Control {
    let stopped = Cell::new(None);
    let judge = move |said: Result<()>| {
        if said.is_ok() {
            return Ok(());
        }
        let since = stopped.get().unwrap_or_else(Instant::now);
        stopped.set(Some(since));
        if since.elapsed() < limit { Ok(()) } else { Err(no_answer(limit)) }
    };
    Judged { inner, judge }
}

fn no_answer(limit: Duration) -> Failure {
    let message = format!("the server did not answer within {} s", limit.as_secs_f32());
    Failure::new(Class::Timeout, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that may have been told to stop.
    struct Told(Cell<bool>);

    impl Control for Told {
        fn proceed(&self) -> Result<()> {
            match self.0.get() {
                true => Err(Failure::new(Class::Cancelled, "stop")),
                false => Ok(()),
            }
        }

        fn report(&self, _: &Progress) {}

        fn started(&self, _: i64) {}

        fn waiters(&self) -> Vec<i32> {
            Vec::new()
        }

        fn unrecorded(&self) {}

        fn warned(&self, _: Vec<String>) {}

        fn schedules_changed(&self) {}

        fn home_replaced(&self, _: &str, _: u32) {}
    }

    #[test]
    fn clearing_away_takes_as_long_as_it_takes_until_the_job_is_told_to_stop() {
        let told = Told(Cell::new(false));
        let (brief, long) = (Duration::ZERO, Duration::from_secs(3600));
        let (brief, long) = (clearing(&told, brief), clearing(&told, long));
        assert!(brief.proceed().is_ok() && long.proceed().is_ok());
        told.0.set(true);
        assert_eq!(brief.proceed().unwrap_err().class, Class::Timeout);
        assert!(long.proceed().is_ok());
    }
}
