//! A payload becomes an archive: packed with the reader right behind, the last members added, and
//! what is read back compared with what was written.

use super::{Ready, Work, share, too_new};
use crate::decide::archive_spec::{CONTENTS, MANIFEST, MANIFEST_MAX};
use crate::decide::format::Compression;
use crate::decide::manifest::Manifest;
use crate::decide::progress::Phase;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::open_file;
use crate::host::archive::tail::{Tail, is_given_up};
use crate::host::archive::writer::ArchiveWriter;
use crate::host::partial::Partial;
use crate::job::backup::manifest_text;
use crate::job::backup::pack::{self, Pack};
use crate::job::decode::Counts;
use crate::job::decoding::{Decoding, Expected};

/// A payload in a partial archive, decoded and counted.
pub struct Packed {
    writer: ArchiveWriter,
    decoding: Decoding,
    pub counts: Counts,
    pub tail: Tail,
}

/// Packs the payload, with the reader right behind.
pub async fn packed(
    work: &Work<'_>,
    partial: &Partial,
    expected: Expected,
    compression: Compression,
    fill: impl FnOnce(Pack) -> Result<ArchiveWriter> + Send + 'static,
) -> Result<Packed> {
    work.show(Phase::Copying);
    let settings = work.context.settings;
    let tail = Tail::default();
    pack::flush(partial.path(), &tail)?;
    let (root, reserve) = (work.place.path().to_owned(), settings.min_free_space);
    let file = share(partial.file())?;
    let writer = ArchiveWriter::new(file, root, reserve, work.started, tail.clone());
    let reading = open_file(partial.path())?;
    let mut decoding = Decoding::start(work.context, reading, &tail, expected, work.stall())?;
    let pack = Pack {
        writer,
        compression,
        threads: settings.compression_threads,
        bytes: work.moved.clone(),
        tail: tail.clone(),
    };
    let filled = work.beside(move || fill(pack)).await;
    let writer = match filled {
        Err(failure) if is_given_up(&failure) => {
            return Err(too_new(decoding.failure(work.context).await));
        }
        filled => filled?,
    };
    let counts = decoding.counts(work.context).await.map_err(too_new)?;
    Ok(Packed { writer, decoding, counts, tail })
}

/// Adds the last members, and compares what is read back.
pub async fn sealed(
    work: &Work<'_>,
    partial: Partial,
    packed: Packed,
    manifest: Manifest,
    list: Option<Vec<u8>>,
) -> Result<Ready> {
    work.show(Phase::Verifying);
    let Packed { mut writer, decoding, .. } = packed;
    if let Some(list) = list {
        writer.add(CONTENTS, &list)?;
    }
    let manifest = Manifest { members: writer.members().to_vec(), ..manifest };
    writer.add(MANIFEST, &manifest_text(&manifest, MANIFEST_MAX)?)?;
    crate::fault::point("archive_unfinished");
    let written = writer.finish()?;
    let read = decoding.finish(work.context).await?;
    if read.written != written {
        return Err(Failure::new(Class::Damaged, "the archive reads back differently")
            .hint("Memory or disk of this machine is not reliable. Nothing was kept."));
    }
    let warnings = manifest.warnings.clone();
    let (size, sha256) = (written.size, read.sha256);
    Ok(Ready { partial, size, sha256, manifest, warnings, is_foreign: true })
}
