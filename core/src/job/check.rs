//! The runner's part of `backup_check()`: what can only be seen from where backups are made.
//! Every finding is a row; a finding never stops the ones after it.

use super::context::Context;
use super::tools::version;
use super::versions::judged;
use super::{Report, ReportRow};
use crate::catalog::facts::{RESTORING, WAY_BACK};
use crate::catalog::recovery::EXTENSION;
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::Home;
use crate::decide::versions::LIBRARY;
use crate::error::{Failure, Result};
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::host::signing::keys;
use crate::host::space::free_bytes;

/// Looks at everything.
pub async fn run(context: &Context<'_>, home: &Home) -> Result<Report> {
    context.control.report(&Progress { phase: Phase::Checking, ..Progress::default() });
    let mut rows = Vec::new();
    directory(context, &mut rows);
    rows.push(signing(context));
    let access = &context.settings.access;
    let session = Server::connect(access, context.control, &home.database, "pg_backup job").await;
    let major = match session {
        Ok(session) => connection(context, &session, &mut rows).await?,
        Err(failure) => {
            rows.push(blocker("connection", &failure));
            None
        }
    };
    tools(context, major, &mut rows).await?;
    Ok(Report { rows, ..Report::default() })
}

fn blocker(subject: &str, failure: &Failure) -> ReportRow {
    let detail = format!("{}. {}", failure.message, failure.detail);
    ReportRow::new(subject, "blocker", detail.trim_end(), &failure.hint)
}

fn directory(context: &Context<'_>, rows: &mut Vec<ReportRow>) {
    let settings = context.settings;
    let place = match BackupDir::open(&settings.directory, &settings.data_directory, true) {
        Ok(place) => place,
        Err(failure) => return rows.push(blocker("directory", &failure)),
    };
    let path = place.path().display().to_string();
    match place.shares_disk_with(&settings.data_directory) {
        Ok(true) => rows.push(ReportRow::new(
            "directory",
            "warning",
            format!("\"{path}\" is on the same file system as the data directory"),
            "A lost disk takes data and backups together, and a full one stops both. Set \
             pg_backup.directory to another disk, and copy archives off this machine.",
        )),
        Ok(false) => rows.push(ReportRow::ok("directory", format!("\"{path}\""))),
        Err(failure) => rows.push(blocker("directory", &failure)),
    }
    match free_bytes(place.path()) {
        Ok(free) => rows.push(space(free, settings.min_free_space)),
        Err(failure) => rows.push(blocker("free_space", &failure)),
    }
}

/// Whether archives are signed. A key file that cannot be used stops every backup.
fn signing(context: &Context<'_>) -> ReportRow {
    match keys(context.settings.signing_key_file.as_deref()) {
        Ok(None) => ReportRow::ok("signing", "off: pg_backup.signing_key_file is not set"),
        Ok(Some(keys)) if keys.count() == 1 => ReportRow::ok("signing", "on, with one key"),
        Ok(Some(keys)) => ReportRow::ok("signing", format!("on; {} keys verify", keys.count())),
        Err(failure) => blocker("signing", &failure),
    }
}

fn space(free: u64, reserve: u64) -> ReportRow {
    /// Below so many times the reserve the operator hears of it.
    const LOW: u64 = 4;
    let mib = |bytes: u64| bytes >> 20;
    let detail = format!("{} MiB free, {} MiB kept in reserve", mib(free), mib(reserve));
    let hint = "Free space, or point pg_backup.directory to a larger file system.";
    match free {
        _ if free < reserve => ReportRow::new("free_space", "blocker", detail, hint),
        _ if free / LOW < reserve => ReportRow::new("free_space", "warning", detail, hint),
        _ => ReportRow::ok("free_space", detail),
    }
}

/// The way back into the server; gives its major version.
async fn connection(
    context: &Context<'_>,
    session: &Server,
    rows: &mut Vec<ReportRow>,
) -> Result<Option<i32>> {
    let control = context.control;
    let access = &context.settings.access;
    let row = session.one(control, WAY_BACK, &[]).await?;
    let place = format!("user \"{}\" at \"{}\" port {}", access.user, access.host, access.port);
    match row.get::<_, Option<bool>>(1) {
        Some(true) => rows.push(ReportRow::ok("connection", place)),
        _ => rows.push(ReportRow::new(
            "connection",
            "blocker",
            format!("{place} is not a superuser"),
            "pg_backup.user must be a superuser; the default is the bootstrap superuser.",
        )),
    }
    rows.extend(versions(context, session).await?);
    let stuck: String = session.one(control, RESTORING, &[]).await?.get(0);
    if !stuck.is_empty() {
        rows.push(ReportRow::new(
            "timescaledb_restoring",
            "blocker",
            format!("in restoring mode: {stuck}"),
            "A restore runs in it, or did not come to its end. If none runs: DROP DATABASE, and \
             restore again. timescaledb_post_restore() is only for a restore that ended without \
             any error: in half of one, jobs damage what is there.",
        ));
    }
    Ok(Some(row.get(0)))
}

/// Whether library, SQL and the files on disk are of one version.
async fn versions(context: &Context<'_>, session: &Server) -> Result<Option<ReportRow>> {
    let rows = session.rows(context.control, EXTENSION, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mismatch = judged(session, context.control, row.get(2)).await?;
    Ok(Some(match mismatch {
        None => ReportRow::ok("version", LIBRARY),
        Some(Failure { message, hint, .. }) => ReportRow::new("version", "warning", message, hint),
    }))
}

async fn tools(context: &Context<'_>, major: Option<i32>, rows: &mut Vec<ReportRow>) -> Result<()> {
    for name in ["pg_dump", "pg_dumpall", "pg_restore"] {
        let row = match version(context, name).await {
            Ok(text) => tool_row(name, &text, major),
            Err(failure) => blocker(name, &failure),
        };
        context.control.proceed()?;
        rows.push(row);
    }
    Ok(())
}

/// A tool of another major version than the server's dumps too little or not at all.
fn tool_row(name: &str, text: &str, server: Option<i32>) -> ReportRow {
    let digits = |word: &str| -> Option<i32> {
        let number: String = word.chars().take_while(char::is_ascii_digit).collect();
        number.parse().ok()
    };
    let major = text.split_whitespace().find_map(digits);
    match (major, server) {
        (Some(tool), Some(server)) if tool < server => ReportRow::new(
            name,
            "blocker",
            format!("{text}, but the server is version {server}"),
            "Point pg_backup.bin_directory to the tools of the server's own version.",
        ),
        (None, _) => ReportRow::new(
            name,
            "warning",
            format!("unknown version: {text}"),
            "Check pg_backup.bin_directory.",
        ),
        _ => ReportRow::ok(name, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_tool_is_a_blocker_and_a_strange_one_a_warning() {
        for (text, server, status) in [
            ("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", Some(15), "ok"),
            ("pg_dump (PostgreSQL) 14.1", Some(15), "blocker"),
            ("pg_dump (PostgreSQL) 17.1", Some(15), "ok"),
            ("hello", Some(15), "warning"),
            ("pg_dump (PostgreSQL) 16beta1", None, "ok"),
        ] {
            assert_eq!(tool_row("pg_dump", text, server).status, status, "{text}");
        }
    }

    #[test]
    fn space_is_judged_against_the_reserve() {
        assert_eq!(space(10, 100).status, "blocker");
        assert_eq!(space(200, 100).status, "warning");
        assert_eq!(space(4000, 100).status, "ok");
    }
}
