//! Uploads that nobody goes on with: the launcher removes them when `pg_backup.upload_keep` is
//! over.

use std::time::{Duration, Instant};

use pg_backup_core::fault;
use pg_backup_core::job::recovery;

use crate::error::log_warning;
use crate::settings;

/// The launcher looks at least so often. Without uploads that is one name that is not there.
const LOOK: Duration = Duration::from_secs(60);
/// And not more often.
const PAUSE: Duration = Duration::from_secs(1);

/// When to look next.
#[derive(Debug)]
pub struct Uploads {
    look_at: Instant,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { look_at: Instant::now() }
    }
}

impl Uploads {
    /// Removes those whose time is over.
    pub fn round(&mut self) {
        if Instant::now() < self.look_at {
            return;
        }
        let mut pause = LOOK;
        if let Some(keep) = settings::upload_keep() {
            let failed = recovery::sweep_uploads(&settings::load(), fault::now(), keep);
            failed.into_iter().for_each(log_warning);
            pause = LOOK.min(keep.to_std().unwrap_or(LOOK)).max(PAUSE);
        }
        self.look_at = Instant::now() + pause;
    }

    /// How long the launcher may sleep, at most `longest`.
    pub fn pause(&self, longest: Duration) -> Duration {
        longest.min(self.look_at.saturating_duration_since(Instant::now()))
    }
}
