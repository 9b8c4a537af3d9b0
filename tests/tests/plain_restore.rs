//! Scripts: run by psql in its restricted mode, filtered on the way, stopped at the first error.

use pg_backup_tests::{Cluster, sample};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

fn cluster() -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    (cluster, place)
}

/// Imports a script and gives its id.
fn import(cluster: &Cluster, place: &std::path::Path, script: &str) -> String {
    let file = place.join("script.sql");
    fs::write(&file, script).unwrap();
    cluster.value("postgres", &format!("SELECT backup_import('{}')", file.display()))
}

fn call(id: &str) -> String {
    format!("CALL backup_restore({id}, target => 'copy', allow_foreign => true)")
}

#[test]
fn a_script_of_a_newer_version_restores_and_its_warnings_are_counted() {
    let (cluster, place) = cluster();
    let script = "\\restrict abcdef\n\nSET statement_timeout = 0;\nSET newer_timeout = 0;\n\
        SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\
        CREATE DATABASE app;\nALTER DATABASE app SET work_mem TO '8MB';\n\\connect app\n\
        CREATE TABLE public.t (a int, b text);\nCOPY public.t (a, b) FROM stdin;\n\
        1\tSET new = 1;\n2\t\\\\restrict\n\\.\n\n\\unrestrict abcdef\n";
    let id = import(&cluster, &place, script);
    cluster.sql("postgres", &call(&id));
    assert_eq!(
        cluster.value("copy", "SELECT string_agg(b, '|' ORDER BY a) FROM t"),
        "SET new = 1;|\\restrict"
    );
    let warnings = "SELECT array_to_string(warnings, '; ') FROM backup_history \
                    WHERE kind = 'restore' LIMIT 1";
    assert_eq!(
        cluster.value("postgres", warnings),
        "left out 1 line with settings that this server does not know: newer_timeout; \
         left out 3 lines about the database that the dump was taken from"
    );
    let of = format!("SELECT database FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &of), "app");
}

#[test]
fn a_script_with_a_byte_order_mark_restores() {
    let (cluster, place) = cluster();
    let script = "\u{feff}SET no_such_setting = 1;\nCREATE TABLE t AS SELECT 1 AS a;\n";
    let id = import(&cluster, &place, script);
    cluster.sql("postgres", &call(&id));
    assert_eq!(cluster.value("copy", "SELECT a FROM t"), "1");
}

#[test]
fn a_script_that_fails_or_has_a_command_of_psql_leaves_nothing() {
    let (cluster, place) = cluster();
    let touched = place.join("touched");
    let shown = touched.display();
    for (script, what) in sample([
        ("CREATE TABLE t (a int);\nSELECT 1 / 0;\nCREATE TABLE u ();\n".to_owned(), "division"),
        (format!("SELECT 1;\n\\! touch {shown}\n"), "command of psql: \\!"),
        (format!("SELECT 1 \\! touch {shown}\n;\n"), "restricted"),
        (format!("SELECT 1 \\g {shown}\n;\n"), "restricted"),
        (format!("SELECT 1\n\\o {shown}\n;\n"), "restricted"),
        (format!("\\unrestrict x\nSELECT 1\n\\! touch {shown}\n;\n"), "restricted"),
    ]) {
        let id = import(&cluster, &place, &script);
        let error = cluster.error("postgres", &call(&id));
        assert!(format!("{} {}", error.message, error.detail).contains(what), "{script}: {error}");
        assert!(!touched.exists(), "{script}");
        let databases = "SELECT count(*) FROM pg_database WHERE datname = 'copy'";
        assert_eq!(cluster.value("postgres", databases), "0", "{script}");
    }
    cluster.assert_nothing_left();
}

#[test]
fn a_script_takes_the_place_of_a_live_database() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let content = cluster.fingerprint("app");
    let id = cluster.back_up_app(", format => 'plain'");
    cluster.sql("app", "CREATE TABLE later ()");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    assert_eq!(cluster.fingerprint("app"), content);
    assert_eq!(cluster.value("app", "SELECT to_regclass('later') IS NULL"), "t");
    for (options, what) in [("tables => ARRAY['t']", "plain dump"), ("jobs => 2", "one connection")]
    {
        let sql = format!("CALL backup_restore({id}, {options})");
        let error = cluster.error("postgres", &sql);
        assert!(error.detail.contains(what), "{error}");
    }
}

#[test]
fn code_of_a_low_privileged_owner_gets_no_rights_in_a_script() {
    let cluster = Cluster::start();
    cluster.psql(
        "postgres",
        "CREATE ROLE eve;\nCREATE DATABASE app;\nGRANT ALL ON DATABASE app TO eve;",
    );
    cluster.sql(
        "app",
        "CREATE SCHEMA eve AUTHORIZATION eve; SET ROLE eve; \
         CREATE FUNCTION eve.evil(a int) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN EXECUTE 'ALTER ROLE eve SUPERUSER'; RETURN true; \
            EXCEPTION WHEN OTHERS THEN RETURN true; END $$; \
         CREATE TABLE eve.t (a int CHECK (eve.evil(a))); INSERT INTO eve.t VALUES (1)",
    );
    let id = cluster.back_up_app(", format => 'plain'");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    let is = "SELECT rolsuper FROM pg_roles WHERE rolname = 'eve'";
    assert_eq!(cluster.value("postgres", is), "f");
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM eve.t"), "1");
}

#[test]
fn a_line_of_100_megabytes_goes_through() {
    let (cluster, place) = cluster();
    let mut file = fs::File::create(place.join("long.sql")).unwrap();
    file.write_all(b"CREATE TABLE t (a text);\nCOPY t FROM stdin;\n").unwrap();
    let chunk = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| file.write_all(&chunk).unwrap());
    file.write_all(b"\n\\.\nSELECT '").unwrap();
    (0..20).for_each(|_| file.write_all(&chunk).unwrap());
    file.write_all(b"' IS NULL;\n").unwrap();
    drop(file);
    let sql = format!("SELECT backup_import('{}/long.sql')", place.display());
    let id = cluster.value("postgres", &sql);
    cluster.sql("postgres", &call(&id));
    assert_eq!(cluster.value("copy", "SELECT length(a) FROM t"), (100 << 20).to_string());
}
