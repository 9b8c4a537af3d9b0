//! Dumps built byte by byte, in every version that is known, read by steps of every length.

use super::blocks::{LARGE_OBJECTS, ROWS};
use super::*;

const BYTES: usize = 4;

fn int(value: i32) -> Vec<u8> {
    let mut bytes = vec![u8::from(value < 0)];
    bytes.extend(value.unsigned_abs().to_le_bytes());
    bytes
}

fn string(text: &str) -> Vec<u8> {
    [int(text.len() as i32), text.as_bytes().to_vec()].concat()
}

fn head(minor: u8, entries: i32) -> Vec<u8> {
    let mut dump = [MAGIC, &[1, minor, 0, BYTES as u8, 8, CUSTOM]].concat();
    dump.extend(if minor >= 15 { vec![0] } else { int(0) });
    dump.extend((0..7).flat_map(int));
    dump.extend(["app", "15.20", "15.20"].iter().flat_map(|text| string(text)));
    dump.extend(int(entries));
    for id in 1..=entries {
        dump.extend([int(id), int(1)].concat());
        dump.extend(["0", "0", "tag", "TABLE DATA"].iter().flat_map(|text| string(text)));
        dump.extend(int(3));
        // The fourth of them is not there.
        dump.extend(["", "", "COPY t FROM stdin;\n"].iter().flat_map(|text| string(text)));
        dump.extend(int(-1));
        dump.extend(["", "heap"].iter().flat_map(|text| string(text)));
        dump.extend(if minor >= 16 { int(114) } else { Vec::new() });
        dump.extend(["boss", "false", "7"].iter().flat_map(|text| string(text)));
        dump.extend(int(-1));
        dump.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    dump
}

fn rows(id: i32, chunks: &[&[u8]]) -> Vec<u8> {
    let mut block = [vec![ROWS], int(id)].concat();
    for chunk in chunks {
        block.extend([int(chunk.len() as i32), chunk.to_vec()].concat());
    }
    [block, int(0)].concat()
}

fn large_objects(id: i32) -> Vec<u8> {
    let object = |oid: i32| [int(oid), int(3), b"abc".to_vec(), int(0)].concat();
    [vec![LARGE_OBJECTS], int(id), object(900), object(901), int(0)].concat()
}

/// What is read of a dump without some entries, with the rows of each block in one piece.
fn without(dump: &[u8], ids: &[u32]) -> Vec<u8> {
    let layout = layout(dump).unwrap();
    let read = |step: usize| {
        let mut reader = Without::new(Steps(dump, step), layout, |id| ids.contains(&id));
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        out
    };
    let whole = in_one_piece(&read(usize::MAX));
    // Every field is cut somewhere.
    (1..40).for_each(|step| assert_eq!(in_one_piece(&read(step)), whole, "by {step}"));
    whole
}

/// The same dump, with the rows of each block in one piece; as it is from where it is not known.
fn in_one_piece(dump: &[u8]) -> Vec<u8> {
    let mut at = layout(dump).unwrap().head as usize;
    let mut out = dump[..at].to_vec();
    let field = |at: usize| dump.get(at..at + 1 + BYTES).map(number);
    while dump.get(at) == Some(&ROWS) && dump.len() >= at + 2 + BYTES {
        let (begin, mut data) = (at, Vec::new());
        at += 2 + BYTES;
        while let Some(length @ 1..) = field(at) {
            let from = at + 1 + BYTES;
            let end = dump.len().min(from + length as usize);
            data.extend_from_slice(&dump[from..end]);
            at = end;
        }
        out.extend_from_slice(&dump[begin..begin + 2 + BYTES]);
        if !data.is_empty() {
            out.extend([int(data.len() as i32), data].concat());
        }
        if field(at) != Some(0) {
            break;
        }
        out.extend(int(0));
        at += 1 + BYTES;
    }
    [out, dump[at..].to_vec()].concat()
}

/// Gives so many bytes at once.
struct Steps<'a>(&'a [u8], usize);

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = buffer.len().min(self.1);
        self.0.read(&mut buffer[..step])
    }
}

#[test]
fn the_blocks_of_other_entries_are_left_out_and_everything_else_is_as_it_was() {
    for minor in VERSIONS {
        let head = head(minor, 4);
        let (one, two) = (rows(1, &[b"first", b"row"]), rows(2, &[&[7; 1000]]));
        let (three, four) = (large_objects(3), rows(4, &[]));
        let dump = [head.clone(), one.clone(), two, three.clone(), four.clone()].concat();
        assert_eq!(layout(&dump[..]).unwrap(), Layout { head: head.len() as u64, ints: BYTES });
        assert_eq!(without(&dump, &[]), in_one_piece(&dump), "1.{minor}");
        let one = in_one_piece(&[head.clone(), one].concat()).split_off(head.len());
        let kept = [head.clone(), one.clone(), three, four].concat();
        assert_eq!(without(&dump, &[2]), kept, "1.{minor}");
        assert_eq!(without(&dump, &[2, 3, 4]), [head.clone(), one].concat());
        assert_eq!(without(&dump, &[1, 2, 3, 4]), head);
    }
}

