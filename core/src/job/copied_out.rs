//! What extract and export have in common: which archive, where to, the unpacking, and the end.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::context::Context;
use super::decode::decoder;
use super::wait::{joined, moving, until};
use crate::catalog::history::History;
use crate::catalog::history_files::StoredArchive;
use crate::decide::archive_spec::{Codec, MANIFEST, MANIFEST_MAX, payload_member};
use crate::decide::pieces::{Kind, Piece};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::archive::checked::Checked;
use crate::host::archive::hex;
use crate::host::archive::reader::{Archive, damaged, open_file};
use crate::host::dir::BackupDir;
use crate::host::fresh::{Fresh, create_file, make_folders, restore_meta};
use crate::host::reach::{AllowList, Guarded};
use crate::host::server::Server;
use crate::host::space::free_bytes;
use crate::host::stoppable::{Stop, Stoppable};
use crate::host::threads;

/// Moved at once.
const CHUNK: usize = 256 << 10;
/// Free space is looked at once in so many bytes.
const SPACE_EVERY: u64 = 16 << 20;
/// What stands still when copying does.
const COPYING: &str = "copying out of the archive";

/// An archive whose file has the size that its row says.
pub struct Source {
    pub row: StoredArchive,
    pub path: PathBuf,
    /// What no copy is written into.
    pub guarded: Guarded,
}

/// The archive of backup `id`.
pub async fn source(context: &Context<'_>, home: &Home, id: i64) -> Result<Source> {
    let (settings, control) = (context.settings, context.control);
    let access = &settings.access;
    let server = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let row = History::open(&server, control, home).await?.archive(id).await?;
    if matches!(row.file_state.as_str(), "deleted" | "pruned") {
        let message = format!("backup {id} has no archive");
        return Err(Failure::new(Class::UndefinedObject, message)
            .detail(format!("It was {}.", row.file_state)));
    }
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let path = place.resolve(&row.file)?;
    let size = open_file(&path)?.metadata().map_err(|e| Failure::io("inspect the archive", &e))?;
    if size.len() != row.size_bytes.unsigned_abs() {
        return Err(damaged(&path, "has another size than was recorded").detail(format!(
            "It has {} bytes, recorded are {}.",
            size.len(),
            row.size_bytes
        )));
    }
    let guarded = super::backup::guarded(settings, place.path());
    Ok(Source { row, path, guarded })
}

/// Where jobs may write for people.
pub fn allowed<'a>(context: &Context<'a>) -> AllowList<'a> {
    let value = &context.settings.export_directories;
    AllowList { setting: "pg_backup.export_directories", value }
}

/// The space that copies leave free where they are written.
#[derive(Debug, Clone)]
pub struct Room {
    pub place: PathBuf,
    pub reserve: u64,
}

/// Writes into a file and counts what goes through; stops before the reserve, and when told to.
pub struct Sink<'a> {
    pub file: File,
    pub room: &'a Room,
    pub stop: &'a Stop,
    pub written: u64,
    hash: Sha256,
    next_space: u64,
}

impl<'a> Sink<'a> {
    /// A sink for a new file.
    pub fn new(file: File, room: &'a Room, stop: &'a Stop) -> Self {
        Self { file, room, stop, written: 0, hash: Sha256::new(), next_space: 0 }
    }

    /// SHA-256 of all that was written.
    pub fn sha256(&mut self) -> String {
        hex(&std::mem::take(&mut self.hash).finalize())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stop.moved(bytes.len()).map_err(std::io::Error::other)?;
        if self.written >= self.next_space {
            self.next_space = self.written + SPACE_EVERY;
            ensure_room(self.room).map_err(std::io::Error::other)?;
        }
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn ensure_room(room: &Room) -> Result<()> {
    let free = free_bytes(&room.place)?;
    if free >= room.reserve {
        return Ok(());
    }
    let message = format!("too little free space in \"{}\"", room.place.display());
    Err(Failure::new(Class::DiskFull, message)
        .detail(format!(
            "{free} bytes are free, pg_backup.min_free_space keeps {} bytes. Nothing was kept.",
            room.reserve
        ))
        .hint("Free space, or choose a directory on another file system."))
}

/// The failure behind an error of writing a copy.
pub fn write_failure(error: &std::io::Error) -> Failure {
    Failure::inside(error).unwrap_or_else(|| {
        let failure = Failure::io("write the copy", error);
        failure.detail("Nothing was kept.").hint("Look at the file system that it goes to.")
    })
}

/// Moves all bytes of `from` into `to`.
pub fn pump<R: Read>(
    from: &mut R,
    to: &mut impl Write,
    broken: impl Fn(&R, &std::io::Error) -> Failure,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(|e| write_failure(&e))?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(from, &error)),
        }
    }
}

