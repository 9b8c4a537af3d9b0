//! What scripts of pg_dump, of people and of nobody tell of their database, in bounded memory.

use super::*;
use crate::decide::frameworks::{CELLS_MAX, TABLES_MAX};

fn facts(script: &str) -> (Facts, bool) {
    let mut reader = Reader::default();
    script.as_bytes().chunks(7).for_each(|chunk| reader.feed(chunk));
    reader.finish()
}

#[test]
fn a_dump_tells_where_it_comes_from() {
    let (facts, whole) = facts(
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n\
         -- Dumped from database version 14.9 (Debian 14.9-1)\n\
         -- Dumped by pg_dump version 15.3\n\nSET client_encoding = 'LATIN1';\n\
         CREATE DATABASE \"My app\" WITH TEMPLATE = template0;\n\
         ALTER DATABASE \"My app\" OWNER TO \"Bo\"\"ss\";\n\n\\connect \"My app\"\n\
         CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;\n\
         CREATE SCHEMA app;\nALTER TABLE app.t OWNER TO bob;\n\
         COMMENT ON TABLE app.t IS ' OWNER TO eve;';\n\
         COPY public.django_migrations (id, app, name, applied) FROM stdin;\n\
         2\tauth\t0002\t2026-01-02\n1\tauth\t0001\t2026-01-01\n\\.\n\
         COPY app.t (id) FROM stdin;\n1\n\\.\n\n-- PostgreSQL database dump complete\n",
    );
    assert!(whole && facts.is_of_pg_dump && !facts.is_cluster && !facts.has_inserts);
    assert_eq!(facts.database.as_deref(), Some("My app"));
    assert_eq!(facts.server_version.as_deref(), Some("14.9 (Debian 14.9-1)"));
    assert_eq!(facts.pg_dump_version.as_deref(), Some("15.3"));
    assert_eq!(facts.encoding.as_deref(), Some("LATIN1"));
    assert_eq!(facts.extensions, ["hstore".to_owned()].into());
    assert_eq!(facts.owners, ["Bo\"ss".to_owned(), "bob".to_owned()].into());
    assert_eq!(facts.schemas, ["app".to_owned()].into());
    let wanted = ["auth.0001".to_owned(), "auth.0002".to_owned()].to_vec();
    let table = "public.django_migrations".to_owned();
    assert_eq!(facts.migrations, [("django".to_owned(), table, wanted)]);
}

#[test]
fn however_much_a_script_tells_little_is_kept_of_it() {
    let mut reader = Reader::default();
    let row = |id: usize| format!("{id}\tapp\t{id}{}\tx\n", "n".repeat(4000));
    let rows: String = (0..1000).map(row).collect();
    for number in 0..40 {
        let columns = "(id, app, name, applied) FROM stdin;";
        reader.feed(format!("COPY s{number}.django_migrations {columns}\n").as_bytes());
        reader.feed(rows.as_bytes());
        reader.feed(b"\\.\n");
        let long = format!("{}{number}", "x".repeat(10_000));
        reader.feed(format!("ALTER TABLE t OWNER TO {long};\n").as_bytes());
        reader.feed(format!("CREATE SCHEMA {long};\nCREATE DATABASE {long};\n").as_bytes());
    }
    let (facts, whole) = reader.finish();
    let bytes: usize = facts.migrations.iter().flat_map(|m| &m.2).map(String::len).sum();
    assert!(whole && bytes > 4 << 20 && bytes <= CELLS_MAX, "{bytes}");
    assert!(facts.owners.is_empty() && facts.schemas.is_empty() && facts.database.is_none());
}

#[test]
fn no_more_tables_of_migrations_are_kept_than_of_a_database() {
    let mut reader = Reader::default();
    for number in 0..TABLES_MAX + 100 {
        let copy = format!("COPY s{number}.schema_migrations (version) FROM stdin;\n\\.\n");
        reader.feed(copy.as_bytes());
    }
    assert_eq!(reader.finish().0.migrations.len() as i64, TABLES_MAX);
}

#[test]
fn a_script_by_hand_tells_little_and_that_is_fine() {
    let (facts, whole) = facts("CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);");
    assert!(whole && !facts.is_of_pg_dump && facts.has_inserts);
    assert_eq!(facts.database, None);
    assert!(!super::Reader::default().finish().0.is_of_pg_dump);
}

#[test]
fn a_script_without_end_does_not_take_memory_without_end() {
    let mut reader = Reader::default();
    let row = format!("{}\n", "1".repeat(8000));
    for table in 0..2000 {
        let copy = format!("COPY s{table}.alembic_version (version_num) FROM stdin;\n");
        reader.feed(copy.as_bytes());
        (0..10).for_each(|_| reader.feed(row.as_bytes()));
        reader.feed(b"\\.\n");
        reader.feed(format!("CREATE SCHEMA {};\n", "s".repeat(200)).as_bytes());
    }
    let (facts, whole) = reader.finish();
    // 64 MB hold the rows of 832 such tables.
    assert!(whole && (800..840).contains(&facts.migrations.len()));
    assert!(facts.schemas.is_empty());
}

#[test]
fn it_does_not_matter_how_a_long_row_is_cut() {
    let row = "1".repeat(8200);
    let script = format!("COPY alembic_version (version_num) FROM stdin;\n{row}\n\\.\n");
    let mut reader = Reader::default();
    reader.feed(script.as_bytes());
    assert_eq!(reader.finish(), facts(&script));
}

#[test]
fn a_script_that_ends_in_the_middle_is_not_whole() {
    for script in ["COPY t (a) FROM stdin;\n1\n", "CREATE TABLE t (", "SELECT $a$ x"] {
        assert!(!facts(script).1, "{script}");
    }
}
