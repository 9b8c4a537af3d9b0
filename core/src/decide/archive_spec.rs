//! What lies where in an archive: names of members, and who compresses which.
//!
//! Payload bytes are stock: what pg_dump compresses itself is stored as it is; what we compress
//! gets the ending that the stock decompressor expects.

use std::time::Duration;

use super::format::{Compression, Format, Method};

pub const MANIFEST: &str = "manifest.json";
/// The signature of the manifest: HMAC-SHA256 over its bytes, hexadecimal.
pub const SIGNATURE: &str = "manifest.hmac";
pub const GLOBALS: &str = "globals.sql";
/// The text of `pg_restore -l`, usable with `pg_restore -L`.
pub const CONTENTS: &str = "contents.list";
/// Folder of a directory-format payload.
pub const DIRECTORY: &str = "database/";

/// A manifest larger than this is not ours: 64 MiB holds the description of 250,000 tables, which
/// is what a dump is counted for, and of their files. Parsed, it takes some 150 MB.
pub const MANIFEST_MAX: u64 = 64 << 20;
/// The same for the table of contents: most entries that are read, of 89 bytes each.
pub const CONTENTS_MAX: u64 = 64 << 20;
/// The same for roles and tablespaces: 100,000 roles. Parsed, it takes ten times as much.
pub const GLOBALS_MAX: u64 = 16 << 20;
/// The same for a signature: 64 digits and a newline.
pub const SIGNATURE_MAX: u64 = 128;
/// How long a small tool (pg_dumpall --globals-only, pg_restore -l, --version) may take.
pub const SMALL_TOOL_TIME: Duration = Duration::from_secs(120);

/// How the bytes of a member have to be decoded to give what pg_dump wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Plain,
    Gzip,
    Zstd,
}

/// What a payload member holds, once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A dump of custom or tar format: pg_restore reads it.
    CustomDump,
    /// A plain SQL script.
    Script,
    /// The rows of one table of a directory-format dump.
    TableData,
    /// Anything else of a directory-format dump: its table of contents, large objects.
    Other,
}

/// Name of the one payload member of a custom or plain dump.
pub fn payload_name(format: Format, compression: Compression) -> &'static str {
    match (format, compression.method) {
        (Format::Custom, Method::Zstd) => "database.dump.zst",
        (Format::Custom, _) => "database.dump",
        (Format::Plain, Method::None) => "database.sql",
        (Format::Plain, Method::Gzip) => "database.sql.gz",
        (Format::Plain, Method::Zstd) => "database.sql.zst",
        (Format::Directory, _) => "database/toc.dat",
    }
}

/// Codec and content of a payload member by its name; None when it is not of the payload.
pub fn payload_member(name: &str) -> Option<(Codec, Content)> {
    let (stem, codec) = match name.rsplit_once('.') {
        Some((stem, "zst")) => (stem, Codec::Zstd),
        Some((stem, "gz")) => (stem, Codec::Gzip),
        _ => (name, Codec::Plain),
    };
    match stem {
        // pg_restore reads both as a stream.
        "database.dump" | "database.tar" => Some((codec, Content::CustomDump)),
        "database.sql" => Some((codec, Content::Script)),
        _ => {
            let file = stem.strip_prefix(DIRECTORY)?;
            let number = file.strip_suffix(".dat").unwrap_or("");
            let is_table = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            Some((codec, if is_table { Content::TableData } else { Content::Other }))
        }
    }
}

/// Number in the name of a table's data file (`database/3456.dat.zst` gives 3456): the dump id
/// of its entry in the table of contents.
pub fn table_data_id(name: &str) -> Option<u32> {
    name.strip_prefix(DIRECTORY)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_name_tells_its_codec_and_content() {
        for (text, format, codec, content) in [
            ("none", Format::Custom, Codec::Plain, Content::CustomDump),
            ("gzip:6", Format::Custom, Codec::Plain, Content::CustomDump),
            ("zstd:3", Format::Custom, Codec::Zstd, Content::CustomDump),
            ("none", Format::Plain, Codec::Plain, Content::Script),
            ("gzip:6", Format::Plain, Codec::Gzip, Content::Script),
            ("zstd:3", Format::Plain, Codec::Zstd, Content::Script),
        ] {
            let name = payload_name(format, text.parse().unwrap());
            assert_eq!(payload_member(name), Some((codec, content)), "{name}");
        }
    }

    #[test]
    fn members_of_a_directory_dump_are_told_apart() {
        let table = Some((Codec::Zstd, Content::TableData));
        assert_eq!(payload_member("database/3456.dat.zst"), table);
        assert_eq!(payload_member("database/toc.dat"), Some((Codec::Plain, Content::Other)));
        let blob = Some((Codec::Gzip, Content::Other));
        assert_eq!(payload_member("database/blob_16403.dat.gz"), blob);
        assert_eq!(payload_member("globals.sql"), None);
        assert_eq!(table_data_id("database/3456.dat.zst"), Some(3456));
        assert_eq!(table_data_id("database/toc.dat"), None);
    }
}
