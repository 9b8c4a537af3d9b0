//! Scripts plain and hostile, cut everywhere.

use super::*;
use proptest::prelude::*;

const TRAILER: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

fn count(script: &[u8], size: usize) -> (Counted, bool) {
    let mut counter = RowCounter::new();
    script.chunks(size).for_each(|chunk| counter.feed(chunk));
    let trailer = counter.saw_trailer();
    (counter.finish(), trailer)
}

/// The counts of a script that must not depend on the chunks, as `schema|name|rows|bytes`.
fn counted(script: &str) -> (Vec<String>, bool, bool) {
    let (whole, trailer) = count(script.as_bytes(), usize::MAX);
    for size in [1, 2, 3, 7, 4096] {
        assert_eq!(count(script.as_bytes(), size), (whole.clone(), trailer), "{size}: {script}");
    }
    assert!(!whole.overflowed);
    let line = |t: &TableRows| format!("{}|{}|{}|{}", t.schema, t.name, t.rows, t.bytes);
    (whole.tables.iter().map(line).collect(), whole.complete, trailer)
}

fn data(text: &str) -> DataRows {
    let feed = |size: usize| {
        let mut counter = DataCounter::new();
        text.as_bytes().chunks(size).for_each(|chunk| counter.feed(chunk));
        counter.finish()
    };
    let whole = feed(usize::MAX);
    for size in [1, 2, 3, 7, 4096] {
        assert_eq!(feed(size), whole, "{size}: {text}");
    }
    whole
}

#[test]
fn rows_and_bytes_of_every_table_are_counted() {
    let script = format!(
        "\\restrict abc\n\nSET a = 'x';\n\nCOPY public.t (a, b) FROM stdin;\n1\tx\n2\ty\n\\.\n\n\n\
         COPY app.empty (a) FROM stdin;\n\\.\n\n\nCOPY public.t (a, b) FROM stdin;\n3\tz\n\\.\n\
         COPY app.nocolumns  FROM stdin;\n\n\n\\.\n\n\n{TRAILER}\\unrestrict abc\n"
    );
    let expected = ["app|empty|0|0", "app|nocolumns|2|2", "public|t|3|12"];
    assert_eq!(counted(&script), (expected.map(String::from).to_vec(), true, true));
}

#[test]
fn a_carriage_return_ends_a_comment_as_it_does_for_psql() {
    let mut counter = RowCounter::new();
    counter.feed(b"-- a\rCOPY t FROM stdin;\n1\n\\.\n");
    let counted = counter.finish();
    assert!(counted.complete);
    assert_eq!(counted.tables.iter().map(|table| table.rows).sum::<u64>(), 1);
}

