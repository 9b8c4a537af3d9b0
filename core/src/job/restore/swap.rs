//! The swap: the live database steps aside under another name, the new one takes its name, in one
//! transaction, while another session ends the sessions that are in the way. A crash leaves either
//! all old or all new names; there is no state in between to be put right.

use std::time::Duration;

use super::{Work, timescale};
use crate::catalog::recovery::EXTENSION;
use crate::catalog::restore::{CARRIED, COLUMNS, END_SESSIONS, TAKEN_NAMES, adopt};
use crate::catalog::{ident, qualified};
use crate::decide::naming::cut_name;
use crate::decide::progress::Phase;
use crate::decide::restore::database::open;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::control::Control;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::wait::last_words;

/// How often sessions in the way are ended while the names are waited for.
const PAUSE: Duration = Duration::from_millis(10);
/// How long sessions get to end before the names are asked for: the server looks for them ten
/// times a second only.
const ENDING: Duration = Duration::from_millis(100);
/// Attempts at the swap: each waits five seconds for sessions, as the server does.
const ATTEMPTS: u32 = 3;
/// How long the swap may take: past it, the names are as they were.
const SWAP_TIME: Duration = Duration::from_secs(20);
/// Names that are tried for a database that is kept.
const NAMES: usize = 20;
/// What the sessions of a swap are called.
const APPLICATION: &str = "pg_backup swap";

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
    carry_over(work.context, live, staging).await?;
    fault::point("carried_over");
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

/// Renames `live` to `kept`, which is closed, and `staging` to `live`; `open` is the statement that
/// lets clients into it. Errors: the names are as they were.
pub async fn swap(context: &Context<'_>, names: &Names<'_>, open: Option<&str>) -> Result<()> {
    let Err(failure) = renamed(context, names, open).await else { return Ok(()) };
    // A rename that fails stops TimescaleDB's workers as one that succeeds does.
    let Err(stopped) = timescale::start_workers(context, names.live).await else {
        return Err(failure);
    };
    let detail = format!("{} {}: {}", failure.detail, stopped.message, stopped.detail);
    Err(Failure { detail: detail.trim_start().to_owned(), ..failure })
}

async fn renamed(context: &Context<'_>, names: &Names<'_>, open: Option<&str>) -> Result<()> {
    let Names { live, staging, kept } = *names;
    let names: [&str; 2] = [live, staging];
    let from = session_elsewhere(context, &names).await?;
    let ending = session_elsewhere(context, &names).await?;
    context.control.proceed()?;
    // From here on a cancel comes too late: it would leave open which names there are.
    let control = last_words(context.control, SWAP_TIME);
    let sql = format!(
        "BEGIN; ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {staging} RENAME TO {live}; \
         ALTER DATABASE {kept} WITH ALLOW_CONNECTIONS false; {open}; COMMIT",
        open = open.unwrap_or_default(),
        live = ident(live),
        staging = ident(staging),
        kept = ident(kept)
    );
    let _ = tokio::time::timeout(ENDING, end_all(&ending, &control, &names)).await;
    for attempt in 1..=ATTEMPTS {
        let renamed = tokio::select! {
            biased;
            renamed = from.batch(&control, &sql) => renamed,
            ended = end_sessions(&ending, &control, &names) => ended,
        };
        match renamed {
            Ok(()) => return Ok(()),
            Err(failure) if attempt == ATTEMPTS || failure.class != Class::InUse => {
                let _ = from.batch(&control, "ROLLBACK").await;
                return Err(unswapped(live, failure));
            }
            Err(_) => from.batch(&control, "ROLLBACK").await?,
        }
    }
    Ok(())
}

/// Ends sessions until there are none.
async fn end_all(server: &Server, control: &dyn Control, names: &[&str]) -> Result<()> {
    while server.one(control, END_SESSIONS, &[&names]).await?.get::<_, i64>(0) > 0 {
        tokio::time::sleep(PAUSE / 10).await;
    }
    Ok(())
}

