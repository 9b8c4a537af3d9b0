//! An archive of ours: its bytes stay as they are.
//!
//! What must hold before it counts: it has the members that its manifest names, no others, with
//! the sizes and hashes that the manifest gives; and its payload is decoded to the end. All of
//! that is looked at in our copy.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ready, Work, share, too_new};
use crate::decide::progress::Phase;
use crate::error::{Failure, Result};
use crate::host::archive::reader::{Archive, damaged};
use crate::host::signing::{Signature, keys};
use crate::host::source;
use crate::job::backup::new_partial;
use crate::job::context::Context;
use crate::job::verify;
use crate::job::whole::ensure_whole;

/// Copies it and looks at the copy. `archive` is the source as it was opened.
pub async fn take(work: &Work<'_>, mut archive: Archive, mut file: File) -> Result<Ready> {
    let seen = archive.manifest()?;
    let database = &seen.facts.database.name;
    let started = named_time(work.started, seen.created_at.start);
    let partial = new_partial(work.context, &work.place, database, started, work.id)?;
    work.show(Phase::Copying);
    file.seek(SeekFrom::Start(0)).map_err(|e| Failure::io("read the file", &e))?;
    let (to, room) = (share(partial.file())?, work.room());
    let (sha256, size) = work.beside(move || source::copy(file, to, &room)).await?;
    work.ensure_hash(&sha256)?;
    crate::fault::point("import_copied");
    work.show(Phase::Verifying);
    let path = partial.path();
    let manifest = Archive::open(path)?.manifest()?;
    if manifest.facts.database.name != *database {
        return Err(damaged(path, "changed while it was copied"));
    }
    let limit = work.stall();
    ensure_whole(work.context, path, &manifest, limit).await?;
    let mut rows = Vec::new();
    verify::read_all(work.context, path, limit, &mut rows).await.map_err(too_new)?;
    let is_foreign = !is_proven(work.context, path)?;
    let warnings = Vec::new();
    Ok(Ready { partial, size, sha256, manifest, warnings, is_foreign })
}

/// The time in its name: that of this run, but never the one that its manifest tells. A scan takes
/// what has the time and the id of its manifest in its name for one that this server has made, and
/// whoever writes a manifest may guess both.
fn named_time(started: DateTime<Utc>, told: DateTime<Utc>) -> DateTime<Utc> {
    match started.timestamp() == told.timestamp() {
        true => started + TimeDelta::seconds(1),
        false => started,
    }
}

/// Whether a signature proves that it was made by somebody who has our key. What a manifest says
/// of itself proves nothing: anybody can write it.
pub fn is_proven(context: &Context<'_>, path: &Path) -> Result<bool> {
    // A key file that cannot be used proves nothing; the doctor says what is wrong with it.
    let Ok(Some(keys)) = keys(context.settings.signing_key_file.as_deref()) else {
        return Ok(false);
    };
    Ok(Archive::open(path)?.signature(&keys)? == Signature::Valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manifest_tells_the_time_in_the_name_of_its_import() {
        let now = Utc::now();
        for told in [-3, -2, -1, 0, 1, 2].map(TimeDelta::seconds) {
            let told = now + told;
            assert_ne!(named_time(now, told).timestamp(), told.timestamp());
        }
        assert_eq!(named_time(now, now - TimeDelta::days(1)), now);
    }
}
