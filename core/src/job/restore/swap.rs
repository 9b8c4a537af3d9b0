//! The swap: the live database steps aside under another name, the new one takes its name, in one
//! transaction, while another session ends the sessions that are in the way. A crash leaves either
//! all old or all new names; there is no state in between to be put right.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;

use super::carry::carry_over;
use super::session::session_elsewhere;
use super::{Work, timescale};
use crate::catalog::database::open;
use crate::catalog::swap::{END_SESSIONS, HOLDERS, PARTIES, TAKEN_NAMES, rename_both};
use crate::catalog::{ROLLBACK, lock_timeout};
use crate::decide::naming::cut_name;
use crate::decide::progress::Phase;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::control::Control;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// How often sessions in the way are ended while the names are waited for.
const PAUSE: Duration = Duration::from_millis(10);
/// Attempts at the swap: each waits five seconds for sessions, as the server does.
const ATTEMPTS: u32 = 3;
/// How long it waits for a lock: nobody can connect to the live database meanwhile.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// How long the swap may take: past it, the names are as they were.
const SWAP_TIME: Duration = Duration::from_secs(20);
/// Names that are tried for a database that is kept.
const NAMES: usize = 20;

/// A free name for the database that run `id` replaces.
pub async fn free_kept_name(
    context: &Context<'_>,
    server: &Server,
    live: &str,
    id: i64,
) -> Result<String> {
    let first = std::iter::once(cut_name(live, &format!("_before_{id}")));
    let others = (2..=NAMES).map(|n| cut_name(live, &format!("_before_{id}_{n}")));
    let names: Vec<String> = first.chain(others).collect();
    let rows = server.rows(context.control, TAKEN_NAMES, &[&names]).await?;
    let taken: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    names.into_iter().find(|name| !taken.contains(name)).ok_or_else(|| {
        let message = format!("no free name to keep database \"{live}\" under");
        Failure::new(Class::LimitExceeded, message)
            .hint("Drop some of the databases whose names end in \"_before_\" and a number.")
    })
}

/// Puts the new database in the place of the live one.
pub async fn swap_in(work: &Work<'_>, live: &str) -> Result<()> {
    work.phase(Phase::Swapping).await;
    fault::point("before_swap");
    let staging = &work.restore.target;
    let kept = work.history.kept_name(work.id).await?;
    let open = open(live, &work.manifest.facts.database);
    swap(work.context, &Names { live, staging, kept: &kept }, Some(&open)).await?;
    fault::point("after_swap");
    Ok(())
}

/// Who is who in a swap.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    pub live: &'a str,
    /// The one that takes its place.
    pub staging: &'a str,
    /// The name that the live one gets.
    pub kept: &'a str,
}

/// Carries over what belongs to `live`, renames it to `kept`, which is closed, and `staging` to
/// `live`; `open` is the statement that lets clients into it. Errors: the names are as they were.
pub async fn swap(context: &Context<'_>, names: &Names<'_>, open: Option<&str>) -> Result<()> {
    let Err(failure) = attempts(context, names, open).await else { return Ok(()) };
    // A rename that fails stops TimescaleDB's workers as one that succeeds does.
    let Err(stopped) = timescale::start_workers(context, names.live).await else {
        return Err(failure);
    };
    let detail = format!("{} {}: {}", failure.detail, stopped.message, stopped.detail);
    Err(Failure { detail: detail.trim_start().to_owned(), ..failure })
}

async fn attempts(context: &Context<'_>, names: &Names<'_>, open: Option<&str>) -> Result<()> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match attempt(context, names, open).await {
            Ok(()) => return Ok(()),
            Err(failure) if failure.class == Class::InUse && left > 0 => {}
            Err(failure) => {
                let holders = holders(context, names.live).await;
                return Err(unswapped(names.live, failure, &holders));
            }
        }
    }
}

