//! Putting restored tables into a schema of a live database: the statements that gather them in a
//! schema of the scratch database, and the script that makes that schema in the live one.
//!
//! The script is that of pg_dump in its three sections, between `BEGIN` and `COMMIT`: what ends
//! early, for whatever reason, leaves nothing. Rows are written with the rights of their owners.

use std::collections::HashMap;

use super::restore::count;
use super::{ident, literal, qualified};
use crate::decide::major::fire_event_triggers;
use crate::error::{Class, Failure, Result};

/// A table or sequence to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub schema: String,
    pub name: String,
    pub is_sequence: bool,
    pub owner: String,
}

/// Tables whose rows are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What they are called in an error.
    pub name: String,
    pub tables: Vec<String>,
    pub rows: u64,
}

/// Gathers what is moved in a new schema. Errors: two of one name.
pub fn gather(schema: &str, moved: &[Moved]) -> Result<String> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for one in moved {
        if let Some(other) = seen.insert(&one.name, &one.schema) {
            return Err(two_of_one_name(other, one));
        }
    }
    let mut owners: Vec<&str> = moved.iter().map(|one| one.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let into = ident(schema);
    let mut statements = vec!["BEGIN".to_owned(), format!("CREATE SCHEMA {into}")];
    statements.extend(moved.iter().map(|one| {
        let word = if one.is_sequence { "SEQUENCE" } else { "TABLE" };
        format!("ALTER {word} {} SET SCHEMA {into}", qualified(&one.schema, &one.name))
    }));
    // They write the rows.
    let grant = |owner: &&str| format!("GRANT USAGE ON SCHEMA {into} TO {}", ident(owner));
    statements.extend(owners.iter().map(grant));
    statements.push("COMMIT".to_owned());
    Ok(statements.join(";\n"))
}

fn two_of_one_name(other: &str, one: &Moved) -> Failure {
    let message = format!("two tables are called \"{}\": one schema cannot hold both", one.name);
    Failure::new(Class::InvalidArgument, message)
        .detail(format!("They are in the schemas \"{other}\" and \"{}\".", one.schema))
        .hint("Choose one of them by its schema, and the other one in a second call.")
}

/// What stands before the sections. In a live database, its event triggers fire.
pub fn begin(major: u32) -> String {
    format!(
        "{}BEGIN;
",
        fire_event_triggers(major)
    )
}

/// What stands behind each.
pub const AFTER_SECTION: &str = "\nRESET SESSION AUTHORIZATION;\n";

/// What stands at the end: the rows are counted, the schema says where it comes from, and
/// everything is there at once.
pub fn end(schema: &str, counts: &[Counted], origin: &str) -> String {
    let mut script = String::new();
    for Counted { name, tables, rows } in counts {
        let wrong = format!("table {} has not the rows of the archive", ident(name));
        let counts = tables.iter().map(|table| format!("({})", count(schema, table)));
        let block = format!(
            "BEGIN IF {} <> {rows} THEN RAISE EXCEPTION USING MESSAGE = {}; END IF; END",
            counts.collect::<Vec<_>>().join(" + "),
            literal(&wrong)
        );
        script.push_str(&format!("DO LANGUAGE plpgsql {};\n", literal(&block)));
    }
    script.push_str(&format!("COMMENT ON SCHEMA {} IS {};\n", ident(schema), literal(origin)));
    script.push_str("COMMIT;\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(schema: &str, name: &str, is_sequence: bool) -> Moved {
        Moved { schema: schema.into(), name: name.into(), is_sequence, owner: "o\"x".into() }
    }

    #[test]
    fn tables_and_sequences_are_gathered_in_a_new_schema() {
        let sql = gather("S\"1", &[moved("a", "t;", false), moved("b", "s", true)]).unwrap();
        assert_eq!(
            sql,
            "BEGIN;\nCREATE SCHEMA \"S\"\"1\";\nALTER TABLE \"a\".\"t;\" SET SCHEMA \"S\"\"1\";\n\
             ALTER SEQUENCE \"b\".\"s\" SET SCHEMA \"S\"\"1\";\n\
             GRANT USAGE ON SCHEMA \"S\"\"1\" TO \"o\"\"x\";\nCOMMIT"
        );
    }

    #[test]
    fn two_tables_of_one_name_are_named() {
        let failure = gather("s", &[moved("a", "t", false), moved("b", "t", false)]).unwrap_err();
        assert!(failure.message.contains("\"t\"") && failure.detail.contains("\"a\" and \"b\""));
    }

    #[test]
    fn the_script_ends_with_the_count_and_the_commit() {
        let tables = vec!["it's".into(), "b".into()];
        let script = end("s", &[Counted { name: "it's".into(), tables, rows: 3 }], "by me");
        let count = "'BEGIN IF (SELECT pg_catalog.count(*) FROM ONLY \"s\".\"it''s\") + \
                     (SELECT pg_catalog.count(*) FROM ONLY \"s\".\"b\") <> 3 THEN";
        assert!(script.starts_with(&format!("DO LANGUAGE plpgsql {count}")));
        assert!(script.ends_with(";\nCOMMIT;\n"));
        assert_eq!(end("s", &[], "me"), "COMMENT ON SCHEMA \"s\" IS 'me';\nCOMMIT;\n");
    }
}
