//! What the application says about itself, through settings.

use std::ffi::CStr;

use pgrx::{GucContext, GucFlags, GucRegistry};

use super::Text;

pub(super) static MIGRATIONS_TABLE: Text = Text::new(None);
pub(super) static APPLICATION_VERSION: Text = Text::new(None);
pub(super) static ENCRYPTION_KEY_IDS: Text = Text::new(None);

/// What the application says about itself, for the manifest. The table of migrations is read with
/// the rights of a superuser, so only a superuser names it.
pub(super) fn define() {
    let facts: [(&CStr, &CStr, &CStr, &'static Text, GucContext); 3] = [
        (
            c"pg_backup.migrations_table",
            c"Table of applied migrations that is not of a known framework.",
            c"As \"table\" or \"schema.table\"; set it with ALTER DATABASE.",
            &MIGRATIONS_TABLE,
            GucContext::Suset,
        ),
        (
            c"pg_backup.application_version",
            c"Version of the application, kept in the manifest of each backup.",
            c"Set it with ALTER DATABASE or in the application's session.",
            &APPLICATION_VERSION,
            GucContext::Userset,
        ),
        (
            c"pg_backup.encryption_key_ids",
            c"Ids of the keys that the application encrypts columns with, separated by commas.",
            c"Kept in the manifest: without these keys the backup is of no use. Never the keys.",
            &ENCRYPTION_KEY_IDS,
            GucContext::Userset,
        ),
    ];
    for (name, short, long, setting, context) in facts {
        GucRegistry::define_string_guc(name, short, long, setting, context, GucFlags::default());
    }
}
