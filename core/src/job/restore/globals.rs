//! Makes the roles and tablespaces that are missing, as the archive's `globals.sql` has them.
//!
//! What must hold: nothing that exists is touched; no hash of a password is shown or logged.

use std::collections::HashSet;
use std::path::Path;

use super::requirement::listed;
use super::session::session_elsewhere;
use crate::catalog::globals::{SEEN, THERE, UNSEEN};
use crate::catalog::history::History;
use crate::catalog::transaction;
use crate::decide::archive_spec::{GLOBALS, GLOBALS_MAX};
use crate::decide::manifest::Manifest;
use crate::decide::request::Restore;
use crate::decide::restore::globals::{Globals, Missing, Tablespace};
use crate::decide::restore::part::some;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::server::Server;
use crate::job::ReportRow;
use crate::job::context::Context;

/// What is missing here, and in the archive.
async fn missing(
    context: &Context<'_>,
    server: &Server,
    archive: &mut Archive,
    manifest: &Manifest,
) -> Result<Missing> {
    let row = server.one(context.control, THERE, &[]).await?;
    let (roles, tablespaces): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
    let facts = &manifest.facts;
    let wanted = facts.tablespaces.iter().chain([&facts.database.tablespace]);
    let wanted: Vec<String> =
        wanted.filter(|name| !name.is_empty() && !tablespaces.contains(name)).cloned().collect();
    if !archive.has(GLOBALS) {
        return Ok(Missing::default());
    }
    let text = String::from_utf8(archive.read_member(GLOBALS, GLOBALS_MAX)?).map_err(|_| {
        Failure::new(Class::Damaged, "globals.sql in the archive is not in UTF-8")
            .hint("Create the roles by hand, and restore without globals.")
    })?;
    let roles: HashSet<String> = roles.into_iter().collect();
    Ok(Globals::read(&text).missing(&roles, &wanted))
}

/// The rows of `backup_restore_check()` about them; `roles` and `tablespaces` are what is missing
/// of what the dump needs.
pub async fn rows(
    context: &Context<'_>,
    server: &Server,
    archive: &mut Archive,
    manifest: &Manifest,
    roles: &[String],
    tablespaces: &[String],
) -> Result<Vec<ReportRow>> {
    let missing = missing(context, server, archive, manifest).await?;
    Ok(vec![role_row(&missing, roles), tablespace_row(&missing, tablespaces)])
}

fn role_row(missing: &Missing, needed: &[String]) -> ReportRow {
    let nowhere: Vec<String> =
        needed.iter().filter(|name| !missing.roles.contains(name)).map(quoted).collect();
    if !nowhere.is_empty() {
        let detail = format!("missing roles, in the archive too: {}", listed(&nowhere));
        let hint = "Create them first; globals.sql in the archive has others, or is not there.";
        return ReportRow::new("roles", "blocker", detail, hint);
    }
    if missing.roles.is_empty() {
        return ReportRow::ok("roles", "all there");
    }
    let names: Vec<String> = missing.roles.iter().map(quoted).collect();
    let detail = format!("will be made: {}", some(&names));
    if missing.superusers.is_empty() {
        return ReportRow::ok("roles", detail);
    }
    let supers: Vec<String> = missing.superusers.iter().map(quoted).collect();
    let detail = format!("{detail}; superusers among them: {}", some(&supers));
    ReportRow::new("roles", "warning", detail, "They get the rights that they had.")
}

fn tablespace_row(missing: &Missing, needed: &[String]) -> ReportRow {
    let unknown = needed
        .iter()
        .filter(|name| !missing.tablespaces.iter().any(|space| space.name == **name))
        .map(|name| format!("{} is not in the archive", quoted(name)));
    let unready = missing.tablespaces.iter().filter_map(unready);
    let wrong: Vec<String> = unknown.chain(unready).collect();
    if !wrong.is_empty() {
        let detail = format!("missing tablespaces: {}", listed(&wrong));
        return ReportRow::new(
            "tablespaces",
            "blocker",
            detail,
            "Make each directory, empty and owned by the server's user, or CREATE TABLESPACE \
             elsewhere.",
        );
    }
    let names: Vec<String> = missing.tablespaces.iter().map(|space| quoted(&space.name)).collect();
    match names.as_slice() {
        [] => ReportRow::ok("tablespaces", "all there"),
        names => ReportRow::ok("tablespaces", format!("will be made: {}", some(names))),
    }
}

/// Why a tablespace cannot be made where it was.
fn unready(space: &Tablespace) -> Option<String> {
    let place = Path::new(&space.location);
    let entries = std::fs::read_dir(place);
    let why = match entries.map(|mut entries| entries.next().is_none()) {
        Ok(true) if place.is_absolute() => return None,
        Ok(true) => "is not absolute",
        Ok(false) => "is not empty",
        Err(_) => "cannot be read",
    };
    Some(format!("{} (directory \"{}\" {why})", quoted(&space.name), space.location))
}

fn quoted(name: &String) -> String {
    format!("\"{name}\"")
}

/// Makes what is missing, when the restore was asked to.
pub async fn make(
    context: &Context<'_>,
    history: &History<'_>,
    id: i64,
    restore: &Restore,
    archive: &mut Archive,
    manifest: &Manifest,
) -> Result<()> {
    if !restore.globals {
        return Ok(());
    }
    let names: Vec<&str> = restore.replace.as_deref().into_iter().collect();
    let server = session_elsewhere(context, &names).await?;
    let missing = missing(context, &server, archive, manifest).await?;
    if missing == Missing::default() {
        return Ok(());
    }
    let control = context.control;
    server.batch(control, UNSEEN).await?;
    server.batch(control, &transaction(&missing.role_statements)).await.map_err(unmade)?;
    for statement in &missing.tablespace_statements {
        server.batch(control, statement).await.map_err(unmade)?;
    }
    server.batch(control, SEEN).await?;
    history.warn(id, &told(&missing)).await
}

fn unmade(failure: Failure) -> Failure {
    Failure {
        message: format!("could not make the missing roles and tablespaces: {}", failure.message),
        ..failure
    }
}

/// What has been made stays, whatever becomes of the restore.
fn told(missing: &Missing) -> Vec<String> {
    let mut told = Vec::new();
    let spaces: Vec<String> = missing.tablespaces.iter().map(|space| space.name.clone()).collect();
    for (what, names) in [
        ("roles made", &missing.roles),
        ("made as superusers, as they were", &missing.superusers),
        ("tablespaces made", &spaces),
    ] {
        if !names.is_empty() {
            told.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if missing.left_out > 0 {
        told.push(format!("memberships left out, for want of a role: {}", missing.left_out));
    }
    told
}
