//! Name patterns as psql and pg_dump read them, turned into regular expressions for the
//! server's `~` operator.
//!
//! In: what a user wrote for a table (`app.ord*`) or a schema (`"My Schema"`). Out: anchored
//! expressions, to be bound as parameters and compared with `COLLATE pg_catalog.default`, so that
//! we lock exactly the tables that pg_dump will dump. The rules are those under "Patterns" in
//! psql's manual page; the cases in the tests are what psql 15 answers. What the server finds
//! wrong in an expression (`a(`) is the server's to say.

use crate::error::{Class, Failure, Result};

/// Longest pattern, bytes: two quoted names of 63 characters need about 510.
pub const MAX_PATTERN_BYTES: usize = 1000;

/// Characters with a meaning in a regular expression.
const SPECIAL: &str = "|*+?()[]{}.^$\\";

/// A pattern of one or two parts, as regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// For the schema; none: any table that the search path finds under its bare name.
    pub schema: Option<String>,
    /// For the name itself.
    pub name: String,
}

/// Reads a table pattern: `name` or `schema.name`.
///
/// # Errors
/// `InvalidArgument`: empty, too long, a NUL, an unterminated quote, more than one dot.
pub fn table_pattern(text: &str) -> Result<NamePattern> {
    let mut parts = translate(text)?;
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    if parts.is_empty() { Ok(NamePattern { schema, name }) } else { Err(too_many_dots(text)) }
}

/// Reads a schema pattern; `name` of the result is for the schema's name.
///
/// # Errors
/// `InvalidArgument`: empty, too long, a NUL, an unterminated quote, a dot.
pub fn schema_pattern(text: &str) -> Result<NamePattern> {
    let mut parts = translate(text)?;
    let name = parts.pop().unwrap_or_default();
    if parts.is_empty() { Ok(NamePattern { schema: None, name }) } else { Err(too_many_dots(text)) }
}

/// The parts between the dots, each an anchored expression; at least one.
fn translate(text: &str) -> Result<Vec<String>> {
    check(text)?;
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(anchored(&std::mem::take(&mut part))),
            _ if quoted => push_literal(&mut part, c),
            _ => push_bare(&mut part, c, rest.peek().copied()),
        }
    }
    if quoted {
        return Err(invalid(format!("unterminated quoted identifier in pattern: {text}"))
            .hint("Write a double quote inside a quoted name twice."));
    }
    parts.push(anchored(&part));
    Ok(parts)
}

fn check(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(invalid("name pattern must not be empty").hint("Use * for every name."));
    }
    if text.len() > MAX_PATTERN_BYTES {
        let detail = format!("It has {} bytes, the limit is {MAX_PATTERN_BYTES}.", text.len());
        return Err(invalid("name pattern is too long").detail(detail));
    }
    if text.contains('\0') {
        return Err(invalid("name pattern must not contain a null character"));
    }
    Ok(())
}

/// A character outside of quotes. Expressions pass, so that those who know them can use them;
/// but `[]` is more likely an array's name than the start of a bracket expression.
fn push_bare(part: &mut String, c: char, next: Option<char>) {
    match c {
        '*' => part.push_str(".*"),
        '?' => part.push('.'),
        '$' => part.push_str("\\$"),
        '[' if next == Some(']') => part.push_str("\\["),
        _ => part.push(c.to_ascii_lowercase()),
    }
}

/// A character inside quotes: it stands for itself.
fn push_literal(part: &mut String, c: char) {
    if SPECIAL.contains(c) {
        part.push('\\');
    }
    part.push(c);
}

fn anchored(part: &str) -> String {
    format!("^({part})$")
}

fn too_many_dots(text: &str) -> Failure {
    invalid(format!("improper qualified name (too many dotted names): {text}"))
        .hint("Put a name that holds a dot in double quotes.")
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Class::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quote(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// What an anchored expression matches, if it is nothing but escaped and plain characters.
    fn only_match(regex: &str) -> Option<String> {
        let body = regex.strip_prefix("^(")?.strip_suffix(")$")?;
        let mut found = String::new();
        let mut rest = body.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => found.push(rest.next().filter(|c| SPECIAL.contains(*c))?),
                c if SPECIAL.contains(c) => return None,
                c => found.push(c),
            }
        }
        Some(found)
    }

    #[test]
    fn patterns_become_what_psql_makes_of_them() {
        let table = [
            ("a.b", Some("^(a)$"), "^(b)$"),
            ("A*.?b", Some("^(a.*)$"), "^(.b)$"),
            ("\"A.b\"", None, "^(A\\.b)$"),
            ("\"a\"\"b\"", None, "^(a\"b)$"),
            ("Fo\"O\"O", None, "^(foOo)$"),
            ("a[]b", None, "^(a\\[]b)$"),
            ("x[1]", None, "^(x[1])$"),
            ("\"[]\"", None, "^(\\[\\])$"),
            ("a$b", None, "^(a\\$b)$"),
            ("\"a$b\"", None, "^(a\\$b)$"),
            ("\"a*(b\"", None, "^(a\\*\\(b)$"),
            (".x", Some("^()$"), "^(x)$"),
            ("x.", Some("^(x)$"), "^()$"),
            ("\"\"", None, "^()$"),
            ("a\\b", None, "^(a\\b)$"),
            ("a|b", None, "^(a|b)$"),
            ("É", None, "^(É)$"),
            ("*", None, "^(.*)$"),
        ];
        for (text, schema, name) in table {
            let expected = NamePattern { schema: schema.map(Into::into), name: name.into() };
            assert_eq!(table_pattern(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_schema_pattern_has_no_dot_outside_quotes() {
        assert_eq!(schema_pattern("App*").unwrap().name, "^(app.*)$");
        assert_eq!(schema_pattern("\"a.b\"").unwrap().name, "^(a\\.b)$");
        assert!(schema_pattern("a.b").unwrap_err().message.contains("too many dotted names"));
    }

    #[test]
    fn too_many_dots_are_named_as_pg_dump_names_them() {
        let failure = table_pattern("a.b.c").unwrap_err();
        assert_eq!(failure.message, "improper qualified name (too many dotted names): a.b.c");
        assert_eq!(failure.class, Class::InvalidArgument);
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused() {
        let long = "x".repeat(MAX_PATTERN_BYTES + 1);
        for text in ["", "a\0b", "\"a", "a\"", "\"\"\"", long.as_str()] {
            assert_eq!(table_pattern(text).unwrap_err().class, Class::InvalidArgument, "{text}");
            assert_eq!(schema_pattern(text).unwrap_err().class, Class::InvalidArgument, "{text}");
        }
        assert!(table_pattern(&long[1..]).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,1100}|[\"\\.\\[\\]a$*?]{0,40}") {
            let _ = table_pattern(&text);
            let _ = schema_pattern(&text);
        }

        #[test]
        fn a_quoted_identifier_matches_exactly_itself(
            schema in "[^\\x00]{1,60}",
            name in "([^\\x00]|[|*+?()\\[\\]{}.^$\\\\\"]){1,60}",
        ) {
            let found = table_pattern(&format!("{}.{}", quote(&schema), quote(&name)));
            let found = match found {
                Ok(found) => found,
                Err(failure) => {
                    prop_assert!(failure.message.ends_with("too long"));
                    return Ok(());
                }
            };
            prop_assert_eq!(only_match(&found.schema.unwrap_or_default()), Some(schema));
            prop_assert_eq!(only_match(&found.name), Some(name));
        }
    }
}
