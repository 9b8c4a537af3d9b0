//! Scripts of pg_dumpall: what is run of them, and what hostile names and settings become.

use super::*;
use proptest::prelude::*;

const FILE: &str = r#"--
-- PostgreSQL database cluster dump; CREATE ROLE not_me;
--
\restrict abc
SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
CREATE ROLE "a;b ""c""";
ALTER ROLE "a;b ""c""" WITH NOSUPERUSER INHERIT LOGIN PASSWORD 'SCRAM-SHA-256$4096:x;y''z' VALID UNTIL 'infinity';
COMMENT ON ROLE "a;b ""c""" IS E'it''s; \\ \' mine';
CREATE ROLE boss;
ALTER ROLE boss WITH SUPERUSER INHERIT;
ALTER ROLE boss SET search_path TO '"$user"', 'public';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER;
GRANT boss TO "a;b ""c""" WITH ADMIN OPTION GRANTED BY postgres;
GRANT nobody TO boss GRANTED BY postgres;
GRANT postgres TO postgres GRANTED BY postgres;
GRANT ALTER SYSTEM ON PARAMETER work_mem TO boss;
CREATE TABLESPACE "fast; disk" OWNER boss LOCATION E'/srv/\\it''s';
ALTER TABLESPACE "fast; disk" SET (seq_page_cost=1e-5, random_page_cost=1.1);
GRANT ALL ON TABLESPACE "fast; disk" TO boss;
CREATE TABLESPACE slow OWNER boss LOCATION '/slow';
DROP DATABASE live;
CREATE ROLE x SUPERUSER;
CREATE ROLE "no end
"#;

fn there(names: &[&str]) -> HashSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_what_is_missing_is_made_and_as_it_was() {
    let missing = Globals::read(FILE).missing(&there(&["postgres"]), &["fast; disk".to_owned()]);
    assert_eq!(missing.roles, ["a;b \"c\"", "boss"]);
    assert_eq!(missing.superusers, ["boss"]);
    assert_eq!(missing.left_out, 1);
    assert_eq!(missing.tablespaces.len(), 1);
    assert_eq!(missing.tablespaces[0].location, "/srv/\\it's");
    let script = missing.role_statements.join(";\n");
    for part in ["VALID UNTIL 'infinity'", "SET search_path TO '\"$user\"', 'public'", "PARAMETER"]
    {
        assert!(script.contains(part), "{part}\n{script}");
    }
    assert!(script.contains("GRANT boss TO \"a;b \"\"c\"\"\" WITH ADMIN OPTION"));
    for part in
        ["ROLE postgres", "nobody", "not_me", "DROP", "TABLESPACE", "SUPERUSER;\nCREATE ROLE x"]
    {
        assert!(!script.contains(part), "{part}\n{script}");
    }
    let spaces = missing.tablespace_statements.join(";\n");
    assert!(spaces.starts_with("CREATE TABLESPACE \"fast; disk\" OWNER boss"), "{spaces}");
    assert!(spaces.contains("random_page_cost") && !spaces.contains("slow"), "{spaces}");
}

#[test]
fn what_exists_is_not_touched() {
    let roles = there(&["postgres", "boss", "a;b \"c\"", "x"]);
    assert_eq!(Globals::read(FILE).missing(&roles, &[]), Missing::default());
}

/// Statements that are another one, or several, for the server, which would run them as a
/// superuser.
#[test]
fn what_the_server_may_read_differently_is_left_out() {
    for statement in [
        "ALTER ROLE eve SET a TO 'b' /* ' */ ; ALTER ROLE postgres NOLOGIN; -- ' ;",
        "ALTER ROLE eve SET a TO $$'$$ ; ALTER ROLE postgres NOLOGIN; -- ' ;",
        "ALTER ROLE eve SET a TO $x$'$x$ ; ALTER ROLE postgres NOLOGIN; -- ' ;",
        "ALTER ROLE eve CONNECTION LIMIT 1$$'$$ ; ALTER ROLE postgres NOLOGIN; -- ' ;",
        "ALTER ROLE eve SET a TO 1e'\\''; ALTER ROLE postgres NOLOGIN; -- ' ;",
        "ALTER ROLE eve WITH --\r; ALTER ROLE postgres NOLOGIN; \n NOLOGIN;",
        "ALTER ROLE eve SET a TO E'b'\n'\\'; ALTER ROLE postgres NOLOGIN; -- ';",
        "ALTER ROLE eve SET a TO '\\'; ALTER ROLE postgres NOLOGIN; -- ';",
        "ALTER ROLE eve SET a TO U&'\\'; ALTER ROLE postgres NOLOGIN; -- ';",
        "ALTER ROLE eve\u{a0}x NOLOGIN;",
        "ALTER ROLE eve SET a TO (postgres;",
        "ALTER ROLE eve SET a TO )postgres(;",
        "GRANT boss TO eve, mallory;",
        "GRANT SET ON PARAMETER work_mem TO eve, mallory;",
    ] {
        let script = format!("CREATE ROLE eve;\n{statement}");
        let missing = Globals::read(&script).missing(&there(&["mallory", "boss"]), &[]);
        let made = missing.role_statements.join(";");
        assert!(!["postgres", "mallory", "\u{a0}"].iter().any(|b| made.contains(b)), "{made}");
    }
}

#[test]
fn a_superuser_is_named_however_it_is_made_one() {
    for tail in ["SUPERUSER", "WITH SUPERUSER", "WITH \"superuser\"", "LOGIN superuser"] {
        let script = format!("CREATE ROLE eve; ALTER ROLE eve {tail};");
        let missing = Globals::read(&script).missing(&HashSet::new(), &[]);
        assert_eq!(missing.superusers, ["eve"], "{tail}");
    }
}

proptest! {
    #[test]
    fn a_name_is_a_name_whatever_it_holds(
        name in "[^\\x00]{1,60}".prop_filter("the server would cut it", |name| name.len() < 64),
        value in "[^\\x00\\\\]{0,60}",
    ) {
        let role = format!("\"{}\"", name.replace('"', "\"\""));
        let text = format!("'{}'", value.replace('\'', "''"));
        let script = format!("CREATE ROLE {role};\nALTER ROLE {role} SET x TO {text};\nDROP ROLE y;");
        let missing = Globals::read(&script).missing(&HashSet::new(), &[]);
        prop_assert_eq!(missing.roles, [name]);
        let wanted = [format!("CREATE ROLE {role}"), format!("ALTER ROLE {role} SET x TO {text}")];
        prop_assert_eq!(missing.role_statements, wanted);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,300}|[E'\";\\\\\\-\n a]{0,60}") {
        Globals::read(&text).missing(&HashSet::new(), &[]);
    }
}
