//! What a fuzzer, and on every compiler the test `core/tests/corpus.rs`, does with any bytes.
//!
//! Each function takes what somebody else may have made, does with it what a job does, and
//! asserts what has to hold. A panic is a find: in a worker it would be an error of class XX000
//! at best.

use std::collections::HashSet;
use std::io::{Read, Write};

use pg_backup_core::decide::copy_rows::{DataCounter, RowCounter};
use pg_backup_core::decide::manifest::Manifest;
use pg_backup_core::decide::ranges::{MAX_RANGES, Ranges};
use pg_backup_core::decide::restore::globals::Globals;
use pg_backup_core::decide::script::facts::{Facts, Reader};
use pg_backup_core::decide::script::filter::Filter;
use pg_backup_core::decide::{attachments, import, naming, pieces, redact, toc};
use pg_backup_core::host::archive::foreign::ForeignZip;
use pg_backup_core::host::archive::gauge::Gauge;
use pg_backup_core::host::archive::reader::Archive;
use pg_backup_core::host::custom::{Without, layout};
use pg_backup_core::host::signing::{KEY_MIN, Keys, Signature};
use pg_backup_core::host::upload::Upload;

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

/// The bytes as a manifest: what is read can be written and read again, and nothing of it leads
/// out of the directory that it is extracted to.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = serde_json::from_reader::<_, Manifest>(Gauge::new(bytes)) else { return };
    let _ = manifest.total_rows();
    let text = serde_json::to_vec(&manifest).expect("a manifest can be written");
    let again: Manifest = serde_json::from_slice(&text).expect("what is written can be read");
    assert_eq!(again, manifest);
    for piece in pieces::pieces(&manifest, "").map(pieces::unpacked).unwrap_or_default() {
        for part in &piece.path {
            assert!(!matches!(&part[..], b"" | b"." | b".."), "{piece:?}");
            assert!(!part.contains(&b'/') && !part.contains(&0), "{piece:?}");
        }
    }
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
    let plain = !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/');
    if plain && !bytes.contains(&0) {
        assert_eq!(attachments::decode(&attachments::encode(bytes)).as_deref(), Some(bytes));
    }
    if import::is_dump_file(&text) {
        assert!(!text.contains('/') && !text.starts_with('.'));
    }
}

/// The bytes as the output of `pg_restore -l`.
pub fn contents(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let known = ["public".to_owned(), "a b".to_owned(), String::new()];
    let lines = text.split('\n').count();
    assert!(toc::parse(&text, &known, &known).is_ok_and(|entries| entries.len() <= lines));
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

/// The bytes as a script of somebody else, imported and restored: what it tells, and what psql
/// gets, does not depend on how it is cut; lines are left out, never changed; the reader and the
/// counter agree on where it may end.
pub fn foreign(bytes: &[u8]) {
    let whole = told(bytes, bytes.len().max(1));
    assert_eq!(told(bytes, 1), whole);
    assert_eq!(told(bytes, 7), whole);
    assert!(whole.0.migrations.iter().all(|(framework, ..)| framework != "custom"));
    let mut rows = RowCounter::new();
    rows.feed(bytes);
    let rows = rows.finish();
    assert!(rows.overflowed || rows.complete == whole.1);

    let (out, warnings) = filtered(bytes, bytes.len().max(1));
    assert_eq!(filtered(bytes, 1), (out.clone(), warnings));
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    for (given, line) in out.split_inclusive(|byte| *byte == b'\n').zip(lines) {
        assert!(given == line || given == b"\n");
    }
}

fn told(bytes: &[u8], size: usize) -> (Facts, bool) {
    let mut reader = Reader::default();
    bytes.chunks(size).for_each(|chunk| reader.feed(chunk));
    reader.finish()
}

/// What psql gets, up to what is refused.
fn filtered(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<String>) {
    let known = ["client_encoding", "search_path"].map(str::to_owned).into();
    let (mut filter, mut out) = (Filter::new(known), Vec::new());
    let fed = bytes.chunks(size).try_for_each(|chunk| filter.feed(chunk, &mut out));
    let _ = fed.and_then(|()| filter.finish(&mut out));
    (out, filter.left_out().warnings())
}

/// The bytes as `globals.sql`: each statement that would be run is one statement for psql, too.
pub fn globals(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let there = HashSet::from(["postgres".to_owned()]);
    let missing = Globals::read(&text).missing(&there, &["fast".to_owned()]);
    for made in missing.role_statements.iter().chain(&missing.tablespace_statements) {
        let ends = made.match_indices(';').filter(|(at, _)| is_between(&made[..=*at]));
        assert_eq!(ends.count(), 0, "{made:?}");
        assert!(is_between(&format!("{made};")), "{made:?}");
    }
}

/// Whether a script that begins like this goes on with a new statement.
fn is_between(script: &str) -> bool {
    let mut rows = RowCounter::new();
    rows.feed(script.as_bytes());
    rows.feed(b" COPY between FROM stdin;\n1\n\\.\n");
    let counted = rows.finish();
    counted.complete && counted.tables.iter().any(|table| table.name == "between")
}

/// The bytes as the first ones of a file, whatever its name says.
pub fn head(bytes: &[u8]) {
    let _ = import::codec(bytes);
    let kind = import::kind(bytes);
    assert!(kind.is_none() || !bytes.is_empty());
    let head = &bytes[..bytes.len().min(import::HEAD)];
    assert!(kind.is_none() || import::kind(head) == kind, "more bytes than the head matter");
}

/// The bytes as a dump of custom format, from which the rows of some tables are left out.
pub fn custom(bytes: &[u8]) {
    let Some(layout) = layout(bytes) else { return };
    let head = layout.head as usize;
    assert!(head <= bytes.len());
    let without = |bytes: &[u8], below: u32| {
        let mut out = Vec::new();
        let mut dump = Without::new(bytes, layout, |id| id < below);
        dump.read_to_end(&mut out).expect("memory can be read");
        out
    };
    let all = without(bytes, 0);
    assert!(rows(&all[head..], layout.ints) == rows(&bytes[head..], layout.ints), "other rows");
    assert!(bytes.len() > 1 << 17 || without(&all, 0) == all, "there are pieces left");
    let some = without(bytes, u32::from(u8::MAX));
    assert!(some.starts_with(&bytes[..head]) && some.len() <= all.len());
}

/// How the block of a table begins, and its rows; or a block of large objects as a whole.
type Block<'b> = (&'b [u8], Vec<u8>);