#[test]
fn a_dump_of_another_kind_is_not_known() {
    for dump in [&b""[..], b"PGDMP", b"-- a script", &head(13, 1), &head(17, 1), &[0; 100]] {
        assert_eq!(layout(dump), None);
    }
    let whole = head(14, 2);
    for length in 0..whole.len() {
        assert_eq!(layout(&whole[..length]), None, "{length}");
    }
    // A string that is longer than anything.
    let mut lying = head(14, 1);
    let at = lying.windows(4).position(|bytes| bytes == b"boss").unwrap() - 4;
    lying[at..at + 4].copy_from_slice(&[0xff; 4]);
    assert_eq!(layout(&lying[..]), None);
}

#[test]
fn what_is_not_understood_goes_through_as_it_is() {
    let head = head(14, 2);
    let (one, two) = (rows(1, &[b"dropped"]), rows(2, &[b"kept"]));
    for strange in [&[9, 1, 2, 3][..], &[ROWS, 0, 2], &[LARGE_OBJECTS, 0, 2, 0, 0, 0, 7]] {
        let dump = [&head, &one, strange, &two].concat();
        assert_eq!(without(&dump, &[1]), in_one_piece(&[&head, strange, &two].concat()));
    }
    let negative = [&head[..], &[ROWS], &int(2), &int(-5), b"tail"].concat();
    assert_eq!(without(&negative, &[1]), negative);
    let negative = [&head[..], &[ROWS], &int(1), &int(-5), b"tail"].concat();
    assert_eq!(without(&negative, &[1]), [&head[..], b"tail"].concat());
    // Cut within what is left out: nothing of it is made up. Else all is there that was.
    for length in head.len()..head.len() + one.len() {
        let cut = &[&head[..], &one].concat()[..length];
        let left = if length < head.len() + 6 { cut } else { &head };
        assert_eq!(without(cut, &[1]), left, "{length}");
        assert_eq!(without(cut, &[2]), in_one_piece(cut), "{length}");
    }
}

#[test]
fn the_dumps_of_every_major_version_are_known() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/custom");
    for major in 15..=18 {
        let dump = std::fs::read(seeds.join(format!("pg{major}"))).unwrap();
        let head = layout(&dump[..]).unwrap().head as usize;
        let every: Vec<u32> = (0..10_000).collect();
        assert!(without(&dump, &every) == dump[..head], "{major}");
        assert!(head < dump.len() && without(&dump, &[]) == in_one_piece(&dump), "{major}");
    }
}

fn merged(dump: Vec<u8>) -> Merged {
    Merged::new(Box::new(Cursor::new(dump)))
}

#[test]
fn rows_come_in_pieces_as_large_as_what_is_read_at_once() {
    let row = [b'r'; 100];
    let many: Vec<&[u8]> = vec![&row; 10_000];
    let dump = [head(15, 2), rows(1, &many), rows(2, &[b"last"])].concat();
    let mut out = Vec::new();
    merged(dump.clone()).read_to_end(&mut out).unwrap();
    assert!(in_one_piece(&out) == in_one_piece(&dump), "the rows are the same");
    let lengths = |dump: &[u8]| (dump.len() - in_one_piece(dump).len()) / (1 + BYTES);
    assert_eq!((lengths(&dump), lengths(&out)), (9_999, 1_050_000_usize.div_ceil(BUFFER) - 1));
}

#[test]
fn what_is_not_known_is_given_as_it_is_and_an_error_is_one() {
    for dump in [&b""[..], b"PGDMP", b"-- a script", &head(17, 1), &[7; 100_000]] {
        let mut out = Vec::new();
        merged(dump.to_vec()).read_to_end(&mut out).unwrap();
        assert!(out == dump);
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("a bad sector"))
        }
    }
    let cut = Cursor::new(head(14, 3)).take(100).chain(Broken);
    let mut broken = Merged::new(Box::new(cut));
    let error = broken.read(&mut [0]).unwrap_err();
    assert_eq!(error.to_string(), "a bad sector");
    assert!(broken.read(&mut [0]).is_err(), "it never looks like the end");
}
