//! Opens a finished archive: its structure looked at as a whole before anything is used, its
//! members by name, never extracted, sizes capped, nothing followed. The file may come from
//! anywhere. Whatever is wrong with it is one of a few named defects, of class Damaged.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::gauge::{self, Gauge};
use super::member::MemberReader;
use super::structure::{Structure, quoted};
use super::tail::Tail;
use crate::decide::archive_spec::{
    MANIFEST, MANIFEST_MAX, SIGNATURE, SIGNATURE_MAX, payload_member,
};
use crate::decide::manifest::{FORMAT, Manifest, Member};
use crate::error::{Class, Failure, Result};
use crate::host::signing::{Keys, Signature};

/// The manifest and what is said about it begin with this.
const ABOUT: &str = "manifest.";
/// What is wrong with an archive that has no manifest: with a payload of ours, and without.
pub const LOST: &str = "has lost its manifest";
pub const FOREIGN: &str = "is foreign: it was not made by pg_backup";
/// JSON is parsed in pieces of so many bytes.
const BUFFER: usize = 64 << 10;

/// A finished archive.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    size: u64,
    file: File,
    structure: Structure,
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

/// The same of a file that is open; `path` is how errors call it.
pub(super) fn structure_of(file: &File, path: &Path) -> Result<Structure> {
    let size = size_of(file)?;
    if size == 0 {
        return Err(damaged(path, "is empty"));
    }
    Structure::read(file, size).map_err(|failure| match failure.class {
        Class::Damaged => damaged(path, &failure.message).detail(failure.detail),
        _ => failure,
    })
}

fn size_of(file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(|e| Failure::io("inspect the archive", &e))?.len())
}

/// A reader of the unpacked bytes of a member that declares at most `cap` bytes.
pub(super) fn member(
    file: &File,
    path: &Path,
    structure: &Structure,
    name: &str,
    cap: u64,
) -> Result<MemberReader> {
    let shown = quoted(name.as_bytes());
    let Some(entry) = structure.find(name) else {
        return Err(damaged(path, &format!("has no member {shown}")));
    };
    if entry.size > cap {
        return Err(damaged(path, &format!("has a broken member {shown}"))
            .detail(format!("It is larger than {cap} bytes.")));
    }
    let file = file.try_clone().map_err(|e| Failure::io("read the archive", &e))?;
    Ok(MemberReader::new(file, path, name, *entry))
}

/// All bytes of a member whose size has a cap.
pub(super) fn read_whole(mut member: MemberReader) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = member.read_to_end(&mut bytes);
    read.map_err(|e| read_failure(&e))?;
    Ok(bytes)
}

/// What could not be read of an archive, and why.
pub fn read_failure(error: &io::Error) -> Failure {
    Failure::inside(error).unwrap_or_else(|| Failure::io("read the archive", error))
}

impl Archive {
    /// Opens the archive at `path` and looks at its structure. Errors: missing, empty, truncated,
    /// not a zip, or a zip that is broken or built to deceive.
    pub fn open(path: &Path) -> Result<Archive> {
        Self::of(open_file(path)?, path)
    }

    /// The same of a file that is open; `path` is how errors call it.
    pub fn of(file: File, path: &Path) -> Result<Archive> {
        let structure = structure_of(&file, path)?;
        let size = size_of(&file)?;
        Ok(Archive { path: path.to_owned(), size, file, structure })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all members in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.each_name().map(str::to_owned).collect()
    }

    fn each_name(&self) -> impl Iterator<Item = &str> {
        self.structure.entries().iter().map(|entry| self.structure.name(entry))
    }

    /// How many members there are.
    pub fn count(&self) -> usize {
        self.structure.entries().len()
    }

    /// Whether there is a member of that name.
    pub fn has(&self, name: &str) -> bool {
        self.structure.find(name).is_some()
    }

    /// Unpacked size of a member in bytes, as declared; None when there is none of that name.
    pub fn size_of(&self, name: &str) -> Option<u64> {
        self.structure.find(name).map(|entry| entry.size)
    }

