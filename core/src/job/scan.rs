//! A scan: the history is made to agree with the backup directory.
//!
//! In: the directory. Out: rows for archives that had none; the state of the files of all others;
//! and a list of what was found. What must hold: no file is touched; rows of what was deleted
//! stay; a second scan changes nothing. Of an archive only its structure and its manifest are
//! read: it has no SHA-256 in its row until a verification has read all of it, and a restore reads
//! all of it first.

mod adopt;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Report;
use super::context::Context;
use super::wait::{deadline, joined};
use crate::catalog::history::History;
use crate::catalog::scan::Listed;
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::{Home, Scan};
use crate::error::{Failure, Result};
use crate::host::dir::BackupDir;
use crate::host::listing::{self, Entry};
use crate::host::server::Server;
use crate::host::threads;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name below the backup directory.
    pub file: String,
    /// `adopted`, `known`, `found`, `missing`, `damaged`, `work` or `stranger`.
    pub action: String,
    /// The backup, when it has a row.
    pub id: Option<i64>,
    pub detail: String,
}

impl Finding {
    fn new(file: &str, action: &str, id: Option<i64>, detail: impl Into<String>) -> Self {
        let (file, action) = (file.to_owned(), action.to_owned());
        Self { file, action, id, detail: detail.into() }
    }
}

/// Changes of state that were found out: ids by what the rows say, and what is true.
type Changes = BTreeMap<(&'static str, &'static str), Vec<i64>>;

/// Scans, changes the history, and writes what was found.
pub async fn run(context: &Context<'_>, home: &Home, scan: &Scan) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(scan.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let (access, control) = (&context.settings.access, context.control);
    control.report(&Progress { phase: Phase::Checking, ..Progress::default() });
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let history = History::open(&session, control, home).await?;
    history.lock_scan().await?;
    let settings = context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let listed = place.clone();
    let listing = threads::spawn("pg_backup scan", move || listing::list(&listed))?;
    let entries = joined(control, listing).await?;
    // After the files: what is published meanwhile has its row already.
    let rows = history.files().await?;
    let (mut findings, changes, unknown) = compare(&place, entries, &rows);
    for ((from, to), ids) in changes {
        history.set_file_state(&ids, from, to).await?;
    }
    findings.extend(adopt::adopt(context, &history, home, &place, unknown).await?);
    findings.sort_by(|a, b| a.file.cmp(&b.file));
    write(&scan.findings, &findings)?;
    Ok(Report::default())
}

/// What is to be said and done of files and rows; and the archives without a row, with their sizes.
fn compare(
    place: &BackupDir,
    entries: Vec<(String, Entry)>,
    rows: &[Listed],
) -> (Vec<Finding>, Changes, Vec<(String, u64)>) {
    let mut by_file: HashMap<&str, &Listed> = rows.iter().map(|r| (r.file.as_str(), r)).collect();
    let (mut findings, mut changes, mut unknown) = (Vec::new(), Changes::new(), Vec::new());
    for (file, entry) in entries {
        let row = by_file.remove(file.as_str());
        match (entry, row) {
            (Entry::Archive(size), None) => unknown.push((file, size)),
            (Entry::Archive(size), Some(row)) => {
                findings.push(known(row, size, &mut changes));
            }
            (Entry::Work, _) => {
                findings.push(Finding::new(&file, "work", None, "of a job or an upload"));
            }
            (Entry::Stranger(what), _) => {
                let detail = format!("{what}, not of pg_backup");
                findings.push(Finding::new(&file, "stranger", None, detail));
            }
        }
    }
    let gone = by_file.into_values().filter(|row| !is_there(place, row));
    findings.extend(gone.filter_map(|row| missing(row, &mut changes)));
    (findings, changes, unknown)
}

/// It may have been published since the files were listed.
fn is_there(place: &BackupDir, row: &Listed) -> bool {
    place.resolve(&row.file).is_ok_and(|path| path.symlink_metadata().is_ok_and(|m| m.is_file()))
}

fn known(row: &Listed, size: u64, changes: &mut Changes) -> Finding {
    let (recorded, id) = (row.size_bytes.unsigned_abs(), Some(row.id));
    let same = recorded == size;
    let state = row.file_state.as_deref();
    let from = match state {
        Some("available") => "available",
        Some("missing") => "missing",
        Some("damaged") => {
            let detail = "as a verification has found";
            return Finding::new(&row.file, "damaged", id, detail);
        }
        Some(state) => {
            return Finding::new(&row.file, "known", id, format!("its row says {state}"));
        }
        None => return Finding::new(&row.file, "work", id, "its run is not over"),
    };
    let (action, to, detail) = match (from, same) {
        (_, false) => {
            let detail = format!("it has {size} bytes, recorded are {recorded}");
            ("damaged", "damaged", detail)
        }
        ("missing", true) => ("found", "available", "it is there again".to_owned()),
        _ => return Finding::new(&row.file, "known", id, format!("{size} bytes")),
    };
    changes.entry((from, to)).or_default().push(row.id);
    Finding::new(&row.file, action, id, detail)
}

/// A row whose file is not there; None where it need not be.
fn missing(row: &Listed, changes: &mut Changes) -> Option<Finding> {
    let from = match row.file_state.as_deref()? {
        "available" => "available",
        "damaged" => "damaged",
        "missing" => return Some(Finding::new(&row.file, "missing", Some(row.id), "as before")),
        _ => return None,
    };
    changes.entry((from, "missing")).or_default().push(row.id);
    Some(Finding::new(&row.file, "missing", Some(row.id), "there is no such file"))
}

/// One JSON object a line, into a new file.
fn write(path: &str, findings: &[Finding]) -> Result<()> {
    let failed = |e: std::io::Error| Failure::io("write what was found", &e);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut out = BufWriter::new(file);
    for finding in findings {
        serde_json::to_writer(&mut out, finding).map_err(|e| failed(e.into()))?;
        out.write_all(b"\n").map_err(failed)?;
    }
    out.flush().map_err(failed)
}
