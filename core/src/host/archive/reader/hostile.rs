//! Every hostile file, held against the reader: the defect has its name, and nothing else happens.

use std::path::Path;

use pg_backup_hostile::{Member, Zip, files};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::tests::manifest;
use super::*;
use crate::host::archive::{foreign::ForeignZip, hex};

const DUMP: &[u8] = b"PGDMP and what follows, which is long enough to be cut in several places";

/// An archive whose manifest knows its members.
fn good() -> Zip {
    let members = [("database.dump", DUMP), ("globals.sql", b"-- roles")];
    let text = serde_json::to_vec(&manifest(&members)).unwrap();
    let [dump, globals] = members.map(|(name, bytes)| match name {
        "database.dump" => Member::stored(name, bytes),
        name => Member::deflated(name, bytes),
    });
    Zip::default().with(dump).with(globals).with(Member::deflated(MANIFEST, &text))
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// All that anybody does with an archive.
fn used(path: &Path) -> Result<(Manifest, Vec<Payload>)> {
    let mut archive = Archive::open(path)?;
    let manifest = archive.manifest()?;
    let payload = archive.payload()?;
    archive.tail()?;
    for name in archive.names() {
        archive.read_member(&name, 1 << 20)?;
    }
    Ok((manifest, payload))
}

#[test]
fn the_good_archive_of_these_tests_is_good() {
    let file = on_disk(&good().bytes());
    let (manifest, payload) = used(file.path()).unwrap();
    assert_eq!((manifest.members.len(), payload.len()), (2, 1));
}

#[test]
fn every_hostile_file_is_refused_with_the_name_of_its_defect() {
    let good = good();
    for hostile in files() {
        let (name, says) = (hostile.name, hostile.says);
        let file = on_disk(&hostile.bytes(&good));
        let failure = used(file.path()).expect_err(name);
        assert_eq!(failure.class, Class::Damaged, "{name}: {failure:?}");
        let said = format!("{} {}", failure.message, failure.detail);
        assert!(said.contains(says), "{name}: {said}");
        assert!(!failure.hint.is_empty(), "{name} has no hint");
        assert!(said.len() < 600 && !said.contains('\n') && !said.contains('\0'), "{said:?}");
        assert!(ForeignZip::open(file.path()).is_err(), "{name}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let whole = good().bytes();
    for length in 0..whole.len() {
        let file = on_disk(&whole[..length]);
        let failure = used(file.path()).unwrap_err();
        assert_eq!(failure.class, Class::Damaged, "cut at {length}: {failure:?}");
    }
}

#[test]
fn a_large_archive_cut_at_every_4_kb_is_refused() {
    let bytes: Vec<u8> = (0..2_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let mut zip = good();
    zip.members[0] = Member::stored("database.dump", &bytes);
    let whole = zip.bytes();
    let file = on_disk(&whole);
    assert!(used(file.path()).is_err(), "the manifest is of another dump");
    for length in (0..whole.len()).step_by(4096).rev() {
        file.as_file().set_len(length as u64).unwrap();
        let failure = Archive::open(file.path()).unwrap_err();
        assert_eq!(failure.class, Class::Damaged, "cut at {length}: {failure:?}");
    }
}

/// A change of a file as a disk or a person makes it.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Cut(usize, usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (any::<usize>(), 1..40usize).prop_map(|(at, count)| Change::Cut(at, count)),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        let length = file.len().max(1);
        match self {
            Self::Flip(at, bits) => {
                if let Some(byte) = file.get_mut(at % length) {
                    *byte ^= bits;
                }
            }
            Self::Cut(at, count) => {
                let at = at % length;
                file.drain(at.min(file.len())..(at + count).min(file.len()));
            }
            Self::Insert(at, bytes) => {
                let at = at % length;
                file.splice(at..at, bytes.iter().copied());
            }
        }
    }
}

/// Any bytes, with enough of a zip's own words in them to get somewhere.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"PK\x03\x04".to_vec()),
        Just(b"PK\x01\x02".to_vec()),
        Just(b"PK\x05\x06".to_vec()),
        Just(b"PK\x06\x06".to_vec()),
        Just(b"PK\x06\x07".to_vec()),
        Just(b"manifest.json".to_vec()),
        Just(vec![0; 18]),
        Just(vec![0xff; 8]),
        proptest::collection::vec(any::<u8>(), 0..30),
    ];
    proptest::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_at_all_make_the_reader_panic(bytes in soup()) {
        let file = on_disk(&bytes);
        let _ = used(file.path());
        let _ = ForeignZip::open(file.path());
    }

    #[test]
    fn a_changed_archive_is_refused_or_its_hash_tells(
        changes in proptest::collection::vec(change(), 1..4)
    ) {
        let mut bytes = good().bytes();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        let file = on_disk(&bytes);
        if let Ok((manifest, _)) = used(file.path()) {
            let archive = Archive::open(file.path()).unwrap();
            let dump = archive.read_member("database.dump", 1 << 20).unwrap_or_default();
            let hash = hex(&Sha256::digest(&dump));
            let told = manifest.members.iter().any(|m| m.name == "database.dump" && m.sha256 == hash);
            prop_assert!(dump == DUMP || !told);
        }
    }

    #[test]
    fn the_end_of_an_archive_may_say_anything(
        at in 0..200usize, bytes in proptest::collection::vec(any::<u8>(), 1..9)
    ) {
        let mut file = good().bytes();
        let at = file.len().saturating_sub(at + bytes.len());
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = used(on_disk(&file).path());
    }
}
