//! The payload of an archive for pg_restore: as a stream, or unpacked into a directory of its own
//! where pg_restore has to go back and forth.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Work;
use crate::decide::archive_spec::{DIRECTORY, payload_member};
use crate::decide::naming::{archive_name, safe_name};
use crate::decide::progress::Phase;
use crate::error::{Class, Failure, Result};
use crate::host::archive::range::RangeReader;
use crate::host::archive::reader::{Payload, open_file};
use crate::host::dir::BackupDir;
use crate::host::partial::WorkDir;
use crate::host::space::free_bytes;
use crate::host::threads;
use crate::job::decode::decoder;
use crate::job::wait::joined;

/// Free space is looked at once in so many unpacked bytes.
const SPACE_EVERY: u64 = 16 << 20;
/// Written at once. What `io::copy` takes by itself is a system call for every 8 kB.
const WRITE_BYTES: usize = 256 << 10;

/// An unpacked payload.
pub struct Unpacked {
    /// The dump: a file of custom format, or the directory of a directory-format dump.
    pub path: PathBuf,
    /// Holds the directory until it is dropped.
    _work: WorkDir,
}

/// Where the one member of a custom or plain dump lies, and how it is compressed.
pub fn stream(work: &mut Work<'_>) -> Result<(PathBuf, Payload)> {
    let path = work.archive.path().to_owned();
    let members = work.archive.payload()?;
    match <[Payload; 1]>::try_from(members) {
        Ok([member]) => Ok((path, member)),
        Err(members) => Err(Failure::new(
            Class::Damaged,
            format!("the archive has {} payload members, not one", members.len()),
        )),
    }
}

/// A reader of the decoded bytes of a member.
pub fn reader(path: &Path, member: &Payload) -> Result<Box<dyn Read + Send>> {
    let (codec, _) = payload_member(&member.name)
        .ok_or_else(|| Failure::new(Class::Internal, "not a payload member"))?;
    let range = RangeReader::new(open_file(path)?, member.start, member.start + member.size);
    decoder(codec, range).map_err(|e| Failure::io("read the archive", &e))
}

/// Numbers in the names of the private directories that one restore can have.
pub const DUMP: u32 = 0;
pub const LISTS: u32 = 1;

/// A private directory beside the archives, gone with the restore.
pub fn work_dir(work: &Work<'_>, number: u32) -> Result<WorkDir> {
    let settings = work.context.settings;
    let place = BackupDir::open(&settings.directory, &settings.data_directory, false)?;
    let target = &work.restore.target;
    let name = archive_name(target, chrono::Utc::now(), work.id, number);
    let made = place.in_folder(settings.system_identifier, &safe_name(target), |folder| {
        WorkDir::create(folder, &name)
    });
    made.map(WorkDir::with_folder)
}

/// Unpacks the payload into a private directory beside the archives.
pub async fn unpack(work: &mut Work<'_>) -> Result<Unpacked> {
    work.phase(Phase::Extracting).await;
    let directory = work_dir(work, DUMP)?;
    let (source, members) = (work.archive.path().to_owned(), work.archive.payload()?);
    let (into, reserve) = (directory.path().to_owned(), work.context.settings.min_free_space);
    let writing =
        threads::spawn("pg_backup unpack", move || write(&source, &members, &into, reserve))?;
    let path = joined(work.context.control, writing).await?;
    Ok(Unpacked { path, _work: directory })
}

/// Unpacks the first bytes of a member into a new file.
pub async fn head(
    work: &Work<'_>,
    archive: &Path,
    member: &Payload,
    length: u64,
    into: &Path,
) -> Result<()> {
    let (reader, into) = (reader(archive, member)?.take(length), into.to_owned());
    let reserve = work.context.settings.min_free_space;
    let writing = threads::spawn("pg_backup head", move || written(reader, &into, reserve))?;
    joined(work.context.control, writing).await
}

/// Writes each member, decoded, under its name without the ending. Gives what pg_restore opens.
fn write(source: &Path, members: &[Payload], into: &Path, reserve: u64) -> Result<PathBuf> {
    let mut opened = into.to_owned();
    for member in members {
        let name = file_name(&member.name)?;
        let path = into.join(name);
        if !member.name.starts_with(DIRECTORY) {
            opened = path.clone();
        }
        written(reader(source, member)?, &path, reserve)?;
    }
    Ok(opened)
}

/// Writes all that can be read into a new file.
fn written(mut reader: impl Read, path: &Path, reserve: u64) -> Result<()> {
    let failed = |e: &io::Error| Failure::io(format_args!("write \"{}\"", path.display()), e);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file.map_err(|e| failed(&e))?);
    loop {
        // Looked at while it grows: a few bytes may unpack to more than any disk has.
        let step = io::copy(&mut reader.by_ref().take(SPACE_EVERY), &mut file);
        let step = step.map_err(|e| Failure::inside(&e).unwrap_or_else(|| failed(&e)))?;
        keep_free(path, reserve)?;
        if step < SPACE_EVERY {
            return file.flush().map_err(|e| failed(&e));
        }
    }
}

fn keep_free(place: &Path, reserve: u64) -> Result<()> {
    if free_bytes(place)? >= reserve {
        return Ok(());
    }
    Err(Failure::new(Class::DiskFull, "too little free space to unpack the archive")
        .detail(format!("pg_backup.min_free_space keeps {reserve} bytes free."))
        .hint("Free space beside the archives, or restore with jobs => 1."))
}

/// The plain name of a file for a member: one component, of the characters that pg_dump and we use.
fn file_name(member: &str) -> Result<&str> {
    let name = member.strip_prefix(DIRECTORY).unwrap_or(member);
    let name = name.strip_suffix(".zst").or(name.strip_suffix(".gz")).unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let message = format!("member \"{}\" has a strange name", member.escape_debug());
        return Err(Failure::new(Class::Damaged, message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_written_under_a_plain_name_or_not_at_all() {
        assert_eq!(file_name("database/3456.dat.zst").unwrap(), "3456.dat");
        assert_eq!(file_name("database/toc.dat").unwrap(), "toc.dat");
        assert_eq!(file_name("database.dump.zst").unwrap(), "database.dump");
        for name in ["database/../x", "database//etc/passwd", "database/", "database/.x", "a\\b"] {
            assert!(file_name(name).is_err(), "{name}");
        }
    }
}
