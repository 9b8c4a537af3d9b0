//! A dump or a script of somebody else becomes the payload of an archive.
//!
//! pg_restore reads a dump in custom or tar format as a stream, so either is kept whole as one
//! member (tar and scripts compressed by us when they are not yet).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::describe;
use super::facts::{self, Known};
use super::pack::{packed, sealed};
use super::{Ready, Work, share};
use crate::decide::archive_spec::Codec;
use crate::decide::copy_rows::TableRows;
use crate::decide::format::{Compression, Method};
use crate::decide::import::{HEAD, Kind, codec, kind};
use crate::decide::manifest::TableCount;
use crate::error::{Class, Failure, Result};
use crate::host::archive::foreign::ForeignZip;
use crate::host::source::{self, Hashed};
use crate::job::backup::new_partial;
use crate::job::backup::pack;
use crate::job::decode::decoder;
use crate::job::decoding::Expected;

/// How what is not compressed yet is compressed.
pub(super) const COMPRESSION: Compression = Compression { method: Method::Zstd, level: 3 };
const AS_IT_IS: Compression = Compression { method: Method::None, level: 0 };
/// Larger dumps than this are not taken out of somebody's zip: far beyond what Tracearr restores.
const DUMP_MAX: u64 = 1 << 44;

/// What a file is.
pub enum Found {
    Zip,
    Dump(Kept),
}

/// A dump, and how it is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub kind: Kind,
    pub codec: Codec,
}

/// Looks at the first bytes, also of what is compressed.
pub fn sniff(file: &File) -> Result<Found> {
    let failed = |e: io::Error| Failure::io("read the file", &e);
    let mut head = vec![0; HEAD];
    let count = file.read_at(&mut head, 0).map_err(failed)?;
    head.truncate(count);
    let codec = codec(&head);
    if codec != Codec::Plain {
        let mut whole = share(file)?;
        whole.seek(SeekFrom::Start(0)).map_err(failed)?;
        head.clear();
        let opened = decoder(codec, whole).map_err(|e| undecodable(&e))?;
        opened.take(HEAD as u64).read_to_end(&mut head).map_err(|e| undecodable(&e))?;
    }
    match kind(&head) {
        Some(Kind::Zip) if codec == Codec::Plain => Ok(Found::Zip),
        None | Some(Kind::Zip) => Err(unknown(count)),
        Some(kind) => Ok(Found::Dump(Kept { kind, codec })),
    }
}

pub(super) fn undecodable(error: &io::Error) -> Failure {
    Failure::new(Class::Damaged, "the file cannot be decompressed")
        .detail(format!("{error}."))
        .hint("It is damaged, or was not copied to its end.")
}

fn unknown(count: usize) -> Failure {
    let what = if count == 0 { "the file is empty" } else { "the file is no backup that is known" };
    Failure::new(Class::Damaged, what)
        .detail("Its first bytes are looked at, whatever its name says.")
        .hint(
            "Known are archives of pg_backup, Tracearr's backups, dumps of pg_dump in any format, \
             and SQL scripts, also as .gz and .zst.",
        )
}

/// A dump or script in one file.
pub async fn file(work: &Work<'_>, kept: Kept, mut file: File) -> Result<Ready> {
    file.seek(SeekFrom::Start(0)).map_err(|e| Failure::io("read the file", &e))?;
    let modified = modified(&file);
    let mut known = Known { modified, ..Known::default() };
    match kept.kind {
        Kind::Script => known.head = facts::head(kept.codec, share(&file)?)?,
        _ => {
            let reader = decoder(kept.codec, share(&file)?).map_err(|e| undecodable(&e))?;
            known.list = Some(facts::list(work, reader).await?);
        }
    }
    file.seek(SeekFrom::Start(0)).map_err(|e| Failure::io("read the file", &e))?;
    let (reader, hash) = Hashed::new(file);
    let ready = streamed(work, kept, reader, known).await?;
    work.ensure_hash(&hash())?;
    Ok(ready)
}

/// A backup of Tracearr: its dump, and what its metadata say.
pub async fn tracearr(work: &Work<'_>, file: File) -> Result<Ready> {
    let path = Path::new(&work.import.path);
    let (hashed, room) = (share(&file)?, work.room());
    let zip = ForeignZip::of(file, path)?;
    let metadata: Value = serde_json::from_slice(&zip.metadata()?).map_err(|e| {
        Failure::new(Class::Damaged, "metadata.json cannot be read").detail(format!("{e}."))
    })?;
    let kept = Kept { kind: Kind::Custom, codec: Codec::Plain };
    let mut head = Vec::new();
    let dump = zip.dump(DUMP_MAX)?;
    dump.take(HEAD as u64).read_to_end(&mut head).map_err(|e| undecodable(&e))?;
    if kind(&head) != Some(Kind::Custom) {
        return Err(Failure::new(Class::Damaged, "database.dump in it is no dump of pg_dump"));
    }
    let list = Some(facts::list(work, zip.dump(DUMP_MAX)?).await?);
    let known = Known { list, metadata: Some(metadata), ..Known::default() };
    let ready = streamed(work, kept, zip.dump(DUMP_MAX)?, known).await?;
    if work.import.sha256.is_some() {
        let copied = move || source::copy(whole(hashed)?, io::sink(), &room);
        work.ensure_hash(&work.beside(copied).await?.0)?;
    }
    Ok(ready)
}

fn whole(mut file: File) -> Result<File> {
    file.seek(SeekFrom::Start(0)).map_err(|e| Failure::io("read the file", &e))?;
    Ok(file)
}

pub(super) fn modified(file: &File) -> Option<DateTime<Utc>> {
    let meta = file.metadata().ok()?;
    DateTime::from_timestamp(meta.mtime(), 0)
}

/// Packs one stream, and asks it for facts.
async fn streamed(
    work: &Work<'_>,
    kept: Kept,
    reader: impl Read + Send + 'static,
    known: Known,
) -> Result<Ready> {
    let name = facts::database(work.import, &known);
    let partial = new_partial(work.context, &work.place, &name, work.started, work.id)?;
    let (compression, member) = stored(kept);
    let expected = Expected { custom: kept.kind != Kind::Script, by_hand: true };
    let packed = packed(work, &partial, expected, compression, move |pack| {
        pack::stream(pack, &member, reader)
    });
    let packed = packed.await?;
    crate::fault::point("import_copied");
    let told = facts::of_payload(work, partial.path(), &packed.tail, kept.kind).await?;
    let tables = packed.counts.tables.iter().map(count).collect();
    let manifest = describe::manifest(work, kept, compression, &known, told, tables)?;
    sealed(work, partial, packed, manifest, known.list).await
}

/// Name of the member, and how we compress it.
fn stored(kept: Kept) -> (Compression, String) {
    let stem = match kept.kind {
        Kind::Tar => "database.tar",
        Kind::Script => "database.sql",
        Kind::Custom | Kind::Zip => "database.dump",
    };
    let (compression, ending) = match (kept.codec, kept.kind) {
        (Codec::Gzip, _) => (AS_IT_IS, ".gz"),
        (Codec::Zstd, _) => (AS_IT_IS, ".zst"),
        (Codec::Plain, Kind::Tar | Kind::Script) => (COMPRESSION, ".zst"),
        (Codec::Plain, _) => (AS_IT_IS, ""),
    };
    (compression, format!("{stem}{ending}"))
}

fn count(rows: &TableRows) -> TableCount {
    TableCount {
        schema: rows.schema.clone(),
        name: rows.name.clone(),
        rows: rows.rows,
        bytes: rows.bytes,
    }
}
