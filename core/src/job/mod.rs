//! Jobs: what a runner does. Each begins with one function that reads as its list of steps.

pub mod audit;
pub mod backup;
pub mod check;
pub mod compare;
pub mod contents;
pub mod context;
pub mod copied_out;
pub mod decode;
pub mod decoding;
pub mod delete;
pub mod ending;
pub mod export;
pub mod extract;
mod fitted;
pub mod hooks;
pub mod import;
pub mod members;
pub mod migrations;
pub mod prune;
pub mod recovery;
pub mod restore;
pub mod scan;
pub mod scheduled;
pub mod settle;
pub mod tools;
pub mod verify;
pub mod versions;
pub mod wait;
pub mod whole;

use serde::{Deserialize, Serialize};

use crate::decide::request::{Request, Task};
use crate::error::{Failure, Result};
use context::Context;

/// What a job gives back to a waiting caller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Id of the run; 0 for a job without one.
    pub id: i64,
    /// Rows of a verification or a check.
    pub rows: Vec<ReportRow>,
    /// What was written for people, outside of the backup directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copied: Vec<CopiedOut>,
    /// What its run warns of, for the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// What went wrong beside it, for the log.
    #[serde(default)]
    pub warnings: Vec<Failure>,
}

/// A file or folder that a job wrote for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedOut {
    /// Absolute, without links.
    pub path: String,
    /// Files in it; 1 for a file.
    pub files: u64,
    pub bytes: u64,
    /// Of a file.
    pub sha256: Option<String>,
}

/// Most bytes of warnings that a caller is told: a slot holds no more than some thousand.
const TOLD_MAX: usize = 3000;

impl Report {
    /// Tells the caller what runs warned of, as much of it as fits.
    pub fn tell(&mut self, mut warnings: Vec<String>) {
        let mut bytes = 0;
        let mut fits = |text: &String| {
            bytes += text.len();
            bytes <= TOLD_MAX
        };
        let fitting = warnings.iter().map_while(|text| fits(text).then_some(())).count();
        let more = warnings.len() - fitting;
        warnings.truncate(fitting);
        if more > 0 {
            warnings.push(format!("{more} more: see warnings in backup_history"));
        }
        self.told = warnings;
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// What was looked at.
    pub subject: String,
    /// `ok`, `warning` or `blocker`.
    pub status: String,
    pub detail: String,
    pub hint: String,
}

impl ReportRow {
    /// A finding that is fine.
    pub fn ok(subject: &str, detail: impl Into<String>) -> Self {
        Self::new(subject, "ok", detail, "")
    }

    /// A finding of any status.
    pub fn new(
        subject: &str,
        status: &str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.to_owned(),
            status: status.to_owned(),
            detail: detail.into(),
            hint: hint.into(),
        }
    }
}

/// Does what the request says. A row that a caller left for it gets its end in any case.
pub async fn run(context: &Context<'_>, request: &Request) -> Result<Report> {
    let mut result = audited(context, request).await;
    if let Err(failure) = result {
        result = Err(versions::explained(context, &request.home, failure).await);
    }
    if let (Err(failure), true) = (&result, request.home.id != 0) {
        ending::record_unbegun(context, &request.home, failure).await;
    }
    result
}

/// The job, with who asked for it on record before and its outcome after it.
async fn audited(context: &Context<'_>, request: &Request) -> Result<Report> {
    let entry = audit::begin(context, request).await?;
    let mut result = hosted(context, request).await;
    let Some(entry) = entry else { return result };
    let untold = audit::end(context, &request.home, entry, &result).await;
    if let (Ok(report), Some(failure)) = (&mut result, untold) {
        report.warnings.push(failure);
    }
    result
}

async fn hosted(context: &Context<'_>, request: &Request) -> Result<Report> {
    match &request.task {
        Task::Backup(backup) => backup::run(context, &request.home, backup).await,
        Task::Scheduled(scheduled) => scheduled::run(context, &request.home, scheduled).await,
        Task::Restore(restore) => restore::run(context, &request.home, restore).await,
        Task::Rollback(rollback) => restore::rollback(context, &request.home, rollback).await,
        Task::RestoreCheck(restore) => restore::check(context, &request.home, restore).await,
        Task::Prune(prune) => prune::run(context, &request.home, prune).await,
        Task::Verify(verify) => verify::run(context, &request.home, verify).await,
        Task::Delete(delete) => delete::run(context, &request.home, delete).await,
        Task::Extract(extract) => extract::run(context, &request.home, extract).await,
        Task::Export(export) => export::run(context, &request.home, export).await,
        Task::Import(import) => import::run(context, &request.home, import).await,
        Task::Scan(scan) => scan::run(context, &request.home, scan).await,
        Task::Check => check::run(context, &request.home).await,
        Task::Record(_) => Ok(Report::default()),
        Task::Compare(asked) => compare::run(context, &request.home, asked).await,
    }
}
