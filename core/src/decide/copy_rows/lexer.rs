//! SQL as psql splits it, as far as needed to find COPY statements and nothing that only looks
//! like one.
//!
//! In: bytes outside of COPY data, cut anywhere. Out: the table of a COPY statement, once its
//! line has ended. What must hold: quotes, dollar quotes, comments and psql's own commands
//! (`\connect`, `\restrict`) are told from statements as psql does with standard strings on
//! (PostgreSQL's manual, "Lexical Structure"). Long quoted texts are skipped by search.

use memchr::{memchr, memchr2};

use super::statement::{Statement, Target, is_word};

/// The last comment of a plain dump, behind its dashes.
const TRAILER: &[u8] = b" PostgreSQL database dump complete";
/// Longest dollar quote tag, bytes. pg_dump makes a tag longer than whatever a function body
/// holds, so anybody's function can make it long; nobody's by accident.
const MAX_TAG_BYTES: usize = 1 << 20;

/// Where between the tokens the input stands.
#[derive(Debug, Default)]
enum State {
    /// Outside of everything below.
    #[default]
    Text,
    /// In `'…'`; a doubled quote ends it and begins another, which comes to the same.
    Literal,
    /// In `E'…'`.
    Escaped,
    /// Behind a backslash in `E'…'`.
    EscapedByte,
    /// Behind a quote in `E'…'`: its end, or half of a doubled one.
    EscapedQuote,
    /// In `"…"`.
    Identifier,
    /// Behind a dollar sign that may begin `$tag$`.
    Tag,
    /// In `$tag$…$tag$`, with so many bytes of the closing tag read.
    Dollar(usize),
    LineComment,
    /// In `/* … */`: how deep, and the byte before.
    BlockComment(u32, u8),
    /// In a command of psql itself, up to the end of the line.
    Command,
    /// Behind a COPY statement: data begin with the next line.
    LineEnd,
}

/// The state between two chunks.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    state: State,
    statement: Statement,
    /// A dash or slash that may begin a comment.
    held: Option<u8>,
    /// Bytes of the word that was just read, and its last one.
    word: (u64, u8),
    /// The dollar quote's `$tag$`.
    tag: Vec<u8>,
    /// Start of the line comment, to compare with the trailer.
    comment: Vec<u8>,
    copy: Option<Target>,
    trailer: bool,
    overflowed: bool,
}

impl Lexer {
    pub fn overflowed(&self) -> bool {
        self.overflowed || self.statement.overflowed()
    }

    pub fn saw_trailer(&self) -> bool {
        self.trailer
    }

    /// The encoding of the script, as it says itself.
    pub fn encoding(&self) -> Option<&str> {
        self.statement.encoding()
    }

    /// Whether the input may end here.
    pub fn is_between_statements(&self) -> bool {
        let outside = matches!(self.state, State::Text | State::LineComment | State::Command);
        outside && self.held.is_none() && !self.statement.started()
    }

    /// The table whose data begin with the next byte, once.
    pub fn take_copy(&mut self) -> Option<Target> {
        if matches!(self.state, State::Text) { self.copy.take() } else { None }
    }

    /// Reads up to where data begin or to the end of the chunk; how many bytes that were.
    pub fn feed(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while at < chunk.len() {
            at += self.step(&chunk[at..]);
            if self.copy.is_some() && matches!(self.state, State::Text) {
                break;
            }
        }
        at
    }

    /// Reads at least one byte, or changes the state to one that will.
    fn step(&mut self, rest: &[u8]) -> usize {
        match self.state {
            State::Text => self.text(rest[0]),
            State::Literal => return self.quoted(rest, b'\''),
            State::Identifier => return self.quoted(rest, b'"'),
            State::Escaped => return self.escaped(rest),
            State::EscapedByte => self.state = State::Escaped,
            State::EscapedQuote if rest[0] == b'\'' => self.state = State::Escaped,
            State::EscapedQuote => {
                self.state = State::Text;
                return 0;
            }
            State::Tag => return self.tag(rest[0]),
            State::Dollar(matched) => return self.dollar(rest, matched),
            State::LineComment => return self.line_comment(rest),
            State::BlockComment(depth, before) => self.block_comment(depth, before, rest[0]),
            State::Command | State::LineEnd => return self.line_end(rest),
        }
        1
    }

