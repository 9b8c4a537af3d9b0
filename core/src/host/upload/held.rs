//! One upload in the hands of one call: its bytes, open and locked, and what is known of them.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use nix::fcntl::OFlag;

use super::state::{State, Upload, beside};
use super::{bytes_path, is_gone, unknown};
use crate::decide::ranges::{MAX_RANGES, Range, multirange};
use crate::error::{Class, Failure, Result};
use crate::host::partial::{
    FILE_MODE, Lock, is_at, lock_pausing, lock_within, open_existing, try_lock,
};

/// Bytes that are compared at once.
const COMPARE: usize = 64 << 10;
/// Ranges that an error names.
const SHOWN: usize = 5;

/// The bytes of an upload, locked.
pub(super) struct Locked {
    file: File,
    id: i64,
}

/// An upload that nobody else changes meanwhile.
pub struct Held {
    locked: Locked,
    folder: PathBuf,
    state: State,
}

impl Held {
    /// Makes the files of a new upload. Errors: `DuplicateFile` when the id is taken.
    pub(super) fn create(folder: &Path, id: i64, state: State) -> Result<Self> {
        let path = bytes_path(folder, id);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path);
        let file = file.map_err(|e| failure("create", &path, &e))?;
        let locked = Locked { file, id };
        if lock_within(&locked.file, &path)? != Lock::Taken {
            return Err(busy(id));
        }
        if let Err(failure) = state.write(folder, id) {
            locked.remove(folder).ok();
            return Err(failure);
        }
        Ok(Self { locked, folder: folder.to_owned(), state })
    }

    pub(super) fn open(folder: &Path, id: i64, pause: fn(Duration)) -> Result<Self> {
        let locked = Self::lock(folder, id, pause)?;
        let state = State::read(folder, id)?;
        Ok(Self { locked, folder: folder.to_owned(), state })
    }

    /// Waits for the lock, a few seconds.
    pub(super) fn lock(folder: &Path, id: i64, pause: fn(Duration)) -> Result<Locked> {
        let (path, file) = open(folder, id)?;
        match lock_pausing(&file, &path, pause)? {
            Lock::HeldByAnother => Err(busy(id)),
            Lock::Taken if !is_at(&file, &path) => Err(unknown(id)),
            Lock::Taken => Ok(Locked { file, id }),
        }
    }

    /// Does not wait: None when somebody has it.
    pub(super) fn lock_now(folder: &Path, id: i64) -> Result<Option<Locked>> {
        let (path, file) = open(folder, id)?;
        let taken = try_lock(&file, &path)? == Lock::Taken && is_at(&file, &path);
        Ok(taken.then_some(Locked { file, id }))
    }

    /// What is known of it.
    pub fn upload(&self) -> &Upload {
        &self.state.upload
    }

    /// Where its bytes are.
    pub fn path(&self) -> PathBuf {
        bytes_path(&self.folder, self.locked.id)
    }

    /// Errors unless every byte is there: `NotReady`, with the ranges that are missing.
    pub fn ensure_whole(&self) -> Result<()> {
        let Upload { size_bytes, received, .. } = self.upload();
        let missing = received.gaps((0, *size_bytes));
        if !missing.is_empty() {
            let more = if missing.len() > SHOWN { ", …" } else { "" };
            let shown = multirange(&missing[..missing.len().min(SHOWN)]);
            let id = self.locked.id;
            return Err(Failure::new(Class::NotReady, format!("upload {id} is not complete"))
                .detail(format!(
                    "{} of {size_bytes} bytes are there. Missing: {shown}{more}.",
                    received.total()
                ))
                .hint(
                    "Send what is missing (column missing of backup_uploads), then call it again.",
                ));
        }
        let length = self.locked.file.metadata().map(|meta| meta.len());
        match length.map_err(|e| failure("look at", &self.path(), &e))? {
            length if length == *size_bytes => Ok(()),
            length => Err(Failure::new(Class::Damaged, "the file of the upload was changed")
                .detail(format!("It has {length} bytes instead of {size_bytes}."))
                .hint("Abort the upload and begin anew.")),
        }
    }

    /// The bytes have become a backup: nothing of the upload is left.
    pub fn finish(self) -> Result<()> {
        let removed = self.locked.remove(&self.folder);
        fs::remove_dir(&self.folder).ok();
        removed
    }

    /// The ranges of a part that are not there yet. What is there has to be the same.
    pub(super) fn missing_of(&self, at: u64, data: &[u8]) -> Result<Vec<Range>> {
        let range = self.range(at, data)?;
        let received = &self.upload().received;
        for (from, to) in received.overlaps(range) {
            self.compare(at, data, (from, to))?;
        }
        match received.with(range) {
            Some(_) => Ok(received.gaps(range)),
            None => Err(Failure::new(Class::LimitExceeded, "the upload has too many holes")
                .detail(format!("It would consist of more than {MAX_RANGES} separate pieces."))
                .hint("Send larger parts, or in the order of the file.")),
        }
    }

    fn range(&self, at: u64, data: &[u8]) -> Result<Range> {
        let size = self.upload().size_bytes;
        let end = at.checked_add(data.len() as u64).filter(|end| *end <= size);
        end.map(|end| (at, end)).ok_or_else(|| {
            Failure::new(Class::InvalidArgument, "the part lies beyond the end of the file")
                .detail(format!(
                    "It has {} bytes at byte {at}; {size} bytes were announced.",
                    data.len()
                ))
                .hint("at_byte counts from 0.")
        })
    }

    fn compare(&self, at: u64, data: &[u8], range: Range) -> Result<()> {
        let mut buffer = vec![0; COMPARE];
        let mut from = range.0;
        while from < range.1 {
            let length = (range.1 - from).min(COMPARE as u64) as usize;
            let there = &mut buffer[..length];
            let read = self.locked.file.read_exact_at(there, from);
            read.map_err(|e| failure("read", &self.path(), &e))?;
            let start = (from - at) as usize;
            if data[start..start + length] != *there {
                return Err(differs(range));
            }
            from += length as u64;
        }
        Ok(())
    }

    /// Writes the `missing` ranges of a part, and then tells of all of it.
    pub(super) fn write(
        &mut self,
        at: u64,
        data: &[u8],
        missing: &[Range],
        now: DateTime<Utc>,
    ) -> Result<u64> {
        for (from, to) in missing {
            let bytes = &data[(from - at) as usize..(to - at) as usize];
            let written = self.locked.file.write_all_at(bytes, *from);
            written.map_err(|e| {
                failure("write", &self.path(), &e)
                    .hint("What was sent before is kept. Put it right and send this part again.")
            })?;
        }
        let upload = &mut self.state.upload;
        let range = (at, at + data.len() as u64);
        upload.received = upload.received.with(range).unwrap_or_else(|| upload.received.clone());
        upload.last_part_at = Some(now);
        self.state.write(&self.folder, self.locked.id)?;
        Ok(self.upload().received.total())
    }
}

impl Locked {
    /// Removes all its files, the bytes last: while they are there, the rest can be found.
    pub(super) fn remove(&self, folder: &Path) -> Result<()> {
        let bytes = bytes_path(folder, self.id);
        for path in beside(folder, self.id).into_iter().chain([bytes]) {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(failure("remove", &path, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn open(folder: &Path, id: i64) -> Result<(PathBuf, File)> {
    let path = bytes_path(folder, id);
    match open_existing(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) if is_gone(&error) => Err(unknown(id)),
        Err(error) => Err(failure("open", &path, &error)),
    }
}

fn busy(id: i64) -> Failure {
    Failure::new(Class::Concurrent, format!("upload {id} is in use"))
        .detail("Another session is finishing it, or writes a part.")
        .hint("Try again.")
}

fn differs((from, to): Range) -> Failure {
    Failure::new(Class::InvalidArgument, "other bytes are there already")
        .detail(format!("Bytes {from} to {to} of the file were sent before, and differ."))
        .hint("Parts may come twice if they are the same. To send another file, begin anew.")
}

fn failure(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format_args!("{doing} file \"{}\"", path.display()), error)
}
