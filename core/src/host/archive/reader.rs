//! Opens a finished archive: its members by name, never extracted, sizes capped, nothing
//! followed. Whatever is wrong with the file is one of a few named defects.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zip::CompressionMethod;
use zip::read::ZipArchive;

use super::tail::Tail;
use crate::decide::archive_spec::{MANIFEST, MANIFEST_MAX, payload_member};
use crate::decide::manifest::{FORMAT, Manifest};
use crate::error::{Class, Failure, Result};

/// An archive of ours has no more members than this: two for each of 500,000 tables.
const MEMBERS_MAX: usize = 1_000_000;

/// A finished archive.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    size: u64,
    zip: ZipArchive<File>,
}

/// A payload member: name and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub name: String,
    pub start: u64,
    pub size: u64,
}

/// Opens a regular file, following no symbolic link at its name.
pub fn open_file(path: &Path) -> Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let doing = || format!("open archive \"{}\"", path.display());
    let file = opened.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => missing(path),
        _ => Failure::io(doing(), &e),
    })?;
    let meta = file.metadata().map_err(|e| Failure::io(doing(), &e))?;
    if !meta.is_file() {
        return Err(Failure::new(
            Class::Damaged,
            format!("archive \"{}\" is not a regular file", path.display()),
        ));
    }
    Ok(file)
}

fn missing(path: &Path) -> Failure {
    Failure::new(Class::UndefinedFile, format!("archive \"{}\" is missing", path.display()))
        .hint("It was moved or deleted outside pg_backup. Put it back under that name.")
}

impl Archive {
    /// Opens the archive at `path` and reads its directory. Errors: missing, empty, truncated or
    /// not a zip.
    pub fn open(path: &Path) -> Result<Archive> {
        let file = open_file(path)?;
        let size = file.metadata().map_err(|e| Failure::io("inspect the archive", &e))?.len();
        if size == 0 {
            return Err(damaged(path, "is empty"));
        }
        let zip = ZipArchive::new(file).map_err(|error| {
            damaged(path, "is truncated or not a zip archive").detail(format!("{error}."))
        })?;
        if zip.len() > MEMBERS_MAX {
            return Err(damaged(path, "has too many members"));
        }
        Ok(Archive { path: path.to_owned(), size, zip })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all members in the order of the zip's directory; one that is no text is left out.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect()
    }

    /// The manifest. Errors: foreign (neither manifest nor payload of ours), manifest gone,
    /// unreadable, or of a newer format.
    pub fn manifest(&mut self) -> Result<Manifest> {
        if self.zip.index_for_name(MANIFEST).is_none() {
            let ours = self.names().iter().any(|name| payload_member(name).is_some());
            let what = if ours {
                "has lost its manifest"
            } else {
                "is foreign: it was not made by pg_backup"
            };
            return Err(damaged(&self.path, what));
        }
        let bytes = self.read_member(MANIFEST, MANIFEST_MAX)?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            damaged(&self.path, "has an unreadable manifest").detail(format!("{error}."))
        })?;
        if manifest.format > FORMAT {
            return Err(damaged(&self.path, "was made by a newer pg_backup")
                .hint("Update the extension to read it."));
        }
        Ok(manifest)
    }

    /// A whole member of at most `cap` bytes.
    pub fn read_member(&mut self, name: &str, cap: u64) -> Result<Vec<u8>> {
        let path = self.path.clone();
        let broken = |error: &dyn std::fmt::Display| {
            damaged(&path, &format!("has a broken member \"{name}\"")).detail(format!("{error}."))
        };
        let member = self.zip.by_name(name).map_err(|e| broken(&e))?;
        let mut bytes = Vec::new();
        member.take(cap + 1).read_to_end(&mut bytes).map_err(|e| broken(&e))?;
        if bytes.len() as u64 > cap {
            return Err(broken(&format!("it is larger than {cap} bytes")));
        }
        Ok(bytes)
    }

    /// The payload members in the order of the file; each is stored, so that its bytes are a
    /// range of the file.
    pub fn payload(&mut self) -> Result<Vec<Payload>> {
        let mut members = Vec::new();
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(index);
            let entry = entry.map_err(|e| {
                damaged(&self.path, "has a broken directory").detail(format!("{e}."))
            })?;
            let Some(name) = entry.name().ok().map(|name| name.into_owned()) else { continue };
            if payload_member(&name).is_none() {
                continue;
            }
            let size = entry.compressed_size();
            let start = entry.data_start().unwrap_or(u64::MAX);
            let stored = entry.compression() == CompressionMethod::Stored;
            let inside = start.checked_add(size).is_some_and(|end| end <= self.size);
            if !stored || !inside {
                return Err(damaged(&self.path, &format!("has a broken member \"{name}\"")));
            }
            members.push(Payload { name, start, size });
        }
        members.sort_by_key(|member| member.start);
        Ok(members)
    }

    /// A tail for [`super::follow::Follow`], as if the writer had just finished.
    pub fn tail(&mut self) -> Result<Tail> {
        let tail = Tail::default();
        for member in self.payload()? {
            tail.open(&member.name, member.start);
            tail.close(member.start + member.size);
        }
        tail.finish(self.size);
        Ok(tail)
    }
}

/// A defect of the archive at `path`, `what` continuing the sentence.
pub fn damaged(path: &Path, what: &str) -> Failure {
    Failure::new(Class::Damaged, format!("archive \"{}\" {what}", path.display()))
        .hint("Do not rely on this archive. See backup_history for another one.")
}
