//! `backup_restore()` into a new database: what comes back is what was there, and nothing that
//! exists is touched.

use pg_backup_tests::{Cluster, assert_same_text, sample};

/// Owner, privileges, comment, limits and settings of a database, without its name.
fn properties(cluster: &Cluster, database: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' | ', d.datdba::regrole, d.datacl, d.datconnlimit, d.datistemplate, \
                d.encoding, d.datcollate, d.datctype, d.datlocprovider, \
                coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale'), \
                shobj_description(d.oid, 'pg_database'), \
                (SELECT string_agg(s.setrole::regrole || ' ' || s.setconfig::text, ';' \
                                   ORDER BY s.setrole) \
                   FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)) \
           FROM pg_database d WHERE d.datname = '{database}'"
    );
    cluster.value("postgres", &sql)
}

const PROPERTIES: &str = r#"
CREATE ROLE boss; CREATE ROLE clerk; CREATE ROLE guest;
ALTER DATABASE app OWNER TO boss;
REVOKE ALL ON DATABASE app FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO clerk WITH GRANT OPTION;
SET ROLE clerk; GRANT CONNECT ON DATABASE app TO guest; RESET ROLE;
GRANT TEMP ON DATABASE app TO PUBLIC;
COMMENT ON DATABASE app IS E'it''s \\ ours';
ALTER DATABASE app CONNECTION LIMIT 7;
ALTER DATABASE app SET app.motto = 'a''b\c';
ALTER DATABASE app SET search_path = "Sales Dept", public;
ALTER ROLE clerk IN DATABASE app SET work_mem = '8MB';"#;

#[test]
fn every_format_restores_to_the_same_database_with_the_same_properties() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    cluster.psql("postgres", PROPERTIES);
    let (schema, content) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    let wanted = properties(&cluster, "app");
    for (number, (options, how)) in sample(
        [
            ("", ""),
            (", compression => 'gzip:1'", ""),
            (", compression => 'none'", ", jobs => 2"),
            ("", ", jobs => 3"),
            (", jobs => 2", ", jobs => 2"),
            (", format => 'directory', compression => 'none'", ""),
            (", format => 'plain'", ""),
            ("", ", trusted => true"),
        ]
        .into_iter()
        .enumerate(),
    ) {
        let id = cluster.back_up_app(options);
        let target = format!("copy_{number}");
        let what = format!("{options}{how}");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => '{target}'{how})"));
        assert_same_text(&cluster.schema_of(&target), &schema, &what);
        assert_eq!(cluster.fingerprint(&target), content, "{what}");
        assert_eq!(properties(&cluster, &target), wanted, "{what}");
        assert_eq!(cluster.last_restore("postgres"), "manual succeeded", "{what}");
        cluster.sql("postgres", &format!("DROP DATABASE {target}"));
    }
    assert_eq!(cluster.fingerprint("app"), content);
    cluster.assert_clean();
}

#[test]
fn a_database_restores_on_another_server_and_a_missing_role_is_said_before() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    let (schema, content) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    cluster.sql("postgres", "DROP DATABASE app");
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    let target = format!("app_restored_{id}");
    assert_eq!(cluster.databases(), target);
    assert_same_text(&cluster.schema_of(&target), &schema, "default name");
    assert_eq!(cluster.fingerprint(&target), content);
    cluster.sql("postgres", &format!("DROP DATABASE {target}; "));
    cluster.psql("postgres", "DROP OWNED BY owner_role; DROP ROLE owner_role");
    let check = format!(
        "SELECT concat_ws(' ', status, detail) FROM backup_restore_check({id}) \
         WHERE check_name = 'roles'"
    );
    assert_eq!(cluster.value("postgres", &check), "blocker missing roles: \"owner_role\"");
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "55000");
    assert!(error.detail.contains("owner_role") && error.hint.contains("globals.sql"), "{error}");
    assert_eq!(cluster.databases(), "");
}

#[test]
fn hostile_and_long_names_are_only_names() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
    let id = cluster.value("postgres", "SELECT backup_create()");
    let long = "n".repeat(63);
    let call = format!("CALL backup_restore({id}, target => $1)");
    let names =
        ["dbname=postgres", "--help", "a'b\\c\"d", "a b\nc", "größe", "$(x)", long.as_str()];
    for target in sample(names) {
        let mut session = cluster.connect("postgres");
        session.execute(&call, &[&target]).unwrap_or_else(|error| panic!("{target}: {error:?}"));
        let mut restored = cluster.connect(target);
        let rows: i64 = restored.query_one("SELECT count(*) FROM t", &[]).unwrap().get(0);
        assert_eq!(rows, 1, "{target}");
    }
    for target in ["".to_owned(), "n".repeat(64)] {
        let error = cluster.connect("postgres").execute(&call, &[&target]).unwrap_err();
        assert_eq!(pg_backup_tests::sqlstate(&error), "22023", "{target}");
    }
    cluster.sql("postgres", &format!("CREATE DATABASE \"{}\"", "m".repeat(63)));
    let sql = format!("SELECT backup_create(database => '{}')", "m".repeat(63));
    let id = cluster.value("postgres", &sql);
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    let ending = format!("_restored_{id}");
    assert!(cluster.databases().split(' ').any(|name| name.len() == 63 && name.ends_with(&ending)));
}

