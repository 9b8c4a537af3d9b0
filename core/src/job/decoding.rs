//! The verification of an archive under way: a thread that reads and decodes behind the writer,
//! a pg_restore that parses, a thread that counts. Used beside a dump and alone.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::context::Context;
use super::decode::{Counts, count_script, decode};
use super::tools::tool;
use super::wait::{joined, moving, until};
use crate::decide::copy_rows::TableRows;
use crate::decide::dump_plan::pg_restore_script;
use crate::decide::manifest::Manifest;
use crate::error::{Class, Failure, Result};
use crate::host::archive::follow::{Follow, ReadBack};
use crate::host::archive::tail::Tail;
use crate::host::child::{Child, Outcome, Stdin, Tool};
use crate::host::threads;

/// What stands still when reading back does.
const VERIFYING: &str = "the verification (pg_restore)";

/// What the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// A dump that pg_restore reads as a stream.
    pub custom: bool,
    /// A script that need not end as those of pg_dump end.
    pub by_hand: bool,
}

impl Expected {
    /// What a manifest says.
    pub fn of(manifest: &Manifest) -> Self {
        Self { custom: manifest.dump.is_stream(), by_hand: manifest.dump.by_hand }
    }
}

/// A verification under way. Dropping it gives the archive up.
pub struct Decoding {
    tail: Tail,
    /// Bytes that the threads have moved, and how long it may stand still.
    moved: Arc<AtomicU64>,
    stall: Duration,
    restore: Option<Child>,
    decode: Option<JoinHandle<Result<ReadBack>>>,
    script: Option<JoinHandle<Result<Vec<TableRows>>>>,
    counts: Receiver<Counts>,
}

impl Decoding {
    /// Starts to read `file` as far as `tail` says.
    /// A wait for the result fails when nothing has moved for `stall`; zero is no limit.
    pub fn start(
        context: &Context<'_>,
        file: File,
        tail: &Tail,
        expected: Expected,
        stall: Duration,
    ) -> Result<Decoding> {
        let moved = Arc::<AtomicU64>::default();
        let Expected { custom, by_hand } = expected;
        let mut restore = custom.then(|| spawn_restore(context)).transpose()?;
        let stdin = restore.as_mut().and_then(Child::take_stdin);
        let stdout = restore.as_mut().and_then(Child::take_stdout);
        let counter = moved.clone();
        let count = |out| threads::spawn("pg_backup count", move || count_script(out, &counter));
        let script = stdout.map(count);
        let (sender, counts) = sync_channel(1);
        let follow = Follow::new(file, tail.clone(), moved.clone());
        let on_failure = tail.clone();
        let decode = threads::spawn("pg_backup read", move || {
            decode(follow, stdin, by_hand, &sender).inspect_err(|_| on_failure.abort())
        })?;
        let (tail, decode, script) = (tail.clone(), Some(decode), script.transpose()?);
        Ok(Decoding { tail, moved, stall, restore, decode, script, counts })
    }

    /// Whether the reading thread has ended, which before the end of the file means a failure.
    pub fn has_ended(&self) -> bool {
        self.decode.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Why reading failed: what we saw, or what pg_restore said where it stopped reading.
    pub async fn failure(&mut self, context: &Context<'_>) -> Failure {
        let seen = match self.decode.take() {
            Some(handle) => joined(context.control, handle).await.err(),
            None => None,
        };
        match seen {
            Some(failure) if failure.class != Class::ToolFailed => failure,
            seen => {
                let said = self.parsed(context).await.err();
                said.or(seen).unwrap_or_else(|| Failure::new(Class::Internal, "reading ended"))
            }
        }
    }

    /// The rows of the payload; it must be written and its end told.
    pub async fn counts(&mut self, context: &Context<'_>) -> Result<Counts> {
        let moved = self.moved.clone();
        let checked = moving(context.control, VERIFYING, &moved, self.stall);
        let context = &Context { control: &checked, ..*context };
        let received = until(context.control, || match self.counts.try_recv() {
            Ok(counts) => Ok(Some(Some(counts))),
            Err(TryRecvError::Disconnected) => Ok(Some(None)),
            Err(TryRecvError::Empty) => Ok(None),
        });
        let Some(mut counts) = received.await? else {
            return Err(self.failure(context).await);
        };
        self.parsed(context).await?;
        if let Some(script) = self.script.take() {
            counts.tables = joined(context.control, script).await?;
        }
        Ok(counts)
    }

    /// Size and hash of the whole file, once the writer has finished it.
    pub async fn finish(mut self, context: &Context<'_>) -> Result<ReadBack> {
        let moved = self.moved.clone();
        let checked = moving(context.control, VERIFYING, &moved, self.stall);
        let handle = self.decode.take();
        let handle = handle.ok_or_else(|| Failure::new(Class::Internal, "nothing was read"))?;
        joined(&checked, handle).await
    }

    /// How pg_restore ended, when there is one.
    async fn parsed(&mut self, context: &Context<'_>) -> Result<()> {
        let Some(restore) = &mut self.restore else { return Ok(()) };
        let outcome: Outcome = until(context.control, || restore.try_wait()).await?;
        if outcome.success() {
            return Ok(());
        }
        Err(outcome.into_reading_failure("read the dump back"))
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        if self.decode.is_some() {
            self.tail.abort();
        }
    }
}

fn spawn_restore(context: &Context<'_>) -> Result<Child> {
    let restore = tool(context, "pg_restore", pg_restore_script(), Vec::new());
    Child::spawn(&Tool { stdin: Stdin::Pipe, ..restore }, context.harden)
}