#[test]
fn hostile_names_are_read_as_they_are() {
    let table = [
        (r#"COPY public."A""b" (x, y) FROM stdin;"#, "public|A\"b|1|2"),
        (r#"COPY "COPY x FROM stdin;" ."; -- " (x) FROM stdin;"#, "COPY x FROM stdin;|; -- |1|2"),
        (
            "COPY \"a\nCOPY b FROM stdin;\n\\.\n\".c (x) FROM stdin;",
            "a\nCOPY b FROM stdin;\n\\.\n|c|1|2",
        ),
        (r#"COPY a."$$" ("$x$", "'", "--", "/*", "(", ")") FROM stdin;"#, "a|$$|1|2"),
        ("COPY \"é ü\".\"日本\" (x) FROM stdin;", "é ü|日本|1|2"),
        ("copy Foo_1$ from STDIN;", "|foo_1$|1|2"),
        ("COPY\n/* x; */a -- y;\n. b(x)FROM\tstdin ;", "a|b|1|2"),
        ("COPY a.b (x) FROM stdin WITH (FORMAT csv, NULL ';');  -- note", "a|b|1|2"),
    ];
    for (statement, expected) in table {
        let script = format!("{statement}\n1\n\\.\n{TRAILER}");
        assert_eq!(counted(&script), (vec![expected.into()], true, true), "{statement}");
    }
}

#[test]
fn what_only_looks_like_a_copy_is_not_counted() {
    let scripts = [
        "CREATE FUNCTION f() AS $$\nCOPY a FROM stdin;\n1\n\\.\n$$;",
        "CREATE FUNCTION f() AS $_$ $$ ; $_X$ ;\nCOPY a FROM stdin; $ $_ $_$;",
        "SELECT '\nCOPY a FROM stdin;\n';",
        "SELECT 'it''s;\nCOPY a FROM stdin;\n';",
        "SELECT 'a\\';COPY b TO stdout;",
        "SELECT E'a\\';\nCOPY a FROM stdin;\n', e'''\\\\';",
        "COMMENT ON TABLE \"x;\nCOPY a FROM stdin;\n\"\"\" IS '';",
        "-- ';\n--\n-- COPY a FROM stdin;\n",
        "/* /* ';\nCOPY a FROM stdin; */\nCOPY a FROM stdin;\n/*/ */ */",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1;\nCOPY a FROM stdin;\n);",
        "SELECT 1 COPY a FROM stdin;",
        "COPY a TO stdout;",
        "COPY (SELECT 1 FROM stdin) TO stdout;",
        "COPY BINARY a FROM stdin;",
        "COPY a FROM '/x/FROM stdin';",
        "COPYING a FROM stdin;",
        "COPY a FROM stdinx;",
        "COPY a FROM \"stdin\";",
        "\\connect \"dbname='it''\"\nSELECT 1;",
        "SELECT $1, a$b$c, a$b$;SELECT 1-1, 2/1, 2 - -1;",
        "SELECT name'\\';",
    ];
    for script in scripts {
        let script = format!("{script}\n{TRAILER}");
        assert_eq!(counted(&script), (vec![], true, true), "{script}");
    }
}

#[test]
fn only_the_line_backslash_dot_ends_data() {
    let rows =
        "\\\\.\na\\\\.\na\\.\n\\.a\n\\.\\.\n\\\n\n \\.\n\\.\ra\n\\N\n\\.\r\r\nCOPY a FROM stdin;\n";
    let expected = vec![format!("|t|12|{}", rows.len())];
    for end in ["\\.\n", "\\.\r\n"] {
        let script = format!("COPY t FROM stdin;\n{rows}{end}{TRAILER}");
        assert_eq!(counted(&script), (expected.clone(), true, true), "{script}");
    }
}

#[test]
fn data_with_carriage_returns_are_counted_by_line() {
    let script =
        format!("COPY t FROM stdin;\r\n1\r\n2\r\n\\.\r\n{TRAILER}").replace("--\n", "--\r\n");
    assert_eq!(counted(&script), (vec!["|t|2|6".into()], true, true));
}

#[test]
fn an_input_is_complete_only_between_statements() {
    let first = "SELECT 'a', E'b', \"c\", $$d$$, 1-1;";
    let second = "/* e */ COPY t (a) FROM stdin;\n1\n\\.\n";
    let script = format!("{first}{second}");
    let comment_end = first.len() + "/* e */".len();
    let between = [0, first.len(), comment_end, comment_end + 1, script.len()];
    for end in 0..=script.len() {
        let (_, complete, _) = counted(&script[..end]);
        assert_eq!(complete, between.contains(&end), "{:?}", &script[..end]);
    }
}

#[test]
fn rows_of_a_cut_block_count_as_far_as_they_came() {
    let (tables, complete, _) = counted("COPY t FROM stdin;\n1\n2\n\\.");
    assert_eq!((tables, complete), (vec!["|t|2|6".into()], false));
}

#[test]
fn the_trailer_counts_only_between_statements_and_at_the_end() {
    let table = [
        ("-- PostgreSQL database dump complete\n", true),
        ("SELECT 1;\n-- PostgreSQL database dump complete\r\n--\n\n\\unrestrict x\n", true),
        ("-- PostgreSQL database dump complete\nSELECT 1;\n", false),
        ("-- PostgreSQL database dump complete\nCOPY t FROM stdin;\n\\.\n", false),
        ("-- PostgreSQL database dump complete!\n", false),
        ("-- PostgreSQL database dump comp", false),
        ("--PostgreSQL database dump complete\n", false),
        ("SELECT\n-- PostgreSQL database dump complete\n", false),
        ("SELECT '\n-- PostgreSQL database dump complete\n", false),
        ("/*\n-- PostgreSQL database dump complete\n", false),
        ("COPY t FROM stdin;\n-- PostgreSQL database dump complete\n", false),
    ];
    for (script, expected) in table {
        assert_eq!(counted(script).2, expected, "{script}");
    }
}

#[test]
fn a_table_of_1600_columns_is_counted() {
    let columns: Vec<_> = (0..1600).map(|n| format!("\"{n}{}\"", "\"\"".repeat(59))).collect();
    let script = format!("COPY a.b ({}) FROM stdin;\n1\n\\.\n", columns.join(", "));
    assert!(script.len() > 3 * statement::MAX_STATEMENT_BYTES / 2);
    let (tables, _, _) = counted(&script);
    assert_eq!(tables, ["a|b|1|2"]);
}

#[test]
fn a_name_of_absurd_length_is_left_out_and_said() {
    let name = "x".repeat(statement::MAX_STATEMENT_BYTES);
    let script = format!("COPY {name} FROM stdin;\n");
    let (found, _) = count(script.as_bytes(), 4096);
    assert!(found.overflowed && !found.complete && found.tables.is_empty());
}

#[test]
fn the_number_of_tables_is_bounded() {
    let mut counter = RowCounter::new();
    for n in 0..=MAX_TABLES {
        counter.feed(format!("COPY t{n} FROM stdin;\n1\n\\.\n").as_bytes());
    }
    counter.feed(b"COPY t0 FROM stdin;\n1\n\\.\n");
    let found = counter.finish();
    assert!(found.overflowed && !found.complete);
    assert_eq!(found.tables.len(), MAX_TABLES);
    assert_eq!(found.tables[0].rows, 2);
}

#[test]
fn a_data_file_is_counted_up_to_its_end() {
    let table = [
        ("1\ta\n2\tb\n\\.\n\n\n", 2, 8, true),
        ("\\.\n\n\n", 0, 0, true),
        ("\\.\r\n\r\n", 0, 0, true),
        ("\n\n\\.\n", 2, 2, true),
        ("1\n\\\\.\n\\.\n", 2, 6, true),
        ("", 0, 0, false),
        ("1\n", 1, 2, false),
        ("1\n2", 1, 3, false),
        ("1\n\\", 1, 3, false),
        ("1\n\\.", 1, 4, false),
        ("1\n\\.\nx\n", 1, 2, false),
        ("1\n\\.\n\n\\.\n", 1, 2, false),
    ];
    for (text, rows, bytes, complete) in table {
        assert_eq!(data(text), DataRows { rows, bytes, complete }, "{text:?}");
    }
}

/// Pieces of which every state of the lexer and of a block can be reached and left.
const PIECES: &str = "(COPY |a|\"|'|E'|''|\\\\|\\$|\\$t\\$|-|--|/\\*|\\*/|;|\\(|\\)|\r?\n|\
    \\\\\\.\n|\\\\\\.\r|\t| FROM stdin;\n|COPY a FROM stdin;\n|x|\
    -- PostgreSQL database dump complete\n){0,60}";

proptest! {
    #[test]
    fn chunks_make_no_difference(
        script in PIECES,
        cuts in prop::collection::vec(0usize..40, 0..30),
    ) {
        let whole = count(script.as_bytes(), usize::MAX);
        let mut counter = RowCounter::new();
        let mut file = DataCounter::new();
        let mut rest = script.as_bytes();
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            counter.feed(chunk);
            file.feed(chunk);
            rest = after;
        }
        counter.feed(rest);
        file.feed(rest);
        let trailer = counter.saw_trailer();
        prop_assert_eq!((counter.finish(), trailer), whole);
        prop_assert_eq!(file.finish(), data(&script));
    }

    #[test]
    fn any_table_and_rows_come_back(
        schema in "[^\\x00]{1,20}",
        name in "([^\\x00]|[\"';\n]){1,20}",
        rows in prop::collection::vec("[^\n\r\\x00\\\\]{0,8}(\\\\[\\\\Ntn]){0,2}", 0..20),
    ) {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let script =
            format!("COPY {}.{} (a) FROM stdin;\n{lines}\\.\n", quote(&schema), quote(&name));
        let (found, _) = count(script.as_bytes(), 5);
        let (rows, bytes) = (rows.len() as u64, lines.len() as u64);
        let expected = TableRows { schema, name, rows, bytes };
        prop_assert_eq!(found.tables, vec![expected]);
        prop_assert!(found.complete);
    }
}