    /// One byte outside of quotes and comments.
    fn text(&mut self, byte: u8) {
        match (self.held.take(), byte) {
            (Some(b'-'), b'-') => return self.begin_comment(),
            (Some(b'/'), b'*') => return self.state = State::BlockComment(1, 0),
            (Some(held), _) => self.push(held),
            (None, _) => (),
        }
        match byte {
            b'-' | b'/' => self.held = Some(byte),
            b'\'' if matches!(self.word, (1, b'e' | b'E')) => self.open(byte, State::Escaped),
            b'\'' => self.open(byte, State::Literal),
            b'"' => self.open(byte, State::Identifier),
            b'$' if self.word.0 == 0 => {
                self.tag.clear();
                self.open(byte, State::Tag);
                self.tag.push(byte);
            }
            b'\\' => self.state = State::Command,
            b';' if !self.statement.in_parentheses() => {
                self.word = (0, 0);
                self.copy = self.statement.end();
                if self.copy.is_some() {
                    self.state = State::LineEnd;
                }
            }
            _ => self.push(byte),
        }
    }

    fn push(&mut self, byte: u8) {
        self.word = if is_word(byte) { (self.word.0 + 1, byte) } else { (0, 0) };
        self.statement.push(byte);
        // What is not at the end is no trailer.
        self.trailer &= !self.statement.started();
    }

    fn open(&mut self, quote: u8, state: State) {
        self.push(quote);
        self.word = (0, 0);
        self.state = state;
    }

    /// In `'…'` or `"…"`: up to the next quote.
    fn quoted(&mut self, rest: &[u8], quote: u8) -> usize {
        let found = memchr(quote, rest);
        let used = found.map_or(rest.len(), |at| at + 1);
        self.statement.push_quoted(&rest[..used]);
        if found.is_some() {
            self.state = State::Text;
        }
        used
    }

    /// In `E'…'`: up to the next quote or backslash. No COPY from stdin has such a literal before
    /// its options, so it is not kept.
    fn escaped(&mut self, rest: &[u8]) -> usize {
        match memchr2(b'\'', b'\\', rest) {
            Some(at) => {
                let quote = rest[at] == b'\'';
                self.state = if quote { State::EscapedQuote } else { State::EscapedByte };
                at + 1
            }
            None => rest.len(),
        }
    }

    /// Behind `$` and some bytes of a tag. A parameter (`$1`) is no tag, and stays unread.
    fn tag(&mut self, byte: u8) -> usize {
        let first = self.tag.len() == 1;
        if byte == b'$' {
            self.tag.push(byte);
            self.state = State::Dollar(0);
            return 1;
        }
        if !is_word(byte) || (first && byte.is_ascii_digit()) {
            self.state = State::Text;
            return 0;
        }
        if self.tag.len() == MAX_TAG_BYTES {
            self.overflowed = true;
        } else {
            self.tag.push(byte);
        }
        1
    }

    /// In `$tag$…$tag$`: a dollar sign stands only at the ends of a tag, so after a mismatch the
    /// search goes on at most one byte back.
    fn dollar(&mut self, rest: &[u8], matched: usize) -> usize {
        if matched == 0 {
            let found = memchr(b'$', rest);
            self.state = State::Dollar(usize::from(found.is_some()));
            return found.map_or(rest.len(), |at| at + 1);
        }
        self.state = match rest[0] {
            byte if byte == self.tag[matched] && matched + 1 == self.tag.len() => State::Text,
            byte if byte == self.tag[matched] => State::Dollar(matched + 1),
            b'$' => State::Dollar(1),
            _ => State::Dollar(0),
        };
        1
    }

    fn begin_comment(&mut self) {
        self.comment.clear();
        self.state = State::LineComment;
    }

    /// In `-- …`: up to the end of the line, which for psql's lexer is a carriage return, too
    /// (psqlscan.l, `non_newline`).
    fn line_comment(&mut self, rest: &[u8]) -> usize {
        let end = memchr2(b'\n', b'\r', rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        // One byte more than the trailer tells a longer comment, another one a carriage return.
        let room = TRAILER.len() + 2 - self.comment.len();
        self.comment.extend_from_slice(&text[..text.len().min(room)]);
        let Some(end) = end else { return rest.len() };
        self.trailer |= self.comment.trim_ascii_end() == TRAILER && !self.statement.started();
        self.push(b' ');
        self.state = State::Text;
        end + 1
    }

    /// In `/* … */`, which nests.
    fn block_comment(&mut self, depth: u32, before: u8, byte: u8) {
        self.state = match (before, byte) {
            (b'*', b'/') if depth == 1 => {
                self.push(b' ');
                State::Text
            }
            (b'*', b'/') => State::BlockComment(depth - 1, 0),
            (b'/', b'*') => State::BlockComment(depth.saturating_add(1), 0),
            _ => State::BlockComment(depth, byte),
        };
    }

    /// In a command of psql or behind a COPY statement: up to the end of the line.
    fn line_end(&mut self, rest: &[u8]) -> usize {
        match memchr(b'\n', rest) {
            Some(end) => {
                self.word = (0, 0);
                self.state = State::Text;
                end + 1
            }
            None => rest.len(),
        }
    }
}
