//! Watches a dump from the side: where it is, who keeps it waiting, whether it still moves.
//!
//! Two rules come from here. When the session that waits for the job keeps the job waiting,
//! directly or through others, the job fails at once: the server cannot see that deadlock. And
//! nothing waits longer than `pg_backup.lock_timeout` for a lock, or stands still longer than
//! `pg_backup.stall_timeout`.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Phase, Progress, Work, dump_application};
use crate::catalog::watch::{ACTIVITY, BLOCKERS, COPYING};
use crate::decide::progress::{CopySample, Meter};
use crate::error::{Class, Failure, Result};

/// How often the server is asked.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at one job's sessions.
pub struct Watch<'a> {
    work: &'a Work<'a>,
    phase: Phase,
    application: String,
    /// The session that holds the snapshot.
    pid: i32,
    blocked_since: Option<Instant>,
    moved: (Instant, u64, f64),
    pub meter: Meter,
    next: Instant,
}

impl<'a> Watch<'a> {
    /// A watch on the job's own session `pid` and those of its pg_dump.
    pub fn new(work: &'a Work<'a>, phase: Phase, pid: i32) -> Self {
        let now = Instant::now();
        Self {
            work,
            phase,
            application: dump_application(work.id),
            pid,
            blocked_since: None,
            moved: (now, 0, 0.0),
            meter: Meter::default(),
            next: now + LOOK,
        }
    }

    /// Watches while `step` runs.
    pub async fn during<T>(&mut self, step: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(step);
        loop {
            tokio::select! {
                biased;
                result = &mut step => return result,
                () = tokio::time::sleep_until(self.next.into()) => self.look(0).await?,
            }
        }
    }

    /// Looks when it is time to; `bytes` is what has come out of pg_dump so far.
    pub async fn look_if_due(&mut self, bytes: u64) -> Result<()> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.look(bytes).await
    }

    async fn look(&mut self, bytes: u64) -> Result<()> {
        self.next = Instant::now() + LOOK;
        let blockers = self.blockers().await?;
        self.stalled(bytes, !blockers.is_empty()).await?;
        let samples = if self.phase == Phase::Dumping { self.copying().await? } else { Vec::new() };
        let progress = self.meter.sample(&samples);
        let progress = Progress { phase: self.phase, blocked_by: blockers, ..progress };
        self.work.context.control.report(&progress);
        Ok(())
    }

    async fn blockers(&mut self) -> Result<Vec<i32>> {
        let control = self.work.context.control;
        let waiters = control.waiters();
        let session = self.work.history.server;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&self.application, &self.pid, &waiters];
        let rows = session.rows(control, BLOCKERS, &params).await?;
        let pids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        if let Some(row) = rows.iter().find(|row| row.get(1)) {
            return Err(deadlock(row.get(0)));
        }
        if self.phase == Phase::Dumping && rows.iter().any(|row| row.get(2)) {
            return Err(came_between(&pids));
        }
        let limit = Duration::from_millis(self.work.backup.limits.lock);
        match (pids.is_empty(), self.blocked_since) {
            (true, _) => self.blocked_since = None,
            (false, None) => self.blocked_since = Some(Instant::now()),
            (false, Some(since)) if !limit.is_zero() && since.elapsed() >= limit => {
                return Err(lock_timeout(limit, &pids));
            }
            (false, Some(_)) => {}
        }
        Ok(pids)
    }

    async fn copying(&self) -> Result<Vec<CopySample>> {
        let session = self.work.history.server;
        let rows = session.rows(self.work.context.control, COPYING, &[&self.application]).await?;
        let sample = |row: &tokio_postgres::Row| CopySample {
            oid: row.get(0),
            rows: row.get::<_, i64>(1).unsigned_abs(),
            bytes: row.get::<_, i64>(2).unsigned_abs(),
        };
        Ok(rows.iter().map(sample).collect())
    }

    /// Fails when nothing has moved for too long: no byte, no new statement, no lock to wait for.
    async fn stalled(&mut self, bytes: u64, blocked: bool) -> Result<()> {
        let limit = Duration::from_millis(self.work.backup.limits.stall);
        if limit.is_zero() || self.phase != Phase::Dumping {
            return Ok(());
        }
        let (since, last_bytes, last_activity) = self.moved;
        if blocked || bytes != last_bytes {
            self.moved = (Instant::now(), bytes, last_activity);
            return Ok(());
        }
        let session = self.work.history.server;
        let row = session.one(self.work.context.control, ACTIVITY, &[&self.application]).await?;
        let activity: f64 = row.get(0);
        if activity != last_activity {
            self.moved = (Instant::now(), bytes, activity);
            return Ok(());
        }
        if since.elapsed() < limit {
            return Ok(());
        }
        Err(Failure::new(
            Class::Timeout,
            format!("pg_dump has not moved for {} s", limit.as_secs()),
        )
        .detail("It gave no byte, began no statement and waited for no lock.")
        .hint("Look for a stopped process or a hanging disk; see pg_backup.stall_timeout."))
    }
}

fn deadlock(waiter: i32) -> Failure {
    Failure::new(Class::Deadlock, "the backup waits for a lock of the session that waits for it")
        .detail(format!(
            "The session with process id {waiter} holds a lock, or waits in front of one, that \
             the dump needs, and waits for the dump."
        ))
        .hint("COMMIT or ROLLBACK first, or use backup_create(wait => false) and COMMIT.")
}

const CAME_BETWEEN: &str = "another session came between the locks of the backup";

/// A session waits for a lock behind our snapshot session, and pg_dump behind that session: nobody
/// would move until lock_timeout, and the server cannot see it.
fn came_between(pids: &[i32]) -> Failure {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    Failure::new(Class::Deadlock, CAME_BETWEEN)
        .detail(format!("In the queue for a lock: process id {}.", pids.join(", ")))
        .hint("Run it again when no ALTER TABLE or the like is under way.")
}

/// Whether letting all locks go and starting anew would help.
pub fn is_between(failure: &Failure) -> bool {
    failure.class == Class::Deadlock && failure.message == CAME_BETWEEN
}

fn lock_timeout(limit: Duration, pids: &[i32]) -> Failure {
    if pids.contains(&0) {
        // pg_blocking_pids() has no process for it (PostgreSQL documentation).
        let seconds = limit.as_secs_f32();
        let message = format!("waited {seconds} s for a lock of a prepared transaction");
        return Failure::new(Class::LockTimeout, message)
            .detail("In the way: a prepared transaction.")
            .hint(
                "See pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED what was \
                 forgotten, or raise pg_backup.lock_timeout.",
            );
    }
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    Failure::new(
        Class::LockTimeout,
        format!("waited {} s for a lock that other sessions hold", limit.as_secs_f32()),
    )
    .detail(format!("In the way: process id {}.", pids.join(", ")))
    .hint(
        "See pg_stat_activity for what they do; end them, exclude their tables, or raise \
         pg_backup.lock_timeout.",
    )
}
