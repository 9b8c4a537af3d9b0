//! Rows for archives that have none.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Finding;
use crate::catalog::history::History;
use crate::decide::archive_spec::MANIFEST;
use crate::decide::manifest::Manifest;
use crate::decide::naming::parse_archive_name;
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::dir::BackupDir;
use crate::host::signing::{Keys, Signature, keys};
use crate::host::threads;
use crate::job::context::Context;
use crate::job::wait::joined;

/// Rows that are written by one statement.
const BATCH: usize = 200;
/// Bytes of manifests that are in memory at once, beside the last one: they say what thousands of
/// tables are called.
const BATCH_BYTES: u64 = 4 << 20;

/// An archive that can be adopted.
struct Adoptable {
    file: String,
    size: u64,
    manifest: Manifest,
    is_foreign: bool,
}

/// Adopts those that are archives, in the order of their names' times. What is damaged gets no
/// row: there is nothing to say of it.
pub(super) async fn adopt(
    context: &Context<'_>,
    history: &History<'_>,
    home: &Home,
    place: &BackupDir,
    mut files: Vec<(String, u64)>,
) -> Result<Vec<Finding>> {
    // A key file that cannot be used proves nothing; the doctor says what is wrong with it.
    let keys = keys(context.settings.signing_key_file.as_deref()).ok().flatten();
    let system = context.settings.system_identifier.to_string();
    let reader = Arc::new(Reader { place: place.clone(), system, keys });
    // The last one is taken first.
    files.sort_by_cached_key(|(file, _)| Reverse(order(file)));
    let mut findings = Vec::new();
    while !files.is_empty() {
        let (reader, rest) = (reader.clone(), files);
        let reading = threads::spawn("pg_backup scan", move || Ok(reader.batch(rest)))?;
        let (archives, damaged, rest) = joined(context.control, reading).await?;
        findings.extend(damaged);
        if !archives.is_empty() {
            findings.extend(record(context, history, home, &archives).await?);
        }
        files = rest;
    }
    Ok(findings)
}

/// When it was made and by which run, as its name says.
fn order(file: &str) -> (Option<(DateTime<Utc>, i64)>, String) {
    let name = file.rsplit('/').next().and_then(parse_archive_name);
    (name.map(|name| (name.started, name.id)), file.to_owned())
}

type Batch = (Vec<Adoptable>, Vec<Finding>, Vec<(String, u64)>);

/// What reading archives needs.
struct Reader {
    place: BackupDir,
    system: String,
    keys: Option<Keys>,
}

impl Reader {
    /// Reads from the end of `files` until a batch is full; gives what is left of them.
    fn batch(&self, mut files: Vec<(String, u64)>) -> Batch {
        let (mut archives, mut findings, mut bytes) = (Vec::new(), Vec::new(), 0);
        while archives.len() < BATCH && bytes < BATCH_BYTES {
            let Some((file, size)) = files.pop() else { break };
            match self.open(&file) {
                Ok((manifest, is_foreign, text)) => {
                    bytes += text;
                    archives.push(Adoptable { file, size, manifest, is_foreign });
                }
                Err(failure) => findings.push(damaged(&file, &failure)),
            }
        }
        (archives, findings, files)
    }

    /// The manifest, whether it is foreign, and the bytes of its text.
    fn open(&self, file: &str) -> Result<(Manifest, bool, u64)> {
        let path = self.place.resolve(file)?;
        let mut archive = Archive::open(&path)?;
        let manifest = archive.manifest()?;
        archive.holds(&manifest)?;
        let text = archive.size_of(MANIFEST).unwrap_or(0);
        if is_of_this_run(&manifest, &self.system, file) {
            return Ok((manifest, false, text));
        }
        let proven = match &self.keys {
            Some(keys) => archive.signature(keys)? == Signature::Valid,
            None => false,
        };
        Ok((manifest, !proven, text))
    }
}

fn damaged(file: &str, failure: &Failure) -> Finding {
    let detail = format!("{}. {}", failure.message, failure.detail);
    Finding::new(file, "damaged", None, detail.trim_end())
}

/// Whether it lies where a backup of this cluster has put it, under the name that this very run
/// gives. Only the server writes there; and what it imports gets the name of the import, so that
/// an imported manifest that calls itself ours is not taken for it.
fn is_of_this_run(manifest: &Manifest, system: &str, file: &str) -> bool {
    let name = file.rsplit('/').next().and_then(parse_archive_name);
    manifest.facts.server.system_identifier == system
        && file.strip_prefix(system).is_some_and(|rest| rest.starts_with('/'))
        && name.is_some_and(|name| {
            let started = manifest.created_at.start.timestamp();
            name.id == manifest.id && name.started.timestamp() == started
        })
}

/// One statement for all, or, where it cannot take one of them, one for each.
async fn record(
    context: &Context<'_>,
    history: &History<'_>,
    home: &Home,
    batch: &[Adoptable],
) -> Result<Vec<Finding>> {
    match insert(history, home, batch).await {
        Err(failure) if failure.class == Class::Statement => {}
        done => return done,
    }
    let mut findings = Vec::new();
    for archive in batch {
        context.control.proceed()?;
        match insert(history, home, std::slice::from_ref(archive)).await {
            // What its manifest says does not fit a row.
            Err(failure) if failure.class == Class::Statement => {
                findings.push(damaged(&archive.file, &failure));
            }
            done => findings.extend(done?),
        }
    }
    Ok(findings)
}

async fn insert(history: &History<'_>, home: &Home, batch: &[Adoptable]) -> Result<Vec<Finding>> {
    let rows: Vec<String> = batch.iter().map(row).collect();
    let manifests = batch.iter().map(|archive| text(&archive.manifest));
    let manifests = manifests.collect::<Result<Vec<String>>>()?;
    let (rows, manifests) = (texts(&rows), texts(&manifests));
    let ids = history.adopt_archives(&home.requested_by, &rows, &manifests).await?;
    let ids: HashMap<String, i64> = ids.into_iter().collect();
    let finding = |archive: &Adoptable| {
        let database = &archive.manifest.facts.database.name;
        let origin = if archive.is_foreign { ", foreign" } else { "" };
        let made = archive.manifest.created_at.end.format("%Y-%m-%d %H:%M:%SZ");
        let detail = format!("of database \"{database}\", made {made}{origin}");
        Finding::new(&archive.file, "adopted", ids.get(&archive.file).copied(), detail)
    };
    Ok(batch.iter().map(finding).collect())
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn text(manifest: &Manifest) -> Result<String> {
    serde_json::to_string(manifest)
        .map_err(|e| Failure::new(Class::Internal, format!("could not write a manifest: {e}")))
}

/// The fields of its row, as JSON.
fn row(archive: &Adoptable) -> String {
    let Adoptable { file, size, manifest, is_foreign } = archive;
    let database = &manifest.facts.database;
    let warnings = (!manifest.warnings.is_empty()).then_some(&manifest.warnings);
    json!({
        "file": file,
        "database": database.name,
        "started": manifest.created_at.start,
        "finished": manifest.created_at.end,
        "size_bytes": size,
        "database_size_bytes": database.size_bytes,
        "comment": manifest.comment,
        "warnings": warnings,
        "is_foreign": is_foreign,
    })
    .to_string()
}
