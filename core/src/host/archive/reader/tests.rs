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
        assert_eq!(zip.dump_size(), 1_300_000);
        let failure = zip.metadata().unwrap_err();
        assert!(failure.detail.contains("larger than"), "{failure:?}");
        let mut dump = Vec::new();
        zip.dump(1_300_000).unwrap().read_to_end(&mut dump).unwrap();
        assert!(dump == "database.dump".repeat(100_000).as_bytes());
        assert!(zip.dump(1_299_999).is_err());
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
