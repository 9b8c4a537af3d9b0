//! The end of a zip file: where its directory is and how many members it tells of.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::fields::{Fields, IN_ZIP64, IN_ZIP64_16};
use super::{DIRECTORY_MAX, MEMBERS_MAX, cut, defect, unreadable};
use crate::error::Result;

const END: u32 = 0x0605_4b50;
const END_BYTES: u64 = 22;
const LOCATOR: u32 = 0x0706_4b50;
const LOCATOR_BYTES: u64 = 20;
const END64: u32 = 0x0606_4b50;
const END64_BYTES: u64 = 56;
/// What `END64` says of its own size: all but the first twelve bytes.
const END64_SAYS: u64 = END64_BYTES - 12;
/// The least that a member takes in the directory.
pub const HEADER_BYTES: u64 = 46;

/// Where the directory lies.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub entries: u64,
    /// Offset of its first byte, which is behind the last member.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
}

/// The fields of either kind of end.
struct Raw {
    disks: [u32; 2],
    on_disk: u64,
    entries: u64,
    size: u64,
    start: u64,
}

/// Finds the end, which must be the last thing in the file, and holds it against the file's size
/// before anybody allocates by it.
pub fn find(file: &File, file_size: u64) -> Result<End> {
    let Some(at) = file_size.checked_sub(END_BYTES) else {
        return Err(cut("It is shorter than an empty zip archive."));
    };
    let bytes: [u8; END_BYTES as usize] = block(file, at)?;
    let old = old_end(&bytes)?;
    let (raw, end_at) = match located(file, at)? {
        Some(place) => (agreeing(&old, end64(file, place)?)?, place),
        None => (old, at),
    };
    checked(&raw, end_at)
}

fn block<const N: usize>(file: &File, at: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).map_err(|e| unreadable(&e))?;
    Ok(bytes)
}

fn old_end(bytes: &[u8]) -> Result<Raw> {
    let mut fields = Fields(bytes);
    if fields.u32()? != END {
        return Err(cut("The end of the zip's directory is not at the end of the file."));
    }
    let disks = [u32::from(fields.u16()?), u32::from(fields.u16()?)];
    let (on_disk, entries) = (u64::from(fields.u16()?), u64::from(fields.u16()?));
    let (size, start) = (u64::from(fields.u32()?), u64::from(fields.u32()?));
    if fields.u16()? != 0 {
        return Err(cut("It ends before the comment that it announces."));
    }
    Ok(Raw { disks, on_disk, entries, size, start })
}

/// Offset of the zip64 end, when there is one: right before the place that says so.
fn located(file: &File, end_at: u64) -> Result<Option<u64>> {
    let Some(at) = end_at.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let bytes: [u8; LOCATOR_BYTES as usize] = block(file, at)?;
    let mut fields = Fields(&bytes);
    if fields.u32()? != LOCATOR {
        return Ok(None);
    }
    let (disk, place, disks) = (fields.u32()?, fields.u64()?, fields.u32()?);
    if disk != 0 || disks > 1 {
        return Err(several_disks());
    }
    match place.checked_add(END64_BYTES) {
        Some(end) if end == at => Ok(Some(place)),
        _ => Err(defect("has a broken end").detail("The zip64 end is not where it should be.")),
    }
}

fn end64(file: &File, at: u64) -> Result<Raw> {
    let bytes: [u8; END64_BYTES as usize] = block(file, at)?;
    let mut fields = Fields(&bytes);
    if fields.u32()? != END64 || fields.u64()? != END64_SAYS {
        return Err(defect("has a broken end").detail("The zip64 end is not one."));
    }
    let _versions = fields.u32()?;
    Ok(Raw {
        disks: [fields.u32()?, fields.u32()?],
        on_disk: fields.u64()?,
        entries: fields.u64()?,
        size: fields.u64()?,
        start: fields.u64()?,
    })
}

/// The zip64 end, where the old one leaves the value to it or says the same.
fn agreeing(old: &Raw, new: Raw) -> Result<Raw> {
    let short = |old: u64, new: u64| old == u64::from(IN_ZIP64_16) || old == new;
    let long = |old: u64, new: u64| old == u64::from(IN_ZIP64) || old == new;
    let agree = short(old.entries, new.entries)
        && short(old.on_disk, new.on_disk)
        && long(old.size, new.size)
        && long(old.start, new.start);
    if agree {
        return Ok(new);
    }
    Err(defect("has a broken end").detail("The zip64 end and the old one disagree."))
}

fn several_disks() -> crate::error::Failure {
    defect("is a part of a zip archive on several disks")
}

fn checked(raw: &Raw, end_at: u64) -> Result<End> {
    if raw.disks != [0, 0] || raw.on_disk != raw.entries {
        return Err(several_disks());
    }
    if raw.start.checked_add(raw.size) != Some(end_at) {
        return Err(defect("has a broken end")
            .detail("The directory of the zip does not end where its end begins."));
    }
    if raw.entries > MEMBERS_MAX {
        return Err(defect("has too many members")
            .detail(format!("It has {}, at most {MEMBERS_MAX} are read.", raw.entries)));
    }
    if raw.size > DIRECTORY_MAX {
        return Err(defect("has too large a directory")
            .detail(format!("It has {} bytes, at most {DIRECTORY_MAX} are read.", raw.size)));
    }
    if raw.entries * HEADER_BYTES > raw.size {
        return Err(defect("has a broken end").detail(
            format!("{} members do not fit a directory of {}", raw.entries, raw.size) + " bytes.",
        ));
    }
    Ok(End { entries: raw.entries, start: raw.start, size: raw.size })
}