/// Ends sessions for as long as it is let. Only returns when it cannot.
async fn end_sessions(server: &Server, control: &dyn Control, names: &[&str]) -> Result<()> {
    loop {
        server.rows(control, END_SESSIONS, &[&names]).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

fn unswapped(live: &str, failure: Failure) -> Failure {
    let detail = format!("Database \"{live}\" is as it was. {}", failure.detail);
    let hint = match failure.class {
        Class::InUse => {
            "A session in it cannot be ended: see pg_stat_activity and pg_prepared_xacts. End it, \
             and call it again."
        }
        _ => failure.hint.as_str(),
    };
    Failure::new(failure.class, failure.message.clone()).detail(detail.trim_end()).hint(hint)
}

/// A session in a database that is none of these.
pub async fn session_elsewhere(context: &Context<'_>, names: &[&str]) -> Result<Server> {
    let access = &context.settings.access;
    let free = |name: &&str| !names.contains(name);
    let known = [access.connect_database.as_str(), "postgres", "template1"];
    let name = known.into_iter().find(free).unwrap_or("template1");
    Server::connect(access, context.control, name, APPLICATION).await
}

/// History, schedules and hooks of the live database, which win over those of the archive: they
/// tell of it until now. Where the live one has no extension, there is nothing to carry.
///
/// Nobody writes them meanwhile, and until the sessions in the live database are ended: what is
/// written there after this would be lost with it.
pub async fn carry_over(context: &Context<'_>, live: &str, staging: &str) -> Result<()> {
    let (access, control) = (&context.settings.access, context.control);
    let from = Server::connect(access, control, live, APPLICATION).await?;
    let Some((theirs, their_id)) = extension(context, &from).await? else { return Ok(()) };
    let to = Server::connect(access, control, staging, APPLICATION).await?;
    let (ours, our_id) = match extension(context, &to).await? {
        Some(ours) => ours,
        None => installed(context, &to, &theirs).await?,
    };
    from.batch(control, "BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    to.batch(control, "BEGIN").await?;
    for table in CARRIED {
        let (source, target) = (qualified(&theirs, table), qualified(&ours, table));
        let columns = common_columns(context, (&from, &source), (&to, &target)).await?;
        to.batch(control, &format!("DELETE FROM {target}")).await?;
        let out = format!("COPY {source} ({columns}) TO STDOUT (FORMAT binary)");
        let into = format!("COPY {target} ({columns}) FROM STDIN (FORMAT binary)");
        from.pour(control, &out, &to, &into).await?;
    }
    to.batch(control, &adopt(&ours, their_id, our_id)).await?;
    to.batch(control, "COMMIT").await
}

/// Makes the extension in the schema that it has in the live database.
async fn installed(context: &Context<'_>, to: &Server, schema: &str) -> Result<(String, u32)> {
    let name = ident(schema);
    let sql =
        format!("CREATE SCHEMA IF NOT EXISTS {name}; CREATE EXTENSION pg_backup SCHEMA {name}");
    to.batch(context.control, &sql).await?;
    extension(context, to).await?.ok_or_else(|| {
        Failure::new(Class::Internal, "the extension that was just made is not there")
    })
}

/// The columns that both tables have: the extension may be of another version in each.
async fn common_columns(
    context: &Context<'_>,
    (from, source): (&Server, &str),
    (to, target): (&Server, &str),
) -> Result<String> {
    let theirs = from.rows(context.control, COLUMNS, &[&source]).await?;
    let ours = to.rows(context.control, COLUMNS, &[&target]).await?;
    let ours: Vec<String> = ours.iter().map(|row| row.get(0)).collect();
    let both = theirs.iter().map(|row| row.get::<_, String>(0)).filter(|name| ours.contains(name));
    Ok(both.map(|name| ident(&name)).collect::<Vec<_>>().join(", "))
}

/// Schema of the extension, and the id of the database.
async fn extension(context: &Context<'_>, server: &Server) -> Result<Option<(String, u32)>> {
    let rows = server.rows(context.control, EXTENSION, &[]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}
