//! Settings of what goes to and comes from elsewhere: signatures and uploads.

use std::path::PathBuf;

use chrono::TimeDelta;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use super::{Text, text};

static SIGNING_KEY_FILE: Text = Text::new(None);
static UPLOAD_KEEP: GucSetting<i32> = GucSetting::<i32>::new(24 * 3600);

/// Registers them.
pub(super) fn define() {
    GucRegistry::define_string_guc(
        c"pg_backup.signing_key_file",
        c"File of the keys that archives are signed with, one a line: the first signs, all verify.",
        c"Empty: archives are not signed. Only the path is stored here; nobody but the server's \
          user may read the file.",
        &SIGNING_KEY_FILE,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"pg_backup.upload_keep",
        c"How long an upload that gets no part is kept.",
        c"-1: until it is finished or aborted.",
        &UPLOAD_KEEP,
        -1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

/// Where the keys are.
pub fn signing_key_file() -> Option<PathBuf> {
    text(&SIGNING_KEY_FILE).map(PathBuf::from)
}

/// How long an upload is kept that nobody goes on with; None for ever.
pub fn upload_keep() -> Option<TimeDelta> {
    let seconds = UPLOAD_KEEP.get();
    (seconds >= 0).then(|| TimeDelta::seconds(seconds.into()))
}
