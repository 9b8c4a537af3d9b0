//! Hooks: SQL of the users at the events of a run, each in a session and a transaction of its own.
//!
//! The session is a superuser's, as all of the engine's are; the function that runs the hook takes
//! the rights of the role that registered it and keeps it from changing that (see `src/pg/role.rs`
//! of the extension). The session ends with the hook, so that nothing it leaves behind is used by
//! anybody else.

use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;

use super::context::Context;
use super::wait::{LAST_WORDS, last_words, timed};
use crate::catalog::COMMIT;
use crate::catalog::history::History;
use crate::catalog::hooks::{
    ASSERT_AS, END_SESSION, RUN_AS, RUNNERS, SET_FACT, begin_within, run_hook,
};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Backup, Home};
use crate::error::{Class, Failure, Result};
use crate::host::control::Control;
use crate::host::server::Server;
use crate::host::sql_error::hint_of_class;

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    BeforeBackup,
    AfterBackup,
    OnFailure,
    BeforeRestore,
    /// In the new database, before it takes the place of another one.
    AfterRestore,
    /// In the new database, in its place.
    AfterSwap,
    /// In the scratch database of a verification: a query that has to give true.
    Assert,
}

impl Event {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::BeforeBackup => "before_backup",
            Event::AfterBackup => "after_backup",
            Event::OnFailure => "on_failure",
            Event::BeforeRestore => "before_restore",
            Event::AfterRestore => "after_restore",
            Event::AfterSwap => "after_swap",
            Event::Assert => "assert",
        }
    }
}

/// What a hook can read of the run, as settings `backup_run.<name>`.
#[derive(Debug, Clone)]
pub struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// The facts of a run that begins.
    pub fn new(id: i64, kind: &str, database: &str) -> Facts {
        Facts(vec![
            ("id", id.to_string()),
            ("kind", kind.to_owned()),
            ("database", database.to_owned()),
        ])
    }

    /// Those of a backup.
    pub fn of_backup(id: i64, backup: &Backup) -> Facts {
        Facts::new(id, "backup", &backup.database)
            .with("origin", backup.origin.clone())
            .with("schedule", backup.schedule.clone().unwrap_or_default())
            .with("comment", backup.comment.clone().unwrap_or_default())
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Facts {
        self.0.push((name, value.into()));
        self
    }
}

/// Runs the hooks of an event by their names, in the home database. Errors: the first one that
/// failed, class `Hook`; those after it are not run.
pub async fn run(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    event: Event,
    facts: &Facts,
) -> Result<()> {
    for name in history.hooks(event.as_str()).await? {
        show(context, &name);
        let call = Call { database: &home.database, event, facts };
        let ran = one(context, history, &call, async |server, limited| {
            let sql = run_hook(&home.schema);
            server.rows(limited, &sql, &[&event.as_str(), &name]).await.map(drop)
        });
        ran.await.map_err(|failure| told(context, event, &name, &failure))?;
    }
    Ok(())
}

/// The same in another database, in which the extension need not be: the hooks are those of the
/// home database all the same.
pub async fn run_in(
    context: &Context<'_>,
    history: &History<'_>,
    event: Event,
    facts: &Facts,
    database: &str,
) -> Result<()> {
    for hook in history.whole_hooks(event.as_str()).await? {
        show(context, &hook.name);
        let call = Call { database, event, facts };
        let ran = one(context, history, &call, async |server, limited| {
            server.batch(limited, RUNNERS).await?;
            let params: [&(dyn ToSql + Sync); 3] = [&hook.role_id, &hook.role, &hook.sql];
            if event != Event::Assert {
                return server.rows(limited, RUN_AS, &params).await.map(drop);
            }
            let row = server.one(limited, ASSERT_AS, &params).await?;
            if row.get::<_, Option<bool>>(0) == Some(true) { Ok(()) } else { Err(not_true()) }
        });
        let ran = if hook.same_role { ran.await } else { Err(role_is_gone(&hook.role)) };
        ran.map_err(|failure| told(context, event, &hook.name, &failure))?;
    }
    Ok(())
}

