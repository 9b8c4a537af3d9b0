use super::*;

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
fn a_script_by_hand_tells_little_and_that_is_fine() {
    let (facts, whole) = facts("CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);");
    assert!(whole && !facts.is_of_pg_dump && facts.has_inserts);
    assert_eq!(facts.database, None);
    assert!(!super::Reader::default().finish().0.is_of_pg_dump);
}

#[test]
fn a_script_that_ends_in_the_middle_is_not_whole() {
    for script in ["COPY t (a) FROM stdin;\n1\n", "CREATE TABLE t (", "SELECT $a$ x"] {
        assert!(!facts(script).1, "{script}");
    }
}