    /// The manifest. Errors: foreign (neither manifest nor payload of ours), manifest gone,
    /// unreadable, or of a newer format.
    pub fn manifest(&mut self) -> Result<Manifest> {
        if !self.has(MANIFEST) {
            let ours = self.each_name().any(|name| payload_member(name).is_some());
            return Err(damaged(&self.path, if ours { LOST } else { FOREIGN }));
        }
        /// Read first: a later format may lack what this one has.
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = self.json(MANIFEST, MANIFEST_MAX)?;
        if head.format > FORMAT {
            return Err(damaged(&self.path, "was made by a newer pg_backup")
                .hint("Update the extension to read it."));
        }
        self.json(MANIFEST, MANIFEST_MAX)
    }

    /// Whether the members are those that the manifest lists, with the sizes that it says, and
    /// beside them only itself and what is said about it (`manifest.json`, `manifest.hmac`).
    pub fn holds(&self, manifest: &Manifest) -> Result<()> {
        let mut listed = HashSet::with_capacity(manifest.members.len());
        for member in &manifest.members {
            let shown = quoted(member.name.as_bytes());
            let what = match self.size_of(&member.name) {
                None => format!("has lost its member {shown}"),
                Some(size) if size != member.size => format!("has a broken member {shown}"),
                Some(_) if !listed.insert(member.name.as_str()) => {
                    format!("has a manifest that lists {shown} twice")
                }
                Some(_) => continue,
            };
            return Err(damaged(&self.path, &what));
        }
        let about = |name: &str| name.starts_with(ABOUT);
        match self.each_name().find(|name| !about(name) && !listed.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let shown = quoted(name.as_bytes());
                let what = format!("has a member that its manifest does not list: {shown}");
                Err(damaged(&self.path, &what))
            }
        }
    }

    /// A member of JSON, of which only what is asked for is ever in memory.
    fn json<T: serde::de::DeserializeOwned>(&self, name: &str, cap: u64) -> Result<T> {
        let text = BufReader::with_capacity(BUFFER, Gauge::new(self.member(name, cap)?));
        serde_json::from_reader(text).map_err(|error| {
            let unreadable =
                |detail: String| damaged(&self.path, "has an unreadable manifest").detail(detail);
            let text = format!("{error}.");
            match Failure::inside(&error.into()) {
                Some(failure) if failure.message == gauge::TOO_LARGE => unreadable(failure.detail),
                Some(failure) => failure,
                None => unreadable(text),
            }
        })
    }

    /// A reader of the unpacked bytes of a member that declares at most `cap` bytes. What does not
    /// hold is an error while reading, with a [`Failure`] inside.
    pub fn member(&self, name: &str, cap: u64) -> Result<MemberReader> {
        member(&self.file, &self.path, &self.structure, name, cap)
    }

    /// What its signature says, by these keys. Valid means: the manifest is what one of the keys
    /// has signed, and there are exactly the members that it names, of the sizes that it tells.
    /// That their bytes have the hashes that it tells is for the caller to find out.
    ///
    /// Errors: `Damaged` for members that cannot be read.
    pub fn signature(&self, keys: &Keys) -> Result<Signature> {
        if !self.has(SIGNATURE) {
            return Ok(Signature::Missing);
        }
        let json = self.read_member(MANIFEST, MANIFEST_MAX)?;
        let signature = keys.verify(&json, &self.read_member(SIGNATURE, SIGNATURE_MAX)?);
        let manifest = serde_json::from_slice::<Manifest>(&json).ok();
        let complete = manifest.is_some_and(|manifest| {
            let there = |member: &Member| self.size_of(&member.name) == Some(member.size);
            manifest.members.iter().all(there)
                && self.each_name().count() == manifest.members.len() + 2
        });
        Ok(if complete { signature } else { Signature::Invalid })
    }

    /// A whole member of at most `cap` bytes.
    pub fn read_member(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        read_whole(self.member(name, cap)?)
    }

    /// The payload members in the order of the file; each is stored, so that its bytes are a
    /// range of the file.
    pub fn payload(&self) -> Result<Vec<Payload>> {
        let mut members = Vec::new();
        for entry in self.structure.entries() {
            let name = self.structure.name(entry);
            if payload_member(name).is_none() {
                continue;
            }
            if entry.deflated {
                let what = format!("has a broken member {}", quoted(name.as_bytes()));
                return Err(damaged(&self.path, &what).detail("A dump is stored, not deflated."));
            }
            let name = name.to_owned();
            members.push(Payload { name, start: entry.start, size: entry.size });
        }
        Ok(members)
    }

    /// A tail for [`super::follow::Follow`], as if the writer had just finished.
    pub fn tail(&self) -> Result<Tail> {
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

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
