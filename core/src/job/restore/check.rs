//! What has to be true before a restore: every requirement a row, all of them looked at, so that
//! everything that is missing is known at once.

use serde::Deserialize;
use std::path::Path;

use super::super::{Report, ReportRow, settle};
use crate::catalog::history::History;
use crate::catalog::history_files::StoredArchive;
use crate::catalog::restore::READINESS;
use crate::decide::manifest::Manifest;
use crate::decide::request::{Home, Restore};
use crate::decide::restore::part::is_part;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::job::context::Context;
use crate::job::tools::version;

/// What the server says.
#[derive(Debug, Deserialize)]
struct Readiness {
    superuser: bool,
    version_num: i32,
    system_identifier: String,
    target_exists: bool,
    missing_roles: Vec<String>,
    missing_tablespaces: Vec<String>,
    missing_extensions: Vec<String>,
    other_versions: Vec<String>,
}

/// `backup_restore_check()`.
pub async fn run(context: &Context<'_>, home: &Home, restore: &Restore) -> Result<Report> {
    super::show(context, crate::decide::progress::Phase::Checking);
    let access = &context.settings.access;
    let control = context.control;
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    let stored = history.archive(restore.backup).await?;
    let server =
        Server::connect(access, control, &access.connect_database, "pg_backup job").await?;
    let (rows, _) = look(context, &server, restore, &stored).await?;
    Ok(Report { rows, ..Report::default() })
}

/// The archive and its manifest, when nothing stands in the way. Errors: everything that does.
pub async fn passed(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    stored: &StoredArchive,
) -> Result<(Archive, Manifest)> {
    let (rows, opened) = look(context, server, restore, stored).await?;
    let blockers: Vec<&ReportRow> = rows.iter().filter(|row| row.status == "blocker").collect();
    match (blockers.as_slice(), opened) {
        ([], Some(opened)) => Ok(opened),
        ([only], _) => Err(refused(restore, &only.detail).hint(only.hint.clone())),
        (several, _) => {
            let told = several.iter().map(|row| format!("{}: {}", row.subject, row.detail));
            Err(refused(restore, &told.collect::<Vec<_>>().join("; ")).hint(format!(
                "SELECT * FROM backup_restore_check({}) shows what to do about each.",
                restore.backup
            )))
        }
    }
}

fn refused(restore: &Restore, detail: &str) -> Failure {
    Failure::new(Class::NotReady, format!("backup {} cannot be restored now", restore.backup))
        .detail(format!("{}.", detail.trim_end_matches('.')))
}

type Looked = (Vec<ReportRow>, Option<(Archive, Manifest)>);

async fn look(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    stored: &StoredArchive,
) -> Result<Looked> {
    let mut rows = Vec::new();
    let mut opened = match archive(context, stored).await {
        Ok((archive, manifest)) => {
            rows.push(ReportRow::ok("archive", format!("{}, SHA-256 as recorded", stored.file)));
            (archive, manifest)
        }
        Err(failure) if matches!(failure.class, Class::Damaged | Class::UndefinedFile) => {
            let detail = format!("{}. {}", failure.message, failure.detail);
            let detail = detail.trim_end_matches([' ', '.']);
            rows.push(ReportRow::new("archive", "blocker", detail, failure.hint));
            return Ok((rows, None));
        }
        Err(failure) => return Err(failure),
    };
    let (archive, manifest) = &mut opened;
    let manifest = &*manifest;
    let ready = readiness(context, server, restore, manifest).await?;
    rows.push(format(restore, manifest));
    rows.push(server_version(manifest, &ready));
    rows.push(tool(context, manifest).await);
    rows.push(superuser(&ready));
    rows.push(target(restore, &ready));
    if is_part(restore) {
        rows.extend(super::part_check::rows(context, server, restore, archive, manifest).await?);
    }
    if let Some(into) = &restore.into_schema {
        rows.push(super::part_check::schema_row(context, into, manifest).await?);
    }
    if let Some(live) = &restore.replace {
        rows.extend(super::replaceable::rows(context, restore, manifest, live).await?);
    }
    rows.extend(globals(context, server, restore, archive, manifest, &ready).await?);
    rows.push(names(
        "extensions",
        "extension",
        &ready.missing_extensions,
        "Install their files on \
        this server, with the package of each.",
    ));
    rows.push(versions(&ready));
    rows.extend(super::timescale::rows(context, server, restore, archive, manifest).await?);
    rows.extend(super::place::rows(context, server, manifest).await?);
    rows.push(origin(restore, manifest, &ready));
    rows.push(subscriptions(manifest));
    Ok((rows, Some(opened)))
}

