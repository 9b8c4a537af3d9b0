//! Archives as the writer makes them, and zips of others, through the reader.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::*;
use crate::host::archive::foreign::ForeignZip;
use crate::host::archive::hex;
use crate::host::archive::writer::{ArchiveWriter, Storage};

/// A manifest that lists these members.
pub fn manifest(members: &[(&str, &[u8])]) -> Manifest {
    let member = |(name, bytes): &(&str, &[u8])| {
        let sha256 = hex(&Sha256::digest(bytes));
        serde_json::json!({ "name": name, "size": bytes.len(), "sha256": sha256 })
    };
    let instant = "2026-01-01T00:00:00Z";
    serde_json::from_value(serde_json::json!({
        "format": 1,
        "id": 1,
        "created_at": { "start": instant, "end": instant },
        "comment": null,
        "origin": "manual",
        "dump": { "format": "custom", "compression": "none", "jobs": 1 },
        "tools": { "pg_backup": "1", "pg_dump": "1" },
        "members": members.iter().map(member).collect::<Vec<_>>(),
    }))
    .unwrap()
}

/// An archive as a backup writes it.
fn written() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (handle, place) = (file.reopen().unwrap(), file.path().parent().unwrap().to_owned());
    let mut writer = ArchiveWriter::new(handle, place, 0, chrono::Utc::now(), Tail::default());
    writer.begin("database.dump", Storage::Payload).unwrap();
    writer.write_all(b"PGDMP and so on").unwrap();
    writer.end().unwrap();
    writer.begin("empty.dat", Storage::Payload).unwrap();
    writer.end().unwrap();
    writer.add("globals.sql", &b"-- roles\n".repeat(9_000)).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn what_the_writer_writes_is_read_back() {
    let file = written();
    let archive = Archive::open(file.path()).unwrap();
    assert_eq!(archive.names(), ["database.dump", "empty.dat", "globals.sql"]);
    assert_eq!(archive.read_member("globals.sql", 1 << 20).unwrap().len(), 81_000);
    assert_eq!(archive.read_member("database.dump", 100).unwrap(), b"PGDMP and so on");
    assert_eq!(archive.read_member("empty.dat", 0).unwrap(), b"");
    let payload = archive.payload().unwrap();
    assert_eq!((payload.len(), payload[0].size), (1, 15));
    let missing = archive.read_member("manifest.json", 1).unwrap_err();
    assert!(missing.message.ends_with("has no member \"manifest.json\""), "{missing}");
}

/// As Tracearr's library does it: sizes behind the data.
fn tracearr(names: &[&str], stored: bool) -> tempfile::NamedTempFile {
    use zip::write::{SimpleFileOptions, ZipWriter};
    let method =
        if stored { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
    let options = SimpleFileOptions::default().compression_method(method);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new_stream(file.reopen().unwrap());
    for name in names {
        zip.start_file(*name, options).unwrap();
        zip.write_all(name.repeat(100_000).as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    file
}

#[test]
fn a_zip_of_tracearr_gives_its_metadata_and_its_dump() {
    for stored in [false, true] {
        let file = tracearr(&["metadata.json", "database.dump"], stored);
        let zip = ForeignZip::open(file.path()).unwrap();
        let failure = zip.metadata().unwrap_err();
        assert!(failure.detail.contains("larger than"), "{failure:?}");
        let mut dump = Vec::new();
        zip.dump(1_300_000).unwrap().read_to_end(&mut dump).unwrap();
        assert!(dump == "database.dump".repeat(100_000).as_bytes());
        assert!(zip.dump(1_299_999).is_err());
    }
}

#[test]
fn the_metadata_of_a_zip_of_tracearr_are_read_as_they_are() {
    use pg_backup_hostile::{Member, Zip};
    for described in [false, true] {
        let metadata = Member::deflated("metadata.json", br#"{"format":1}"#);
        let metadata = if described { metadata.described(|_| ()) } else { metadata };
        let zip = Zip::default().with(metadata).with(Member::stored("database.dump", b"PGDMP"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), zip.bytes()).unwrap();
        let zip = ForeignZip::open(file.path()).unwrap();
        assert_eq!(zip.metadata().unwrap(), br#"{"format":1}"#);
        let mut dump = Vec::new();
        zip.dump(5).unwrap().read_to_end(&mut dump).unwrap();
        assert_eq!(dump, b"PGDMP");
    }
}

#[test]
fn a_member_that_no_reader_would_take_is_not_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (handle, place) = (file.reopen().unwrap(), file.path().parent().unwrap().to_owned());
    let mut writer = ArchiveWriter::new(handle, place, 0, chrono::Utc::now(), Tail::default());
    let failure = writer.begin("../x", Storage::Payload).unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
    use crate::host::archive::structure::{MEMBERS_MAX, NAMES_MAX, check_next};
    assert!(check_next(MEMBERS_MAX as usize - 1, NAMES_MAX - 1, "x").is_ok());
    for (members, bytes) in [(MEMBERS_MAX as usize, 0), (0, NAMES_MAX)] {
        let failure = check_next(members, bytes, "x").unwrap_err();
        assert_eq!(failure.class, Class::LimitExceeded);
    }
}

#[test]
fn the_members_are_those_that_the_manifest_lists() {
    let file = written();
    let archive = Archive::open(file.path()).unwrap();
    let globals = b"-- roles\n".repeat(9_000);
    let whole = [("database.dump", &b"PGDMP and so on"[..]), ("empty.dat", b"")];
    let whole = [&whole[..], &[("globals.sql", &globals)]].concat();
    assert_eq!(archive.holds(&manifest(&whole)), Ok(()));
    let mut lists = vec![(whole[..2].to_vec(), "does not list: \"globals.sql\"")];
    lists.push(([&whole[..], &whole[..1]].concat(), "lists \"database.dump\" twice"));
    lists.push(([&whole[..], &[("more", &b""[..])]].concat(), "has lost its member \"more\""));
    lists.push(([&whole[1..], &[("database.dump", &b""[..])]].concat(), "has a broken member"));
    for (members, says) in lists {
        let failure = archive.holds(&manifest(&members)).unwrap_err();
        assert!(failure.message.contains(says), "{says}: {failure}");
    }
}

#[test]
fn a_zip_with_other_members_than_the_two_is_neither_ours_nor_tracearrs() {
    for names in
        [&["metadata.json"][..], &["a", "database.dump"], &["metadata.json", "database.dump", "x"]]
    {
        let failure = ForeignZip::open(tracearr(names, false).path()).unwrap_err();
        assert!(failure.message.contains("neither pg_backup nor Tracearr"), "{failure}");
    }
}