/// Files and bytes that were written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
}

/// Writes pieces into a new folder, every member held against the manifest; `decode`: the payload
/// as pg_restore and psql read it.
pub fn unpack(
    archive: &mut Archive,
    pieces: &[Piece],
    root: &File,
    decode: bool,
    room: &Room,
    stop: &Stop,
) -> Result<Totals> {
    let mut totals = Totals::default();
    for piece in pieces.iter().filter(|piece| piece.kind != Kind::Folder) {
        let file = create_file(root, &piece.path)?;
        let mut sink = Sink::new(file, room, stop);
        member(archive, &piece.kind, decode, &mut sink)?;
        restore_meta(&sink.file, piece.mode, piece.modified, &piece.path)?;
        totals.files += 1;
        totals.bytes += sink.written;
        fault::point("extracted_file");
    }
    // From the inside out: what is written into a folder changes its time.
    for piece in pieces.iter().rev().filter(|piece| piece.kind == Kind::Folder) {
        let folder = make_folders(root, &piece.path)?;
        restore_meta(&folder, piece.mode, piece.modified, &piece.path)?;
        stop.moved(0)?;
    }
    Ok(totals)
}

/// One member into a sink.
fn member(archive: &mut Archive, kind: &Kind, decode: bool, sink: &mut impl Write) -> Result<()> {
    let Kind::File(member) = kind else {
        let manifest = archive.read_member(MANIFEST, MANIFEST_MAX)?;
        return sink.write_all(&manifest).map_err(|e| write_failure(&e));
    };
    let codec = payload_member(&member.name).map(|(codec, _)| codec).filter(|_| decode);
    let mut checked = Checked::new(archive.member(&member.name, member.size)?, member);
    match codec {
        None | Some(Codec::Plain) => pump(&mut checked, sink, |c, e| c.failure(e))?,
        Some(codec) => decoded(codec, &mut checked, sink)?,
    }
    checked.finish()
}

/// The decoded bytes of a payload member into a sink.
pub fn decoded(codec: Codec, member: &mut (impl Read + Send), sink: &mut impl Write) -> Result<()> {
    let mut reader = decoder(codec, member).map_err(|e| undecodable(&e))?;
    pump(&mut reader, sink, |_, error| undecodable(error))
}

fn undecodable(error: &std::io::Error) -> Failure {
    Failure::inside(error).unwrap_or_else(|| {
        Failure::new(Class::Damaged, "the dump in the archive cannot be decoded")
            .detail(format!("{error}."))
            .hint("Do not rely on this archive. See backup_history for another one.")
    })
}

/// Waits for a thread that copies, and shows how far it is.
pub async fn copied<T: Send + 'static>(
    context: &Context<'_>,
    (phase, total): (Phase, u64),
    stall: u64,
    stop: &Stop,
    mut thread: Stoppable<T>,
) -> Result<T> {
    let stall = Duration::from_millis(stall);
    let control = moving(context.control, COPYING, stop.bytes(), stall);
    let mut shown = None;
    until(&control, || {
        let done = stop.bytes().load(Ordering::Relaxed);
        if shown.replace(done) != Some(done) {
            let (bytes_done, bytes_total) = (done.min(total), total);
            let progress = Progress { phase, bytes_done, bytes_total, ..Progress::default() };
            context.control.report(&progress);
        }
        thread.try_join()
    })
    .await
}

/// Makes a copy durable and gives it its name.
pub async fn publish(context: &Context<'_>, fresh: Fresh<'_>, folder: bool) -> Result<PathBuf> {
    let handle = fresh.handle()?;
    let sync = threads::spawn("pg_backup sync", move || Fresh::sync(&handle, folder))?;
    joined(context.control, sync).await?;
    fault::point("before_copy_is_named");
    context.control.proceed()?;
    // From here on it is only a rename: too late for a cancel.
    fresh.publish()
}

/// A path for a row: text, whatever it holds.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
