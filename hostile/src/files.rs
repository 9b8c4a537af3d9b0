//! The table of hostile files: what was done to a good archive, and what has to be said of it.

use crate::zip::{End, Member, Zip, extra, zip64};

const MANIFEST: &str = "manifest.json";
/// Kinds of files in the upper half of the attributes.
const SYMLINK: u32 = 0o120_777 << 16;
const DEVICE: u32 = 0o060_600 << 16;

/// Makes the bytes out of the members of a good archive.
type Build = Box<dyn Fn(&Zip) -> Vec<u8>>;

/// One hostile file.
pub struct Hostile {
    pub name: &'static str,
    /// A part of the message or of the detail.
    pub says: &'static str,
    build: Build,
}

impl Hostile {
    /// Its bytes, made of the members of a good archive. Large ones have some 50 MB.
    pub fn bytes(&self, good: &Zip) -> Vec<u8> {
        (self.build)(good)
    }
}

fn hostile(
    name: &'static str,
    says: &'static str,
    build: impl Fn(&Zip) -> Vec<u8> + 'static,
) -> Hostile {
    Hostile { name, says, build: Box::new(build) }
}

/// One with a member more than the good archive.
fn added(name: &'static str, says: &'static str, member: impl Fn() -> Member + 'static) -> Hostile {
    hostile(name, says, move |good| good.clone().with(member()).bytes())
}

/// One whose manifest, or at least its description, is another.
fn manifest(
    name: &'static str,
    says: &'static str,
    change: impl Fn(Member) -> Member + 'static,
) -> Hostile {
    hostile(name, says, move |good| good.clone().changed(MANIFEST, &change).bytes())
}

/// All of them.
pub fn files() -> Vec<Hostile> {
    [names(), kinds(), disagreements(), places(), ends(), sizes(), manifests(), cuts()]
        .into_iter()
        .flatten()
        .collect()
}

fn names() -> Vec<Hostile> {
    let named = |name: &'static str, says, path: &'static [u8]| {
        added(name, says, move || Member::stored(path, b"harm"))
    };
    vec![
        named("zip slip", "leads outside: \"../../harm\"", b"../../harm"),
        named("zip slip below", "leads outside", b"database/../../harm"),
        named("absolute name", "is absolute: \"/tmp/harm\"", b"/tmp/harm"),
        named("backslash", "holds a backslash", b"..\\..\\harm"),
        named("NUL in a name", "holds a NUL", b"harm\0.txt"),
        named("name not in UTF-8", "is not in UTF-8", b"harm\xff"),
        named("name with a line end", "leads outside: \"..\\n/harm/..\"", b"..\n/harm/.."),
        named("name of a dot", "is not plain", b"./harm"),
        named("empty name", "is empty", b""),
        named("directory", "is that of a directory", b"harm/"),
        added("long name", "is too long", || Member::stored("x".repeat(1025), b"")),
        added("duplicate manifest", "two members named \"manifest.json\"", || {
            Member::stored(MANIFEST, b"{}")
        }),
        added("second name", "has a member with two names", || {
            let field = extra(0x7075, b"\x01\0\0\0\0../../harm");
            Member::stored("harm", b"").both(|header| header.extra = field.clone())
        }),
    ]
}

fn kinds() -> Vec<Hostile> {
    let central = |name, says, change: fn(&mut crate::zip::Header)| {
        manifest(name, says, move |member| member.both(change))
    };
    vec![
        added("symbolic link", "is a link, a device or a directory: \"link\"", || {
            Member::stored("link", b"/etc").central(|header| header.attributes = SYMLINK)
        }),
        added("device", "is a link, a device or a directory", || {
            Member::stored("sda", b"").central(|header| header.attributes = DEVICE)
        }),
        added("directory by its attributes", "is a directory", || {
            Member::stored("harm", b"").central(|header| header.attributes = 0x10)
        }),
        central("encrypted", "is encrypted: \"manifest.json\"", |header| header.flags |= 1),
        central("strange flags", "has unknown flags", |header| header.flags |= 1 << 13),
        central("strange method", "is compressed in a way", |header| header.method = 93),
        central("another disk", "is on another disk", |header| header.disk = 1),
    ]
}

