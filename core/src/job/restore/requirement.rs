//! What the server, its tools and the archive have to be for a restore: a row each.

use serde::Deserialize;

use crate::catalog::history_files::StoredArchive;
use crate::catalog::restore::READINESS;
use crate::decide::manifest::Manifest;
use crate::decide::request::Restore;
use crate::decide::script::version::knows_restrict;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::ReportRow;
use crate::job::context::Context;
use crate::job::tools::version;

/// Bytes of names in one row: all rows together have to fit a slot.
const NAMES_BYTES: usize = 800;

/// What the server says.
#[derive(Debug, Deserialize)]
pub struct Readiness {
    pub superuser: bool,
    pub version_num: i32,
    pub system_identifier: String,
    pub target_exists: bool,
    pub missing_roles: Vec<String>,
    pub missing_tablespaces: Vec<String>,
    pub missing_extensions: Vec<String>,
    pub other_versions: Vec<String>,
}

pub async fn readiness(
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
    // Somebody else's dump may not tell its owner.
    roles.retain(|name| !name.is_empty());
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

pub fn format(restore: &Restore, manifest: &Manifest) -> ReportRow {
    let format = &manifest.dump.format;
    if matches!(format.as_str(), "plain" | "tar") && restore.jobs > 1 {
        return ReportRow::new(
            "format",
            "blocker",
            format!(
                "a dump of format {format} is read from its start to its end by one connection"
            ),
            "Leave jobs out.",
        );
    }
    ReportRow::ok("format", format!("{format}, {}", manifest.dump.compression))
}

pub fn server_version(manifest: &Manifest, ready: &Readiness) -> ReportRow {
    let (theirs, ours) = (manifest.facts.server.version_num / 10_000, ready.version_num / 10_000);
    if theirs == 0 {
        return ReportRow::ok("server_version", format!("not told, this server is {ours}"));
    }
    let detail = format!("made on {theirs}, this server is {ours}");
    // A script is text: what the server does not know stops it, but its version does not.
    if theirs > ours && manifest.dump.format == "plain" {
        let hint = "It stops at the first statement that this server does not know.";
        return ReportRow::new("server_version", "warning", detail, hint);
    }
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
pub async fn tool(context: &Context<'_>, manifest: &Manifest) -> ReportRow {
    if manifest.dump.format == "plain" {
        return psql(context).await;
    }
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

/// A script is run by psql, which must let none of its backslash commands through.
async fn psql(context: &Context<'_>) -> ReportRow {
    match version(context, "psql").await {
        Ok(said) if knows_restrict(&said) => ReportRow::ok("psql", said),
        Ok(said) => ReportRow::new(
            "psql",
            "blocker",
            format!("{said} has no restricted mode, so commands in the script could run programs"),
            "Update PostgreSQL's client tools to the newest minor release.",
        ),
        Err(failure) => ReportRow::new("psql", "blocker", failure.message, failure.hint),
    }
}

fn major(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| {
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

pub fn superuser(ready: &Readiness) -> ReportRow {
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

pub fn target(restore: &Restore, ready: &Readiness) -> ReportRow {
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

pub fn names(subject: &str, what: &str, missing: &[String], hint: &str) -> ReportRow {
    match missing {
        [] => ReportRow::ok(subject, "all there"),
        missing => {
            let list: Vec<String> = missing.iter().map(|name| format!("\"{name}\"")).collect();
            let detail = format!("missing {what}s: {}", listed(&list));
            ReportRow::new(subject, "blocker", detail, hint)
        }
    }
}

/// As many names as a row has room for.
pub fn listed(names: &[String]) -> String {
    let mut bytes = 0;
    let mut fits = |name: &&String| {
        bytes += name.len() + 2;
        bytes <= NAMES_BYTES
    };
    let shown: Vec<&str> = names.iter().take_while(|name| fits(name)).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

pub fn versions(ready: &Readiness) -> ReportRow {
    match ready.other_versions.as_slice() {
        [] => ReportRow::ok("extension_versions", "as recorded"),
        other => ReportRow::new(
            "extension_versions",
            "warning",
            format!("recorded {}", listed(other)),
            "A dump names no versions: the server's default one is installed.",
        ),
    }
}

/// Whether TimescaleDB was in the database.
pub fn has_timescaledb(manifest: &Manifest) -> bool {
    manifest.facts.extensions.iter().any(|e| e.name == "timescaledb")
}

/// What runs in a restore runs with a superuser's rights, in the end: whoever made the archive
/// decides what that is. What a foreign archive says of itself proves nothing.
pub fn origin(
    restore: &Restore,
    stored: &StoredArchive,
    manifest: &Manifest,
    ready: &Readiness,
) -> ReportRow {
    let same = manifest.facts.server.system_identifier == ready.system_identifier;
    if same && !stored.is_foreign {
        return ReportRow::ok("origin", "made on this server");
    }
    let detail = match stored.is_foreign {
        true => "brought in from elsewhere, and nothing proves that this server made it".to_owned(),
        // pg_upgrade gives a cluster a new identifier.
        false => format!(
            "made on another server, or on this one before pg_upgrade (host \"{}\")",
            manifest.facts.server.host
        ),
    };
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
            match manifest.dump.format.as_str() {
                "plain" => {
                    "All of the script runs here with a superuser's rights. If you trust who made \
                     it: allow_foreign => true."
                }
                _ => {
                    "Its functions and extensions run here with a superuser's rights. If you trust \
                     where it comes from: allow_foreign => true."
                }
            },
        ),
    }
}

pub fn subscriptions(manifest: &Manifest) -> ReportRow {
    match manifest.facts.subscriptions.as_slice() {
        [] => ReportRow::ok("subscriptions", "none"),
        names => ReportRow::new(
            "subscriptions",
            "warning",
            format!("restored disabled: {}", listed(names)),
            "ALTER SUBSCRIPTION … ENABLE them when the original no longer runs.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_says_how_many_it_leaves_out() {
        let missing: Vec<String> = (0..300).map(|i| format!("role_{i:03}")).collect();
        let row = names("roles", "role", &missing, "Make them.");
        assert_eq!(row.status, "blocker");
        assert!(row.detail.starts_with("missing roles: \"role_000\", \"role_001\", "), "{row:?}");
        assert!(row.detail.ends_with("\"role_065\" and 234 more"), "{row:?}");
        let row = names("roles", "role", &missing[..2], "");
        assert_eq!(row.detail, "missing roles: \"role_000\", \"role_001\"");
    }
}
