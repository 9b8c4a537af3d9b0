//! Paths in an archive: what each gives, and those that lead elsewhere.

use super::*;
use crate::decide::manifest::{Attachment, Facts, Span};

fn manifest(members: &[&str], folders: &[&str]) -> Manifest {
    let member = |name: &&str| Member { name: name.to_string(), size: 1, sha256: String::new() };
    let now = DateTime::UNIX_EPOCH;
    let entry = |name: &&str| AttachedEntry {
        member: name.to_string(),
        mode: "4755".into(),
        modified: now,
    };
    let entries = folders.iter().chain(members).map(entry).collect();
    Manifest {
        format: 1,
        id: 1,
        created_at: Span { start: now, end: now },
        comment: None,
        origin: "manual".into(),
        dump: Default::default(),
        facts: Facts::default(),
        tools: Default::default(),
        tables: vec![],
        migrations: vec![],
        application: Default::default(),
        warnings: vec![],
        signed: false,
        attachments: vec![Attachment { entries, ..Attachment::default() }],
        members: members.iter().map(member).collect(),
    }
}

fn paths(pieces: &[Piece]) -> Vec<String> {
    let path = |piece: &Piece| String::from_utf8(piece.path.join(&b'/')).unwrap();
    pieces.iter().map(path).collect()
}

const MEMBERS: [&str; 6] = [
    "database.dump.zst",
    "attachments/up/a.txt",
    "attachments/up/in/b.txt",
    "attachments/upper/c",
    "attachments/single",
    "globals.sql",
];
const FOLDERS: [&str; 4] =
    ["attachments/up/", "attachments/up/in/", "attachments/up/empty/", "attachments/upper/"];

#[test]
fn a_folder_gives_what_is_in_it_and_a_member_its_file() {
    let manifest = manifest(&MEMBERS, &FOLDERS);
    for (wanted, found) in [
        ("attachments/up", &["in", "empty", "a.txt", "in/b.txt"][..]),
        ("attachments/up/", &["in", "empty", "a.txt", "in/b.txt"]),
        ("attachments/up/in/b.txt", &["b.txt"]),
        ("attachments/single", &["single"]),
        ("attachments/up/empty", &[]),
        ("globals.sql", &["globals.sql"]),
        ("manifest.json", &["manifest.json"]),
        ("database.dump.zst", &["database.dump.zst"]),
    ] {
        assert_eq!(paths(&pieces(&manifest, wanted).unwrap()), found, "{wanted}");
    }
    for wanted in ["attachments/u", "up", "attachments/up/a", "nothing", "attachments/up/a.txt/x"] {
        let failure = pieces(&manifest, wanted).unwrap_err();
        assert_eq!(failure.class, Class::UndefinedObject, "{wanted}");
    }
}

#[test]
fn everything_is_everything_and_the_payload_is_unpacked_by_its_stock_name() {
    let all = unpacked(pieces(&manifest(&MEMBERS, &FOLDERS), "").unwrap());
    assert_eq!(all.len(), MEMBERS.len() + FOLDERS.len() + 1);
    assert!(paths(&all).contains(&"database.dump".to_owned()));
    let directory = ["database/toc.dat", "database/12.dat.zst", "database/13.dat.gz"];
    let all = unpacked(pieces(&manifest(&directory, &[]), "database/").unwrap());
    assert_eq!(paths(&all), ["toc.dat", "12.dat", "13.dat"]);
    let attached = unpacked(pieces(&manifest(&["attachments/x.sql.gz"], &[]), "").unwrap());
    assert_eq!(paths(&attached)[0], "attachments/x.sql.gz");
}

#[test]
fn a_recorded_mode_gives_no_rights_of_others_and_leaves_a_folder_usable() {
    let pieces = pieces(&manifest(&MEMBERS, &FOLDERS), "attachments").unwrap();
    let modes: Vec<u32> = pieces.iter().map(|piece| piece.mode).collect();
    assert!(modes.iter().all(|mode| *mode == 0o755), "{modes:?}");
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in [
        "attachments/up/../../etc/passwd",
        "attachments//etc/passwd",
        "attachments/up/%2E%2E/x",
        "attachments/up/a%2Fb",
        "attachments/./x",
        "attachments/up/",
        "../x",
        "/etc/passwd",
        "database/../x",
        ".ssh",
        "a\\b",
        "a\0b",
    ] {
        let failure = pieces(&manifest(&[name], &[]), "").unwrap_err();
        assert_eq!(failure.class, Class::Damaged, "{name}");
        if name.ends_with('/') {
            continue;
        }
        let folder = format!("{name}/");
        let failure = pieces(&manifest(&[], &[&folder]), "").unwrap_err();
        assert_eq!(failure.class, Class::Damaged, "{folder}");
    }
}
