//! Keys that are taken and refused, signatures that hold and do not.

use super::*;
use crate::decide::archive_spec::{MANIFEST, SIGNATURE};
use crate::host::archive::reader::Archive;
use crate::host::archive::tail::Tail;
use crate::host::archive::writer::ArchiveWriter;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";

fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
    file
}

fn keys(text: &str) -> Keys {
    Keys::read(file(text, 0o600).path()).unwrap()
}

#[test]
fn a_signature_is_what_openssl_makes() {
    // printf '{"format":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    let signature = keys(OLD).sign(br#"{"format":1}"#).unwrap();
    assert_eq!(String::from_utf8(signature).unwrap(), format!("{OPENSSL}\n"));
}
const OPENSSL: &str = "124b0451f0454dec2abbdb0c8c12791f3be6351afe9b668adc79b97732cffde6";

#[test]
fn the_first_key_signs_and_all_verify() {
    let (old, both) = (keys(OLD), keys(&format!("# new\n{NEW}\r\n\n{OLD}")));
    let (by_old, by_new) = (old.sign(b"m").unwrap(), both.sign(b"m").unwrap());
    assert_eq!(both.count(), 2);
    for signature in [&by_old, &by_new] {
        assert_eq!(both.verify(b"m", signature), Signature::Valid);
    }
    assert_eq!(old.verify(b"m", &by_new), Signature::Invalid);
}

#[test]
fn another_manifest_and_a_mangled_signature_are_invalid() {
    let keys = keys(OLD);
    let signature = keys.sign(b"manifest").unwrap();
    assert_eq!(keys.verify(b"Manifest", &signature), Signature::Invalid);
    for mangled in [&b""[..], b"\n", &signature[1..], &signature[..63], &[0xff; 64]] {
        assert_eq!(keys.verify(b"manifest", mangled), Signature::Invalid, "{mangled:?}");
    }
}

#[test]
fn a_file_without_a_good_key_is_refused_without_saying_the_key() {
    for (text, wanted) in [
        ("", "holds no key"),
        ("# a comment\n", "holds no key"),
        ("secret", "line 1 has fewer"),
        ("\nmy own secret that is long enough to be a key", "Line 2 is not a word"),
        (&OLD.replace('a', "\u{e9}"), "Line 1 is not a word"),
        (&format!("{OLD}\n").repeat(17), "more than 16 keys"),
    ] {
        let failure = Keys::read(file(text, 0o600).path()).unwrap_err();
        let said = format!("{failure:?}");
        assert!(failure.detail.contains(wanted), "{said}");
        assert!(!said.contains("secret") && !said.contains("0123"), "{said}");
    }
    assert_eq!(format!("{:?}", keys(OLD)), "1 keys");
}

#[test]
fn a_file_that_others_can_read_or_that_is_none_is_refused() {
    for mode in [0o644, 0o640, 0o604, 0o620] {
        let failure = Keys::read(file(OLD, mode).path()).unwrap_err();
        // Root owns the files of tests that run as root.
        let allowed = geteuid().is_root() && mode == 0o640;
        assert!(failure.class == Class::NotReady || allowed, "{mode:o} {failure:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let failure = Keys::read(folder.path()).unwrap_err();
    assert!(failure.message.contains("is a directory"), "{failure:?}");
    let failure = Keys::read(&folder.path().join("none")).unwrap_err();
    assert_eq!(failure.class, Class::UndefinedFile);
    let large = "a".repeat(70_000);
    let failure = Keys::read(file(&large, 0o600).path()).unwrap_err();
    assert!(failure.message.contains("too large"), "{failure:?}");
}

/// An archive with these members, the last two as they would be for the first one alone.
fn archive(members: &[(&str, &[u8])], keys: Option<&Keys>) -> (tempfile::TempDir, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    let file = fs::File::create_new(&path).unwrap();
    let (place, now) = (folder.path().to_owned(), chrono::Utc::now());
    let mut writer = ArchiveWriter::new(file, place, 0, now, Tail::default());
    writer.add("globals.sql", b"SELECT 1;").unwrap();
    let moment = "2026-01-01T00:00:00Z";
    let manifest = serde_json::json!({
        "format": 1, "id": 1, "created_at": {"start": moment, "end": moment},
        "comment": null, "origin": "manual", "tools": {"pg_backup": "", "pg_dump": ""},
        "dump": {"format": "plain", "compression": "none", "jobs": 1},
        "members": writer.members(), "signed": keys.is_some(),
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    writer.add(MANIFEST, &manifest).unwrap();
    if let Some(keys) = keys {
        writer.add(SIGNATURE, &keys.sign(&manifest).unwrap()).unwrap();
    }
    for (name, bytes) in members {
        writer.add(name, bytes).unwrap();
    }
    writer.finish().unwrap();
    let archive = Archive::open(&path).unwrap();
    (folder, archive)
}

#[test]
fn an_archive_is_signed_when_its_members_are_those_of_a_signed_manifest() {
    let (old, new) = (keys(OLD), keys(NEW));
    let signature = |members, made: Option<&Keys>, read: &Keys| {
        let (_folder, mut archive) = archive(members, made);
        assert_eq!(archive.manifest().unwrap().signed, made.is_some());
        archive.signature(read).unwrap()
    };
    assert_eq!(signature(&[], Some(&old), &old), Signature::Valid);
    assert_eq!(signature(&[], Some(&old), &new), Signature::Invalid);
    assert_eq!(signature(&[], None, &old), Signature::Missing);
    // What was put beside the signed members is not signed.
    assert_eq!(signature(&[("contents.list", b"evil")], Some(&old), &old), Signature::Invalid);
    assert_eq!(signature(&[("manifest.hmac", b"00")], None, &old), Signature::Invalid);
}
