//! The end of an import: the row told, then the name, then the row again. The order is that of a
//! backup, and so is what a crash in between leaves: a partial file, or a published one whose
//! row tells its hash.

use std::time::Duration;

use super::{Ready, Work};
use crate::catalog::history::ArchiveFacts;
use crate::decide::progress::Phase;
use crate::decide::verify_level::Level;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::threads;
use crate::job::wait::{joined, last_words};

/// How long the disk may take to make an archive durable.
const PUBLISH_TIME: Duration = Duration::from_secs(120);

/// Tells the row, gives the archive its name, and tells the row again.
pub async fn publish(work: &Work<'_>, ready: Ready) -> Result<()> {
    work.show(Phase::Publishing);
    let Ready { partial, size, sha256, manifest, warnings, is_foreign } = ready;
    let database = &manifest.facts.database;
    let comment = manifest.comment.as_deref();
    let made = manifest.created_at.end;
    work.history.imported(work.id, &database.name, comment, is_foreign, made).await?;
    let file = work.place.relative(partial.final_path());
    let json = serde_json::to_string(&manifest)
        .map_err(|e| Failure::new(Class::Internal, format!("could not write a manifest: {e}")))?;
    let database_size_bytes = database.size_bytes;
    drop(manifest);
    let facts = ArchiveFacts {
        file: &file,
        size_bytes: size as i64,
        database_size_bytes,
        sha256: &sha256,
        warnings: &warnings,
        manifest: &json,
    };
    work.history.verifying(work.id, &facts).await?;
    fault::point("before_rename");
    work.context.control.proceed()?;
    // From here on there is no way back, only an end.
    let control = last_words(work.context.control, PUBLISH_TIME);
    let published = threads::spawn("pg_backup sync", move || partial.publish())?;
    let path = match joined(&control, published).await {
        Err(failure) if failure.class == Class::Timeout => {
            work.published.set(true);
            work.context.control.unrecorded();
            return Err(failure);
        }
        path => path?,
    };
    work.published.set(true);
    fault::point("after_rename");
    let told = work.history.with_control(&control).succeeded(work.id, Level::Read.as_str()).await;
    told.map_err(|failure| {
        if failure.class != Class::UndefinedObject {
            work.context.control.unrecorded();
        }
        let kept = format!("{} The archive is complete: \"{}\".", failure.detail, path.display());
        Failure { detail: kept.trim_start().to_owned(), ..failure }
    })
}
