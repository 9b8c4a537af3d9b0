//! Names of the folders and files that we make.
//!
//! In: a database's name, which may hold any byte but NUL, and the run. Out: short ASCII names in
//! lower case, safe in every file system and shell, which never start with a dot or a dash. A
//! name that had to be changed carries part of its hash, so that two databases share a folder
//! on no file system, not on one that ignores case either. An archive's name tells its run.

use chrono::{DateTime, NaiveDateTime, Utc};
use sha2::{Digest, Sha256};

/// Longest readable part of a database's name, bytes.
const SAFE_BYTES: usize = 40;
/// Hexadecimal digits of the hash behind a changed name.
const HASH_DIGITS: usize = 8;
/// Longest name of an archive, bytes: leaves room for `.` and `.partial` in the 143 bytes that
/// the strictest common file system (eCryptfs) allows.
pub const MAX_NAME_BYTES: usize = 120;
/// Moment of an archive's name, UTC.
const STAMP: &str = "%Y%m%dT%H%M%SZ";
/// 0000-01-01 and 9999-12-31 23:59:59: years of four digits, seconds since the Unix epoch.
const STAMP_RANGE: (i64, i64) = (-62_167_219_200, 253_402_300_799);
const ENDING: &str = ".zip";
const PARTIAL_ENDING: &str = ".partial";

/// Bytes of a name in the server (NAMEDATALEN - 1).
const IDENTIFIER_BYTES: usize = 63;

/// The name of a database with an ending, cut before the ending where it would be too long: the
/// server would cut the ending.
pub fn cut_name(name: &str, ending: &str) -> String {
    let mut room = IDENTIFIER_BYTES.saturating_sub(ending.len()).min(name.len());
    while !name.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}{ending}", &name[..room])
}

/// What an archive's name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    /// Safe name of the database ([`safe_name`]).
    pub safe: String,
    /// Start of the run, whole seconds.
    pub started: DateTime<Utc>,
    /// Id of the run.
    pub id: i64,
    /// 0, or a later try because the first name was taken.
    pub attempt: u32,
}

/// The name of a database's folder: `[a-z0-9_.-]`, at most 49 bytes, not empty.
pub fn safe_name(database: &str) -> String {
    let mut safe: String = database.chars().take(SAFE_BYTES).map(safe_char).collect();
    if safe.is_empty() || safe.starts_with(['.', '-']) {
        safe.replace_range(..safe.len().min(1), "_");
    }
    // A name that looks like a changed one counts as changed: it could be another's.
    if safe == database && !has_hash(&safe) {
        return safe;
    }
    let hash = Sha256::digest(database.as_bytes());
    let hex: String = hash.iter().take(HASH_DIGITS / 2).map(|b| format!("{b:02x}")).collect();
    format!("{safe}-{hex}")
}

fn safe_char(c: char) -> char {
    match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '-' | '.') => c,
        _ => '_',
    }
}

/// Whether `name` ends like a changed name.
fn has_hash(name: &str) -> bool {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    name.rsplit_once('-')
        .is_some_and(|(_, tail)| tail.len() == HASH_DIGITS && tail.bytes().all(is_hex))
}

/// Whether `name` can be a result of [`safe_name`].
fn is_safe(name: &str) -> bool {
    let longest = SAFE_BYTES + if has_hash(name) { 1 + HASH_DIGITS } else { 0 };
    (1..=longest).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| safe_char(c) == c)
}

/// The name of an archive: `<safe>_<YYYYMMDDTHHMMSSZ>_<id>.zip`; a later attempt, for when the
/// name is taken, ends in `_<id>-<attempt>.zip`. Ids are positive (a negative one counts as 0),
/// years have four digits (a moment outside of them counts as the nearest one inside).
pub fn archive_name(database: &str, started: DateTime<Utc>, id: i64, attempt: u32) -> String {
    let name = ArchiveName { safe: safe_name(database), started, id: id.max(0), attempt };
    name.to_file_name()
}

impl ArchiveName {
    fn to_file_name(&self) -> String {
        let seconds = self.started.timestamp().clamp(STAMP_RANGE.0, STAMP_RANGE.1);
        let stamp = DateTime::from_timestamp(seconds, 0).unwrap_or_default().format(STAMP);
        let attempt = match self.attempt {
            0 => String::new(),
            attempt => format!("-{attempt}"),
        };
        format!("{}_{stamp}_{}{attempt}{ENDING}", self.safe, self.id)
    }
}

/// Reads an archive's name; none if [`archive_name`] did not make it.
pub fn parse_archive_name(name: &str) -> Option<ArchiveName> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let (rest, number) = name.strip_suffix(ENDING)?.rsplit_once('_')?;
    let (safe, stamp) = rest.rsplit_once('_')?;
    let (id, attempt) = match number.split_once('-') {
        Some((id, attempt)) => (id.parse().ok()?, attempt.parse().ok()?),
        None => (number.parse().ok()?, 0),
    };
    let started = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc();
    let parsed = ArchiveName { safe: safe.into(), started, id, attempt };
    // One spelling only: no leading zeros, signs or spaces, which the parsers above let pass.
    (is_safe(safe) && parsed.to_file_name() == name).then_some(parsed)
}

/// The name of an archive that is not published yet.
pub fn partial_name(name: &str) -> String {
    format!(".{name}{PARTIAL_ENDING}")
}

/// Whether this is the partial of an archive of ours, which a sweep may remove. A file that only
/// ends in `.partial` is somebody else's.
pub fn is_partial(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(PARTIAL_ENDING))
        .is_some_and(|inner| parse_archive_name(inner).is_some())
}

#[cfg(test)]
mod tests;
