//! Scripts of plain SQL: what one tells of itself (`facts`), and what of it a restore runs
//! (`filter`). Both look at nothing but whole lines that begin between two statements.

pub mod facts;
pub mod filter;
pub mod version;

/// The words of a line in upper case, up to its first quote: enough to know the statement.
fn words(line: &str) -> Vec<String> {
    let bare = line.split(['"', '\'', '(']).next().unwrap_or_default();
    bare.split_ascii_whitespace().take(WORDS).map(str::to_ascii_uppercase).collect()
}

/// No statement needs more words to be known.
const WORDS: usize = 40;

/// The identifier at the start, without its quotes, and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_ascii_lowercase(), &text[end..]));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Some((name, rest)),
        }
        name.push('"');
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}