#[test]
fn what_exists_is_never_touched() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    cluster.sql("app", "CREATE TABLE later (i int)");
    let content = cluster.fingerprint("app");
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    assert_eq!(error.sqlstate, "55000");
    assert!(error.detail.contains("Database \"app\" exists"), "{error}");
    assert!(error.hint.contains("never overwritten"), "{error}");
    assert_eq!(cluster.fingerprint("app"), content);
    let wanted = format!("manual failed: backup {id} cannot be restored now");
    assert_eq!(cluster.last_restore("postgres"), wanted);
}

#[test]
fn wrong_arguments_and_roles_are_refused() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    for (call, sqlstate) in [
        ("CALL backup_restore(NULL)".to_owned(), "22023"),
        ("CALL backup_restore(4711)".to_owned(), "42704"),
        (format!("CALL backup_restore({id}, jobs => 0)"), "22023"),
        (format!("CALL backup_restore({id}, jobs => 65)"), "22023"),
        (format!("BEGIN; CREATE TABLE x (); CALL backup_restore({id})"), "25001"),
        ("SELECT backup_restore_check(4711)".to_owned(), "42704"),
        ("SELECT backup_restore_plan(4711)".to_owned(), "42704"),
    ] {
        assert_eq!(cluster.error("postgres", &call).sqlstate, sqlstate, "{call}");
    }
    cluster.psql("postgres", "CREATE ROLE o LOGIN; CALL backup_grant('o', 'operator')");
    cluster.sql("postgres", "GRANT EXECUTE ON PROCEDURE backup_restore TO o");
    let call = format!("CALL backup_restore({id})");
    let error = cluster.connect_as("postgres", "o").batch_execute(&call).unwrap_err();
    assert_eq!(pg_backup_tests::sqlstate(&error), "42501");
    assert_eq!(cluster.databases(), "");
}

#[test]
fn a_damaged_archive_is_refused_before_anything_is_made() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    let path = cluster.archive(&cluster.last_backup());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "55000");
    assert!(error.detail.contains("has changed"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert!(error.detail.contains("is missing"), "{error}");
    assert_eq!(cluster.databases(), "");
}

#[test]
fn the_plan_names_every_step_and_touches_nothing() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    let plan = cluster.value(
        "postgres",
        &format!("SELECT string_agg(action || ': ' || command, E'\\n' ORDER BY step) FROM backup_restore_plan({id}, target => 'co\"py')"),
    );
    for part in [
        "CREATE DATABASE \"co\"\"py\" WITH TEMPLATE = template0 CONNECTION LIMIT = 0",
        "zstd -d | pg_restore --no-password --exit-on-error --section=pre-data",
        "--section=data --dbname=dbname='co\"py' --use-set-session-authorization",
        "expect 3 rows: SELECT pg_catalog.count(*) FROM ONLY \"public\".\"nasty\"",
        "ANALYZE",
        "ALTER DATABASE \"co\"\"py\" OWNER TO \"postgres\"",
    ] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
    assert_eq!(cluster.databases(), "app");
    let runs = "SELECT count(*) FROM backup_history WHERE kind = 'restore'";
    assert_eq!(cluster.value("postgres", runs), "0");
}

#[test]
fn a_verification_restores_into_a_scratch_database_that_goes_again() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    for options in sample(["", ", jobs => 2", ", format => 'plain'"]) {
        let id = cluster.back_up_app(options);
        let verify = format!(
            "SELECT bool_and(ok) || ' ' || max(detail) FILTER (WHERE subject = 'restore') \
             FROM backup_verify({id}, 'restore')"
        );
        let found = cluster.value("postgres", &verify);
        assert!(found.starts_with("true 803 rows in "), "{found}");
        let level = "SELECT verify_level FROM backup_history WHERE kind = 'backup' LIMIT 1";
        assert_eq!(cluster.value("postgres", level), "restore");
    }
    let sql = "CALL backup_schedule('s', '0 3 29 2 *', timezone => 'UTC', database => 'app', \
               verify => 'restore', keep_last => 1)";
    cluster.sql("postgres", sql);
    cluster.sql("postgres", "SELECT backup_run('s')");
    let verified = "SELECT concat_ws(' ', kind, status, schedule) FROM backup_history \
                    WHERE kind = 'verify' LIMIT 1";
    assert_eq!(cluster.value("postgres", verified), "verify succeeded s");
    assert_eq!(cluster.databases(), "app");
    cluster.assert_clean();
}

#[test]
fn a_restored_database_that_does_not_fulfil_an_assertion_fails_its_verification() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = cluster.back_up_app("");
    let verify = format!("SELECT backup_verify({id}, 'restore')");
    let hook = |sql: &str| format!("CALL backup_hook('assert', 'rows', $$ {sql} $$)");
    cluster.sql("postgres", &hook("SELECT count(*) > 0 FROM pg_catalog.pg_class"));
    cluster.sql("postgres", &verify);
    for (sql, sqlstate) in [
        ("SELECT count(*) < 0 FROM pg_catalog.pg_class", "09000"),
        ("SELECT NULL::boolean", "09000"),
        ("SELECT 1", "09000"),
        ("SELECT true WHERE false", "09000"),
        ("CREATE TABLE public.written ()", "09000"),
        ("SELECT 1 / 0 = 1", "09000"),
    ] {
        cluster.sql("postgres", &hook(sql));
        let error = cluster.error("postgres", &verify);
        assert_eq!(error.sqlstate, sqlstate, "{sql}: {error}");
        assert!(error.message.contains("hook \"rows\" failed at assert"), "{sql}: {error}");
    }
    // The archive is whole: what is in it is another matter.
    let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &state), "available");
    assert_eq!(cluster.databases(), "app");
}
