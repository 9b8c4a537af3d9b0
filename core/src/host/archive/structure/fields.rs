//! Little-endian fields out of a few bytes, the fields that both headers of a member have, and the
//! blocks of extra fields.

use bytes::Buf;

use super::defect;
use crate::error::{Failure, Result};

/// Says in a 16-bit field that the value is in the zip64 fields.
pub const IN_ZIP64_16: u16 = u16::MAX;
/// The same in a 32-bit field.
pub const IN_ZIP64: u32 = u32::MAX;

/// Kind of the extra field with 64-bit values.
const ZIP64: u16 = 0x0001;
/// Kind of the extra field with a name of its own.
const UNICODE_NAME: u16 = 0x7075;

/// Bytes that are taken one field after the other.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn u16(&mut self) -> Result<u16> {
        self.0.try_get_u16_le().map_err(|_| short())
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32_le().map_err(|_| short())
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64_le().map_err(|_| short())
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn short() -> Failure {
    defect("has a broken directory").detail("A field ends before its end.")
}

/// What both headers of a member hold, one behind the other: that in the directory and its own.
pub struct Common {
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    packed: u32,
    size: u32,
    pub name_len: u16,
    pub extra_len: u16,
}

impl Common {
    pub fn read(fields: &mut Fields<'_>) -> Result<Self> {
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        let (crc, packed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
        Ok(Self { flags, method, crc, packed, size, name_len, extra_len })
    }

    /// Size, and size in the file, of the member of that name; and what is left of the 64-bit
    /// values in its extra fields.
    pub fn sizes<'a>(&self, extra: &'a [u8], name: &[u8]) -> Result<(u64, u64, Fields<'a>)> {
        let mut large = zip64(extra, name)?;
        let size = resolved(self.size, &mut large)?;
        let packed = resolved(self.packed, &mut large)?;
        Ok((size, packed, large))
    }
}

/// The 64-bit values in the extra fields of a header; empty when there are none. Another name for
/// the member than the header's is refused: who reads it and who does not see different files.
fn zip64<'a>(extra: &'a [u8], name: &[u8]) -> Result<Fields<'a>> {
    let mut found = None;
    let mut rest = Fields(extra);
    // Fewer bytes than the head of a field are padding.
    while rest.0.len() >= 4 {
        let (kind, length) = (rest.u16()?, rest.u16()?);
        let value = rest.take(usize::from(length))?;
        match kind {
            ZIP64 if found.replace(value).is_some() => {
                return Err(defect("has a broken directory").detail("Two zip64 fields."));
            }
            // One byte of version and a CRC come before the name.
            UNICODE_NAME if value.get(5..) != Some(name) => {
                return Err(defect("has a member with two names"));
            }
            _ => {}
        }
    }
    Ok(Fields(found.unwrap_or_default()))
}

/// A 32-bit value, or the next 64-bit one where it says so.
pub fn resolved(value: u32, zip64: &mut Fields<'_>) -> Result<u64> {
    match value {
        IN_ZIP64 if !zip64.0.is_empty() => zip64.u64(),
        value => Ok(u64::from(value)),
    }
}
