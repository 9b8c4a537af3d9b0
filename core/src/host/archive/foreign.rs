//! A zip archive of another program, with the same distrust as one that says it is ours.
//!
//! Read so far: what Tracearr writes, exactly two members `metadata.json` and `database.dump`,
//! each stored or deflated. There is no hash in it: only sizes and CRCs are held against the data.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::member::MemberReader;
use super::reader::{damaged, open_file, read_whole, structure_of};
use super::structure::Structure;
use crate::error::Result;

/// What the other program says about its backup.
pub const METADATA: &str = "metadata.json";
/// A dump in custom format.
pub const DUMP: &str = "database.dump";
/// Tracearr's metadata have some 600 bytes.
const METADATA_MAX: u64 = 1 << 20;

/// A zip archive with metadata and a dump.
#[derive(Debug)]
pub struct ForeignZip {
    path: PathBuf,
    file: File,
    structure: Structure,
}

impl ForeignZip {
    /// Opens it. Errors: missing, Damaged when its structure is broken or unsafe, or when its
    /// members are others than the two.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(open_file(path)?, path)
    }

    /// The same of a file that is open; `path` is how errors call it.
    pub fn of(file: File, path: &Path) -> Result<Self> {
        let structure = structure_of(&file, path)?;
        let both = structure.find(METADATA).is_some() && structure.find(DUMP).is_some();
        if !both || structure.entries().len() != 2 {
            return Err(damaged(path, "is a zip archive of neither pg_backup nor Tracearr")
                .detail(format!("Tracearr's have two members, {METADATA} and {DUMP}.")));
        }
        Ok(Self { path: path.to_owned(), file, structure })
    }

    /// The bytes of the metadata, at most 1 MiB. It is for the caller to parse them.
    pub fn metadata(&self) -> Result<Vec<u8>> {
        read_whole(self.member(METADATA, METADATA_MAX)?)
    }

    /// The unpacked bytes of the dump. Errors: Damaged when it declares more than `cap` bytes, and
    /// while reading, inside the `io::Error`, when it does not hold what it declares.
    pub fn dump(&self, cap: u64) -> Result<impl Read + Send + use<>> {
        self.member(DUMP, cap)
    }

    fn member(&self, name: &str, cap: u64) -> Result<MemberReader> {
        super::reader::member(&self.file, &self.path, &self.structure, name, cap)
    }
}
