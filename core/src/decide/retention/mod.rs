//! Retention: which backups of a schedule stay, and why.
//!
//! In: a [`Policy`], the schedule's zone, the time, and the good backups of that schedule. Out: a
//! [`Verdict`] with reasons for each of them. Rules are a union: one reason is enough to stay. The
//! newest good backup stays under every policy, so do pinned ones and those in use. One dated in
//! the future stays and stands in for no other: it takes no place of a rule, and it is not "the
//! newest". Deciding is all that happens here; `backup_retention` shows what `backup_prune` does.

mod bucket;
mod policy;
mod verdicts;

use chrono::{DateTime, Utc};

pub use policy::Policy;
pub use verdicts::verdicts;

/// A good backup: it succeeded and its file is available. Others get no verdict; the caller
/// leaves them out, and those of other schedules and made by hand as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Id of the run. Of two backups of the same moment the larger id is the newer one.
    pub id: i64,
    /// The moment whose data it holds: when its snapshot was taken.
    pub at: DateTime<Utc>,
    /// Kept by hand. It takes part in the rules like any other: pinning a backup makes no other
    /// one stay longer.
    pub pinned: bool,
    /// Something works with the file now (verify, restore, download). Takes part in the rules.
    pub busy: bool,
}

/// What is to become of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Id of the run.
    pub id: i64,
    pub keep: bool,
    /// Every reason to keep it, or the one to remove it. Never empty.
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests;
