//! Hostile names and settings: each database backs up as itself, and nothing gets outside.

use pg_backup_tests::{Cluster, names_below};

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
    for (number, name) in hostile_names().iter().enumerate() {
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
    assert_eq!(count, hostile_names().len(), "{archives:?}");
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
    let (database, schema) = ("ho\"me='x'", "Back Up; (x), [y]");
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
