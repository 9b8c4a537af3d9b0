//! The SQL that the engine sends through its client connections. Every name of the catalog is
//! qualified, every name of a user is quoted here or bound as a parameter.

pub mod audit;
pub mod carry;
pub mod events;
pub mod facts;
pub mod globals;
pub mod history;
pub mod history_end;
pub mod history_files;
pub mod history_import;
pub mod history_unfinished;
pub mod hooks;
pub mod into_schema;
pub mod migrations;
pub mod part;
pub mod properties;
pub mod recovery;
pub mod restore;
pub mod retention;
pub mod scan;
pub mod schedules;
pub mod script;
pub mod snapshot;
pub mod swap;
pub mod timescale;
pub mod watch;

/// An identifier, quoted whatever it holds.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A qualified identifier.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text as a literal, whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// All of the statements, or none of them.
pub fn transaction(statements: &[String]) -> String {
    format!("BEGIN;\n{};\nCOMMIT", statements.join(";\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_whatever_they_hold() {
        assert_eq!(ident("a"), "\"a\"");
        assert_eq!(ident("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(qualified("S", "t.u"), "\"S\".\"t.u\"");
    }
}
