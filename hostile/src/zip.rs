//! A zip file out of raw fields. What is not set by hand is as it should be.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;
/// Sizes come behind the data.
pub const DESCRIPTOR: u16 = 1 << 3;
/// A regular file, readable and writable by its owner, as Unix has it in the upper half.
const REGULAR: u32 = 0o100_600 << 16;

/// The fields of one header of a member, of the directory or in front of the data.
#[derive(Debug, Clone, Default)]
pub struct Header {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed: u32,
    pub size: u32,
    pub extra: Vec<u8>,
    /// In the directory only.
    pub disk: u16,
    /// In the directory only.
    pub attributes: u32,
    /// In the directory only: where the local header is, unless it is where it was written.
    pub offset: Option<u32>,
}

/// A member: two headers that agree until somebody changes one, and its bytes in the file.
#[derive(Debug, Clone, Default)]
pub struct Member {
    pub local: Header,
    pub central: Header,
    /// Between local header and whatever comes next.
    pub packed: Vec<u8>,
    /// Behind the packed bytes: a descriptor, or what should not be there.
    pub behind: Vec<u8>,
    /// Not in the directory, or only there.
    pub only_local: bool,
    pub only_central: bool,
}

impl Member {
    /// A member as it is.
    pub fn stored(name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        Self::new(name.as_ref(), STORED, of(data).sum(), data.len(), data.to_vec())
    }

    /// A deflated one.
    pub fn deflated(name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        Self::new(name.as_ref(), DEFLATED, of(data).sum(), data.len(), deflate(data))
    }

    /// `head`, then `count` times `block`, then `tail`, deflated, without ever being in memory.
    pub fn repeated(name: &str, head: &[u8], block: &[u8], count: usize, tail: &[u8]) -> Self {
        let (block_packed, block_crc) = (deflated_block(block), of(block));
        let (mut packed, mut sum) = (deflated_block(head), of(head));
        for _ in 0..count {
            packed.extend(&block_packed);
            sum.combine(&block_crc);
        }
        packed.extend(deflate(tail));
        sum.combine(&of(tail));
        let size = head.len() + count * block.len() + tail.len();
        Self::new(name.as_ref(), DEFLATED, sum.sum(), size, packed)
    }

    /// So many MiB of blanks, deflated.
    pub fn bomb(name: &str, mib: usize) -> Self {
        Self::repeated(name, b"", &[b' '; 1 << 20], mib, b"")
    }

    fn new(name: &[u8], method: u16, crc: u32, size: usize, packed: Vec<u8>) -> Self {
        let header = Header {
            name: name.to_vec(),
            method,
            crc,
            packed: packed.len() as u32,
            size: size as u32,
            attributes: REGULAR,
            ..Header::default()
        };
        let (local, central) = (header.clone(), header);
        Self { local, central, packed, ..Self::default() }
    }

    /// Changes both headers in the same way.
    pub fn both(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// Changes what the directory says.
    pub fn central(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.central);
        self
    }

    /// Changes what stands before the data.
    pub fn local(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.local);
        self
    }

    /// Sizes and CRC behind the data, as a stream has them, but for `change`.
    #[must_use]
    pub fn described(mut self, change: impl FnOnce(&mut [u32; 3])) -> Self {
        let mut fields = [self.central.crc, self.central.packed, self.central.size];
        change(&mut fields);
        self.behind = 0x0807_4b50u32.to_le_bytes().to_vec();
        self.behind.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        self = self.both(|header| header.flags |= DESCRIPTOR);
        self.local(|header| (header.crc, header.packed, header.size) = (0, 0, 0))
    }
}

/// An extra field.
pub fn extra(kind: u16, value: &[u8]) -> Vec<u8> {
    let head = [kind.to_le_bytes(), (value.len() as u16).to_le_bytes()];
    head.concat().into_iter().chain(value.iter().copied()).collect()
}

/// The zip64 field with these values.
pub fn zip64(values: &[u64]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    extra(1, &bytes)
}

/// What the end of the file says, where it is not the truth.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub disk: u16,
    pub entries: Option<u16>,
    pub size: Option<u32>,
    pub start: Option<u32>,
    /// A zip64 end before the old one, with this count of members.
    pub zip64_entries: Option<u64>,
    /// Length of a comment that is not there.
    pub comment: u16,
}

