//! Runs a plain dump through psql in its restricted mode, in which no backslash command of the
//! script does anything; it stops at the first error.
//!
//! What cannot work here is left out on the way (`decide/script/filter.rs`), and told as a warning
//! of the run. The session has the same guard as those of pg_restore, unless trusted. In a script
//! of somebody else that guard is worth nothing: its author can turn it off.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::loader::{fed_by, guarded};
use super::{Work, extract};
use crate::catalog::script::SETTINGS;
use crate::decide::progress::Phase;
use crate::decide::restore::plan::psql;
use crate::decide::script::filter::{Filter, LeftOut};
use crate::error::{Failure, Result};
use crate::host::archive::hex;
use crate::host::archive::reader::read_failure;
use crate::host::control::Control;
use crate::host::source;

/// Read at once.
const CHUNK: usize = 64 << 10;
/// Bytes of the key that ends the restricted mode: nobody guesses it.
const KEY_BYTES: usize = 32;

/// Runs the script.
pub(super) async fn load(work: &mut Work<'_>) -> Result<()> {
    let (path, member) = extract::stream(work)?;
    let script = source::without_mark(extract::reader(&path, &member)?);
    let script = Box::new(script.map_err(|e| read_failure(&e))?);
    let filter = Filter::new(known(work).await?);
    let left_out = Arc::<Mutex<LeftOut>>::default();
    let start = format!("\\restrict {}\n", key()?).into_bytes();
    let filtered = Filtered::new(script, filter, start, left_out.clone());
    let tool = guarded(work, "psql", psql(), work.restore.trusted);
    fed_by(work, tool, Phase::Data, Box::new(filtered)).await?;
    let warnings = left_out.lock().unwrap_or_else(PoisonError::into_inner).warnings();
    if warnings.is_empty() {
        return Ok(());
    }
    work.history.warn(work.id, &warnings).await
}

async fn known(work: &Work<'_>) -> Result<HashSet<String>> {
    let control: &dyn Control = work.context.control;
    let rows = work.server.rows(control, SETTINGS, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn key() -> Result<String> {
    let mut bytes = [0; KEY_BYTES];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Failure::io("read random bytes", &e))?;
    Ok(hex(&bytes))
}

/// The script as psql gets it.
struct Filtered {
    script: Box<dyn Read + Send>,
    filter: Filter,
    buffer: Vec<u8>,
    /// What waits for psql, and how much of it has gone.
    out: Vec<u8>,
    given: usize,
    ended: bool,
    left_out: Arc<Mutex<LeftOut>>,
}

impl Filtered {
    fn new(
        script: Box<dyn Read + Send>,
        filter: Filter,
        start: Vec<u8>,
        left_out: Arc<Mutex<LeftOut>>,
    ) -> Self {
        let buffer = vec![0; CHUNK];
        Self { script, filter, buffer, out: start, given: 0, ended: false, left_out }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        let count = self.script.read(&mut self.buffer)?;
        let fed = match count {
            0 => self.filter.finish(&mut self.out),
            _ => self.filter.feed(&self.buffer[..count], &mut self.out),
        };
        fed.map_err(io::Error::other)?;
        if count == 0 {
            self.ended = true;
            let mut told = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
            *told = self.filter.left_out().clone();
        }
        Ok(())
    }
}

impl Read for Filtered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() && !self.ended {
            self.fill()?;
        }
        let count = buffer.len().min(self.out.len() - self.given);
        buffer[..count].copy_from_slice(&self.out[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