/// Roles and tablespaces: there, or made when that was asked for.
async fn globals(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    archive: &mut Archive,
    manifest: &Manifest,
    ready: &Readiness,
) -> Result<Vec<ReportRow>> {
    let (roles, tablespaces) = (&ready.missing_roles, &ready.missing_tablespaces);
    if restore.globals {
        return super::globals::rows(context, server, archive, manifest, roles, tablespaces).await;
    }
    Ok(vec![
        names(
            "roles",
            "role",
            roles,
            "globals => true makes them as globals.sql in the archive has them; or create them \
             first.",
        ),
        names(
            "tablespaces",
            "tablespace",
            tablespaces,
            "globals => true makes them where globals.sql in the archive has them, in empty \
             directories; or create them first with CREATE TABLESPACE.",
        ),
    ])
}

async fn archive(context: &Context<'_>, stored: &StoredArchive) -> Result<(Archive, Manifest)> {
    let settings = context.settings;
    if matches!(stored.file_state.as_str(), "deleting" | "deleted" | "pruned") {
        let what = format!("the archive of backup {} is {}", stored.id, stored.file_state);
        return Err(
            Failure::new(Class::UndefinedFile, what).hint("See backup_history for another backup.")
        );
    }
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let path = place.resolve(&stored.file)?;
    let found = settle::hash(context, &path).await?;
    if found != stored.sha256 {
        return Err(changed(&path, &found, &stored.sha256));
    }
    let mut archive = Archive::open(&path)?;
    let manifest = archive.manifest()?;
    Ok((archive, manifest))
}

fn changed(path: &Path, found: &str, recorded: &str) -> Failure {
    Failure::new(Class::Damaged, format!("archive \"{}\" has changed", path.display()))
        .detail(format!("Its SHA-256 is {found}, recorded is {recorded}"))
        .hint("Do not rely on this archive. See backup_history for another one.")
}

async fn readiness(
    context: &Context<'_>,
    server: &Server,
    restore: &Restore,
    manifest: &Manifest,
) -> Result<Readiness> {
    let facts = &manifest.facts;
    let mut tablespaces = facts.tablespaces.clone();
    tablespaces.push(facts.database.tablespace.clone());
    tablespaces.retain(|name| !name.is_empty());
    let mut roles = facts.roles.clone();
    roles.push(facts.database.owner.clone());
    roles.sort();
    roles.dedup();
    let names: Vec<&str> = facts.extensions.iter().map(|e| e.name.as_str()).collect();
    let versions: Vec<&str> = facts.extensions.iter().map(|e| e.version.as_str()).collect();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&roles, &tablespaces, &names, &versions, &restore.target];
    let row = server.one(context.control, READINESS, &params).await?;
    serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(Class::Internal, format!("could not read what the server said: {error}"))
    })
}

fn format(restore: &Restore, manifest: &Manifest) -> ReportRow {
    let format = &manifest.dump.format;
    if format == "plain" && !restore.trusted {
        return ReportRow::new(
            "format",
            "blocker",
            "a plain dump is one script, which runs with the rights of a superuser from its first \
             line to its last",
            "If you trust every role that could write to that database: trusted => true.",
        );
    }
    ReportRow::ok("format", format!("{format}, {}", manifest.dump.compression))
}

