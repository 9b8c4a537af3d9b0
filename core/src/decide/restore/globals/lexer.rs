//! Cuts a script of pg_dumpall into statements and these into words, so that a name is a name
//! whatever it holds. Comments and psql's own commands are left out.

use std::iter::Peekable;
use std::str::CharIndices;

/// Most statements that are read: ten for each of 100,000 roles.
const MAX_STATEMENTS: usize = 1_000_000;

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

/// The statements of a script; one that has no end is left out.
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
                if !tokens.is_empty() && found.len() < MAX_STATEMENTS {
                    found.push(Statement { text, tokens });
                }
                continue;
            }
            '-' if chars.peek().is_some_and(|(_, next)| *next == '-') => skip_line(&mut chars),
            '\\' if tokens.is_empty() => skip_line(&mut chars),
            c if c.is_whitespace() => {}
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
        '\'' => quoted('\'', false, chars).map(Token::Text),
        'E' | 'e' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
            chars.next();
            quoted('\'', true, chars).map(Token::Text)
        }
        c if is_of_word(c) => {
            let mut word = c.to_lowercase().to_string();
            while let Some((_, c)) = chars.next_if(|(_, c)| is_of_word(*c)) {
                word.extend(c.to_lowercase());
            }
            Some(Token::Word(word))
        }
        c => Some(Token::Symbol(c)),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
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
