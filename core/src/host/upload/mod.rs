//! Uploads: archives that clients send in parts, in any order, over any number of sessions.
//!
//! In: parts. Out: a file that is whole. An upload is two files in a folder of its own, the bytes
//! and what is known of them (see [`state`]); no table knows of it, so that nothing can disagree
//! with the files, and no transaction holds a part back. Must hold: a part counts when it was
//! written, and never changes what another one has written; whoever touches an upload holds the
//! flock of its bytes, for one call; nothing here counts as a backup: that takes an import.

mod held;
mod state;
#[cfg(test)]
mod tests;

pub use held::Held;
pub use state::{FILENAME_MAX, NewUpload, Upload};

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::dir::{BackupDir, ensure_folder};
use super::space::free_bytes;
use super::sweep::Sweep;
use crate::error::{Class, Failure, Result};
use state::{BYTES_ENDING, State};

/// The folder of all uploads of one cluster, beside those of its databases: their names never
/// begin with a dot.
pub const FOLDER: &str = ".uploads";
/// Uploads at the same time: each may keep as much of the disk as it has announced.
pub const MAX_UPLOADS: usize = 100;
/// Files of the folder that are looked at: three for each upload, and some that are not ours.
const MAX_FILES: usize = 1000;
/// Ids that are tried: two uploads that begin in the same millisecond get neighbouring ones.
const ID_ATTEMPTS: i64 = 1000;

/// The uploads of one cluster.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// The folder of the cluster, and that of its uploads.
    system: PathBuf,
    folder: PathBuf,
    /// Bytes that stay free.
    reserve: u64,
    /// How to pause while another one holds an upload.
    pause: fn(Duration),
}

impl Uploads {
    /// Those below a backup directory, whose file system keeps `reserve` bytes free.
    pub fn new(place: &BackupDir, system_id: u64, reserve: u64) -> Self {
        let system = place.system_folder(system_id);
        Self { folder: system.join(FOLDER), system, reserve, pause: std::thread::sleep }
    }

    /// The same for a caller that can be interrupted while it waits: `pause` does not come back
    /// then.
    pub fn pausing(self, pause: fn(Duration)) -> Self {
        Self { pause, ..self }
    }

    /// Begins an upload and gives its id: the moment in milliseconds since 1970, so that no id
    /// comes twice and none is that of a run.
    ///
    /// Errors: `InvalidArgument`, `LimitExceeded`, `DiskFull` when it cannot fit, those of the
    /// file system.
    pub fn begin(&self, new: NewUpload, now: DateTime<Utc>) -> Result<i64> {
        let state = State::new(new, now)?;
        self.make_folder()?;
        if self.ids()?.len() >= MAX_UPLOADS {
            let message = format!("there are {MAX_UPLOADS} uploads already");
            return Err(Failure::new(Class::LimitExceeded, message).hint(
                "See backup_uploads, and end what nobody needs with backup_upload_abort().",
            ));
        }
        self.ensure_space(state.upload.size_bytes).map_err(|failure| {
            failure.hint("Free space, or choose another pg_backup.directory.")
        })?;
        let first = now.timestamp_millis();
        for id in first..first + ID_ATTEMPTS {
            // The end of another upload may have taken the folder away.
            self.make_folder()?;
            match Held::create(&self.folder, id, state.clone()) {
                Err(failure) if failure.class == Class::DuplicateFile => {}
                created => return created.map(|_| id),
            }
        }
        Err(Failure::new(Class::Internal, "no id for an upload is free"))
    }

    /// Writes a part; gives how many bytes of the upload are there now. Bytes that are there
    /// already may come again if they are the same.
    ///
    /// Errors: `UndefinedObject`, `InvalidArgument` (outside of the file, other bytes than those
    /// that are there), `DiskFull`, `LimitExceeded` (too many holes), `Concurrent`, `Io`. The
    /// upload is as before then.
    pub fn part(&self, id: i64, at: u64, data: &[u8], now: DateTime<Utc>) -> Result<u64> {
        let mut held = self.hold(id)?;
        let missing = held.missing_of(at, data)?;
        let new: u64 = missing.iter().map(|(from, to)| to - from).sum();
        if new > 0 {
            self.ensure_space(new)
                .map_err(|failure| failure.hint("Free space and send this part again."))?;
        }
        held.write(at, data, &missing, now)
    }

    /// Takes an upload for as long as the result lives.
    ///
    /// Errors: `UndefinedObject`, `Concurrent` when another call holds it too long, `Damaged` when
    /// what is known of it cannot be read.
    pub fn hold(&self, id: i64) -> Result<Held> {
        Held::open(&self.folder, id, self.pause)
    }

