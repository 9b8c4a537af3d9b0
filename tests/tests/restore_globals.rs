//! `backup_restore(…, globals => true)`: roles and tablespaces that are missing come back as they
//! were, those that exist stay as they are.

use pg_backup_tests::{Cluster, give_to_server};

const ROLES: &str = r#"
CREATE ROLE "Ow;ner ""x"" '" LOGIN PASSWORD 'secret-of-owner' CONNECTION LIMIT 3 VALID UNTIL '2040-01-01';
CREATE ROLE boss SUPERUSER CREATEDB; CREATE ROLE staff; CREATE ROLE kept NOLOGIN;
COMMENT ON ROLE staff IS 'it''s; \ ours';
ALTER ROLE "Ow;ner ""x"" '" SET search_path TO "$user", public;
ALTER ROLE "Ow;ner ""x"" '" SET app.motto TO 'a''b\c;';
GRANT staff TO "Ow;ner ""x"" '" WITH ADMIN OPTION; GRANT staff TO kept;
GRANT pg_read_all_data TO staff;"#;

/// Everything about the roles, but ids.
const ALL_ROLES: &str = "
SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb,
           rolcanlogin, rolreplication, rolconnlimit, rolvaliduntil, rolpassword, rolbypassrls,
           shobj_description(oid, 'pg_authid'),
           (SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting
             WHERE setrole = a.oid AND setdatabase = 0),
           (SELECT string_agg(roleid::regrole || ' ' || admin_option, ' ' ORDER BY roleid::regrole::text)
              FROM pg_auth_members WHERE member = a.oid)), E'\\n' ORDER BY rolname)
  FROM pg_authid a WHERE rolname !~ '^pg_'";

#[test]
fn missing_roles_come_back_as_they_were_and_others_are_not_touched() {
    let cluster = Cluster::with(&["log_statement = all", "log_min_duration_statement = 0"]);
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", ROLES);
    cluster.psql(
        "app",
        r#"CREATE TABLE t (i int); ALTER TABLE t OWNER TO "Ow;ner ""x"" '"; GRANT SELECT ON t TO staff;
           ALTER DATABASE app OWNER TO boss"#,
    );
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    let (roles, schema) = (cluster.value("postgres", ALL_ROLES), cluster.schema_of("app"));
    cluster.psql(
        "postgres",
        r#"DROP DATABASE app; DROP ROLE "Ow;ner ""x"" '"; DROP ROLE boss; DROP ROLE staff"#,
    );
    let check = |options: &str| {
        let sql = format!(
            "SELECT concat_ws(' | ', status, detail, hint) FROM backup_restore_check({id}{options}) \
             WHERE check_name = 'roles'"
        );
        cluster.value("postgres", &sql)
    };
    let found = check("");
    assert!(found.starts_with("blocker | missing roles") && found.contains("globals => true"));
    let found = check(", globals => true");
    assert!(found.starts_with("warning | will be made") && found.contains("superusers"), "{found}");
    cluster
        .sql("postgres", &format!("CALL backup_restore({id}, target => 'app', globals => true)"));
    assert_eq!(cluster.value("postgres", ALL_ROLES), roles);
    assert_eq!(cluster.schema_of("app"), schema);
    let warnings = "SELECT array_to_string(warnings, '; ') FROM backup_history \
                    WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    let told = cluster.value("postgres", warnings);
    assert!(told.contains("made as superusers, as they were: boss"), "{told}");
    let hash = cluster.value("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname ~ '^Ow'");
    assert!(hash.starts_with("SCRAM") && !cluster.log().contains(&hash));
    // What exists stays as it is by now.
    cluster.psql(
        "postgres",
        "DROP DATABASE app; ALTER ROLE staff CREATEDB; ALTER ROLE boss NOSUPERUSER",
    );
    let roles = cluster.value("postgres", ALL_ROLES);
    cluster
        .sql("postgres", &format!("CALL backup_restore({id}, target => 'app', globals => true)"));
    assert_eq!(cluster.value("postgres", ALL_ROLES), roles);
    cluster.assert_clean();
}

#[test]
fn a_missing_tablespace_is_made_in_its_directory_when_that_is_empty() {
    let cluster = Cluster::start();
    let place = cluster.make_dir("space");
    give_to_server(&place);
    let make = format!("CREATE TABLESPACE \"fa;st\" LOCATION '{}'", place.display());
    cluster.sql("postgres", &make);
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.sql("app", "CREATE TABLE t TABLESPACE \"fa;st\" AS SELECT 1 AS i");
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.sql("postgres", "DROP DATABASE app");
    cluster.sql("postgres", "DROP TABLESPACE \"fa;st\"");
    let row = |options: &str| {
        let sql = format!(
            "SELECT concat_ws(' | ', status, detail) FROM backup_restore_check({id}{options}) \
             WHERE check_name = 'tablespaces'"
        );
        cluster.value("postgres", &sql)
    };
    assert!(row("").starts_with("blocker"));
    assert_eq!(row(", globals => true"), "ok | will be made: \"fa;st\"");
    std::fs::write(place.join("mine"), "").unwrap();
    let found = row(", globals => true");
    assert!(found.starts_with("blocker") && found.contains("is not empty"), "{found}");
    std::fs::remove_file(place.join("mine")).unwrap();
    cluster
        .sql("postgres", &format!("CALL backup_restore({id}, target => 'app', globals => true)"));
    let where_is = "SELECT spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = reltablespace \
                    WHERE relname = 't'";
    assert_eq!(cluster.value("app", where_is), "fa;st");
}

#[test]
fn hundreds_of_missing_roles_are_one_row_of_those_that_are_not_fine() {
    let cluster = Cluster::start();
    let roles = "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE ROLE %I', \
                 rpad('role_' || i, 60, 'x')); END LOOP; END $$";
    let each = |what: &str| {
        format!(
            "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname \
                 ~ '^role_' LOOP EXECUTE format('{what}', r); END LOOP; END $$"
        )
    };
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.sql("app", &format!("CREATE TABLE t (i int); {roles}"));
    cluster.sql("app", &each("GRANT SELECT ON t TO %I"));
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.sql("postgres", "DROP DATABASE app");
    cluster.sql("postgres", &each("DROP ROLE %I"));
    for options in ["", ", globals => true"] {
        let sql = format!(
            "SELECT string_agg(check_name || ' ' || status || ' ' || detail, E'\\n') \
             FROM backup_restore_check({id}, target => 'app'{options}) WHERE check_name = 'roles'"
        );
        let found = cluster.value("postgres", &sql);
        let wanted = ["roles blocker missing roles: ", "roles ok will be made: "];
        assert!(found.starts_with(wanted[usize::from(!options.is_empty())]), "{found}");
        assert!(found.contains("more"), "{found}");
    }
}