fn show(context: &Context<'_>, name: &str) {
    context.control.report(&Progress {
        phase: Phase::Hooks,
        relation: name.to_owned(),
        ..Progress::default()
    });
}

/// What a hook raises must not look like a cancel or a shutdown of the job.
fn told(context: &Context<'_>, event: Event, name: &str, failure: &Failure) -> Failure {
    match context.control.proceed() {
        Err(stopped) if stopped.class == failure.class => stopped,
        _ => failed(event, name, failure),
    }
}

/// One hook at one event.
struct Call<'a> {
    database: &'a str,
    event: Event,
    facts: &'a Facts,
}

/// Gives a hook its session, transaction, time and facts.
async fn one(
    context: &Context<'_>,
    history: &History<'_>,
    call: &Call<'_>,
    hook: impl AsyncFnOnce(&Server, &dyn Control) -> Result<()>,
) -> Result<()> {
    let limit = context.settings.hook_timeout;
    let limited = timed(context.control, limit, "pg_backup.hook_timeout");
    let access = &context.settings.access;
    let server = Server::connect(access, &limited, call.database, "pg_backup hook").await?;
    server.batch(&limited, &begin_within(millis(limit), access.major)).await?;
    for (fact, value) in &call.facts.0 {
        let value = value.replace('\0', "");
        server.rows(&limited, SET_FACT, &[&format!("backup_run.{fact}"), &value]).await?;
    }
    server.rows(&limited, SET_FACT, &[&"backup_run.event", &call.event.as_str()]).await?;
    let began = Instant::now();
    let ran = async {
        hook(&server, &limited).await?;
        server.batch(&limited, COMMIT).await
    };
    let ran = ran.await;
    if ran.is_err() {
        // SQL that catches a cancel, and does not look for its client, would go on for ever.
        let control = last_words(context.control, LAST_WORDS);
        let _ = history.server.rows(&control, END_SESSION, &[&server.pid]).await;
    }
    ran.map_err(|failure| raised(failure, began.elapsed() >= limit && !limit.is_zero()))
}

fn not_true() -> Failure {
    Failure::new(Class::Hook, "the restored database does not fulfil it")
        .detail("Its first column in its first row is not the boolean true.")
        .hint("The archive is whole; what is in it is not what this hook asks for.")
}

/// The role that registered a hook is not there any more.
pub fn role_is_gone(role: &str) -> Failure {
    Failure::new(
        Class::InsufficientPrivilege,
        format!("role \"{role}\", which registered the hook, is not there any more"),
    )
    .detail("A role that was made anew under the same name does not inherit its hooks.")
    .hint("Register the hook again with CALL backup_hook(…).")
}

/// An error of the hook's own SQL: hints for statements of ours are none for it.
fn raised(failure: Failure, late: bool) -> Failure {
    let ours = hint_of_class(failure.class).is_some_and(|hint| hint == failure.hint);
    match failure.class {
        Class::Cancelled | Class::Timeout if late => Failure {
            hint: "Raise pg_backup.hook_timeout, or make it faster; 0 sets no limit.".to_owned(),
            ..failure
        },
        Class::InsufficientPrivilege if ours => Failure {
            hint: "It has the rights of the role that registered it: see backup_hooks.".to_owned(),
            ..failure
        },
        _ if ours => Failure { hint: String::new(), ..failure },
        _ => failure,
    }
}

/// Milliseconds for a setting, 0 for no limit.
fn millis(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
}

fn failed(event: Event, name: &str, failure: &Failure) -> Failure {
    let event = event.as_str();
    let detail = match failure.detail.as_str() {
        "" => failure.message.clone(),
        detail => format!("{}. {detail}", failure.message),
    };
    let hint = match failure.hint.as_str() {
        "" if failure.class == Class::UndefinedObject => {
            "Names in a hook are looked up in pg_catalog only: write schema.name.".to_owned()
        }
        "" => format!(
            "Correct it with CALL backup_hook('{event}', …), or remove it with a NULL as its SQL."
        ),
        hint => hint.to_owned(),
    };
    Failure::new(Class::Hook, format!("hook \"{name}\" failed at {event}"))
        .detail(detail)
        .hint(hint)
}
