//! Where members lie, and whether their local headers say what the directory says.
//!
//! Members follow one another from the first byte of the file to the directory: what lies between
//! them would be seen by some readers of zip files and not by others.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::central::Header;
use super::fields::{Common, Fields, IN_ZIP64};
use super::{cut, defect, quoted, unreadable};
use crate::error::{Failure, Result};

const HEADER: u32 = 0x0403_4b50;
const HEADER_BYTES: usize = 30;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// The longest descriptor: signature, CRC, two 64-bit sizes.
const DESCRIPTOR_MAX: u64 = 24;
/// Read at once: a descriptor and the next header with its name, mostly.
const WINDOW: usize = 512;

/// The place of the members that were looked at.
pub struct Extents<'a> {
    window: Window<'a>,
    /// Offset of the directory.
    end: u64,
    last: Option<Last>,
}

/// The member that was looked at last, whose end is known once the next one begins.
struct Last {
    name: String,
    data_end: u64,
    descriptor: bool,
    crc: u32,
    packed: u64,
    size: u64,
}

impl<'a> Extents<'a> {
    pub fn new(file: &'a File, end: u64) -> Self {
        Self { window: Window { file, start: 0, bytes: Vec::new() }, end, last: None }
    }

    /// Holds a member's local header against the directory's; gives the offset of its data.
    pub fn place(&mut self, header: &Header) -> Result<u64> {
        self.follows(header.offset)?;
        let start = self.local(header)?;
        let data_end = start.checked_add(header.packed).filter(|end| *end <= self.end);
        let Some(data_end) = data_end else {
            return Err(member("reaches beyond the end of the file", &header.name));
        };
        self.last = Some(Last {
            name: header.name.clone(),
            data_end,
            descriptor: header.has_descriptor(),
            crc: header.crc,
            packed: header.packed,
            size: header.size,
        });
        Ok(start)
    }

    /// The last member must reach to the directory.
    pub fn close(&mut self) -> Result<()> {
        self.follows(self.end)
    }

    /// The member before must end where the next one begins, at `next`.
    fn follows(&mut self, next: u64) -> Result<()> {
        let Some(last) = self.last.take() else {
            let wrong = defect("has bytes before its first member");
            return if next == 0 { Ok(()) } else { Err(wrong) };
        };
        let Some(gap) = next.checked_sub(last.data_end) else {
            return Err(member("overlaps the next one or is out of order", &last.name));
        };
        let hidden = || member("has hidden bytes behind it", &last.name);
        match (last.descriptor, gap) {
            (false, 0) => Ok(()),
            (true, 12 | 16 | 20 | DESCRIPTOR_MAX) if next <= self.end => {
                let bytes = self.window.bytes(last.data_end, gap as usize)?;
                let agrees = describes(bytes, &last)?;
                if agrees { Ok(()) } else { Err(disagree(&last.name)) }
            }
            _ => Err(hidden()),
        }
    }

    /// Reads the local header; gives the offset behind it.
    fn local(&mut self, header: &Header) -> Result<u64> {
        let at = header.offset;
        let fixed = fixed(self.window.bytes(at, HEADER_BYTES)?)?;
        let (name_len, extra_len) = (usize::from(fixed.name_len), usize::from(fixed.extra_len));
        if name_len != header.name.len() {
            return Err(disagree(&header.name));
        }
        let whole = self.window.bytes(at, HEADER_BYTES + name_len + extra_len)?;
        let (name, extra) = whole[HEADER_BYTES..].split_at(name_len);
        if name != header.name.as_bytes() || !agrees(&fixed, header, extra)? {
            return Err(disagree(&header.name));
        }
        Ok(at + whole.len() as u64)
    }
}

fn member(what: &str, name: &str) -> Failure {
    defect(format!("has a member that {what}: {}", quoted(name.as_bytes())))
}

fn disagree(name: &str) -> Failure {
    member("its own header describes differently than the directory", name)
}

/// Whether the bytes behind a member's data are its descriptor: with or without a signature, with
/// sizes of 32 or 64 bits, which its length tells.
fn describes(bytes: &[u8], last: &Last) -> Result<bool> {
    let mut fields = Fields(bytes);
    if matches!(bytes.len(), 16 | 24) && fields.u32()? != DESCRIPTOR {
        return Ok(false);
    }
    let crc = fields.u32()?;
    let (packed, size) = match fields.0.len() {
        8 => (u64::from(fields.u32()?), u64::from(fields.u32()?)),
        _ => (fields.u64()?, fields.u64()?),
    };
    Ok((crc, packed, size) == (last.crc, last.packed, last.size))
}

/// The part of a local header that has the same length in all.
fn fixed(bytes: &[u8]) -> Result<Common> {
    let mut fields = Fields(bytes);
    if fields.u32()? != HEADER {
        return Err(
            defect("has a broken directory").detail("It tells of a member that is not there.")
        );
    }
    let _version = fields.u16()?;
    Common::read(&mut fields)
}

/// Whether a local header says what the directory says. Sizes and CRC may be left to the
/// descriptor: zero, or in the zip64 field that is zero.
fn agrees(fixed: &Common, header: &Header, extra: &[u8]) -> Result<bool> {
    if fixed.flags != header.flags || fixed.method != header.method {
        return Ok(false);
    }
    let (size, packed, _) = fixed.sizes(extra, header.name.as_bytes())?;
    let later =
        |value: u64| header.has_descriptor() && (value == 0 || value == u64::from(IN_ZIP64));
    let same = |value: u64, wanted: u64| value == wanted || later(value);
    Ok(same(size, header.size)
        && same(packed, header.packed)
        && same(u64::from(fixed.crc), u64::from(header.crc)))
}

/// A part of the file in memory.
struct Window<'a> {
    file: &'a File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `count` bytes at `at`: at most a header with its 16-bit lengths.
    fn bytes(&mut self, at: u64, count: usize) -> Result<&[u8]> {
        let inside = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let there = inside
            .filter(|skip| skip.checked_add(count).is_some_and(|end| end <= self.bytes.len()));
        let skip = match there {
            Some(skip) => skip,
            None => {
                self.fill(at, count)?;
                0
            }
        };
        Ok(&self.bytes[skip..skip + count])
    }

    fn fill(&mut self, at: u64, count: usize) -> Result<()> {
        self.bytes.clear();
        self.bytes.resize(count.max(WINDOW), 0);
        self.start = at;
        let mut filled = 0;
        while filled < count {
            let read =
                self.file.read_at(&mut self.bytes[filled..], at.saturating_add(filled as u64));
            match read {
                Ok(0) => return Err(cut("A member reaches beyond the end of the file.")),
                Ok(more) => filled += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}
