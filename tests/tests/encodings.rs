//! Home databases that are not in UTF-8: what tools, callers and other databases say fits, or is
//! made fit; it never costs a backup or the truth about one.

use pg_backup_tests::{Cluster, DbError, sample};

const CREATE: &str = "SELECT backup_create()";
/// Each has other characters that it cannot hold, and other bytes that are not valid in it.
const ENCODINGS: [&str; 4] = ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1251"];
const LAST: &str = "SELECT status FROM backup_history WHERE kind = 'backup' LIMIT 1";

/// A cluster with the extension in a database `home` of that encoding.
fn home(encoding: &str) -> Cluster {
    let cluster = Cluster::start();
    let create =
        format!("CREATE DATABASE home TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
    cluster.sql("postgres", &create);
    cluster.sql("home", "CREATE EXTENSION pg_backup; CREATE TABLE t AS SELECT 1 AS i");
    cluster
}

/// Clients that speak UTF-8 cannot read a message that is not; then the driver gives up.
fn error_of(cluster: &Cluster, sql: &str) -> DbError {
    let error = cluster.error("home", sql);
    assert_ne!(error.sqlstate, "", "the session broke: {error}\n{}", cluster.log());
    error
}

#[test]
fn last_words_of_tools_never_cost_the_row_of_a_failure() {
    for encoding in sample(ENCODINGS) {
        let cluster = home(encoding);
        let words = "echo 'no money: € 5, 日本, Привет' >&2";
        cluster.use_tool("pg_dump", &format!("#!/bin/sh\n{words}\nexit 1"));
        let error = error_of(&cluster, CREATE);
        assert_eq!(error.sqlstate, "38000", "{encoding}: {error}");
        assert!(error.detail.contains("no money"), "{encoding}: {error}");
        assert_eq!(cluster.value("home", LAST), "failed", "{encoding}");
        let detail = "SELECT error_detail LIKE 'no money: %' FROM backup_history LIMIT 1";
        assert_eq!(cluster.value("home", detail), "t", "{encoding}");
        assert!(!cluster.log().contains("PANIC"), "{encoding}");
    }
}

#[test]
fn warnings_of_tools_never_cost_a_backup() {
    for encoding in sample(ENCODINGS) {
        let cluster = home(encoding);
        let words = "echo 'pg_dump: warning: no money: € 5, 日本, Привет' >&2";
        cluster.use_tool("pg_dump", &format!("#!/bin/sh\n{words}\nexec \"$REAL\" \"$@\""));
        cluster.sql("home", CREATE);
        assert_eq!(cluster.value("home", LAST), "succeeded", "{encoding}");
        let warnings = "SELECT array_to_string(warnings, '') LIKE 'no money: %' \
                        FROM backup_history LIMIT 1";
        assert_eq!(cluster.value("home", warnings), "t", "{encoding}");
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_refused_with_a_way_out() {
    let cluster = home("SQL_ASCII");
    let named = "DO $$BEGIN EXECUTE 'CREATE TABLE \"gr' || chr(246) || '\" ()'; END$$";
    cluster.sql("home", named);
    let error = cluster.error("postgres", "SELECT backup_create(database => 'home')");
    assert!(error.message.contains("(in database \"home\")"), "{error}");
    assert!(error.hint.contains("client_encoding = 'SQL_ASCII'"), "{error}");
    cluster.assert_nothing_left();
    let renamed =
        "DO $$BEGIN EXECUTE 'ALTER TABLE \"gr' || chr(246) || '\" RENAME TO great'; END$$";
    cluster.sql("home", renamed);
    cluster.sql("postgres", "SELECT backup_create(database => 'home')");
}

#[test]
fn bytes_that_a_hook_cannot_read_are_not_said_to_be_a_name() {
    let cluster = Cluster::start();
    let bad = "SELECT convert_from(''\\x80''::bytea, ''UTF8'')";
    cluster.sql("postgres", &format!("CALL backup_hook('before_backup', 'bad', '{bad}')"));
    let error = cluster.error("postgres", CREATE);
    assert!(error.detail.contains("invalid byte sequence"), "{error}");
    assert!(!error.hint.contains("SQL_ASCII"), "{error}");
}

#[test]
fn names_of_other_databases_never_cost_a_backup() {
    for encoding in sample(ENCODINGS) {
        let cluster = home(encoding);
        cluster.sql("postgres", "CREATE TABLE \"日本 € Ж\" AS SELECT 1 AS i; CREATE ROLE \"Ünal\"");
        cluster.sql("home", "SELECT backup_create(database => 'postgres')");
        assert_eq!(cluster.value("home", LAST), "succeeded", "{encoding}");
        let tables = "SELECT jsonb_array_length(manifest -> 'tables') > 0 FROM backup_manifest";
        assert_eq!(cluster.value("home", tables), "t", "{encoding}");
        let id = "SELECT max(id) FROM backup_history";
        let id = cluster.value("home", id);
        let contents = format!("SELECT count(*) > 0 FROM backup_contents({id})");
        assert_eq!(cluster.value("home", &contents), "t", "{encoding}");
        let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
        assert_eq!(cluster.value("home", &verify), "t", "{encoding}");
    }
}

#[test]
fn what_a_caller_says_beyond_ascii_is_refused_before_anything_happens() {
    for (encoding, comment) in
        sample([("LATIN1", "déjà"), ("EUC_JP", "日本"), ("WIN1251", "Привет")])
    {
        let cluster = home(encoding);
        for argument in [format!("comment => '{comment}'"), format!("tables => '{{{comment}}}'")] {
            let error = error_of(&cluster, &format!("SELECT backup_create({argument})"));
            assert!(error.message.contains("UTF-8"), "{encoding}: {error}");
            assert_eq!(cluster.value("home", "SELECT count(*) FROM backup_history"), "0");
        }
        cluster.assert_nothing_left();
        cluster.sql("home", CREATE);
    }
}

#[test]
fn tables_with_names_of_another_encoding_are_counted_and_restored() {
    let names = [("LATIN1", "tâble é"), ("EUC_JP", "日本"), ("WIN1251", "Привет")];
    for (encoding, name) in sample(names) {
        let cluster = home(encoding);
        let make = format!(
            "CREATE SCHEMA \"s{name}\"; CREATE TABLE \"s{name}\".\"{name}\" AS SELECT 1 AS i; \
             COMMENT ON DATABASE home IS '{name}'"
        );
        cluster.sql("home", &make);
        for options in ["", "jobs => 2", "format => 'plain'"] {
            let id = cluster.value("home", &format!("SELECT backup_create({options})"));
            let told = format!(
                "SELECT string_agg(t ->> 'schema' || '.' || (t ->> 'name'), '') \
                   FROM backup_manifest, jsonb_array_elements(manifest -> 'tables') t \
                  WHERE id = {id} AND t ->> 'schema' <> 'public'"
            );
            let wanted = format!("s{name}.{name}");
            assert_eq!(cluster.value("home", &told), wanted, "{encoding} {options}");
            let restore = format!("CALL backup_restore({id}, target => 'copy{id}')");
            cluster.sql("home", &restore);
            let rows = format!("SELECT count(*) FROM \"s{name}\".\"{name}\"");
            assert_eq!(cluster.value(&format!("copy{id}"), &rows), "1", "{encoding} {options}");
        }
    }
}

/// What the archive does not say right cannot be compared when it is restored.
#[test]
fn names_of_tables_that_cannot_be_read_are_refused() {
    let cluster = home("EUC_TW");
    let backup = cluster.value("home", CREATE);
    cluster.sql("home", &format!("CALL backup_restore({backup}, target => 'copy')"));
    cluster.sql("home", "CREATE TABLE \"中文\" AS SELECT 1 AS i");
    for options in sample(["", "jobs => 2", "format => 'plain'"]) {
        let error = error_of(&cluster, &format!("SELECT backup_create({options})"));
        assert_eq!(error.sqlstate, "55000", "{error}");
        assert!(error.message.contains("names of tables in EUC_TW"), "{error}");
    }
}
