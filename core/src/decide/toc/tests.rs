//! Lines as pg_restore prints them, plain and hostile.

use super::*;
use proptest::prelude::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn one(line: &str, schemas: &[&str], roles: &[&str]) -> TocEntry {
    let mut entries = parse(line, &names(schemas), &names(roles)).unwrap();
    assert_eq!(entries.len(), 1, "{line}");
    entries.remove(0)
}

type Row = (&'static str, &'static str, Option<&'static str>, &'static str, Option<&'static str>);

#[test]
fn every_form_of_line_is_read() {
    let table: [Row; 16] = [
        ("215; 1259 16385 TABLE public foo bob", "TABLE", Some("public"), "foo", Some("bob")),
        ("9; 0 16385 TABLE DATA public foo bob", "TABLE DATA", Some("public"), "foo", Some("bob")),
        ("2; 3079 16 EXTENSION - plpgsql ", "EXTENSION", None, "plpgsql", None),
        ("3; 0 0 COMMENT - EXTENSION plpgsql ", "COMMENT", None, "EXTENSION plpgsql", None),
        ("4; 0 0 ENCODING - ENCODING ", "ENCODING", None, "ENCODING", None),
        ("5; 2615 1 SCHEMA - app bob", "SCHEMA", None, "app", Some("bob")),
        ("6; 0 0 ACL - SCHEMA public bob", "ACL", None, "SCHEMA public", Some("bob")),
        (
            "7; 1255 9 FUNCTION app add(integer, integer) bob",
            "FUNCTION",
            Some("app"),
            "add(integer, integer)",
            Some("bob"),
        ),
        (
            "8; 2606 9 FK CONSTRAINT app a a_b_fkey bob",
            "FK CONSTRAINT",
            Some("app"),
            "a a_b_fkey",
            Some("bob"),
        ),
        (
            "9; 0 9 SEQUENCE SET app a_id_seq bob",
            "SEQUENCE SET",
            Some("app"),
            "a_id_seq",
            Some("bob"),
        ),
        (
            "9; 0 9 SEQUENCE OWNED BY app a_id_seq bob",
            "SEQUENCE OWNED BY",
            Some("app"),
            "a_id_seq",
            Some("bob"),
        ),
        (
            "9; 0 9 MATERIALIZED VIEW DATA app m bob",
            "MATERIALIZED VIEW DATA",
            Some("app"),
            "m",
            Some("bob"),
        ),
        (
            "9; 1259 9 MATERIALIZED VIEW app m bob",
            "MATERIALIZED VIEW",
            Some("app"),
            "m",
            Some("bob"),
        ),
        (
            "9; 6237 9 PUBLICATION TABLES IN SCHEMA app p bob",
            "PUBLICATION TABLES IN SCHEMA",
            Some("app"),
            "p",
            Some("bob"),
        ),
        ("9; 2613 16400 BLOB - 16400 bob", "BLOB", None, "16400", Some("bob")),
        ("9; 0 0 DATABASE PROPERTIES - app bob\r", "DATABASE PROPERTIES", None, "app", Some("bob")),
    ];
    for (line, kind, schema, name, owner) in table {
        let entry = one(line, &[], &[]);
        let found = (entry.kind.as_str(), entry.schema.as_deref(), entry.name.as_str());
        assert_eq!(found, (kind, schema, name), "{line}");
        assert_eq!(entry.owner.as_deref(), owner, "{line}");
    }
}

#[test]
fn known_names_with_spaces_are_told_apart() {
    let entry = one(
        "1; 1259 2 TABLE my app my table bob the builder",
        &["my", "my app"],
        &["builder", "bob the builder"],
    );
    assert_eq!(entry.schema.as_deref(), Some("my app"));
    assert_eq!(
        (entry.name.as_str(), entry.owner.as_deref()),
        ("my table", Some("bob the builder"))
    );
    let entry = one("1; 1259 2 TABLE my app my table bob the builder", &[], &[]);
    assert_eq!(entry.schema.as_deref(), Some("my"));
    assert_eq!(
        (entry.name.as_str(), entry.owner.as_deref()),
        ("app my table bob the", Some("builder"))
    );
}

#[test]
fn a_known_name_with_a_line_end_is_given_back_whole() {
    let entry = one("1; 1259 2 TABLE a b t c d", &["a\nb"], &["c\r\nd", "c\nd"]);
    assert_eq!(entry.schema.as_deref(), Some("a\nb"));
    assert_eq!((entry.name.as_str(), entry.owner.as_deref()), ("t", Some("c\nd")));
}

#[test]
fn a_known_schema_leaves_at_least_a_name() {
    let entry = one("1; 2615 2 SCHEMA - app bob", &["-", "- app", "app", ""], &["bob", ""]);
    assert_eq!(entry.owner.as_deref(), Some("bob"));
    let entry = one("1; 1259 2 TABLE app app app", &["app", "app app"], &["app", "app app"]);
    assert_eq!(entry.schema.as_deref(), Some("app"));
    assert_eq!((entry.name.as_str(), entry.owner.as_deref()), ("app", Some("app")));
}

#[test]
fn a_table_of_a_schema_named_data_is_not_taken_for_data() {
    let table = [
        ("1; 1259 2 TABLE DATA foo bob", "TABLE", "foo"),
        ("1; 0 2 TABLE DATA DATA foo bob", "TABLE DATA", "foo"),
        ("1; 1259 2 TABLE DATA my foo bob", "TABLE", "my foo"),
        ("1; 1259 2 MATERIALIZED VIEW DATA m bob", "MATERIALIZED VIEW", "m"),
    ];
    for (line, kind, name) in table {
        let entry = one(line, &["DATA"], &[]);
        assert_eq!((entry.kind.as_str(), entry.name.as_str()), (kind, name), "{line}");
        assert_eq!(entry.schema.as_deref(), Some("DATA"), "{line}");
    }
    assert_eq!(one("1; 1259 2 TABLE DATA foo bob", &[], &[]).kind, "TABLE");
}

#[test]
fn what_is_no_entry_is_left_out() {
    let text = ";\n; Archive created at 2025-01-01\n;     Dumped by pg_dump version: 15.20\n\n\
        x; 1 2 TABLE a b c\n1;1 2 TABLE a b c\n1; 2 TABLE a b c\n1; 1 2\n1; 1 2 TABLE\n\
        99999999999; 1 2 TABLE a b c\n1; 1 2 TABLE a b c\n";
    assert_eq!(parse(text, &[], &[]).unwrap().len(), 1);
    let long = format!("1; 1 2 TABLE a {} c", "b".repeat(MAX_LINE_BYTES));
    assert!(parse(&long, &[], &[]).unwrap().is_empty());
}

#[test]
fn more_entries_than_are_read_are_an_error_not_half_a_list() {
    let text = "1; 1 2 TABLE a b c\n".repeat(MAX_ENTRIES + 1);
    let class = parse(&text, &[], &[]).unwrap_err().class;
    assert_eq!(class, crate::error::Class::LimitExceeded);
    let text = &text[..text.len() / (MAX_ENTRIES + 1) * MAX_ENTRIES];
    assert_eq!(parse(text, &[], &[]).unwrap().len(), MAX_ENTRIES);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in "(?s)(.{0,60}|1; 2 3 [A-Z ]{0,20}[a-z- ]{0,40}\n){0,4}",
        known in prop::collection::vec("[a-z- ]{0,6}", 0..4),
    ) {
        for entry in parse(&text, &known, &known).unwrap() {
            prop_assert!(!entry.name.contains('\n'));
        }
    }

    #[test]
    fn what_is_known_is_found_again(
        schema in "[a-z]{1,8}( [a-z]{1,8}){0,2}",
        name in "[A-Z]{1,8}( [A-Z]{1,8}){0,2}",
        owner in "[a-z]{1,8}( [a-z]{1,8}){0,2}",
    ) {
        let line = format!("7; 1259 8 TABLE DATA {schema} {name} {owner}");
        let entry = one(&line, &[&schema], &[&owner]);
        prop_assert_eq!(entry.schema, Some(schema));
        prop_assert_eq!(entry.name, name);
        prop_assert_eq!(entry.owner, Some(owner));
    }
}
