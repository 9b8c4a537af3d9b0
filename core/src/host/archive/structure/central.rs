//! The directory of a zip file, one member after the other.

use std::fs::File;
use std::io::{BufReader, Read};

use super::end::{End, HEADER_BYTES};
use super::fields::{Common, Fields, resolved};
use super::{defect, name, quoted, unreadable};
use crate::error::{Failure, Result};
use crate::host::archive::range::RangeReader;

const HEADER: u32 = 0x0201_4b50;
/// Read at once.
const BUFFER: usize = 64 << 10;

pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;

const ENCRYPTED: u16 = 1;
/// The sizes come behind the data.
const DESCRIPTOR: u16 = 1 << 3;
/// How hard the data were deflated, sizes behind the data, name in UTF-8.
const KNOWN_FLAGS: u16 = (1 << 1) | (1 << 2) | DESCRIPTOR | (1 << 11);

/// The kind of file in a Unix mode, which is the upper half of the external attributes.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
/// The lower half of a directory.
const DOS_DIRECTORY: u32 = 0x10;

/// Deflate makes at most 1032 bytes out of one.
const DEFLATE_RATIO: u64 = 1032;

/// A member as the directory has it.
#[derive(Debug)]
pub struct Header {
    pub name: String,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    /// Offset of its local header.
    pub offset: u64,
}

impl Header {
    pub fn deflated(&self) -> bool {
        self.method == DEFLATED
    }

    /// Whether sizes and CRC come behind the data.
    pub fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }
}

/// Reads the headers.
pub struct Directory {
    reader: BufReader<std::io::Take<RangeReader>>,
    left: u64,
}

impl Directory {
    pub fn new(file: &File, end: &End) -> Result<Self> {
        let file = file.try_clone().map_err(|e| unreadable(&e))?;
        let range = RangeReader::new(file, end.start, end.start + end.size).take(end.size);
        Ok(Self { reader: BufReader::with_capacity(BUFFER, range), left: end.entries })
    }

    /// The next member; None behind the last one, which must be the end of the directory.
    pub fn next(&mut self) -> Result<Option<Header>> {
        if self.left == 0 {
            let mut one = [0];
            return match self.reader.read(&mut one).map_err(|e| unreadable(&e))? {
                0 => Ok(None),
                _ => Err(broken("It has more members than it says.")),
            };
        }
        self.left -= 1;
        let fixed = self.bytes(HEADER_BYTES as usize)?;
        let fixed = Fixed::read(&fixed)?;
        let name = self.bytes(usize::from(fixed.common.name_len))?;
        let extra = self.bytes(usize::from(fixed.common.extra_len))?;
        let _comment = self.bytes(usize::from(fixed.comment_len))?;
        fixed.header(name, &extra).map(Some)
    }

    /// At most 64 KiB: lengths are 16-bit fields.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => broken("It has fewer members than it says."),
            _ => unreadable(&error),
        })?;
        Ok(bytes)
    }
}

fn broken(detail: &str) -> Failure {
    defect("has a broken directory").detail(detail)
}

/// The part of a header that has the same length in all.
struct Fixed {
    common: Common,
    comment_len: u16,
    disk: u16,
    attributes: u32,
    offset: u32,
}

impl Fixed {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        if fields.u32()? != HEADER {
            return Err(broken("A header is not one."));
        }
        let _versions = fields.u32()?;
        let common = Common::read(&mut fields)?;
        let comment_len = fields.u16()?;
        let (disk, _internal) = (fields.u16()?, fields.u16()?);
        let (attributes, offset) = (fields.u32()?, fields.u32()?);
        Ok(Self { common, comment_len, disk, attributes, offset })
    }

    fn header(&self, name: Vec<u8>, extra: &[u8]) -> Result<Header> {
        let shown = quoted(&name);
        if let Some(fault) = name::fault(&name) {
            return Err(defect(format!("has a member whose name {fault}: {shown}")));
        }
        if let Some(fault) = self.fault() {
            return Err(defect(format!("has a member that {fault}: {shown}")));
        }
        let Common { flags, method, crc, .. } = self.common;
        let (size, packed, mut large) = self.common.sizes(extra, &name)?;
        let offset = resolved(self.offset, &mut large)?;
        let possible = match method {
            STORED => size == packed,
            _ => size <= packed.saturating_mul(DEFLATE_RATIO),
        };
        if !possible {
            return Err(defect(format!("has a member that lies about its size: {shown}"))
                .detail(format!("{packed} bytes cannot become {size}.")));
        }
        let name = String::from_utf8(name).map_err(|_| broken("A name is not in UTF-8."))?;
        Ok(Header { name, flags, method, crc, packed, size, offset })
    }

    /// What is wrong with a member, continuing `has a member that `.
    fn fault(&self) -> Option<&'static str> {
        let kind = (self.attributes >> 16) & KIND;
        match self.common.method {
            _ if self.common.flags & ENCRYPTED != 0 => Some("is encrypted"),
            _ if self.common.flags & !KNOWN_FLAGS != 0 => Some("has unknown flags"),
            _ if kind != 0 && kind != REGULAR => Some("is a link, a device or a directory"),
            _ if self.attributes & DOS_DIRECTORY != 0 => Some("is a directory"),
            _ if self.disk != 0 => Some("is on another disk"),
            STORED | DEFLATED => None,
            _ => Some("is compressed in a way that is not read here"),
        }
    }
}
