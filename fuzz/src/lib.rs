//! What a fuzzer, and on every compiler the test `core/tests/corpus.rs`, does with any bytes.
//!
//! Each function takes what somebody else may have made, does with it what a job does, and
//! asserts what has to hold. A panic is a find: in a worker it would be an error of class XX000
//! at best.

use std::io::Write;

use pg_backup_core::decide::copy_rows::{DataCounter, RowCounter};
use pg_backup_core::decide::manifest::Manifest;
use pg_backup_core::decide::{naming, redact, toc};
use pg_backup_core::host::archive::foreign::ForeignZip;
use pg_backup_core::host::archive::gauge::Gauge;
use pg_backup_core::host::archive::reader::Archive;

/// Most bytes of a member that are read here.
const MEMBER_MAX: u64 = 1 << 20;

/// The bytes as an archive, of ours and of another program.
pub fn archive(bytes: &[u8]) {
    let mut file = temporary();
    file.write_all(bytes).expect("memory takes it");
    let _ = ForeignZip::open(file.path()).map(|zip| {
        let _ = zip.metadata();
        let _ = zip.dump(MEMBER_MAX).map(|mut dump| std::io::copy(&mut dump, &mut std::io::sink()));
    });
    let Ok(mut archive) = Archive::open(file.path()) else { return };
    let names = archive.names();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name:?} comes twice");
        let outside = name.starts_with('/') || name.split('/').any(|part| part == "..");
        assert!(!outside && !name.contains(['\0', '\\']), "{name:?}");
        if let Ok(data) = archive.read_member(name, MEMBER_MAX) {
            assert_eq!(Some(data.len() as u64), archive.size_of(name));
        }
    }
    for member in archive.payload().unwrap_or_default() {
        assert!(member.start + member.size <= bytes.len() as u64, "{member:?}");
    }
    if let Ok(manifest) = archive.manifest() {
        let _ = archive.holds(&manifest);
    }
}

/// In memory, where there is such a place: a fuzzer makes thousands a second.
fn temporary() -> tempfile::NamedTempFile {
    let memory = tempfile::NamedTempFile::new_in("/dev/shm");
    memory.or_else(|_| tempfile::NamedTempFile::new()).expect("a temporary file can be made")
}

/// The bytes as a manifest: what is read can be written and read again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = serde_json::from_reader::<_, Manifest>(Gauge::new(bytes)) else { return };
    let _ = manifest.total_rows();
    let text = serde_json::to_vec(&manifest).expect("a manifest can be written");
    let again: Manifest = serde_json::from_slice(&text).expect("what is written can be read");
    assert_eq!(again, manifest);
}

/// The bytes as names of databases and files.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let safe = naming::safe_name(&text);
    assert!(!safe.is_empty() && !safe.starts_with(['.', '-']) && !safe.contains(['/', '\0']));
    if naming::parse_archive_name(&text).is_some() {
        assert!(naming::is_partial(&naming::partial_name(&text)));
    }
    let _ = (naming::is_partial(&text), redact::redact(&text));
}

/// The bytes as the output of `pg_restore -l`.
pub fn contents(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let known = ["public".to_owned(), "a b".to_owned(), String::new()];
    let lines = text.split('\n').count();
    assert!(toc::parse(&text, &known, &known).len() <= lines);
}

/// The bytes as a script of pg_dump and as the data of a table: it does not matter how they are
/// cut on the way.
pub fn script(bytes: &[u8]) {
    let count = |size: usize| {
        let (mut rows, mut data) = (RowCounter::new(), DataCounter::new());
        for chunk in bytes.chunks(size) {
            rows.feed(chunk);
            data.feed(chunk);
        }
        (rows.saw_trailer(), rows.finish(), data.finish())
    };
    let whole = count(bytes.len().max(1));
    assert_eq!(count(1), whole);
    assert_eq!(count(7), whole);
}
