//! The files that a dump in directory format names: its table of contents may say `../../secret`.
//! pg_restore 15.20 refuses that ("invalid file name in archive", seen), its older minor releases
//! do not look, and whose pg_restore is in pg_backup.bin_directory is up to the administrator.
//!
//! In: `toc.dat`, and the lists of large objects. Out: nothing, or what is wrong. What must hold:
//! every name is one that pg_dump gives, so that it lies in the directory. The layout is that of
//! pg_dump's ReadHead, ReadToc and ReadStr, versions 1.12 (9.0) to 1.16 (17 and 18); texts are
//! skipped, not kept.

use std::io::{self, BufRead, Read};

use super::import::is_dump_file;
use crate::error::{Class, Failure, Result};

const MAGIC: &[u8; 5] = b"PGDMP";
/// Versions whose layout is known, as major and minor number.
const VERSIONS: std::ops::RangeInclusive<(u8, u8)> = (1, 12)..=(1, 16);
/// The number of the format: pg_dump writes that of tar into a dump in directory format.
const DIRECTORY: u8 = 3;
/// Longest name that pg_dump gives: `blobs_4294967295.toc.gz` and the like.
const MAX_NAME: u64 = 64;
/// Most entries: far beyond what `pg_restore --list` may print here.
const MAX_ENTRIES: i64 = 10_000_000;
/// Longest integer of the format, bytes.
const MAX_INT: u8 = 8;

/// Looks at `toc.dat`.
///
/// Errors: `Damaged` for a name that leads elsewhere and for what is no such file, `NotReady` for
/// a version that is not known.
pub fn check_toc(toc: impl BufRead) -> Result<()> {
    let mut toc = Toc { input: toc, int_size: 0 };
    let version = toc.head()?;
    let count = toc.int()?;
    if !(0..=MAX_ENTRIES).contains(&count) {
        return Err(damaged("It tells of more entries than a dump has."));
    }
    (0..count).try_for_each(|_| toc.entry(version))
}

/// Looks at a list of large objects: an id and the name of a file in each line.
pub fn check_blobs(list: impl BufRead) -> Result<()> {
    let mut list = list;
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = list.by_ref().take(2 * MAX_NAME).read_until(b'\n', &mut line);
        if count.map_err(|e| unreadable(&e))? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split_ascii_whitespace();
        let id = words.next().is_some_and(|id| id.parse::<u32>().is_ok());
        let named = words.next().is_some_and(is_dump_file);
        if !id || !named || words.next().is_some() {
            return Err(elsewhere(&text));
        }
    }
}

struct Toc<R> {
    input: R,
    int_size: u8,
}

impl<R: BufRead> Toc<R> {
    /// Up to the number of entries. Gives the version.
    fn head(&mut self) -> Result<(u8, u8)> {
        let mut magic = [0; MAGIC.len()];
        self.input.read_exact(&mut magic).map_err(|e| unreadable(&e))?;
        let version = (self.byte()?, self.byte()?);
        let (_revision, int_size) = (self.byte()?, self.byte()?);
        let (_offset_size, format) = (self.byte()?, self.byte()?);
        if &magic != MAGIC || format != DIRECTORY || !(1..=MAX_INT).contains(&int_size) {
            return Err(damaged("It is no table of contents of a dump in directory format."));
        }
        self.int_size = int_size;
        if !VERSIONS.contains(&version) {
            let message = format!("the dump has the unknown version {}.{}", version.0, version.1);
            return Err(Failure::new(Class::NotReady, message)
                .hint("Make the dump with --format=custom, or restore it by hand."));
        }
        // How it is compressed: an algorithm, or a level in older ones.
        let _how = if version >= (1, 15) { i64::from(self.byte()?) } else { self.int()? };
        // When it was made: seven numbers.
        (0..7).try_for_each(|_| self.int().map(drop))?;
        // Database, version of the server, version of pg_dump.
        (0..3).try_for_each(|_| self.skip_text().map(drop))?;
        Ok(version)
    }

    fn entry(&mut self, version: (u8, u8)) -> Result<()> {
        let (_id, _had_dumper) = (self.int()?, self.int()?);
        // Ids of its catalog and of itself, tag, kind.
        (0..4).try_for_each(|_| self.skip_text().map(drop))?;
        let _section = self.int()?;
        // Definition, DROP, COPY, schema, tablespace.
        (0..5).try_for_each(|_| self.skip_text().map(drop))?;
        if version >= (1, 14) {
            self.skip_text()?; // access method
        }
        if version >= (1, 16) {
            self.int()?; // kind of relation
        }
        (0..2).try_for_each(|_| self.skip_text().map(drop))?; // owner, whether it has oids
        while self.skip_text()? {} // what it depends on
        self.file()
    }