    /// Removes an upload; false when there is none.
    ///
    /// Errors: `Concurrent` when it is in use, those of the file system.
    pub fn abort(&self, id: i64) -> Result<bool> {
        let removed = match Held::lock(&self.folder, id, self.pause) {
            Err(failure) if failure.class == Class::UndefinedObject => self.remove_ghost(id),
            Err(failure) => Err(failure),
            Ok(locked) => locked.remove(&self.folder).map(|()| true),
        };
        self.remove_folder();
        removed
    }

    /// All uploads, oldest first, also those that are damaged.
    ///
    /// Errors: those of reading the folder.
    pub fn list(&self) -> Result<Vec<(i64, Result<Upload>)>> {
        let read = |id: i64| (id, State::read(&self.folder, id).map(|state| state.upload));
        Ok(self.ids()?.into_iter().map(read).collect())
    }

    /// Removes uploads that got no part for longer than `keep`, and halves of one.
    pub fn sweep(&self, now: DateTime<Utc>, keep: TimeDelta) -> Sweep {
        let mut sweep = Sweep::default();
        let ids = self.ids().unwrap_or_else(|failure| {
            sweep.failed.push(failure);
            Vec::new()
        });
        let mut swept = false;
        for id in ids.into_iter().filter(|id| self.is_abandoned(*id, now, keep)) {
            swept = true;
            match Held::lock_now(&self.folder, id) {
                // Somebody is at it: not abandoned.
                Ok(None) => {}
                // A part came between the look and the lock.
                Ok(Some(_)) if !self.is_abandoned(id, now, keep) => {}
                Ok(Some(locked)) => match locked.remove(&self.folder) {
                    Ok(()) => sweep.removed.push(bytes_path(&self.folder, id)),
                    Err(failure) => sweep.failed.push(failure),
                },
                Err(failure) if failure.class == Class::UndefinedObject => {
                    sweep.failed.extend(self.remove_ghost(id).err());
                }
                Err(failure) => sweep.failed.push(failure),
            }
        }
        if swept {
            self.remove_folder();
        }
        sweep
    }

    /// Whether nothing has come for longer than `keep`. Where the state cannot be read, the time
    /// in its id says when it began.
    fn is_abandoned(&self, id: i64, now: DateTime<Utc>, keep: TimeDelta) -> bool {
        let last = match State::read(&self.folder, id) {
            Ok(state) => state.upload.last_part_at.unwrap_or(state.upload.started_at),
            Err(_) => DateTime::from_timestamp_millis(id).unwrap_or_default(),
        };
        now.signed_duration_since(last) > keep
    }

    /// The ids of all files in the folder that are named like ours, in order.
    fn ids(&self) -> Result<Vec<i64>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if is_gone(&e) => return Ok(Vec::new()),
            other => other.map_err(|e| self.failure("read directory", &e))?,
        };
        let mut ids = Vec::new();
        for entry in entries.take(MAX_FILES) {
            let entry = entry.map_err(|e| self.failure("read directory", &e))?;
            ids.extend(entry.file_name().to_str().and_then(state::id_of));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn ensure_space(&self, bytes: u64) -> Result<()> {
        let free = free_bytes(&self.folder)?;
        if free >= bytes.saturating_add(self.reserve) {
            return Ok(());
        }
        Err(Failure::new(Class::DiskFull, "too little free space for the upload").detail(format!(
            "{free} bytes are free, {bytes} are needed, and pg_backup.min_free_space keeps {}. \
             What was sent before is kept.",
            self.reserve
        )))
    }

    /// Removes a state without its bytes: an import has taken them. False when there is none.
    fn remove_ghost(&self, id: i64) -> Result<bool> {
        let mut found = false;
        for path in state::beside(&self.folder, id) {
            match fs::remove_file(path) {
                Ok(()) => found = true,
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(self.failure("remove a file of", &error)),
            }
        }
        Ok(found)
    }

    /// Makes the folder where it is missing, and that of the cluster.
    fn make_folder(&self) -> Result<()> {
        ensure_folder(&self.system)?;
        ensure_folder(&self.folder)
    }

    /// An empty folder is not left behind; one that is not empty stays, by rmdir(2).
    fn remove_folder(&self) {
        fs::remove_dir(&self.folder).ok();
    }

    fn failure(&self, doing: &str, error: &std::io::Error) -> Failure {
        Failure::io(format_args!("{doing} \"{}\"", self.folder.display()), error)
    }
}

/// An upload that is not there.
fn unknown(id: i64) -> Failure {
    Failure::new(Class::UndefinedObject, format!("upload {id} does not exist"))
        .detail("It was finished or aborted, or got no part for longer than pg_backup.upload_keep.")
        .hint("See backup_uploads for those that are under way, or begin anew.")
}

/// Whether a file, or the folder of all uploads, is not there.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// Where the bytes of an upload lie.
fn bytes_path(folder: &Path, id: i64) -> PathBuf {
    state::path(folder, id, BYTES_ENDING)
}
