//! Hooks: SQL of the users at the events of a run, each in a session and a transaction of its own.
//!
//! The session is a superuser's, as all of the engine's are; the function that runs the hook takes
//! the rights of the role that registered it and keeps it from changing that (see `src/pg/role.rs`
//! of the extension). The session ends with the hook, so that nothing it leaves behind is used by
//! anybody else.

use std::time::{Duration, Instant};

use super::context::Context;
use super::wait::{last_words, timed};
use crate::catalog::history::History;
use crate::catalog::hooks::{SET_FACT, run_hook};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Backup, Home};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::host::sql_error::hint_of_class;

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    BeforeBackup,
    AfterBackup,
    OnFailure,
}

impl Event {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::BeforeBackup => "before_backup",
            Event::AfterBackup => "after_backup",
            Event::OnFailure => "on_failure",
        }
    }
}

/// What a hook can read of the run, as settings `backup_run.<name>`.
#[derive(Debug, Clone)]
pub struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// The facts of a run that begins.
    pub fn new(id: i64, backup: &Backup) -> Facts {
        Facts(vec![
            ("id", id.to_string()),
            ("kind", "backup".to_owned()),
            ("database", backup.database.clone()),
            ("origin", backup.origin.clone()),
            ("schedule", backup.schedule.clone().unwrap_or_default()),
            ("comment", backup.comment.clone().unwrap_or_default()),
        ])
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Facts {
        self.0.push((name, value.into()));
        self
    }
}

/// Runs the hooks of an event by their names. Errors: the first one that failed, class `Hook`;
/// those after it are not run.
pub async fn run(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    event: Event,
    facts: &Facts,
) -> Result<()> {
    for name in history.hooks(event.as_str()).await? {
        context.control.report(&Progress {
            phase: Phase::Hooks,
            relation: name.clone(),
            ..Progress::default()
        });
        one(context, home, history, event, &name, facts).await.map_err(|failure| {
            // What a hook raises must not look like a cancel or a shutdown of the job.
            match context.control.proceed() {
                Err(stopped) if stopped.class == failure.class => stopped,
                _ => failed(event, &name, &failure),
            }
        })?;
    }
    Ok(())
}

async fn one(
    context: &Context<'_>,
    home: &Home,
    history: &History<'_>,
    event: Event,
    name: &str,
    facts: &Facts,
) -> Result<()> {
    let limit = context.settings.hook_timeout;
    let limited = timed(context.control, limit, "pg_backup.hook_timeout");
    let access = &context.settings.access;
    let server = Server::connect(access, &limited, &home.database, "pg_backup hook").await?;
    server.batch(&limited, &format!("SET statement_timeout = {}; BEGIN", millis(limit))).await?;
    for (fact, value) in &facts.0 {
        let value = value.replace('\0', "");
        server.rows(&limited, SET_FACT, &[&format!("backup_run.{fact}"), &value]).await?;
    }
    server.rows(&limited, SET_FACT, &[&"backup_run.event", &event.as_str()]).await?;
    let began = Instant::now();
    let ran = async {
        server.rows(&limited, &run_hook(&home.schema), &[&event.as_str(), &name]).await?;
        server.batch(&limited, "COMMIT").await
    };
    let ran = ran.await;
    if ran.is_err() {
        // SQL that catches a cancel, and does not look for its client, would go on for ever.
        let control = last_words(context.control, super::settle::LAST_WORDS);
        let end = "SELECT pg_catalog.pg_terminate_backend($1)";
        let _ = history.server.rows(&control, end, &[&server.pid]).await;
    }
    ran.map_err(|failure| raised(failure, began.elapsed() >= limit && !limit.is_zero()))
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