fn disagreements() -> Vec<Hostile> {
    const SAYS: &str = "its own header describes differently than the directory";
    let local = |name, change: fn(&mut crate::zip::Header)| {
        manifest(name, SAYS, move |member| member.local(change))
    };
    vec![
        local("names disagree", |header| header.name = b"manifest.jsom".to_vec()),
        local("methods disagree", |header| header.method = 0),
        local("sizes disagree", |header| header.size += 1),
        local("packed sizes disagree", |header| header.packed -= 1),
        local("CRCs disagree", |header| header.crc ^= 1),
        local("flags disagree", |header| header.flags = 1 << 11),
        manifest("descriptor disagrees", SAYS, |member| member.described(|it| it[2] += 1)),
        manifest("two zip64 fields", "Two zip64 fields", |member| {
            let twice = [zip64(&[1]), zip64(&[2])].concat();
            member.both(|header| header.extra = twice.clone())
        }),
    ]
}

fn places() -> Vec<Hostile> {
    vec![
        hostile("bytes before", "has bytes before its first member", |good| {
            Zip { before: b"#!/bin/sh\n".to_vec(), ..good.clone() }.bytes()
        }),
        hostile("bytes between", "has hidden bytes behind it", |good| {
            let mut zip = good.clone();
            zip.members[0].behind = b"hidden".to_vec();
            zip.bytes()
        }),
        hostile("a member left out of the directory", "has hidden bytes behind it", |good| {
            let hidden = Member { only_local: true, ..Member::stored("hidden", b"harm") };
            good.clone().with(hidden).bytes()
        }),
        added("overlap", "overlaps the next one or is out of order", || {
            let twin = Member::stored("database.dump", b"");
            Member { only_central: true, ..twin }.central(|header| {
                header.name = b"twin".to_vec();
                header.offset = Some(0);
            })
        }),
        added("a member that is not there", "tells of a member that is not there", || Member {
            only_central: true,
            ..Member::stored("nothing", b"")
        }),
    ]
}

fn ends() -> Vec<Hostile> {
    let end = |name, says, end: fn() -> End| {
        hostile(name, says, move |good| Zip { end: end(), ..good.clone() }.bytes())
    };
    vec![
        hostile("bytes behind the end", "is truncated or not a zip", |good| {
            Zip { after: vec![0; 100], ..good.clone() }.bytes()
        }),
        hostile("600,000 members", "has too many members", |_| many(600_000)),
        hostile("200,000 members", "is foreign", |_| many(200_000)),
        end("more members than there are", "do not fit a directory", || End {
            entries: Some(50_000),
            ..End::default()
        }),
        end("2^40 members", "has too many members", || End {
            zip64_entries: Some(1 << 40),
            ..End::default()
        }),
        end("fewer members than there are", "It has more members than it says", || End {
            entries: Some(1),
            ..End::default()
        }),
        end("a directory of 4 GB", "does not end where its end begins", || End {
            size: Some(u32::MAX),
            ..End::default()
        }),
        end("a directory elsewhere", "does not end where its end begins", || End {
            start: Some(7),
            ..End::default()
        }),
        end("several disks", "on several disks", || End { disk: 1, ..End::default() }),
        end("a comment that is not there", "is truncated", || End { comment: 9, ..End::default() }),
        end("two ends that disagree", "the old one disagree", || End {
            zip64_entries: Some(3),
            entries: Some(2),
            ..End::default()
        }),
    ]
}

fn many(count: usize) -> Vec<u8> {
    let member = |number: usize| Member::stored(format!("{number:06}"), b"");
    Zip { members: (0..count).map(member).collect(), ..Zip::default() }.bytes()
}

