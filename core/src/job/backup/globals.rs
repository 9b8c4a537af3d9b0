//! Roles and tablespaces of the server, by pg_dumpall, beside the dump.

use std::io::Read;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Work;
use crate::decide::archive_spec::{GLOBALS_MAX, SMALL_TOOL_TIME};
use crate::decide::dump_plan::{environment, pg_dumpall};
use crate::decide::request;
use crate::error::{Class, Failure, Result};
use crate::host::child::Child;
use crate::host::threads;
use crate::job::tools::{ended, tool};
use crate::job::wait::{joined, moving};

/// pg_dumpall under way, or nothing when it is switched off.
pub struct Globals(Option<(Child, JoinHandle<Result<Vec<u8>>>)>);

impl Globals {
    /// Starts pg_dumpall.
    pub fn start(work: &Work<'_>) -> Result<Globals> {
        if work.backup.globals == request::Globals::Off {
            return Ok(Globals(None));
        }
        let access = &work.context.settings.access;
        let database = &access.connect_database;
        let name = format!("pg_backup globals {}", work.id);
        let args = pg_dumpall(work.backup.globals, database);
        let tool = tool(work.context, "pg_dumpall", args, environment(access, database, &name));
        let mut child = Child::spawn(&tool, work.context.harden)?;
        let stdout = child.take_stdout();
        let reader = threads::spawn("pg_backup glob", move || {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                let read = stdout.take(GLOBALS_MAX + 1).read_to_end(&mut bytes);
                read.map_err(|e| Failure::io("read from pg_dumpall", &e))?;
            }
            Ok(bytes)
        })?;
        Ok(Globals(Some((child, reader))))
    }

    /// The script, once pg_dumpall has ended well.
    pub async fn finish(self, work: &Work<'_>) -> Result<Option<Vec<u8>>> {
        let Some((mut child, reader)) = self.0 else { return Ok(None) };
        let stall = Duration::from_millis(work.backup.limits.stall);
        // It writes nothing that could be counted from here: the whole of it has to be in time.
        let still = AtomicU64::new(0);
        let checked = moving(work.context.control, "pg_dumpall", &still, stall);
        let bytes = joined(&checked, reader).await?;
        if bytes.len() as u64 > GLOBALS_MAX {
            return Err(Failure::new(Class::ToolFailed, "pg_dumpall wrote too much")
                .hint("Set pg_backup.globals to off, and save roles by hand."));
        }
        let outcome = ended(work.context, "pg_dumpall", &mut child, SMALL_TOOL_TIME).await?;
        if !outcome.success() {
            return Err(outcome.into_failure("dump roles and tablespaces"));
        }
        if !ends_as_it_should(&bytes) {
            return Err(Failure::new(Class::Damaged, "pg_dumpall stopped before its last line")
                .hint(
                    "Look for a full disk or a replaced tool, or set pg_backup.globals to off.",
                ));
        }
        Ok(Some(bytes))
    }
}

/// pg_dumpall's last words, by which a cut script is known.
fn ends_as_it_should(script: &[u8]) -> bool {
    const LAST: &str = "-- PostgreSQL database cluster dump complete";
    const LOOK_BACK: usize = 512;
    let end = &script[script.len().saturating_sub(LOOK_BACK)..];
    String::from_utf8_lossy(end).contains(LAST)
}
