//! Cuts a script of pg_dumpall into statements and these into words, so that a name is a name
//! whatever it holds. Comments and psql's own commands are left out.
//!
//! What must hold: the server, whose lexer knows more, sees the same statements, for it runs them
//! as a superuser. So a statement with anything that pg_dumpall does not write there is left out:
//! a comment, a dollar quote, a text that goes on in another one, a backslash in a plain text.

use std::iter::Peekable;
use std::str::CharIndices;

/// Most statements that are read: ten for each of 100,000 roles.
const MAX_STATEMENTS: usize = 1_000_000;
/// Symbols of the statements that pg_dumpall writes: lists, settings, privileges.
const SYMBOLS: [char; 6] = [',', '(', ')', '=', '.', '-'];
/// Longer names are cut by the server, bytes (`NAMEDATALEN` - 1): they may be those of others.
const MAX_NAME_BYTES: usize = 63;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Without quotes, in lower case: a keyword, a plain name, a number.
    Word(String),
    /// In double quotes, as it is meant.
    Name(String),
    /// In single quotes, as it is meant.
    Text(String),
    Symbol(char),
}

impl Token {
    /// Whether it is this keyword.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found == word)
    }

    /// As a name.
    pub fn name(&self) -> Option<String> {
        match self {
            Token::Word(name) | Token::Name(name) => Some(name.clone()),
            Token::Text(_) | Token::Symbol(_) => None,
        }
    }

    /// As a literal.
    pub fn text(&self) -> Option<String> {
        match self {
            Token::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// A statement as it stands, without the semicolon, and its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub text: String,
    pub tokens: Vec<Token>,
}

/// The statements of a script; one that has no end is left out, and one that the server may read
/// differently.
pub fn statements(script: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut tokens = Vec::new();
    let mut start = None;
    let mut chars = script.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ';' => {
                let text = start.take().map_or("", |start| &script[start..at]).to_owned();
                let tokens = std::mem::take(&mut tokens);
                if is_one(&tokens) && found.len() < MAX_STATEMENTS {
                    found.push(Statement { text, tokens });
                }
            }
            '-' if tokens.is_empty() && chars.next_if(|(_, c)| *c == '-').is_some() => {
                skip_line(&mut chars);
            }
            '\\' if tokens.is_empty() => skip_line(&mut chars),
            ' ' | '\t' | '\n' | '\r' | '\x0c' => {}
            c => {
                start.get_or_insert(at);
                match token(c, &mut chars) {
                    Some(token) => tokens.push(token),
                    // It has no end, and so has nothing behind it.
                    None => break,
                }
            }
        }
    }
    found
}

/// Whether the server sees these tokens, and nothing else.
fn is_one(tokens: &[Token]) -> bool {
    let plain = |token: &Token| match token {
        Token::Word(name) | Token::Name(name) => name.len() <= MAX_NAME_BYTES,
        Token::Text(_) => true,
        Token::Symbol(c) => SYMBOLS.contains(c),
    };
    // Over a line end, E'…' goes on in '…', and with it the meaning of a backslash.
    // Two dashes begin a comment.
    let joined = |pair: &[Token]| match pair {
        [Token::Text(_), Token::Text(_)] => true,
        pair => pair == [Token::Symbol('-'), Token::Symbol('-')],
    };
    !tokens.is_empty()
        && tokens.iter().all(plain)
        && !tokens.windows(2).any(joined)
        && is_balanced(tokens)
}

/// Whether all parentheses are closed: in an open one a semicolon ends nothing for psql.
fn is_balanced(tokens: &[Token]) -> bool {
    let step = |depth: usize, token: &Token| match token {
        Token::Symbol('(') => Some(depth + 1),
        Token::Symbol(')') => depth.checked_sub(1),
        _ => Some(depth),
    };
    tokens.iter().try_fold(0, step) == Some(0)
}

type Chars<'t> = Peekable<CharIndices<'t>>;

fn skip_line(chars: &mut Chars<'_>) {
    for (_, c) in chars.by_ref() {
        if c == '\n' {
            return;
        }
    }
}

/// The piece that begins with `first`; none when its quote is never closed.
fn token(first: char, chars: &mut Chars<'_>) -> Option<Token> {
    match first {
        '"' => quoted('"', false, chars).map(Token::Name),
        '\'' => {
            let text = quoted('\'', false, chars)?;
            // Its end depends on a setting. pg_dumpall writes E'…'.
            Some(if text.contains('\\') { Token::Symbol('\\') } else { Token::Text(text) })
        }
        'E' | 'e' if chars.next_if(|(_, next)| *next == '\'').is_some() => {
            quoted('\'', true, chars).map(Token::Text)
        }
        c if c.is_ascii_digit() => Some(Token::Word(word(c, chars, |c| c.is_ascii_digit()))),
        c if is_of_word(c) && c != '$' => Some(Token::Word(word(c, chars, is_of_word))),
        c => Some(Token::Symbol(c)),
    }
}

fn word(first: char, chars: &mut Chars<'_>, fits: fn(char) -> bool) -> String {
    let mut word = String::from(first.to_ascii_lowercase());
    while let Some((_, c)) = chars.next_if(|(_, c)| fits(*c)) {
        word.push(c.to_ascii_lowercase());
    }
    word
}

/// As the server says (scan.l, `ident_cont`): every character beyond ASCII is one of a name.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn quoted(quote: char, escapes: bool, chars: &mut Chars<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()?.1 {
            '\\' if escapes => text.push(chars.next()?.1),
            c if c == quote => match chars.next_if(|(_, next)| *next == quote) {
                Some(_) => text.push(quote),
                None => return Some(text),
            },
            c => text.push(c),
        }
    }
}
