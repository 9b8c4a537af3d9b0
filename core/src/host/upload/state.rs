//! What is known of an upload: a small JSON file beside its bytes, replaced as a whole.
//!
//! In: what the client announced, and each part. Out: an [`Upload`]. Must hold: what is read back
//! is sound or refused; after a crash of the machine nothing is believed to be there, for bytes
//! that were not on the disk may be gone: the SHA-256 at the end would tell, after hours.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::{is_gone, unknown};
use crate::decide::ranges::Ranges;
use crate::error::{Class, Failure, Result};
use crate::host::partial::FILE_MODE;

/// Endings of the files of an upload; before them stands its id.
pub(super) const BYTES_ENDING: &str = "upload";
pub(super) const STATE_ENDING: &str = "json";
const NEW_ENDING: &str = "new";
/// The longest name that a client may give its file, bytes: that of Linux' file systems.
pub const FILENAME_MAX: usize = 255;
/// A state is smaller: 1000 ranges of two numbers.
const STATE_MAX: u64 = 256 << 10;
/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;
/// Changes with every start of the machine (proc(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a client announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// A label; never part of a path.
    pub filename: String,
    pub size_bytes: i64,
    /// 64 hexadecimal digits.
    pub sha256: String,
    pub requested_by: String,
    /// The database of the session that began it.
    pub database: String,
}

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub filename: String,
    pub size_bytes: u64,
    /// 64 lower-case digits.
    pub sha256: String,
    pub requested_by: String,
    pub database: String,
    pub started_at: DateTime<Utc>,
    pub last_part_at: Option<DateTime<Utc>>,
    pub received: Ranges,
}

/// The content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(flatten)]
    pub upload: Upload,
    boot: String,
}

impl State {
    /// Checks what a client announces.
    pub fn new(new: NewUpload, now: DateTime<Utc>) -> Result<Self> {
        let NewUpload { filename, size_bytes, sha256, requested_by, database } = new;
        let refused = |message: &str| Failure::new(Class::InvalidArgument, message);
        if filename.is_empty() || filename.len() > FILENAME_MAX {
            return Err(refused("invalid filename")
                .detail(format!(
                    "It has {} bytes, 1 to {FILENAME_MAX} are allowed.",
                    filename.len()
                ))
                .hint("It is only a label: give the name of the file without its directories."));
        }
        let size = u64::try_from(size_bytes).ok().filter(|size| *size > 0);
        let size_bytes = size.ok_or_else(|| refused("size_bytes must be greater than zero"))?;
        let hexadecimal = sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
        if sha256.len() != SHA256_DIGITS || !hexadecimal {
            return Err(refused("invalid sha256")
                .detail("A SHA-256 has 64 hexadecimal digits.")
                .hint("sha256sum prints that of a file."));
        }
        let upload = Upload {
            filename,
            size_bytes,
            sha256: sha256.to_ascii_lowercase(),
            requested_by,
            database,
            started_at: now,
            last_part_at: None,
            received: Ranges::default(),
        };
        Ok(Self { upload, boot: boot_id().to_owned() })
    }

    /// Reads that of upload `id`.
    ///
    /// Errors: `UndefinedObject`, `Damaged`, those of reading.
    pub fn read(folder: &Path, id: i64) -> Result<Self> {
        let path = path(folder, id, STATE_ENDING);
        let file = match options().read(true).open(&path) {
            Err(error) if is_gone(&error) => return Err(unknown(id)),
            other => other.map_err(|e| failure("open", &path, &e))?,
        };
        let mut text = Vec::new();
        file.take(STATE_MAX).read_to_end(&mut text).map_err(|e| failure("read", &path, &e))?;
        let mut state: State = serde_json::from_slice(&text).map_err(|_| broken(id))?;
        if !state.upload.received.is_sound(state.upload.size_bytes) {
            return Err(broken(id));
        }
        if state.boot != boot_id() {
            state.upload.received = Ranges::default();
            boot_id().clone_into(&mut state.boot);
        }
        Ok(state)
    }

    /// Replaces it. The holder of the upload's lock is the only one who does.
    pub fn write(&self, folder: &Path, id: i64) -> Result<()> {
        let (to, from) = (path(folder, id, STATE_ENDING), path(folder, id, NEW_ENDING));
        let text = serde_json::to_vec(self).map_err(|e| {
            Failure::new(Class::Internal, format!("could not write the state of an upload: {e}"))
        })?;
        let file = options().write(true).create(true).truncate(true).open(&from);
        let mut file: File = file.map_err(|e| failure("create", &from, &e))?;
        let written = file.write_all(&text).and_then(|()| fs::rename(&from, &to));
        written.map_err(|error| {
            fs::remove_file(&from).ok();
            failure("write", &to, &error)
        })
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    options
}

fn failure(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format_args!("{doing} file \"{}\"", path.display()), error)
        .hint("What was sent before is kept. Put it right and send the part again.")
}

fn broken(id: i64) -> Failure {
    Failure::new(Class::Damaged, format!("what is known of upload {id} cannot be read"))
        .detail("The machine may have stopped while it was written.")
        .hint(format!("Begin anew, and remove this one: SELECT backup_upload_abort({id})."))
}

/// A text that is another one after the next start of the machine; empty where there is none.
fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned())
}

/// The path of one of its files.
pub(super) fn path(folder: &Path, id: i64, ending: &str) -> PathBuf {
    folder.join(format!("{id}.{ending}"))
}

/// All of its files but the bytes.
pub(super) fn beside(folder: &Path, id: i64) -> [PathBuf; 2] {
    [STATE_ENDING, NEW_ENDING].map(|ending| path(folder, id, ending))
}

/// The id in the name of a file of ours.
pub(super) fn id_of(name: &str) -> Option<i64> {
    let (id, ending) = name.split_once('.')?;
    let ours = [BYTES_ENDING, STATE_ENDING, NEW_ENDING].contains(&ending);
    let id: i64 = id.parse().ok().filter(|number| ours && *number > 0)?;
    // One spelling only.
    name.starts_with(&format!("{id}.")).then_some(id)
}
