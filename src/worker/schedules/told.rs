//! What was told of databases whose SQL is of another version, so that the log has it once.

use std::collections::BTreeMap;

use pg_backup_core::error::Failure;

use crate::error::log_warning;

/// Messages by the ids of databases.
#[derive(Default)]
pub struct Told(BTreeMap<u32, String>);

impl Told {
    /// Says what does not fit in a database, if that is new; None when all fits.
    pub fn once(&mut self, id: u32, mismatch: Option<Failure>) {
        let Some(mismatch) = mismatch else {
            self.0.remove(&id);
            return;
        };
        let message = mismatch.message.clone();
        if self.0.insert(id, message).as_ref() != Some(&mismatch.message) {
            log_warning(mismatch);
        }
    }
}
