//! What a file is, by its first bytes: its name may say anything.

use super::archive_spec::Codec;

/// So many bytes are enough to tell.
pub const HEAD: usize = 512;
/// A zip member, or a zip without any.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
const CUSTOM: &[u8] = b"PGDMP";
/// A tar's magic word and its place (POSIX.1-1988).
const TAR: (usize, &[u8]) = (257, b"ustar");
/// The first file of a dump in tar format.
const TAR_FIRST: &[u8] = b"toc.dat\0";
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What a file holds, once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Zip,
    /// A dump of pg_dump in custom format.
    Custom,
    /// One in tar format.
    Tar,
    /// An SQL script.
    Script,
}

/// How a file is compressed as a whole.
pub fn codec(head: &[u8]) -> Codec {
    match () {
        () if head.starts_with(GZIP) => Codec::Gzip,
        () if head.starts_with(ZSTD) => Codec::Zstd,
        () => Codec::Plain,
    }
}

/// What begins like this; None for what is nothing of this.
pub fn kind(head: &[u8]) -> Option<Kind> {
    match () {
        () if ZIP.iter().any(|magic| head.starts_with(magic)) => Some(Kind::Zip),
        () if head.starts_with(CUSTOM) => Some(Kind::Custom),
        () if is_tar(head) => Some(Kind::Tar),
        () if is_text(head) => Some(Kind::Script),
        () => None,
    }
}

fn is_tar(head: &[u8]) -> bool {
    head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) && head.starts_with(TAR_FIRST)
}

/// No control characters but those that a text has. Any encoding of PostgreSQL passes.
fn is_text(head: &[u8]) -> bool {
    let fits = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t' | b'\n' | b'\r' | 12);
    !head.is_empty() && head.iter().all(fits)
}

/// Whether `name` can be a file of a dump in directory format.
pub fn is_dump_file(name: &str) -> bool {
    let stem = ["gz", "zst"].iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.'));
    let stem = stem.unwrap_or(name);
    if stem == "toc.dat" || stem == "blobs.toc" {
        return true;
    }
    let number = |text: &str| {
        let digits = text.strip_prefix("blob_").unwrap_or(text);
        !digits.is_empty() && digits.len() <= 10 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let toc = stem.strip_prefix("blobs_").and_then(|rest| rest.strip_suffix(".toc"));
    toc.is_some_and(number) || stem.strip_suffix(".dat").is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let mut tar = b"toc.dat\0".to_vec();
        tar.resize(257, 0);
        tar.extend_from_slice(b"ustar\x0000");
        assert_eq!(kind(&tar), Some(Kind::Tar));
        tar[0] = b'x';
        assert_eq!(kind(&tar), None);
        assert_eq!(kind(b"PK\x03\x04xx"), Some(Kind::Zip));
        assert_eq!(kind(b"PGDMP\x01\x0e"), Some(Kind::Custom));
        assert_eq!(kind(b"--\n-- PostgreSQL"), Some(Kind::Script));
        assert_eq!(kind("\u{feff}-- äö".as_bytes()), Some(Kind::Script));
        for nothing in [&b""[..], b"\x7fELF\x02\x01\x01\0", b"S\0E\0T\0"] {
            assert_eq!(kind(nothing), None, "{nothing:?}");
        }
        assert_eq!(codec(b"\x1f\x8b\x08"), Codec::Gzip);
        assert_eq!(codec(b"\x28\xb5\x2f\xfd"), Codec::Zstd);
        assert_eq!(codec(b"SELECT"), Codec::Plain);
    }

    #[test]
    fn only_files_that_pg_dump_makes_belong_to_a_directory_dump() {
        for name in [
            "toc.dat",
            "3456.dat.gz",
            "3456.dat",
            "blob_16403.dat.zst",
            "blobs.toc",
            "blobs_12.toc",
        ] {
            assert!(is_dump_file(name), "{name}");
        }
        for name in
            ["", "..", "toc.dat.lz4", "x.dat", "../3456.dat", "3456.dat.gz.gz", "README", ".dat"]
        {
            assert!(!is_dump_file(name), "{name}");
        }
    }
}
