//! The structure of a zip file, looked at before anything in it is used: a file may come from
//! anywhere, and whoever made it may lie in every field.
//!
//! In: an open file and its size. Out: its members, or the first defect. What must hold, so that
//! every reader of a zip sees the same members in it as we do: the end of the directory is the
//! end of the file, counts and sizes agree, the local header of a member says what the directory
//! says, members follow one another without a gap or an overlap from the first byte on, names
//! are relative, plain and unique, nothing is encrypted, linked or compressed in a strange way.
//! Memory: [`MEMBERS_MAX`] times 44 bytes, and the names.

use std::fs::File;
use std::io;

use crate::error::{Class, Failure, Result};

mod central;
mod end;
mod fields;
mod local;
mod name;

/// Most members: the files of 250,000 tables, which is what a dump is counted for, and as many
/// large objects or attachments.
pub const MEMBERS_MAX: u64 = 500_000;
/// Largest directory of the zip, bytes: 160 for each of that many members.
pub const DIRECTORY_MAX: u64 = 80 << 20;
/// Most bytes of all names together: 64 for each of that many members.
pub const NAMES_MAX: usize = 32 << 20;
/// Longest name of a member, bytes.
pub const NAME_MAX: usize = 1024;

/// One member, as directory and local header agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    name_at: u32,
    name_len: u16,
    pub deflated: bool,
    pub crc: u32,
    /// Offset of its first byte in the file.
    pub start: u64,
    /// Bytes in the file.
    pub packed: u64,
    /// Bytes once unpacked, as declared; reading on behind them is a defect.
    pub size: u64,
}

/// The members of a zip file.
#[derive(Debug, Default)]
pub struct Structure {
    /// All names, one behind the other.
    names: String,
    /// In the order of the file.
    entries: Vec<Entry>,
    /// Numbers of entries in the order of their names.
    by_name: Vec<u32>,
}

impl Structure {
    /// Looks at all of `file`, which has `size` bytes. The message of a defect continues
    /// `archive "…" `.
    pub fn read(file: &File, size: u64) -> Result<Self> {
        let end = end::find(file, size)?;
        let mut structure = Self::default();
        let mut extents = local::Extents::new(file, end.start);
        let mut directory = central::Directory::new(file, &end)?;
        while let Some(header) = directory.next()? {
            let start = extents.place(&header)?;
            structure.push(&header, start)?;
        }
        extents.close()?;
        structure.sort()?;
        Ok(structure)
    }

    fn push(&mut self, header: &central::Header, start: u64) -> Result<()> {
        let name = header.name.as_str();
        if self.names.len() + name.len() > NAMES_MAX {
            return Err(defect(format!("has more than {NAMES_MAX} bytes of names")));
        }
        self.entries.push(Entry {
            name_at: self.names.len() as u32,
            name_len: name.len() as u16,
            deflated: header.deflated(),
            crc: header.crc,
            start,
            packed: header.packed,
            size: header.size,
        });
        self.names.push_str(name);
        Ok(())
    }

    /// Sorts the names and refuses one that comes twice.
    fn sort(&mut self) -> Result<()> {
        let mut by_name: Vec<u32> = (0..self.entries.len() as u32).collect();
        by_name.sort_unstable_by_key(|number| self.name(&self.entries[*number as usize]));
        let name = |number: u32| self.name(&self.entries[number as usize]);
        if let Some(pair) = by_name.windows(2).find(|pair| name(pair[0]) == name(pair[1])) {
            let name = quoted(name(pair[0]).as_bytes());
            return Err(defect(format!("has two members named {name}")));
        }
        self.by_name = by_name;
        Ok(())
    }

    /// The members in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name of a member of this file.
    pub fn name(&self, entry: &Entry) -> &str {
        let at = entry.name_at as usize;
        &self.names[at..at + usize::from(entry.name_len)]
    }

    /// The member of that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let entry = |number: &u32| &self.entries[*number as usize];
        let found = self.by_name.binary_search_by(|number| self.name(entry(number)).cmp(name));
        found.ok().map(|at| entry(&self.by_name[at]))
    }
}

/// For who writes an archive: whether one with `members` members and `name_bytes` bytes of names
/// can be read again when it gets one more, of that name.
pub fn check_next(members: usize, name_bytes: usize, name: &str) -> Result<()> {
    if let Some(fault) = name::fault(name.as_bytes()) {
        let shown = quoted(name.as_bytes());
        return Err(Failure::new(
            Class::InvalidArgument,
            format!("an archive cannot have a member whose name {fault}: {shown}"),
        ));
    }
    if (members as u64) < MEMBERS_MAX && name_bytes + name.len() <= NAMES_MAX {
        return Ok(());
    }
    Err(Failure::new(Class::LimitExceeded, "an archive cannot have so many members")
        .detail(format!("At most {MEMBERS_MAX}, with {NAMES_MAX} bytes of names, can be read."))
        .hint("Use format => 'custom', which is one member, or attach less."))
}

/// A defect of the file.
fn defect(what: impl Into<String>) -> Failure {
    Failure::new(Class::Damaged, what)
}

/// What is no zip at all, or has lost its end.
fn cut(detail: &str) -> Failure {
    defect("is truncated or not a zip archive").detail(detail)
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::io("read the archive", error)
}

/// A name for a message: between quotes, what is not printable escaped, the end left out where
/// it is long.
pub fn quoted(name: &[u8]) -> String {
    /// Characters of a name in a message.
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(&name[..name.len().min(NAME_MAX)]);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
