//! What has to be true of the live database that is to be replaced: every requirement a row.

use serde::Deserialize;

use super::session::session_elsewhere;
use crate::catalog::BEGIN_SNAPSHOT;
use crate::catalog::restore::REPLACEABLE;
use crate::decide::compatibility::{Badge, Compatibility, compare};
use crate::decide::manifest::Manifest;
use crate::decide::request::Restore;
use crate::decide::restore::part::some;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::ReportRow;
use crate::job::context::Context;
use crate::job::migrations::applied_migrations;

/// What the server says of it.
#[derive(Debug, Deserialize)]
struct Live {
    exists: bool,
    template: bool,
    closed: bool,
    prepared: Vec<String>,
    active_slots: Vec<String>,
    idle_slots: Vec<String>,
    subscriptions: Vec<String>,
    sessions: i64,
}

/// The rows about the database `live`.
pub async fn rows(
    context: &Context<'_>,
    restore: &Restore,
    manifest: &Manifest,
    live: &str,
) -> Result<Vec<ReportRow>> {
    let server = session_elsewhere(context, &[live]).await?;
    let row = server.one(context.control, REPLACEABLE, &[&live]).await?;
    let found: Live = serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(Class::Internal, format!("could not read what the server said: {error}"))
    })?;
    let mut rows = vec![replace(live, &found)];
    if rows[0].status != "ok" {
        return Ok(rows);
    }
    rows.push(list(
        "prepared_transactions",
        "blocker",
        "prepared transactions keep it from being renamed",
        &found.prepared,
        "COMMIT PREPARED or ROLLBACK PREPARED each of them first.",
    ));
    rows.push(slots(&found));
    rows.push(list(
        "live_subscriptions",
        "blocker",
        "its subscriptions are enabled",
        &found.subscriptions,
        "ALTER SUBSCRIPTION … DISABLE them first: their workers connect again and again.",
    ));
    rows.push(match found.sessions {
        0 => ReportRow::ok("sessions", "nobody is connected"),
        count => ReportRow::new(
            "sessions",
            "warning",
            match count {
                1 => "1 session will be ended at the swap".to_owned(),
                count => format!("{count} sessions will be ended at the swap"),
            },
            "Clients that connect again are in the restored database.",
        ),
    });
    rows.push(compatibility(context, restore, manifest, live).await?);
    Ok(rows)
}

fn replace(live: &str, found: &Live) -> ReportRow {
    let blocker = |detail: String, hint: &str| ReportRow::new("replace", "blocker", detail, hint);
    if !found.exists {
        return blocker(
            format!("database \"{live}\" does not exist"),
            "There is nothing to replace: give the name as target.",
        );
    }
    if found.template {
        return blocker(
            format!("database \"{live}\" is a template"),
            "ALTER DATABASE … IS_TEMPLATE false first, if it is to be replaced.",
        );
    }
    if found.closed {
        return blocker(
            format!("database \"{live}\" takes no connections"),
            "It may be one that an earlier restore has kept. See pg_database.",
        );
    }
    ReportRow::ok("replace", format!("database \"{live}\" will be kept, closed"))
}

fn slots(found: &Live) -> ReportRow {
    let (name, hint) = ("replication_slots", "Stop their consumers first, and drop the slots.");
    if !found.active_slots.is_empty() {
        let what = "logical slots are in use";
        return list(name, "blocker", what, &found.active_slots, hint);
    }
    list(
        name,
        "warning",
        "logical slots stay with the database that is kept, and hold WAL back",
        &found.idle_slots,
        "Drop them, and make them anew in the restored database.",
    )
}

fn list(subject: &str, status: &str, what: &str, names: &[String], hint: &str) -> ReportRow {
    match names {
        [] => ReportRow::ok(subject, "none"),
        names => ReportRow::new(subject, status, format!("{what}: {}", some(names)), hint),
    }
}

async fn compatibility(
    context: &Context<'_>,
    restore: &Restore,
    manifest: &Manifest,
    live: &str,
) -> Result<ReportRow> {
    let (access, control) = (&context.settings.access, context.control);
    let server = Server::connect(access, control, live, "pg_backup check").await?;
    server.batch(control, BEGIN_SNAPSHOT).await?;
    // A table that a setting had named for the backup is looked for by the name it had then.
    let custom = manifest.migrations.iter().find(|found| found.framework == "custom");
    let named = custom.map_or("", |found| found.table.as_str());
    let applied = applied_migrations(control, &server, named).await?;
    let found = compare(&manifest.migrations, &applied);
    let Compatibility { badge, added, removed } = &found;
    let word = badge.as_str();
    Ok(match badge {
        Badge::Compatible => ReportRow::ok("migrations", format!("{word}: the same set")),
        Badge::Unknown | Badge::Broken => {
            ReportRow::ok("migrations", format!("{word}: nothing to compare"))
        }
        Badge::Older => ReportRow::new(
            "migrations",
            "warning",
            format!("{word}: the database has {} more: {}", added.len(), some(added)),
            "Apply them to the restored database: a hook at after_restore can do it before the \
             swap.",
        ),
        Badge::Incompatible => ReportRow::new(
            "migrations",
            if restore.force { "warning" } else { "blocker" },
            format!(
                "{word}: the archive has {} that the database does not have: {}; {} the other way \
                 round",
                removed.len(),
                some(removed),
                added.len()
            ),
            "The code that runs now may not know them. force => true restores it all the same.",
        ),
    })
}
