//! Encodings, locales, limits and flags of databases come back: in a new database, in the place of
//! the live one, and after the swap back.

use pg_backup_tests::{Cluster, NEW, needs_icu, needs_major, sample};

/// What a database can be made with, and text that fits into it.
const KINDS: [(&str, &str); 4] = [
    ("ENCODING 'LATIN1' LOCALE 'C'", "größe"),
    ("ENCODING 'SQL_ASCII' LOCALE 'C'", "gr\u{f6}\u{df}e"),
    ("ENCODING 'EUC_JP' LOCALE 'POSIX'", "日本"),
    ("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'", "größe"),
];

/// The same of what newer versions and more complete builds have.
fn kinds() -> Vec<(&'static str, &'static str)> {
    let mut kinds = sample(KINDS);
    if needs_icu() {
        kinds.push(("ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'sv' LOCALE 'C'", "äöå"));
        if needs_major(16, "rules of ICU") {
            let kind = "LOCALE_PROVIDER icu ICU_LOCALE 'sv' ICU_RULES '& a < g' LOCALE 'C'";
            kinds.push((kind, "äöå"));
        }
    }
    if needs_major(17, "provider builtin") {
        kinds.push(("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'", "äöå"));
        kinds.push(("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' LOCALE 'C.UTF-8'", "äöå"));
    }
    if needs_major(18, "locale PG_UNICODE_FAST") {
        kinds.push(("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C'", "äöå"));
    }
    kinds
}

#[test]
fn every_encoding_and_locale_comes_back() {
    let cluster = Cluster::start();
    for (kind, text) in kinds() {
        cluster.sql("postgres", &format!("CREATE DATABASE app TEMPLATE template0 {kind}"));
        let make = format!(
            "CREATE TABLE t AS SELECT '{text}'::text AS \"x\"; \
             CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''{text}''::text'"
        );
        cluster.psql("app", &format!("SET client_encoding = 'UTF8'; {make}"));
        let all = |database: &str| {
            let sql = "SELECT string_agg(encode(convert_to(x, getdatabaseencoding()), 'hex') \
                       || (f() = x), ' ') FROM t";
            format!("{} {}", cluster.value(database, sql), cluster.properties_of(database))
        };
        let wanted = all("app");
        let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
        assert_eq!(all("copy"), wanted, "{kind}");
        cluster.sql("app", "DELETE FROM t");
        let run =
            cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
        assert_eq!(all("app"), wanted, "{kind}");
        cluster.sql("postgres", &format!("CALL backup_rollback({run})"));
        assert_eq!(cluster.value("app", "SELECT count(*) FROM t"), "0", "{kind}");
        cluster.accept_all("postgres");
        cluster.sql("postgres", "DROP DATABASE copy");
        cluster.sql("postgres", "DROP DATABASE app");
    }
}

#[test]
fn a_live_database_with_limits_is_replaced_and_gets_those_of_the_archive() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let newer: &[&str] = match needs_major(17, "transaction_timeout") {
        true => &["ALTER DATABASE app SET transaction_timeout = '1ms'"],
        false => &[],
    };
    let older = [
        "ALTER DATABASE app CONNECTION LIMIT 0",
        "ALTER DATABASE app SET default_transaction_read_only = on",
        "ALTER DATABASE app SET statement_timeout = '1ms'",
        "ALTER DATABASE app SET role = 'pg_monitor'",
        "ALTER DATABASE app SET search_path = nowhere",
        "REVOKE ALL ON DATABASE app FROM PUBLIC",
        "ALTER ROLE ALL IN DATABASE app SET lock_timeout = '1ms'",
        "ALTER ROLE postgres IN DATABASE app SET idle_session_timeout = '1ms'",
    ];
    for spoil in sample(older).iter().chain(newer) {
        cluster.sql("postgres", spoil);
        cluster.replace_app("postgres", &id);
        let settings = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d \
                        ON d.oid = s.setdatabase WHERE datname = 'app'";
        assert_eq!(cluster.value("postgres", settings), "0", "{spoil}");
        let open = "SELECT datconnlimit || coalesce(datacl::text, '') FROM pg_database \
                    WHERE datname = 'app'";
        assert_eq!(cluster.value("postgres", open), "-1", "{spoil}");
    }
}

#[test]
fn a_security_label_whose_provider_is_not_loaded_is_a_warning_and_the_restore_goes_on() {
    let cluster = Cluster::start();
    let id = {
        cluster.make_aged();
        // No provider comes with the server: the row that one would have made.
        let label = "INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'some\"one', \
                     'it''s: secret' FROM pg_database WHERE datname = 'app'";
        cluster.sql("postgres", label);
        cluster.back_up_app("")
    };
    let plan = format!(
        "SELECT command FROM backup_restore_plan({id}, target => 'copy') \
         WHERE action LIKE 'label the database%'"
    );
    let wanted = "SECURITY LABEL FOR \"some\"\"one\" ON DATABASE \"copy\" IS 'it''s: secret'";
    assert_eq!(cluster.value("postgres", &plan), wanted);
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    let warnings = "SELECT array_to_string(warnings, ';') FROM backup_history \
                    WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    let warned = cluster.value("postgres", warnings);
    assert!(warned.starts_with("a security label was not set: "), "{warned}");
    assert!(warned.contains("\"some\"one\" is not loaded"), "{warned}");
    assert_eq!(cluster.age("copy"), NEW);
}