/// A whole file.
#[derive(Debug, Clone, Default)]
pub struct Zip {
    pub before: Vec<u8>,
    pub members: Vec<Member>,
    pub end: End,
    pub after: Vec<u8>,
}

impl Zip {
    /// The members of a good archive, small ones deflated again.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut archive = ::zip::ZipArchive::new(File::open(path)?)?;
        let mut members = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            let name = file.name()?.into_owned();
            let mut data = Vec::new();
            file.read_to_end(&mut data)?;
            members.push(match file.compression() {
                ::zip::CompressionMethod::Stored => Member::stored(name, &data),
                _ => Member::deflated(name, &data),
            });
        }
        Ok(Self { members, ..Self::default() })
    }

    /// The same with one member more at the end.
    pub fn with(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// The same with the member `name` changed.
    pub fn changed(mut self, name: &str, change: impl FnOnce(Member) -> Member) -> Self {
        let found = self.members.iter().position(|m| m.central.name == name.as_bytes());
        let at = found.expect("the archive has that member");
        self.members[at] = change(self.members[at].clone());
        self
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.before.clone();
        let mut directory = Vec::new();
        let mut entries = 0u64;
        for member in &self.members {
            let offset = file.len() as u32;
            if !member.only_central {
                member.local.write_local(&mut file);
                file.extend(&member.packed);
                file.extend(&member.behind);
            }
            if !member.only_local {
                member.central.write_central(offset, &mut directory);
                entries += 1;
            }
        }
        let start = file.len() as u64;
        file.extend(&directory);
        self.end.write(entries, directory.len() as u64, start, &mut file);
        file.extend(&self.after);
        file
    }
}

impl Header {
    fn common(&self, file: &mut Vec<u8>) {
        file.extend(20u16.to_le_bytes());
        file.extend(self.flags.to_le_bytes());
        file.extend(self.method.to_le_bytes());
        file.extend([0, 0, 0x21, 0x50]);
        for field in [self.crc, self.packed, self.size] {
            file.extend(field.to_le_bytes());
        }
        file.extend((self.name.len() as u16).to_le_bytes());
        file.extend((self.extra.len() as u16).to_le_bytes());
    }

    fn write_local(&self, file: &mut Vec<u8>) {
        file.extend(b"PK\x03\x04");
        self.common(file);
        file.extend(&self.name);
        file.extend(&self.extra);
    }

    fn write_central(&self, offset: u32, file: &mut Vec<u8>) {
        file.extend(b"PK\x01\x02");
        // Made by Unix.
        file.extend([20, 3]);
        self.common(file);
        file.extend([0, 0]);
        file.extend(self.disk.to_le_bytes());
        file.extend([0, 0]);
        file.extend(self.attributes.to_le_bytes());
        file.extend(self.offset.unwrap_or(offset).to_le_bytes());
        file.extend(&self.name);
        file.extend(&self.extra);
    }
}

impl End {
    fn write(&self, entries: u64, size: u64, start: u64, file: &mut Vec<u8>) {
        let large = self.zip64_entries.or((entries >= 0xffff).then_some(entries));
        if let Some(large) = large {
            let place = file.len() as u64;
            file.extend(b"PK\x06\x06");
            file.extend(44u64.to_le_bytes());
            file.extend([45, 3, 45, 0]);
            file.extend([0; 8]);
            for field in [large, large, size, start] {
                file.extend(field.to_le_bytes());
            }
            file.extend(b"PK\x06\x07");
            file.extend([0; 4]);
            file.extend(place.to_le_bytes());
            file.extend(1u32.to_le_bytes());
        }
        let short = if large.is_some() { u16::MAX } else { entries as u16 };
        let entries = self.entries.unwrap_or(short);
        file.extend(b"PK\x05\x06");
        for field in [self.disk, self.disk, entries, entries] {
            file.extend(field.to_le_bytes());
        }
        file.extend(self.size.unwrap_or(size as u32).to_le_bytes());
        file.extend(self.start.unwrap_or(start as u32).to_le_bytes());
        file.extend(self.comment.to_le_bytes());
    }
}

fn of(data: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(data);
    crc
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A part of a deflated stream that ends at a byte and refers to nothing before it.
fn deflated_block(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory takes it");
    encoder.flush().expect("memory takes it");
    encoder.get_ref().clone()
}