fn sizes() -> Vec<Hostile> {
    let large = |name, says, values: [u64; 2]| {
        manifest(name, says, move |member| {
            member.both(|header| {
                (header.size, header.packed) = (u32::MAX, u32::MAX);
                header.extra = zip64(&values);
            })
        })
    };
    vec![
        large("2^63 bytes", "reaches beyond the end of the file", [1 << 63, 1 << 63]),
        large("2^64 - 1 bytes", "reaches beyond the end of the file", [u64::MAX, u64::MAX]),
        large("out of nothing", "lies about its size", [1 << 40, 1]),
        manifest("stored, yet of two sizes", "lies about its size", |member| {
            member.both(|header| (header.method, header.size) = (0, header.packed + 1))
        }),
        manifest("4 GB of nothing", "lies about its size", |member| {
            member.both(|header| header.size = u32::MAX - 1)
        }),
        manifest("fewer bytes than declared", "bytes too early", |member| {
            member.both(|header| header.size += 1)
        }),
        manifest("more bytes than declared", "It has more than its", |member| {
            member.both(|header| header.size -= 1)
        }),
        manifest("bomb behind a small size", "It has more than its 1000 bytes", |_| {
            Member::bomb(MANIFEST, 300).both(|header| header.size = 1000)
        }),
        manifest("bomb", "It is larger than", |_| Member::bomb(MANIFEST, 300)),
        manifest("bytes behind the deflated ones", "It has bytes behind its end", |mut member| {
            member.packed.extend(b"hidden");
            member.both(|header| header.packed += 6)
        }),
        manifest("CRC", "Its CRC is wrong", |member| member.both(|header| header.crc ^= 1)),
        manifest("no deflate", "has a broken member", |mut member| {
            member.packed.fill(0xff);
            member
        }),
    ]
}

fn manifests() -> Vec<Hostile> {
    let text = |name, says, text: fn() -> Vec<u8>| {
        manifest(name, says, move |_| Member::deflated(MANIFEST, &text()))
    };
    vec![
        hostile("foreign", "is foreign", |_| Zip::default().bytes()),
        hostile("no manifest", "has lost its manifest", |good| {
            let mut zip = good.clone();
            zip.members.retain(|member| member.central.name != MANIFEST.as_bytes());
            zip.bytes()
        }),
        text("no JSON", "has an unreadable manifest", || b"\0\0\0".to_vec()),
        text("no object", "has an unreadable manifest", || b"[1]".to_vec()),
        manifest("JSON 100,000 deep", "is nested more than", |_| {
            let deep = [b"{\"a\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)];
            Member::deflated(MANIFEST, &deep.concat())
        }),
        text("a format to come", "was made by a newer pg_backup", || {
            br#"{"format":4000000000}"#.to_vec()
        }),
        manifest("100 MB manifest", "It is larger than", |_| {
            let head = br#"{"format":1,"comment":""#;
            Member::repeated(MANIFEST, head, &[b'x'; 1 << 20], 100, br#""}"#)
        }),
        manifest("a manifest of empty names", "has more than 2500000 values", |_| {
            let (head, names) = (br#"{"format":1,"warnings":["""#, br#","""#.repeat(1 << 20));
            Member::repeated(MANIFEST, head, &names, 15, b"]}")
        }),
        hostile("a deflated dump", "A dump is stored, not deflated", |good| {
            let mut zip = good.clone();
            let is_dump = |m: &Member| m.central.name.starts_with(b"database.");
            let at = zip.members.iter().position(is_dump).expect("the archive has a dump");
            let dump = &zip.members[at];
            zip.members[at] = Member::deflated(dump.central.name.clone(), &dump.packed);
            zip.bytes()
        }),
    ]
}

fn cuts() -> Vec<Hostile> {
    const SAYS: &str = "is truncated or not a zip archive";
    vec![
        hostile("empty file", "is empty", |_| Vec::new()),
        hostile("one byte", SAYS, |_| vec![b'P']),
        hostile("no zip", SAYS, |_| b"not a zip at all\n".repeat(10_000)),
        hostile("only an end of zip64", SAYS, |_| b"PK\x06\x07".repeat(10)),
        hostile("cut in the middle", SAYS, |good| {
            let mut bytes = good.bytes();
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        hostile("cut in the end", SAYS, |good| {
            let mut bytes = good.bytes();
            bytes.truncate(bytes.len() - 1);
            bytes
        }),
        hostile("the start is gone", "does not end where its end begins", |good| {
            good.bytes().split_off(1)
        }),
    ]
}
