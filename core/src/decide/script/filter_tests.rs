//! Lines of a script that are left out or refused, however it is cut into pieces.

use super::*;
use proptest::prelude::*;

fn known() -> HashSet<String> {
    ["statement_timeout", "client_encoding", "search_path"].map(str::to_owned).into()
}

fn filtered(script: &str) -> Result<(String, LeftOut)> {
    let (mut filter, mut out) = (Filter::new(known()), Vec::new());
    filter.feed(script.as_bytes(), &mut out)?;
    filter.finish(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), filter.left_out().clone()))
}

#[test]
fn settings_of_newer_versions_are_left_out_and_counted() {
    let script = "SET statement_timeout = 0;\nSET transaction_timeout = 0;\n\
        set Transaction_Timeout to 0;\nSET app.x = 'y';\nSET SESSION AUTHORIZATION 'bob';\n\
        SET LOCAL other_new = 1;\nSELECT pg_catalog.set_config('search_path', '', false);\n\
        SELECT pg_catalog.set_config('newer', '', false);\nSET ROLE bob;\nSET TIME ZONE 'UTC';\n";
    let (out, left_out) = filtered(script).unwrap();
    assert_eq!(
        out,
        "SET statement_timeout = 0;\n\n\nSET app.x = 'y';\nSET SESSION AUTHORIZATION 'bob';\n\
         \nSELECT pg_catalog.set_config('search_path', '', false);\n\nSET ROLE bob;\n\
         SET TIME ZONE 'UTC';\n"
    );
    assert_eq!(left_out.settings.get("transaction_timeout"), Some(&2));
    assert_eq!(
        left_out.warnings(),
        ["left out 4 lines with settings that this server does not know: newer, other_new, \
          transaction_timeout"]
    );
}

#[test]
fn the_database_of_the_dump_is_left_alone() {
    let script = "\\restrict abc\nDROP DATABASE app;\nCREATE DATABASE app WITH TEMPLATE = \
        template0;\n\\connect app\nALTER DATABASE app SET work_mem TO '8MB';\nGRANT ALL ON DATABASE \
        app TO bob;\nREVOKE ALL ON DATABASE \"a;b\" FROM PUBLIC;\nSELECT 1;\n\\unrestrict abc\n";
    let failure = filtered(script).unwrap_err();
    assert!(failure.message.contains("statement about a database"), "{failure}");
    let script = script.replace("\"a;b\"", "\"a b\"");
    let (out, left_out) = filtered(&script).unwrap();
    assert_eq!(out.trim(), "SELECT 1;");
    assert_eq!(left_out.about_database, 6);
    assert_eq!(out.lines().count(), script.lines().count(), "line numbers stay");
}

#[test]
fn a_second_connect_and_other_commands_of_psql_are_refused() {
    for (script, what) in [
        ("\\connect a\n\\connect b\n", "several databases"),
        ("SELECT 1;\n  \\! touch /tmp/x\n", "command of psql: \\!"),
        ("\\i /etc/passwd\n", "command of psql: \\i"),
        ("\\copy t from /etc/passwd\n", "command of psql: \\copy"),
        ("CREATE DATABASE\n x;\n", "statement about a database"),
        ("ALTER DATABASE a SET x = 1; SELECT 1;\n", "statement about a database"),
    ] {
        let failure = filtered(script).unwrap_err();
        assert!(failure.message.contains(what), "{script}: {failure}");
        assert!(!failure.hint.is_empty());
    }
}

#[test]
fn what_only_looks_like_such_a_line_stays() {
    for script in [
        "COPY t FROM stdin;\nSET new = 1;\n\\restrict\n\\.\n",
        "CREATE FUNCTION f() RETURNS void AS $$\nSET new = 1;\n\\! x\n$$;\n",
        "SELECT '\nSET new = 1;\n';\n",
        "SET new = 1; SELECT 1;\n",
        "SET new\n = 1;\n",
        "UPDATE t\nSET new = 1;\n",
        "SELECT set_config(x, 'y', false);\n",
    ] {
        assert_eq!(filtered(script).unwrap().0, script);
    }
}

proptest! {
    #[test]
    fn what_is_not_left_out_comes_through_as_it_is(
        lines in proptest::collection::vec(
            proptest::sample::select(vec![
                "SET new = 1;", "SET statement_timeout = 0;", "COPY t FROM stdin;", "\\.", "a\tb",
                "SELECT $$", "$$;", "'", "/*", "*/", "--", "E'\\''", "\\restrict x", "",
            ]), 0..40),
        at in 0..400usize,
    ) {
        let script = lines.join("\n");
        let (mut filter, mut out) = (Filter::new(known()), Vec::new());
        let cut = at.min(script.len());
        let fed = filter.feed(&script.as_bytes()[..cut], &mut out)
            .and_then(|()| filter.feed(&script.as_bytes()[cut..], &mut out))
            .and_then(|()| filter.finish(&mut out));
        if fed.is_ok() {
            let out = String::from_utf8(out).unwrap();
            let came: Vec<&str> = out.lines().collect();
            for (came, was) in came.iter().zip(script.lines()) {
                prop_assert!(*came == was || (came.is_empty()
                    && (was.starts_with("SET new") || was.starts_with("\\restrict"))));
            }
        }
    }
}
