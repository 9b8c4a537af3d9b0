//! Whether a file is the archive that it should be: all of it is read, beside the thread that has
//! to look up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::members;
use super::wait::joined;
use crate::decide::manifest::Manifest;
use crate::error::{Failure, Result};
use crate::host::archive::follow::Follow;
use crate::host::archive::reader::{Archive, open_file};
use crate::host::archive::tail::Tail;
use crate::host::threads;

/// SHA-256 of a file.
pub async fn hash(context: &Context<'_>, path: &Path) -> Result<String> {
    let file = open_file(path)?;
    let size = file.metadata().map_err(|e| Failure::io("inspect the archive", &e))?.len();
    let tail = Tail::default();
    tail.finish(size);
    let hashing = threads::spawn("pg_backup hash", move || {
        let read = Follow::new(file, tail, Arc::default()).finish();
        read.map(|read| read.sha256).map_err(|e| Failure::io("read the archive", &e))
    })?;
    joined(context.control, hashing).await
}

/// Whether an archive is what its manifest says: reads all of it.
pub async fn ensure_whole(
    context: &Context<'_>,
    path: &Path,
    manifest: &Manifest,
    stall: Duration,
) -> Result<()> {
    Archive::open(path)?.holds(manifest)?;
    members::check(context, path, manifest.members.clone(), stall).await
}
