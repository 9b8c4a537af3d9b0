//! What has to be true before a restore: every requirement a row, all of them looked at, so that
//! everything that is missing is known at once.

use std::path::Path;
use std::time::Duration;

use super::super::{Report, ReportRow, whole};
use super::requirement::{
    Readiness, format, names, origin, readiness, server_version, subscriptions, superuser, target,
    tool, versions,
};
use crate::catalog::history::History;
use crate::catalog::history_files::StoredArchive;
use crate::catalog::restore_steps;
use crate::decide::manifest::Manifest;
use crate::decide::request::{Home, Restore};
use crate::decide::restore::part::is_part;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::dir::BackupDir;
use crate::host::server::Server;
use crate::job::context::Context;

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
        ([only], _) => Err(refused(restore, &capital(&only.detail)).hint(only.hint.clone())),
        (several, _) => {
            let told = several.iter().map(|row| format!("{}: {}", row.subject, row.detail));
            Err(refused(restore, &told.collect::<Vec<_>>().join("; "))
                .hint(format!("{} shows what to do about each.", restore_steps::check(restore))))
        }
    }
}

/// A finding as the beginning of a sentence. The name of a program keeps its letters.
fn capital(finding: &str) -> String {
    let word = finding.split(' ').next().unwrap_or_default();
    let is_name = word == "psql" || !word.chars().all(char::is_alphabetic);
    let mut letters = finding.chars();
    match letters.next() {
        Some(first) if !is_name => first.to_uppercase().chain(letters).collect(),
        _ => finding.to_owned(),
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
    let mut opened = match archive(context, restore, stored).await {
        Ok((archive, manifest)) => {
            rows.push(ReportRow::ok(
                "archive",
                match stored.sha256.as_str() {
                    "" => format!("{}, every member as its manifest says", stored.file),
                    _ => format!("{}, SHA-256 as recorded", stored.file),
                },
            ));
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
    rows.push(origin(restore, stored, manifest, &ready));
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

async fn archive(
    context: &Context<'_>,
    restore: &Restore,
    stored: &StoredArchive,
) -> Result<(Archive, Manifest)> {
    let settings = context.settings;
    if matches!(stored.file_state.as_str(), "deleting" | "deleted" | "pruned") {
        let what = format!("the archive of backup {} is {}", stored.id, stored.file_state);
        return Err(
            Failure::new(Class::UndefinedFile, what).hint("See backup_history for another backup.")
        );
    }
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let path = place.resolve(&stored.file)?;
    if !stored.sha256.is_empty() {
        let found = whole::hash(context, &path).await?;
        if found != stored.sha256 {
            return Err(changed(&path, &found, &stored.sha256));
        }
    }
    let mut archive = Archive::open(&path)?;
    let manifest = archive.manifest()?;
    archive.holds(&manifest)?;
    archive.payload()?;
    if stored.sha256.is_empty() {
        // Adopted by a scan: nobody has read it to its end yet.
        let stall = Duration::from_millis(restore.limits.stall);
        whole::ensure_whole(context, &path, &manifest, stall).await?;
    }
    Ok((archive, manifest))
}

fn changed(path: &Path, found: &str, recorded: &str) -> Failure {
    Failure::new(Class::Damaged, format!("archive \"{}\" has changed", path.display()))
        .detail(format!("Its SHA-256 is {found}, recorded is {recorded}"))
        .hint("Do not rely on this archive. See backup_history for another one.")
}
