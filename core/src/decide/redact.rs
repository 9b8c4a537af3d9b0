//! What tools say, made fit to be kept: secrets masked, length bounded.
//!
//! In: bytes of a child's standard error, or any text that goes into a row, a message or a log.
//! Out: text without passwords; the beginning and the end of a stream; the warnings in it. In
//! doubt more is masked, not less. The rules for values are those of libpq's connection strings
//! and of SQL literals.

/// What stands where a secret stood.
const MASK: &str = "***";
/// Start of a stream that is kept: what failed first, bytes.
const HEAD_BYTES: usize = 4 * 1024;
/// End of a stream that is kept: the last words, bytes.
const TAIL_BYTES: usize = 8 * 1024;
/// Most warnings of one tool that are kept.
const MAX_WARNINGS: usize = 50;
/// Longest warning that is kept, characters.
const MAX_WARNING_CHARS: usize = 300;

/// How far a password in an address is looked for, bytes: keeps the work linear in the text.
const MAX_ADDRESS_BYTES: usize = 8 * 1024;

/// Masks passwords: `password=…` and `sslpassword=…` of connection strings, `PASSWORD '…'` of
/// SQL, `"password": "…"` of JSON, `postgres://user:…@host`. Upper and lower case alike.
pub fn redact(text: &str) -> String {
    // Bytes stay where they are, so places found in one are places of the other.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some((start, end)) = next_secret(&lower, done) {
        out.push_str(&text[done..start]);
        out.push_str(MASK);
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

/// Start and end of the first secret at or behind `from`.
fn next_secret(lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    // Each round goes on behind what it looked at.
    while let Some(found) = lower[at..].find(['p', ':']).map(|found| at + found) {
        let rest = &lower[found..];
        let secret = match rest.strip_prefix("password") {
            Some(rest) => value(rest),
            None => rest.strip_prefix("://").and_then(|rest| user_secret(lower, found, rest)),
        };
        if let Some((rest, length)) = secret {
            let start = lower.len() - rest.len();
            return Some((start, start + length));
        }
        at = found + 1;
    }
    None
}

/// The text from the value behind the word `password` on, and the value's length; none if no
/// value follows.
fn value(rest: &str) -> Option<(&str, usize)> {
    let bare = rest.strip_prefix('"').unwrap_or(rest).trim_ascii_start();
    if let Some(rest) = bare.strip_prefix('=') {
        let rest = rest.trim_ascii_start();
        let quoted = quoted(rest).unwrap_or(0);
        return Some((rest, quoted + word(&rest[quoted..])));
    }
    if let Some(rest) = bare.strip_prefix(':') {
        // A colon alone is prose or a prompt; in JSON a quoted value follows it.
        let rest = rest.trim_ascii_start();
        return quoted(rest).map(|length| (rest, length));
    }
    let rest = rest.trim_ascii_start();
    literal(rest).map(|length| (rest, length))
}

/// Length of a value in quotes at the start. Without an end: all of it.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.bytes().next().filter(|byte| matches!(byte, b'\'' | b'"'))?;
    Some(quoted_end(rest.as_bytes(), 1, quote))
}

/// Length of an SQL literal at the start: `'…'`, `E'…'`, `U&'…'`, `$tag$…$tag$`.
fn literal(rest: &str) -> Option<usize> {
    let open = ["'", "e'", "u&'", "n'"].iter().find(|open| rest.starts_with(**open));
    match open {
        Some(open) => Some(quoted_end(rest.as_bytes(), open.len(), b'\'')),
        None => dollar_quoted(rest),
    }
}

/// Length of a dollar-quoted literal at the start. Without an end: all of it.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag = rest.strip_prefix('$')?.find('$')? + 2;
    let is_tag = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || !b.is_ascii();
    if !rest[1..tag - 1].bytes().all(is_tag) {
        return None;
    }
    Some(rest[tag..].find(&rest[..tag]).map_or(rest.len(), |body| tag + body + tag))
}

/// Where a quoted value that began before `at` ends, behind its quote. A doubled quote and a
/// backslash with what follows belong to it.
fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() {
        let doubled = bytes[at] == quote && bytes.get(at + 1) == Some(&quote);
        if bytes[at] == b'\\' || doubled {
            at += 2;
        } else if bytes[at] == quote {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// Length of a value without quotes: up to white space that no backslash protects.
fn word(rest: &str) -> usize {
    let mut protected = false;
    for (at, byte) in rest.bytes().enumerate() {
        if byte.is_ascii_whitespace() && !protected {
            return at;
        }
        protected = byte == b'\\' && !protected;
    }
    rest.len()
}

/// The password in `postgres://user:password@…`, whose `://` is at `at` and followed by `rest`.
fn user_secret<'t>(lower: &str, at: usize, rest: &'t str) -> Option<(&'t str, usize)> {
    if !lower[..at].ends_with("postgres") && !lower[..at].ends_with("postgresql") {
        return None;
    }
    let address = &rest[..rest.floor_char_boundary(MAX_ADDRESS_BYTES)];
    let address = address.split_ascii_whitespace().next().filter(|a| rest.starts_with(a))?;
    // Up to the last @: passwords are often pasted unescaped.
    let credentials = &address[..address.rfind('@')?];
    let user = credentials.find(':')? + 1;
    Some((&rest[user..], credentials.len() - user))
}

/// The beginning and the end of a stream of any length, in at most 20 KiB.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    head: Vec<u8>,
    /// The last bytes behind the head; cut back when twice as long as needed.
    tail: Vec<u8>,
    total: u64,
}

impl Tail {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
        if self.tail.len() + rest.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES.min(self.tail.len()));
        }
        self.tail.extend_from_slice(rest);
    }

    /// Length of the stream so far, bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is kept, not redacted; what is not UTF-8 and control characters are replaced. Where
    /// something was left out, a line says how much; whole lines are left out where there are any,
    /// so that no value is shown without the word before it, by which [`redact`] knows a secret.
    pub fn text(&self) -> String {
        let kept = &self.tail[self.tail.len().saturating_sub(TAIL_BYTES)..];
        if (self.head.len() + kept.len()) as u64 == self.total {
            return readable(&[&self.head, kept].concat());
        }
        let head = match memchr::memrchr(b'\n', &self.head) {
            Some(end) => &self.head[..=end],
            None => &self.head[..],
        };
        let tail = match memchr::memchr(b'\n', kept) {
            Some(end) if end + 1 < kept.len() => &kept[end + 1..],
            _ => kept,
        };
        let left_out = self.total - (head.len() + tail.len()) as u64;
        let (head, tail) = (readable(head), readable(tail));
        let line_end = if head.ends_with('\n') { "" } else { "\n" };
        format!("{head}{line_end}… {left_out} bytes left out …\n{tail}")
    }
}

/// A NUL fits into no row and ends a message; escape sequences are not for others' terminals.
fn readable(bytes: &[u8]) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The warnings in what a tool wrote to its standard error, in order, without the tool's name:
/// at most 50 of at most 300 characters each.
pub fn warnings(stderr: &str) -> Vec<String> {
    stderr
        .lines()
        .filter(|line| line.contains("warning:"))
        .take(MAX_WARNINGS)
        .map(|line| match line.split_once(": warning: ") {
            // A tool's name is one word; with more before it the line is something else.
            Some((tool, text)) if !tool.contains(' ') => text,
            _ => line,
        })
        .map(|text| text.trim().chars().take(MAX_WARNING_CHARS).collect())
        .collect()
}

#[cfg(test)]
mod tests;