    /// The name of its file; an entry without one has none, or an empty one.
    fn file(&mut self) -> Result<()> {
        let Some(length) = self.length()? else { return Ok(()) };
        let mut name = Vec::new();
        let read = self.input.by_ref().take(length.min(MAX_NAME)).read_to_end(&mut name);
        if read.map_err(|e| unreadable(&e))? as u64 != length.min(MAX_NAME) {
            return Err(damaged("It ends before its end."));
        }
        let name = String::from_utf8_lossy(&name);
        match length <= MAX_NAME && (name.is_empty() || is_dump_file(&name)) {
            true => Ok(()),
            false => Err(elsewhere(&name)),
        }
    }

    /// False for the text that is none.
    fn skip_text(&mut self) -> Result<bool> {
        let Some(length) = self.length()? else { return Ok(false) };
        let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink());
        match skipped.map_err(|e| unreadable(&e))? == length {
            true => Ok(true),
            false => Err(damaged("It ends before its end.")),
        }
    }

    fn length(&mut self) -> Result<Option<u64>> {
        Ok(u64::try_from(self.int()?).ok())
    }

    /// A sign, and the bytes of the number, the lowest first.
    fn int(&mut self) -> Result<i64> {
        let negative = self.byte()? != 0;
        let mut value: u64 = 0;
        for place in 0..self.int_size {
            value |= u64::from(self.byte()?) << (8 * u32::from(place));
        }
        let value = i64::try_from(value).map_err(|_| damaged("A number in it is too large."))?;
        Ok(if negative { -value } else { value })
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(|e| unreadable(&e))?;
        Ok(byte[0])
    }
}

fn damaged(what: &str) -> Failure {
    Failure::new(Class::Damaged, "the dump has a broken toc.dat").detail(what)
}

fn elsewhere(name: &str) -> Failure {
    let shown: String = name.trim_end().chars().take(80).collect();
    Failure::new(
        Class::Damaged,
        format!("the dump names a file that is none of its own: \"{}\"", shown.escape_debug()),
    )
    .detail("An older pg_restore would read it, wherever it is. No pg_dump writes such a name.")
    .hint("Do not restore this dump: somebody has changed it.")
}

fn unreadable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("It ends before its end."),
        _ => Failure::io("read the table of contents", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i32) -> Vec<u8> {
        [&[u8::from(value < 0)], &value.unsigned_abs().to_le_bytes()[..]].concat()
    }

    fn text(text: Option<&str>) -> Vec<u8> {
        let Some(text) = text else { return int(-1) };
        [int(text.len() as i32), text.into()].concat()
    }

    /// A table of contents with one entry.
    fn toc(minor: u8, file: Option<&str>) -> Vec<u8> {
        let mut toc = [&b"PGDMP"[..], &[1, minor, 0, 4, 8, DIRECTORY]].concat();
        toc.extend(if minor >= 15 { vec![0] } else { int(6) });
        (0..7).for_each(|_| toc.extend(int(0)));
        (0..3).for_each(|_| toc.extend(text(Some("x"))));
        toc.extend([int(1), int(7), int(1)].concat());
        (0..4).for_each(|_| toc.extend(text(Some("abc"))));
        toc.extend(int(2));
        (0..5).for_each(|_| toc.extend(text(None)));
        toc.extend(if minor >= 14 { text(Some("heap")) } else { Vec::new() });
        toc.extend(if minor >= 16 { int(114) } else { Vec::new() });
        for value in [Some("me"), Some("false"), Some("3"), None, file] {
            toc.extend(text(value));
        }
        toc
    }

    #[test]
    fn only_files_of_the_dump_itself_may_be_named() {
        for minor in 12..=16 {
            for good in [None, Some(""), Some("3456.dat"), Some("blobs.toc")] {
                assert_eq!(check_toc(&toc(minor, good)[..]), Ok(()), "{minor} {good:?}");
            }
            let long = "../".repeat(30) + "dev/zero";
            for bad in ["/dev/zero", "../1.dat", &long, "x", "1.dat/../../x"] {
                let failure = check_toc(&toc(minor, Some(bad))[..]).unwrap_err();
                assert!(failure.message.contains("none of its own"), "{minor} {bad}: {failure}");
            }
        }
        assert_eq!(check_toc(&toc(17, None)[..]).unwrap_err().class, Class::NotReady);
    }

    #[test]
    fn a_table_of_contents_that_is_cut_anywhere_is_damaged() {
        let whole = toc(16, Some("3456.dat"));
        for end in 0..whole.len() {
            let failure = check_toc(&whole[..end]).unwrap_err();
            assert_eq!(failure.class, Class::Damaged, "{end}: {failure}");
        }
    }

    #[test]
    fn a_list_of_large_objects_names_files_of_the_dump() {
        assert_eq!(check_blobs(&b"16403 blob_16403.dat\n16404 blob_16404.dat\n"[..]), Ok(()));
        assert_eq!(check_blobs(&b""[..]), Ok(()));
        let endless = b"x".repeat(1000);
        for bad in [&b"16403 ../x\n"[..], b"1 /dev/zero\n", b"x blob_1.dat\n", b"1\n", &endless] {
            assert!(check_blobs(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
