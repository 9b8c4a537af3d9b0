//! Which members of an archive are written out, and by which names.
//!
//! In: the manifest, and the name of a member, of a folder of members, or nothing for all. Out:
//! pieces, each a file or folder below a directory that is made for them. What must hold: no name
//! leads out of that directory, whatever the manifest says.

use chrono::{DateTime, Utc};
use std::collections::HashMap;

use super::archive_spec::{MANIFEST, payload_member};
use super::attachments::{ATTACHMENTS, decode};
use super::manifest::{AttachedEntry, Manifest, Member};
use crate::error::{Class, Failure, Result};

/// Mode of what has none in the manifest.
const FILE_MODE: u32 = 0o600;
/// Of a recorded mode these bits are restored: no set-user-id, no sticky bit.
const RESTORED: u32 = 0o777;
/// What the owner of a folder may always do: else nobody could fill or remove it.
const FOLDER_MODE: u32 = 0o700;
/// Mode of a file whose text in the manifest is no mode.
const RADIX: u32 = 8;

/// One file or folder to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub kind: Kind,
    /// Names from the directory downwards; none is empty, `.`, `..` or holds a slash or NUL.
    pub path: Vec<Vec<u8>>,
    pub mode: u32,
    pub modified: Option<DateTime<Utc>>,
}

/// What a piece is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Folder,
    /// A member whose size and hash are known.
    File(Member),
    /// The manifest, which says nothing of itself.
    Manifest,
}

/// The pieces of `wanted`: a member, a folder of members, or everything when it is empty.
/// A folder gives what is in it, one member gives a file of its last name.
/// Errors: `UndefinedObject` when there is no such member, `Damaged` for strange names.
pub fn pieces(manifest: &Manifest, wanted: &str) -> Result<Vec<Piece>> {
    let wanted = wanted.trim_end_matches('/');
    let mut pieces = Vec::new();
    let entries = manifest.attachments.iter().flat_map(|attached| &attached.entries);
    let entries: HashMap<&str, &AttachedEntry> =
        entries.map(|entry| (entry.member.as_str(), entry)).collect();
    for attached in &manifest.attachments {
        let folders = attached.entries.iter().filter(|entry| entry.member.ends_with('/'));
        for entry in folders {
            let name = entry.member.trim_end_matches('/');
            if let Some(path) = below(name, wanted).filter(|path| !path.is_empty()) {
                pieces.push(piece(Kind::Folder, name, path, Some(entry))?);
            }
        }
    }
    // What an attached folder is itself: it may be empty, and then nothing else tells of it.
    let is_folder = entries.contains_key(format!("{wanted}/").as_str());
    for member in &manifest.members {
        if let Some(path) = below(&member.name, wanted) {
            let entry = entries.get(member.name.as_str()).copied();
            let path = if path.is_empty() { last_name(&member.name) } else { path };
            pieces.push(piece(Kind::File(member.clone()), &member.name, path, entry)?);
        }
    }
    if wanted.is_empty() || wanted == MANIFEST {
        pieces.push(piece(Kind::Manifest, MANIFEST, MANIFEST, None)?);
    }
    if pieces.is_empty() && !is_folder {
        return Err(unknown(wanted));
    }
    Ok(pieces)
}

fn unknown(wanted: &str) -> Failure {
    let message = format!("the archive has no member \"{}\"", wanted.escape_debug());
    Failure::new(Class::UndefinedObject, message).hint(
        "See backup_contents() for attached files; 'attachments' stands for all of them. \
         The other members are listed in members of the manifest: see backup_manifest.",
    )
}

/// What is left of a member's name below `wanted`: empty when it is that member itself.
fn below<'a>(name: &'a str, wanted: &str) -> Option<&'a str> {
    if wanted.is_empty() {
        return Some(name);
    }
    let rest = name.strip_prefix(wanted)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/').filter(|r| !r.is_empty()) }
}

fn last_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

fn piece(kind: Kind, member: &str, path: &str, entry: Option<&AttachedEntry>) -> Result<Piece> {
    let attached = member.starts_with(ATTACHMENTS);
    let name = |text: &str| match attached {
        true => decode(text),
        false => is_plain(text).then(|| text.as_bytes().to_owned()),
    };
    let path: Option<Vec<_>> = path.split('/').map(name).collect();
    let path = path.ok_or_else(|| {
        let shown: String = member.escape_debug().take(200).collect();
        Failure::new(Class::Damaged, format!("member \"{shown}\" has a strange name"))
            .hint("pg_backup writes no such name. Do not rely on this archive.")
    })?;
    let recorded = entry.and_then(|entry| u32::from_str_radix(&entry.mode, RADIX).ok());
    let mode = recorded.unwrap_or(FILE_MODE) & RESTORED;
    let mode = if kind == Kind::Folder { mode | FOLDER_MODE } else { mode };
    Ok(Piece { kind, path, mode, modified: entry.map(|entry| entry.modified) })
}

/// A name as pg_dump and we use it.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

/// The same pieces with the payload as pg_restore and psql read it: under the name without the
/// ending of our compression.
pub fn unpacked(mut pieces: Vec<Piece>) -> Vec<Piece> {
    for piece in &mut pieces {
        let Kind::File(member) = &piece.kind else { continue };
        let packed = payload_member(&member.name).is_some();
        let (Some(last), true) = (piece.path.last_mut(), packed) else { continue };
        for ending in [".zst", ".gz"] {
            if let Some(stem) = last.strip_suffix(ending.as_bytes()) {
                *last = stem.to_owned();
                break;
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
