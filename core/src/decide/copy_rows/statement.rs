//! The text of one SQL statement, kept only while it can be a COPY, and what a COPY names.
//!
//! In: the statement's bytes without comments. Out: the table of `COPY … FROM stdin`. What lies
//! in parentheses is not kept: a list of 1600 columns is long, and does not matter here.

/// Longest statement that is kept, bytes; two names of 63 characters need less than 1 KiB.
pub(super) const MAX_STATEMENT_BYTES: usize = 64 * 1024;

/// How pg_dump begins the statement that names the encoding of its script.
const ENCODING: &[u8] = b"SET client_encoding = '";

/// The table of a COPY statement, as the server will name it, in the script's encoding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub schema: Vec<u8>,
    pub name: Vec<u8>,
}

/// A statement as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// Kept text; empty once the statement cannot be a COPY.
    text: Vec<u8>,
    /// Something other than white space was there.
    started: bool,
    /// It is not a COPY, or too long.
    dropped: bool,
    /// Open parentheses.
    depth: u32,
    overflowed: bool,
    /// The name in the last statement that named one.
    encoding: Option<String>,
}

impl Statement {
    pub fn started(&self) -> bool {
        self.started
    }

    /// Whether a statement that may have been a COPY was too long to keep, so far.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The encoding of the script, as it says itself.
    pub fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    /// Whether a semicolon would be inside parentheses, as in a rule's list of commands.
    pub fn in_parentheses(&self) -> bool {
        self.depth > 0
    }

    /// Takes a byte outside of quotes.
    pub fn push(&mut self, byte: u8) {
        match byte {
            b'(' => {
                self.keep(b"(");
                self.depth = self.depth.saturating_add(1);
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                self.keep(b")");
            }
            _ => self.keep(&[byte]),
        }
    }

    /// Takes bytes of a quoted text, quotes included.
    pub fn push_quoted(&mut self, bytes: &[u8]) {
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.started && bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.started = true;
        if self.dropped || self.depth > 0 {
            return;
        }
        if self.text.len() + bytes.len() > MAX_STATEMENT_BYTES {
            self.overflowed = true;
            return self.drop_text();
        }
        self.text.extend_from_slice(bytes);
        let begins = |with: &[u8]| {
            let both = self.text.len().min(with.len());
            self.text[..both].eq_ignore_ascii_case(&with[..both])
        };
        if !begins(b"COPY") && !begins(ENCODING) {
            self.drop_text();
        }
    }

    fn drop_text(&mut self) {
        self.dropped = true;
        self.text.clear();
    }

    /// Ends the statement: what it copies from the script, if it does. Ready for the next one.
    pub fn end(&mut self) -> Option<Target> {
        let target = target(&self.text);
        if let Some(name) = self.text.strip_prefix(ENCODING) {
            let name = name.strip_suffix(b"'").unwrap_or_default();
            self.encoding = Some(String::from_utf8_lossy(name).into_owned());
        }
        self.text.clear();
        (self.started, self.dropped, self.depth) = (false, false, 0);
        target
    }
}

/// Reads `COPY [schema.]name [(columns)] FROM stdin …`. Options may follow: pg_dump writes none,
/// but psql would read data behind them all the same.
fn target(text: &[u8]) -> Option<Target> {
    let mut rest = Words(text);
    rest.word("COPY")?;
    let first = rest.identifier()?;
    let second = if rest.symbol(b'.').is_some() { Some(rest.identifier()?) } else { None };
    if rest.symbol(b'(').is_some() {
        rest.symbol(b')')?;
    }
    rest.word("FROM")?;
    rest.word("STDIN")?;
    let (schema, name) = match second {
        Some(name) => (first, name),
        None => (Vec::new(), first),
    };
    Some(Target { schema, name })
}

/// What is left to read of a statement.
struct Words<'t>(&'t [u8]);

impl Words<'_> {
    fn symbol(&mut self, symbol: u8) -> Option<()> {
        let (first, rest) = self.0.trim_ascii_start().split_first()?;
        (*first == symbol).then(|| self.0 = rest)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.bare()?.eq_ignore_ascii_case(word.as_bytes()).then_some(())
    }

    /// A name as the server understands it: without quotes, or in lower case.
    fn identifier(&mut self) -> Option<Vec<u8>> {
        if self.symbol(b'"').is_none() {
            return self.bare().map(|name| name.to_ascii_lowercase());
        }
        let mut name = Vec::new();
        loop {
            let end = memchr::memchr(b'"', self.0)?;
            name.extend_from_slice(&self.0[..end]);
            self.0 = &self.0[end + 1..];
            match self.0.strip_prefix(b"\"") {
                Some(rest) => self.0 = rest,
                None => return Some(name),
            }
            name.push(b'"');
        }
    }

    /// A word without quotes; none where there is none.
    fn bare(&mut self) -> Option<&[u8]> {
        let text = self.0.trim_ascii_start();
        let end = text.iter().position(|byte| !is_word(*byte)).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// Whether a byte can stand in an identifier without quotes.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}
