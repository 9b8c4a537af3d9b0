//! A thread that ends with whoever started it: for one that writes what is removed when its job is
//! given up.
//!
//! What must hold: dropping it tells the thread to stop and waits for that, within a limit, so that
//! nothing is written behind the back of who cleans up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::threads;
use crate::error::{Class, Failure, Result};

/// How long a thread may take to see that it has to stop. It looks between two reads; only a disk
/// that hangs takes longer, and then the thread is left alone: the process ends soon.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// What a stoppable thread shares with its owner.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    stop: Arc<AtomicBool>,
    moved: Arc<AtomicU64>,
}

impl Stop {
    /// For the thread: `bytes` more are done. Errors when it has to stop.
    pub fn moved(&self, bytes: usize) -> Result<()> {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Failure::new(Class::Cancelled, "the job was given up")),
            false => Ok(()),
        }
    }

    /// Bytes that are done.
    pub fn bytes(&self) -> &AtomicU64 {
        &self.moved
    }
}

/// A thread that is stopped when this is dropped.
#[derive(Debug)]
pub struct Stoppable<T> {
    handle: Option<JoinHandle<Result<T>>>,
    stop: Stop,
}

impl<T: Send + 'static> Stoppable<T> {
    /// Starts it. Errors: those of [`threads::spawn`].
    pub fn spawn(
        name: &str,
        stop: &Stop,
        f: impl FnOnce(&Stop) -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let (stop, own) = (stop.clone(), stop.clone());
        let handle = threads::spawn(name, move || f(&own))?;
        Ok(Self { handle: Some(handle), stop })
    }

    /// Its result, once it has ended.
    pub fn try_join(&mut self) -> Result<Option<T>> {
        if self.handle.as_ref().is_none_or(|handle| !handle.is_finished()) {
            return Ok(None);
        }
        self.handle.take().map(|handle| threads::join(handle)?).transpose()
    }
}

impl<T> Drop for Stoppable<T> {
    fn drop(&mut self) {
        let Some(handle) = &self.handle else { return };
        self.stop.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + STOP_TIME;
        while !handle.is_finished() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_ends_with_its_owner() {
        let (stop, ended) = (Stop::default(), Arc::<AtomicBool>::default());
        let told = ended.clone();
        let thread = Stoppable::spawn("endless", &stop, move |stop| {
            while stop.moved(1).is_ok() {}
            told.store(true, Ordering::Relaxed);
            Ok(())
        });
        drop(thread.unwrap());
        assert!(ended.load(Ordering::Relaxed) && stop.bytes().load(Ordering::Relaxed) > 0);
    }
}