async fn attempt(context: &Context<'_>, names: &Names<'_>, open: Option<&str>) -> Result<()> {
    let held = carry_over(context, names.live, names.staging).await?;
    fault::point("carried_over");
    renamed(context, names, open, held).await
}

/// Who is in the live database that could not be renamed.
async fn holders(context: &Context<'_>, live: &str) -> String {
    let control = last_words(context.control, SWAP_TIME);
    let context = &Context { control: &control, ..*context };
    let asked = async {
        let server = session_elsewhere(context, &[live]).await?;
        server.rows(&control, HOLDERS, &[&live]).await
    };
    // It is only to explain another failure.
    let rows = asked.await.unwrap_or_default();
    rows.iter().map(|row| row.get(0)).collect::<Vec<String>>().join(", ")
}

async fn renamed(
    context: &Context<'_>,
    names: &Names<'_>,
    open: Option<&str>,
    held: Option<Server>,
) -> Result<()> {
    let both: [&str; 2] = [names.live, names.staging];
    let renaming = session_elsewhere(context, &both).await?;
    let ending = session_elsewhere(context, &both).await?;
    let row = ending.one(context.control, PARTIES, &[&names.live, &names.staging]).await?;
    let parties = Parties { live: row.get(0), staging: row.get(1), began: row.get(2) };
    context.control.proceed()?;
    // From here on a cancel comes too late: it would leave open which names there are.
    let control = last_words(context.control, SWAP_TIME);
    renaming.batch(&control, &lock_timeout(LOCK_TIME)).await?;
    let sql = rename_both(names.live, names.staging, names.kept, open);
    let renamed = tokio::select! {
        biased;
        renamed = renaming.batch(&control, &sql) => renamed,
        ended = end_sessions(&ending, &control, &parties, renaming.pid, held) => {
            renaming.cancel().await;
            ended
        }
    };
    match (&renamed, parties.staging) {
        (Err(_), _) => drop(renaming.batch(&control, ROLLBACK).await),
        (Ok(()), Some(id)) => control.home_replaced(names.live, id),
        (Ok(()), None) => {}
    }
    renamed
}

/// Who is in the way of a swap, by ids: the names change meanwhile.
struct Parties {
    live: Option<u32>,
    staging: Option<u32>,
    /// Who comes into the new database after this may be a client who has found it under its name.
    began: DateTime<Utc>,
}

/// Ends sessions for as long as it is let. The one that is held, which keeps others from writing
/// what was carried over, goes last: when nobody else is there, and the rename lets nobody in.
/// Only returns when it cannot.
async fn end_sessions(
    server: &Server,
    control: &dyn Control,
    parties: &Parties,
    renaming: i32,
    mut held: Option<Server>,
) -> Result<()> {
    loop {
        let spared = held.as_ref().map_or(0, |held| held.pid);
        let Parties { live, staging, began } = parties;
        let params: [&(dyn ToSql + Sync); 5] = [live, staging, &spared, &renaming, began];
        let row = server.one(control, END_SESSIONS, &params).await?;
        let (others, shut): (i64, bool) = (row.get(0), row.get(1));
        if others == 0 && shut {
            held = None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn unswapped(live: &str, failure: Failure, holders: &str) -> Failure {
    let in_use = failure.class == Class::InUse;
    let mut detail = format!("Database \"{live}\" is as it was. {}", failure.detail);
    if in_use && !holders.is_empty() {
        detail = format!("{} In it now: {holders}.", detail.trim_end());
    }
    let hint = match failure.class {
        Class::InUse => {
            "A session in it cannot be ended: see pg_stat_activity and pg_prepared_xacts. End it, \
             and call it again."
        }
        Class::LockTimeout => {
            "A transaction that is not committed has changed or locked it, or its history: see \
             pg_locks and pg_stat_activity. End it, and call it again."
        }
        _ => failure.hint.as_str(),
    };
    Failure::new(failure.class, failure.message.clone()).detail(detail.trim_end()).hint(hint)
}
