//! Hostile names and settings: each database backs up as itself, and nothing gets outside.

use pg_backup_tests::{Cluster, give_to_server, names_below, sample};
use std::os::unix::fs::PermissionsExt;

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(name: &str) -> String {
    format!("E'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Names that a shell, a connection string, a path or a case-blind file system would misread.
fn hostile_names() -> Vec<String> {
    let long = "x".repeat(63);
    [
        "--help",
        "../../x",
        "a\nb",
        "it's",
        "say \"hi\"",
        "back\\slash",
        "two words",
        "dbname=postgres host=evil",
        "postgres://evil/x",
        "größe",
        "Case",
        "case",
        "$(reboot)",
        "%s",
        ".",
        "-",
        &long,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn databases_with_hostile_names_are_backed_up_as_themselves() {
    let cluster = Cluster::start();
    let before = names_below(cluster.data_dir().parent().unwrap());
    let all = hostile_names();
    // Two at a time: some differ in the case of their letters only.
    let names = sample(all.chunks(2)).concat();
    for (number, name) in names.iter().enumerate() {
        cluster.sql("postgres", &format!("CREATE DATABASE {}", quoted(name)));
        cluster.sql(name, &format!("CREATE TABLE marker_{number} AS SELECT {number} AS n"));
        let call = format!("SELECT backup_create(database => {})", literal(name));
        let id = cluster.value("postgres", &call);
        let tables = format!(
            "SELECT string_agg(name, ' ') FROM backup_contents({id}) WHERE type = 'TABLE DATA'"
        );
        assert_eq!(cluster.value("postgres", &tables), format!("marker_{number}"), "{name}");
        let database = format!("SELECT database FROM backup_history WHERE id = {id}");
        assert_eq!(&cluster.value("postgres", &database), name);
    }
    let archives = names_below(&cluster.backup_dir());
    let count = archives.iter().filter(|name| name.ends_with(".zip")).count();
    assert_eq!(count, names.len(), "{archives:?}");
    let folders = archives.iter().filter(|name| name.matches('/').count() == 1).count();
    assert_eq!(folders, count, "each database has a folder of its own: {archives:?}");
    let outside = names_below(cluster.data_dir().parent().unwrap())
        .into_iter()
        .filter(|name| !before.contains(name) && !name.starts_with("data/"))
        .collect::<Vec<_>>();
    assert_eq!(outside, Vec::<String>::new());
}

#[test]
fn the_extension_works_in_a_database_and_a_schema_with_hostile_names() {
    let cluster = Cluster::start();
    let (database, schema) = ("ho\"me='x'", "Back Up; (x), [y] 100%s %I");
    cluster.sql("postgres", &format!("CREATE DATABASE {}", quoted(database)));
    cluster.sql(
        database,
        &format!("CREATE SCHEMA {0}; CREATE EXTENSION pg_backup SCHEMA {0}", quoted(schema)),
    );
    let s = quoted(schema);
    for sql in [
        format!("SELECT {s}.backup_create()"),
        format!("SELECT {s}.backup_create(wait => false)"),
        format!("SELECT {s}.backup_wait(2)"),
        format!("SELECT * FROM {s}.backup_verify(1)"),
        format!("SELECT * FROM {s}.backup_contents(1)"),
        format!("SELECT {s}.backup_inspect(1)"),
        format!("SELECT * FROM {s}.backup_history, {s}.backup_manifest, {s}.backup_progress"),
        format!("SELECT * FROM {s}.backup_check()"),
        format!("SELECT {s}.backup_cancel(1), {s}.backup_latest(), {s}.backup_find('x')"),
        format!("CALL {s}.backup_pin(1)"),
        format!("CALL {s}.backup_pin(1, false)"),
        format!("CALL {s}.backup_grant('postgres', 'operator')"),
        format!("CALL {s}.backup_delete(1)"),
    ] {
        cluster.sql(database, &sql);
    }
    let states = format!("SELECT string_agg(status, ' ' ORDER BY id) FROM {s}.backup_history");
    assert_eq!(cluster.value(database, &states), "succeeded succeeded succeeded succeeded");
}

#[test]
fn a_schema_that_scripts_cannot_quote_is_refused_by_the_server() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE other");
    for name in ["it's", "say \"hi\"", "back\\slash", "do$lar"] {
        cluster.sql("other", &format!("CREATE SCHEMA {}", quoted(name)));
        let sql = format!("CREATE EXTENSION pg_backup SCHEMA {}", quoted(name));
        let error = cluster.error("other", &sql);
        assert!(error.message.contains("schema"), "{name}: {error}");
        assert_eq!(error.sqlstate, "22P02", "{name}: {error}");
    }
    cluster.sql("other", "CREATE EXTENSION pg_backup; SELECT 1");
}

#[test]
fn a_database_with_a_hostile_name_can_be_the_home_of_its_own_backups() {
    let cluster = Cluster::start();
    for name in
        sample(["--help", "a\nb", "back\\slash", "dbname=postgres", "postgres://evil/x", "größe"])
    {
        cluster.sql("postgres", &format!("CREATE DATABASE {}", quoted(name)));
        cluster.sql(name, "CREATE EXTENSION pg_backup; CREATE TABLE marker AS SELECT 'here' AS x");
        for options in ["jobs => 2", "wait => false"] {
            let id = cluster.value(name, &format!("SELECT backup_create({options})"));
            let waited = cluster.value(name, &format!("SELECT backup_wait({id})"));
            assert_eq!(waited, "succeeded", "{name} {options}");
            let tables =
                format!("SELECT count(*) FROM backup_contents({id}) WHERE name = 'marker'");
            assert_ne!(cluster.value(name, &tables), "0", "{name} {options}");
            let good = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
            assert_eq!(cluster.value(name, &good), "t", "{name} {options}");
            let found =
                format!("SELECT backup_find(file) = {id} FROM backup_history WHERE id = {id}");
            assert_eq!(cluster.value(name, &found), "t", "{name} {options}");
            cluster.sql(name, &format!("CALL backup_delete({id})"));
        }
    }
    let archives = names_below(&cluster.backup_dir());
    assert!(!archives.iter().any(|file| file.ends_with(".zip")), "{archives:?}");
    cluster.assert_nothing_left();
}

#[test]
fn hostile_comments_and_callers_are_kept_as_they_are() {
    let cluster = Cluster::start();
    let role = "o'p \"x\"; DROP TABLE t\n日本";
    cluster.sql("postgres", &format!("CREATE ROLE {} SUPERUSER LOGIN", quoted(role)));
    let mut caller = cluster.connect_as("postgres", role);
    let long = "ü".repeat(1000);
    for comment in ["'; DROP TABLE x; --", "a\nb\t\"c\" \\ {json}", "\u{1}\u{1f600} %s $1", &long] {
        let id: i64 = caller.query_one("SELECT backup_create($1)", &[&comment]).unwrap().get(0);
        let sql = "SELECT comment, requested_by FROM backup_history WHERE id = $1";
        let row = caller.query_one(sql, &[&id]).unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (comment, role));
    }
    cluster.assert_clean();
    drop(caller);
}

#[test]
fn a_comment_that_does_not_fit_is_refused() {
    let cluster = Cluster::start();
    let sql = "SELECT backup_create(repeat('x', 1000000))";
    let error = cluster.error("postgres", sql);
    assert!(["54000", "53400", "22023"].contains(&error.sqlstate.as_str()), "{error}");
    assert!(!error.hint.is_empty(), "{error}");
    cluster.assert_nothing_left();
    cluster.assert_next_backup_works();
}

#[test]
fn a_directory_with_a_hostile_name_holds_archives_like_any_other() {
    let cluster = Cluster::start();
    let place = cluster.make_dir("places");
    for name in sample(["-rf *", "it's a \"b\"", "$(reboot);", "größe", "%s%n"]) {
        let directory = place.join(name);
        std::fs::create_dir(&directory).unwrap();
        give_to_server(&directory);
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        let shown = directory.display().to_string().replace('\'', "''");
        cluster.set("pg_backup.directory", &shown);
        for options in ["", "jobs => 2"] {
            let id = cluster.value("postgres", &format!("SELECT backup_create({options})"));
            let good = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
            assert_eq!(cluster.value("postgres", &good), "t", "{name} {options}");
        }
        let count = names_below(&directory).iter().filter(|file| file.ends_with(".zip")).count();
        assert_eq!(count, 2, "{name}");
    }
}

#[test]
fn settings_of_roles_and_databases_do_not_poison_the_dump() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app; CREATE ROLE weak");
    cluster.sql(
        "app",
        "CREATE TABLE t AS SELECT i, 'größe ' || i AS x FROM generate_series(1, 500) i; \
         CREATE SCHEMA evil; \
         CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS \
           $$ BEGIN RAISE 'evil'; END $$; \
         CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE plpgsql AS \
           $$ BEGIN RAISE 'evil'; END $$; \
         CREATE OPERATOR evil.~ (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text); \
         CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text)",
    );
    for setting in [
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "role = weak",
        "client_encoding = 'LATIN1'",
        "search_path = evil, pg_catalog",
        "row_security = on",
        "standard_conforming_strings = off",
        "DateStyle = 'German'",
        "extra_float_digits = -15",
    ] {
        cluster.sql("postgres", &format!("ALTER DATABASE app SET {setting}"));
        cluster.sql("postgres", &format!("ALTER ROLE postgres IN DATABASE app SET {setting}"));
    }
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    let rows =
        format!("SELECT rows FROM backup_contents({id}) WHERE name = 't' AND rows IS NOT NULL");
    assert_eq!(cluster.value("postgres", &rows), "500");
    let settings = format!(
        "SELECT jsonb_array_length(manifest #> '{{database,settings}}') FROM backup_manifest WHERE id = {id}"
    );
    assert_eq!(cluster.value("postgres", &settings), "24");
}