/// The blocks, up to what is none; and what is left.
fn rows(mut blocks: &[u8], ints: usize) -> (Vec<Block<'_>>, &[u8]) {
    let mut found = Vec::new();
    while let Some((begin, rest)) = blocks.split_at_checked(2 + ints) {
        let mut data = Vec::new();
        let end = match begin[0] {
            1 => pieces(rest, ints, &mut data),
            3 => large_objects(rest, ints).ok_or(blocks),
            _ => break,
        };
        if begin[0] == 1 {
            found.push((begin, data));
        } else if let Ok(rest) = end {
            found.push((&blocks[..blocks.len() - rest.len()], data));
        }
        match end {
            Ok(rest) => blocks = rest,
            Err(left) => return (found, left),
        }
    }
    (found, blocks)
}

/// Puts the pieces of a block together; gives what stands behind it. Error: what is left of one
/// without an end.
fn pieces<'b>(mut rest: &'b [u8], ints: usize, data: &mut Vec<u8>) -> Result<&'b [u8], &'b [u8]> {
    loop {
        match field(rest, ints) {
            Some((_, 0, behind)) => return Ok(behind),
            Some((false, length, behind)) => {
                let there = usize::try_from(length).unwrap_or(usize::MAX).min(behind.len());
                data.extend_from_slice(&behind[..there]);
                rest = &behind[there..];
            }
            Some((true, ..)) | None => return Err(rest),
        }
    }
}

/// What stands behind a block of large objects: pieces of each, and 0 instead of an oid.
fn large_objects(mut rest: &[u8], ints: usize) -> Option<&[u8]> {
    loop {
        match field(rest, ints)? {
            (_, 0, behind) => return Some(behind),
            (_, _, behind) => rest = pieces(behind, ints, &mut Vec::new()).ok()?,
        }
    }
}

/// A number: whether it is negative, how much it is, and what stands behind it.
fn field(bytes: &[u8], ints: usize) -> Option<(bool, u128, &[u8])> {
    let (number, behind) = bytes.split_at_checked(1 + ints)?;
    let add = |sum, byte: &u8| sum << 8 | u128::from(*byte);
    Some((number[0] != 0, number[1..].iter().rev().fold(0, add), behind))
}

/// The bytes as the state of an upload, and as parts that arrive: against a map of the bytes.
pub fn upload(bytes: &[u8]) {
    if let Ok(upload) = serde_json::from_slice::<Upload>(bytes)
        && upload.received.is_sound(upload.size_bytes)
    {
        let missing = upload.received.gaps((0, upload.size_bytes));
        let gaps: u64 = missing.iter().map(|(from, to)| to - from).sum();
        assert_eq!(upload.received.total() + gaps, upload.size_bytes);
        let whole = upload.received.with((0, upload.size_bytes));
        assert_eq!(whole.map(|whole| whole.total()), Some(upload.size_bytes));
    }
    let mut map = vec![false; 256 + 16];
    let mut ranges = Ranges::default();
    for part in bytes.as_chunks::<2>().0.iter().take(MAX_RANGES) {
        let (at, end) = (u64::from(part[0]), u64::from(part[0]) + u64::from(part[1] % 17));
        let new = map[at as usize..end as usize].iter().filter(|there| !**there).count() as u64;
        let gaps: u64 = ranges.gaps((at, end)).iter().map(|(from, to)| to - from).sum();
        assert_eq!(gaps, new);
        map[at as usize..end as usize].fill(true);
        ranges = ranges.with((at, end)).expect("there are not so many bytes");
        assert!(ranges.is_sound(map.len() as u64));
    }
    assert_eq!(ranges.total(), map.iter().filter(|there| **there).count() as u64);
}

/// The bytes as a file of signing keys, and as a signature.
pub fn keys(bytes: &[u8]) {
    let mut file = temporary();
    file.write_all(bytes).expect("memory takes it");
    let Ok(keys) = Keys::read(file.path()) else { return };
    assert!(keys.count() > 0 && bytes.len() >= KEY_MIN * keys.count());
    let signature = keys.sign(b"manifest").expect("there is a key");
    assert_eq!(keys.verify(b"manifest", &signature), Signature::Valid);
    assert_eq!(keys.verify(b"another", &signature), Signature::Invalid);
    assert_eq!(keys.verify(b"manifest", bytes), Signature::Invalid);
}
