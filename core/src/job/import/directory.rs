//! A dump in directory format becomes the payload of an archive: it is copied first, file by file,
//! and then packed as one of ours. pg_restore sees nothing but the copy, and no file beside it.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::describe;
use super::dump::{COMPRESSION, Kept, modified, undecodable};
use super::facts::{self, Known};
use super::pack::{packed, sealed};
use super::{Ready, Work, too_new};
use crate::decide::archive_spec::Codec;
use crate::decide::dump_files;
use crate::decide::encoding::decode;
use crate::decide::import::{Kind, is_dump_file};
use crate::decide::progress::Phase;
use crate::decide::toc;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::open_file;
use crate::host::partial::WorkDir;
use crate::host::source::{self, Source};
use crate::job::backup::directory::{Watched, pack as pack_directory};
use crate::job::backup::new_partial;
use crate::job::contents::of_directory;
use crate::job::decode::decoder;
use crate::job::decoding::Expected;

/// Takes it.
pub async fn take(work: &Work<'_>, directory: File) -> Result<Ready> {
    if work.import.sha256.is_some() {
        return Err(Failure::new(Class::InvalidArgument, "a directory has no SHA-256"));
    }
    let known = Known { modified: modified(&directory), ..Known::default() };
    let name = facts::database(work.import, &known);
    let started = work.started;
    let partial = new_partial(work.context, &work.place, &name, started, work.id)?;
    let (folder, file) = (partial.final_path().parent(), partial.final_path().file_name());
    let (Some(folder), Some(file)) = (folder, file) else {
        return Err(Failure::new(Class::Internal, "the archive has no folder"));
    };
    let scratch = WorkDir::create(folder, &file.to_string_lossy())?.with_folder();
    let dump = scratch.path().join("dump");
    work.show(Phase::Copying);
    let others = copied(work, directory, &dump).await?;
    crate::fault::point("import_copied");
    let list = of_directory(work.context, Some(&dump)).await.map_err(too_new)?;
    let told = facts::of_directory(work, &dump).await?;
    let known = Known { list: Some(list), ..known };
    let watched = Watched::existing(&dump)?;
    let expected = Expected { custom: false, by_hand: false };
    let packed = packed(work, &partial, expected, COMPRESSION, move |pack| {
        pack_directory(pack, watched, &std::sync::atomic::AtomicBool::new(true))
    });
    let packed = packed.await?;
    let encoding = told.encoding.as_deref().unwrap_or_default();
    let text = decode(known.list.as_deref().unwrap_or_default(), encoding).into_owned();
    let owners: Vec<String> = told.owners.iter().cloned().collect();
    let schemas: Vec<String> = told.schemas.iter().cloned().collect();
    let entries = toc::parse(&text, &schemas, &owners)?;
    let tables = crate::job::backup::by_dump_id(&entries, &packed.counts.data_files)?;
    let kept = Kept { kind: Kind::Zip, codec: Codec::Plain };
    let mut manifest = describe::manifest(work, kept, COMPRESSION, &known, told, tables)?;
    manifest.dump.format = "directory".to_owned();
    manifest.warnings.extend(others);
    sealed(work, partial, packed, manifest, known.list).await
}

/// Copies the files of a dump, decompressed. Gives a warning for what is none of it.
async fn copied(work: &Work<'_>, directory: File, to: &Path) -> Result<Option<String>> {
    let (from, to, room) = (Path::new(&work.import.path).to_owned(), to.to_owned(), work.room());
    work.beside(move || {
        let failed = |e: &io::Error| Failure::io(format_args!("write \"{}\"", to.display()), e);
        std::fs::create_dir(&to).map_err(|e| failed(&e))?;
        let names = source::names(&directory)?;
        if !names.iter().any(|name| name.starts_with("toc.dat")) {
            return Err(Failure::new(
                Class::Damaged,
                "the directory is no dump: it has no toc.dat",
            )
            .hint("Give the directory that pg_dump --format=directory has made."));
        }
        let (files, others): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| is_dump_file(name));
        if let Some(name) = others.iter().find(|name| name.ends_with(".lz4")) {
            let message = format!("\"{}\" is compressed by lz4", name.escape_debug());
            return Err(Failure::new(Class::NotReady, message)
                .hint("Make the dump with --compress=zstd or gzip, or restore it by hand."));
        }
        for name in &files {
            let Source::File(file) = source::open(&from.join(name))? else {
                let message = format!("\"{name}\" in the dump is a directory");
                return Err(Failure::new(Class::Damaged, message));
            };
            let (stem, codec) = match name.rsplit_once('.') {
                Some((stem, "gz")) => (stem, Codec::Gzip),
                Some((stem, "zst")) => (stem, Codec::Zstd),
                _ => (name.as_str(), Codec::Plain),
            };
            let path = to.join(stem);
            let created = File::create_new(&path).map_err(|e| failed(&e))?;
            let reader = decoder(codec, file).map_err(|e| undecodable(&e))?;
            source::copy(reader, created, &room)?;
            ensure_own_files(stem, &path)?;
        }
        Ok((!others.is_empty())
            .then(|| format!("left out {} files that are not of the dump", others.len())))
    })
    .await
}

/// A file that names others names those of the dump: an older pg_restore would read any.
fn ensure_own_files(name: &str, path: &Path) -> Result<()> {
    let open = || open_file(path).map(BufReader::new);
    match name {
        "toc.dat" => dump_files::check_toc(open()?),
        list if list.ends_with(".toc") => dump_files::check_blobs(open()?),
        _ => Ok(()),
    }
}
