//! `backup_retention()` shows what `backup_prune()` does: the same verdicts.

use pg_backup_core::decide::request::{Prune, Request, Task};
use pg_backup_core::decide::retention::{Verdict, verdicts};
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::fault;
use pg_backup_core::job::prune::no_schedule;
use pgrx::prelude::*;

use super::schedule_arguments::no_name;
use super::{audited_home, not_null};
use crate::catalog::{self, schedules};
use crate::error::{notice, unwrap};
use crate::worker::call;

/// Archives that a dry run names one by one.
const NAMED: usize = 20;

#[pg_extern(volatile, parallel_restricted, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn backup_retention(
    schedule: Option<String>,
) -> TableIterator<'static, (name!(id, i64), name!(verdict, String), name!(reasons, Vec<String>))> {
    let (_, verdicts) = unwrap(not_null("schedule", schedule).and_then(|name| judged(&name)));
    let word = |keep: bool| if keep { "keep" } else { "prune" };
    TableIterator::new(
        verdicts.into_iter().map(move |v| (v.id, word(v.keep).to_owned(), v.reasons)),
    )
}

/// Whether the schedule has a policy at all, and the verdicts, newest first.
fn judged(name: &str) -> Result<(bool, Vec<Verdict>)> {
    let schema = catalog::schema()?;
    let entry = schedules::entry(&schema, name)?.ok_or_else(|| no_schedule(name))?;
    let candidates = schedules::candidates(&schema, &entry)?;
    if entry.policy.is_empty() {
        let keep = |id| Verdict { id, keep: true, reasons: vec!["no policy".to_owned()] };
        return Ok((false, candidates.iter().rev().map(|c| keep(c.id)).collect()));
    }
    let (_, zone) = entry.times()?;
    Ok((true, verdicts(&entry.policy, zone.tz(), fault::now(), &candidates)))
}

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_prune(schedule text, dry_run boolean DEFAULT false)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_prune(schedule: Option<String>, dry_run: Option<bool>) {
    unwrap(prune(schedule, dry_run.unwrap_or(false)));
}

fn prune(schedule: Option<String>, dry_run: bool) -> Result<()> {
    let schedule = schedule.ok_or_else(no_name)?;
    if !dry_run {
        call::ensure_ready()?;
        call::ensure_nothing_written("backup_prune()")?;
    }
    let (has_policy, verdicts) = judged(&schedule)?;
    if !has_policy {
        return Err(Failure::new(
            Class::InvalidArgument,
            format!("schedule \"{schedule}\" has no retention policy"),
        )
        .detail("Without one it keeps every backup, so there is nothing to prune.")
        .hint("Say what it keeps with CALL backup_schedule(…, keep_last => 7), for example."));
    }
    let doomed: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.keep).collect();
    if !dry_run {
        let home = audited_home("backup_prune", 0)?;
        call::run(&Request { home, task: Task::Prune(Prune { schedule }) })?;
    }
    let verb = if dry_run { "would prune" } else { "pruned" };
    notice(&format!("{verb} {} of {} backups", doomed.len(), verdicts.len()));
    if dry_run {
        doomed.iter().take(NAMED).for_each(|v| notice(&format!("would prune backup {}", v.id)));
    }
    Ok(())
}