fn server_version(manifest: &Manifest, ready: &Readiness) -> ReportRow {
    let (theirs, ours) = (manifest.facts.server.version_num / 10_000, ready.version_num / 10_000);
    let detail = format!("made on {theirs}, this server is {ours}");
    match theirs > ours {
        true => ReportRow::new(
            "server_version",
            "blocker",
            detail,
            "A dump does not go back to an older major version. Restore it on a newer server.",
        ),
        false => ReportRow::ok("server_version", detail),
    }
}

/// pg_restore must not be older than the pg_dump that wrote the dump.
async fn tool(context: &Context<'_>, manifest: &Manifest) -> ReportRow {
    let said = match version(context, "pg_restore").await {
        Ok(said) => said,
        Err(failure) => {
            return ReportRow::new("pg_restore", "blocker", failure.message, failure.hint);
        }
    };
    match (major(&said), major(&manifest.tools.pg_dump)) {
        (Some(ours), Some(theirs)) if ours < theirs => ReportRow::new(
            "pg_restore",
            "blocker",
            format!("{said}, but the dump was made by {}", manifest.tools.pg_dump),
            "Point pg_backup.bin_directory to tools that are at least as new.",
        ),
        _ => ReportRow::ok("pg_restore", said),
    }
}

fn major(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| {
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

fn superuser(ready: &Readiness) -> ReportRow {
    match ready.superuser {
        true => ReportRow::ok("superuser", "the runner connects as a superuser"),
        false => ReportRow::new(
            "superuser",
            "blocker",
            "the runner does not connect as a superuser",
            "pg_backup.user must be a superuser; the default is the bootstrap superuser.",
        ),
    }
}

fn target(restore: &Restore, ready: &Readiness) -> ReportRow {
    let name = &restore.target;
    if name.is_empty() {
        return ReportRow::ok("target", "a new database that will not keep its name");
    }
    match ready.target_exists {
        true => ReportRow::new(
            "target",
            "blocker",
            format!("database \"{name}\" exists"),
            "An existing database is never overwritten: choose another name as target.",
        ),
        false => ReportRow::ok("target", format!("database \"{name}\" will be made")),
    }
}

fn names(subject: &str, what: &str, missing: &[String], hint: &str) -> ReportRow {
    match missing {
        [] => ReportRow::ok(subject, "all there"),
        missing => {
            let list = missing.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
            let detail = format!("missing {what}s: {}", list.join(", "));
            ReportRow::new(subject, "blocker", detail, hint)
        }
    }
}

fn versions(ready: &Readiness) -> ReportRow {
    match ready.other_versions.as_slice() {
        [] => ReportRow::ok("extension_versions", "as recorded"),
        other => ReportRow::new(
            "extension_versions",
            "warning",
            format!("recorded {}", other.join(", ")),
            "A dump names no versions: the server's default one is installed.",
        ),
    }
}

/// Whether TimescaleDB was in the database.
pub fn has_timescaledb(manifest: &Manifest) -> bool {
    manifest.facts.extensions.iter().any(|e| e.name == "timescaledb")
}

fn origin(restore: &Restore, manifest: &Manifest, ready: &Readiness) -> ReportRow {
    if manifest.facts.server.system_identifier == ready.system_identifier {
        return ReportRow::ok("origin", "made on this server");
    }
    let detail = format!("made on another server (host \"{}\")", manifest.facts.server.host);
    match restore.allow_foreign {
        true => ReportRow::new(
            "origin",
            "warning",
            detail,
            "Its objects belong to the roles of the same names here.",
        ),
        false => ReportRow::new(
            "origin",
            "blocker",
            detail,
            "Its functions and extensions run here with a superuser's rights. If you trust where \
             it comes from: allow_foreign => true.",
        ),
    }
}

fn subscriptions(manifest: &Manifest) -> ReportRow {
    match manifest.facts.subscriptions.as_slice() {
        [] => ReportRow::ok("subscriptions", "none"),
        names => ReportRow::new(
            "subscriptions",
            "warning",
            format!("restored disabled: {}", names.join(", ")),
            "ALTER SUBSCRIPTION … ENABLE them when the original no longer runs.",
        ),
    }
}
