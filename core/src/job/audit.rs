//! The audit of what jobs do for somebody: a row before anything is done, without which nothing is
//! done, and its outcome. Both are written by sessions of their own that do not outlive the
//! statement: a restore may end every session of the database that holds the row.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Report;
use super::context::Context;
use super::wait::{LAST_WORDS, last_words};
use crate::catalog::{audit, lock_timeout};
use crate::decide::request::{Asker, Home, Request};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;

const APPLICATION: &str = "pg_backup audit";

/// How long a lock that somebody holds on the table may keep a job waiting.
const LOCK_TIME: Duration = Duration::from_secs(10);

/// What only the job needs of a request.
const UNTOLD: [&str; 5] = ["kind", "limits", "safety_backup", "findings", "take"];

/// Writes who asks for what; the id of the row, or None for what nobody has asked for.
pub async fn begin(context: &Context<'_>, request: &Request) -> Result<Option<i64>> {
    let Some(asker) = &request.home.asker else { return Ok(None) };
    let written = write(context, &request.home, asker, &detail(request)).await;
    written.map(Some).map_err(|failure| match failure.class {
        Class::Cancelled | Class::Interrupted => failure,
        class => Failure::new(class, format!("could not record {} in the audit", asker.action))
            .detail(format!("{}. {}", failure.message, failure.detail))
            .hint("Nothing was done. See that backup_audit_entries can be written, and try again."),
    })
}

async fn write(context: &Context<'_>, home: &Home, asker: &Asker, detail: &Value) -> Result<i64> {
    let control = context.control;
    let server = Server::connect(&context.settings.access, control, &home.database, APPLICATION);
    let server = server.await?;
    server.batch(control, &lock_timeout(LOCK_TIME)).await?;
    let at = Duration::from_micros(u64::try_from(home.queued_at).unwrap_or(0));
    let at = SystemTime::UNIX_EPOCH + at;
    let Asker { action, session_role, address, application } = asker;
    let application = (!application.is_empty()).then_some(application);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&at, &home.requested_by, session_role, address, &application, action, detail];
    Ok(server.one(control, &audit::begin(&home.schema), &values).await?.get(0))
}

/// What was asked for, as it was understood.
fn detail(request: &Request) -> Value {
    let mut detail = serde_json::to_value(&request.task).unwrap_or_default();
    if let Value::Object(fields) = &mut detail {
        let empty = |value: &Value| value.is_null() || value == "";
        fields.retain(|name, value| !UNTOLD.contains(&name.as_str()) && !empty(value));
    }
    detail
}

/// Writes what became of it. The action is over: that this cannot be written is a warning.
pub async fn end(
    context: &Context<'_>,
    home: &Home,
    entry: i64,
    result: &Result<Report>,
) -> Option<Failure> {
    let control = last_words(context.control, LAST_WORDS);
    let told = async {
        let access = &context.settings.access;
        let server = Server::connect(access, &control, &home.database, APPLICATION).await?;
        server.batch(&control, &lock_timeout(LAST_WORDS)).await?;
        let run = result.as_ref().map_or(home.id, |report| report.id);
        let run = (run != 0).then_some(run);
        let (outcome, error) = match result {
            Ok(_) => ("succeeded", None),
            Err(failure) if failure.class == Class::Cancelled => ("cancelled", None),
            Err(failure) => ("failed", Some(&failure.message)),
        };
        server.execute(&control, &audit::end(&home.schema), &[&entry, &run, &outcome, &error]).await
    };
    told.await.err().map(|failure| Failure {
        message: format!("could not record the outcome in the audit: {}", failure.message),
        ..failure
    })
}
