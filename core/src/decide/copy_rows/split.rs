//! Splits an SQL script into lines and data, and tells which lines begin a statement.
//!
//! In: bytes of a script, cut anywhere. Out: [`Piece`]s that are the same bytes in the same order.
//! What must hold: memory is bounded by [`MAX_LINE`], however long a line is; what looks like a
//! statement inside data, a quoted text, a function body or a comment begins none.

use super::block::Block;
use super::lexer::Lexer;

/// Longest line that is given in one piece; the lines that anybody judges are shorter.
pub const MAX_LINE: usize = 16 << 10;

/// Some bytes of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line that begins between two statements. `closed`: it ends between two as well.
    Line { text: &'a [u8], closed: bool },
    /// The start of such a line that is longer than [`MAX_LINE`].
    LongLine(&'a [u8]),
    /// Anything else of SQL.
    Rest(&'a [u8]),
    /// Data of a COPY, up to the line `\.`, which is the last of them.
    Data(&'a [u8]),
}

/// The state between two chunks.
#[derive(Debug, Default)]
pub struct Splitter {
    lexer: Lexer,
    data: Option<Block>,
    line: Vec<u8>,
    /// Pieces of this line were given already.
    cut: bool,
}

impl Splitter {
    /// Takes the next chunk and gives pieces, until one is refused.
    pub fn feed<E>(
        &mut self,
        chunk: &[u8],
        take: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match &mut self.data {
                Some(block) => {
                    let used = block.feed(rest);
                    take(Piece::Data(&rest[..used]))?;
                    if block.ended() {
                        self.data = None;
                    }
                    &rest[used..]
                }
                None => self.sql(rest, take)?,
            };
        }
        Ok(())
    }

    /// Gives the last line, if it has no end.
    pub fn finish<E>(&mut self, take: &mut dyn FnMut(Piece<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.line.is_empty() { Ok(()) } else { self.give(true, take) }
    }

    /// Whether the input may end here.
    pub fn is_whole(&self) -> bool {
        self.data.is_none() && self.line.is_empty() && self.lexer.is_between_statements()
    }

    /// One line, or as much of it as there is.
    fn sql<'c, E>(
        &mut self,
        rest: &'c [u8],
        take: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<&'c [u8], E> {
        let room = MAX_LINE - self.line.len();
        let near = &rest[..rest.len().min(room)];
        let end = memchr::memchr(b'\n', near);
        let used = end.map_or(near.len(), |at| at + 1);
        self.line.extend_from_slice(&near[..used]);
        if end.is_some() || self.line.len() == MAX_LINE {
            self.give(end.is_some(), take)?;
        }
        Ok(&rest[used..])
    }

    fn give<E>(
        &mut self,
        ends: bool,
        take: &mut dyn FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begins = !self.cut && self.lexer.is_between_statements();
        let line = std::mem::take(&mut self.line);
        self.lexer.feed(&line);
        let copies = self.lexer.take_copy().is_some();
        let closed = self.lexer.is_between_statements();
        take(match (begins, ends) {
            (true, true) => Piece::Line { text: &line, closed },
            (true, false) => Piece::LongLine(&line),
            (false, _) => Piece::Rest(&line),
        })?;
        self.data = copies.then(Block::default);
        self.cut = !ends;
        // Kept for its memory.
        self.line = line;
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines that begin statements, and everything that came out.
    fn split(chunks: &[&[u8]]) -> (Vec<(String, bool)>, Vec<u8>) {
        let (mut splitter, mut lines, mut all) = (Splitter::default(), Vec::new(), Vec::new());
        let mut take = |piece: Piece<'_>| -> Result<(), ()> {
            match piece {
                Piece::Line { text, closed } => {
                    lines.push((String::from_utf8_lossy(text).trim_end().to_owned(), closed));
                    all.extend_from_slice(text);
                }
                Piece::LongLine(text) | Piece::Rest(text) | Piece::Data(text) => {
                    all.extend_from_slice(text);
                }
            }
            Ok(())
        };
        chunks.iter().for_each(|chunk| splitter.feed(chunk, &mut take).unwrap());
        splitter.finish(&mut take).unwrap();
        (lines, all)
    }

    #[test]
    fn only_lines_between_statements_begin_one() {
        let script = b"SET a = 1;\nSELECT 1,\nSET b = 2;\nSELECT '\nSET c = 3;\n';\n\
            /*\nSET d = 4;\n*/\nCREATE FUNCTION f() AS $x$\nSET e = 5;\n$x$;\n\
            COPY t FROM stdin;\nSET f = 6;\n\\.\n-- a\n\nSET g = 7;";
        let begins = |line: &str| split(&[script]).0.iter().any(|(found, _)| found == line);
        for inside in ["SET b = 2;", "SET c = 3;", "SET d = 4;", "SET e = 5;", "SET f = 6;"] {
            assert!(!begins(inside), "{inside}");
        }
        assert!(begins("SET a = 1;") && begins("SET g = 7;"));
        let closed = split(&[script]).0.into_iter().find(|(line, _)| line == "SELECT 1,");
        assert_eq!(closed, Some(("SELECT 1,".to_owned(), false)));
    }

    #[test]
    fn a_line_without_end_needs_no_memory() {
        let mut splitter = Splitter::default();
        let (mut long, mut bytes) = (0, 0);
        for _ in 0..1000 {
            splitter
                .feed(&[b'x'; 10_000], &mut |piece| -> Result<(), ()> {
                    match piece {
                        Piece::LongLine(text) => (long, bytes) = (long + 1, bytes + text.len()),
                        Piece::Rest(text) => bytes += text.len(),
                        other => panic!("{other:?}"),
                    }
                    Ok(())
                })
                .unwrap();
            assert!(splitter.line.capacity() <= 2 * MAX_LINE);
        }
        assert_eq!((long, bytes), (1, 10_000_000 / MAX_LINE * MAX_LINE));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in_wherever_it_is_cut(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "COPY t FROM stdin;\n", "\\.\n", "'", "$a$", "$", "\n", ";", "/*", "*/", "--",
                    "SET x = 1;\n", "E'\\'", "\"", "(", ")", "\\connect x\n", "\t1\n",
                ]), 0..60),
            at in 0..200usize,
        ) {
            let script = words.concat().into_bytes();
            let cut = at.min(script.len());
            let (lines, all) = split(&[&script]);
            let (same, again) = split(&[&script[..cut], &script[cut..]]);
            prop_assert_eq!(&all, &script);
            prop_assert_eq!(&again, &script);
            prop_assert_eq!(lines, same);
        }
    }
}
