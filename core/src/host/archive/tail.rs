//! How far the writer of an archive is, for the reader that follows it: bytes written, where
//! payload members lie, and whether the end is reached. One mutex, one condition; every wait
//! looks up again after [`LOOK_UP`], so that a lost wake-up costs no more than that.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Class, Failure};

/// What either side sees when the other one has given up: never the reason itself.
const GIVEN_UP: &str = "the archive was given up";

/// The failure of the side that did not fail first.
pub fn given_up() -> Failure {
    Failure::new(Class::Internal, GIVEN_UP)
}

/// Whether a failure only says that the other side failed.
pub fn is_given_up(failure: &Failure) -> bool {
    failure.class == Class::Internal && failure.message == GIVEN_UP
}

/// The longest time a waiter sleeps before it looks again.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Where one payload member lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its last byte, once that is known.
    pub end: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    /// Members that the reader has not taken yet; the last one may be open.
    spans: VecDeque<Span>,
    /// End of the member that the reader took while it was still open.
    open_end: Option<u64>,
    taken_open: bool,
    /// Name, start and end of the payload member that was closed last.
    last_closed: Option<(String, u64, u64)>,
    open: Option<(String, u64)>,
    /// No payload member comes any more.
    payload_ended: bool,
    finished: bool,
    aborted: bool,
}

/// Shared by the writer and the reader of one archive.
#[derive(Debug, Clone, Default)]
pub struct Tail(Arc<(Mutex<State>, Condvar)>);

impl Tail {
    /// For the writer: `written` bytes are in the file.
    pub fn advance(&self, written: u64) {
        self.change(|state| state.written = written);
    }

    /// For the writer: a payload member begins at `start`.
    pub fn open(&self, name: &str, start: u64) {
        self.change(|state| {
            state.open = Some((name.to_owned(), start));
            state.spans.push_back(Span { name: name.to_owned(), start, end: None });
        });
    }

    /// For the writer: the open payload member ends before `end`; all its bytes are written.
    pub fn close(&self, end: u64) {
        self.change(|state| {
            state.written = state.written.max(end);
            state.last_closed = state.open.take().map(|(name, start)| (name, start, end));
            match state.spans.back_mut().filter(|span| span.end.is_none()) {
                Some(span) => span.end = Some(end),
                None if state.taken_open => state.open_end = Some(end),
                None => {}
            }
        });
    }

    /// For the writer: the last payload member is closed.
    pub fn end_payload(&self) {
        self.change(|state| state.payload_ended = true);
    }

    /// For the writer: the file is complete with `size` bytes.
    pub fn finish(&self, size: u64) {
        self.change(|state| {
            state.written = size;
            state.finished = true;
        });
    }

    /// Name, start and end of the payload member that was closed last.
    pub fn last_closed(&self) -> Option<(String, u64, u64)> {
        self.lock().last_closed.clone()
    }

    /// For either side: give up. Waits return an error from now on.
    pub fn abort(&self) {
        self.change(|state| state.aborted = true);
    }

    /// Whether somebody gave up.
    pub fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    /// For the reader: the next payload member, or None when there is no further one.
    pub fn next_span(&self) -> io::Result<Option<Span>> {
        self.wait(|state| match state.spans.pop_front() {
            Some(span) => {
                state.taken_open = span.end.is_none();
                state.open_end = span.end;
                Some(Some(span))
            }
            None => (state.payload_ended || state.finished).then_some(None),
        })
    }

    /// For the reader: waits until bytes behind `position` of the taken member are there; gives
    /// the offset up to which it may be read, which is `position` at the member's end.
    pub fn readable_in_span(&self, position: u64) -> io::Result<u64> {
        self.wait(|state| match state.open_end {
            Some(end) if state.written >= end || position >= end => Some(end.max(position)),
            Some(_) | None => (state.written > position).then_some(state.written),
        })
    }

    /// For the reader: waits until bytes behind `position` are there; `position` at the end.
    pub fn readable(&self, position: u64) -> io::Result<u64> {
        self.wait(|state| {
            let there = state.written > position || state.finished;
            there.then(|| state.written.max(position))
        })
    }

    /// Waits until the file has at least `wanted` bytes or is finished; gives its bytes and
    /// whether it is finished.
    pub fn grown_to(&self, wanted: u64) -> io::Result<(u64, bool)> {
        self.wait(|state| {
            let there = state.written >= wanted || state.finished;
            there.then_some((state.written, state.finished))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> io::Result<T> {
        let mut state = self.lock();
        loop {
            if state.aborted {
                return Err(io::Error::other(given_up()));
            }
            if let Some(value) = ready(&mut state) {
                return Ok(value);
            }
            let waited = self.0.1.wait_timeout(state, LOOK_UP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
