//! `backup_restore()` into a new database: what comes back is what was there, nothing that exists
//! is touched, and what fails or dies leaves nothing behind.

use nix::sys::signal::Signal;
use pg_backup_tests::{
    Cluster, Faults, LIMIT, Mode, assert_same_text, is_alive, signal, wait_until,
};

/// Names of the databases that are there beside those of the cluster.
fn databases(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database \
               WHERE datname NOT IN ('postgres', 'template0', 'template1')";
    cluster.value("postgres", sql)
}

/// The last restore in the history: status and error.
fn last_restore(cluster: &Cluster) -> String {
    let sql = "SELECT concat_ws(': ', status, error) FROM backup_history \
               WHERE kind = 'restore' LIMIT 1";
    cluster.value("postgres", sql)
}

/// A backup of `app`; gives its id.
fn backed_up(cluster: &Cluster, options: &str) -> String {
    cluster.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"))
}

/// Owner, privileges, comment, limits and settings of a database, without its name.
fn properties(cluster: &Cluster, database: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' | ', d.datdba::regrole, d.datacl, d.datconnlimit, d.datistemplate, \
                d.encoding, d.datcollate, d.datctype, d.datlocprovider, d.daticulocale, \
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
    for (number, (options, how)) in [
        ("", ""),
        (", compression => 'gzip:1'", ""),
        (", compression => 'none'", ", jobs => 2"),
        ("", ", jobs => 3"),
        (", jobs => 2", ", jobs => 2"),
        (", format => 'directory', compression => 'none'", ""),
        (", format => 'plain'", ", trusted => true"),
        ("", ", trusted => true"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = backed_up(&cluster, options);
        let target = format!("copy_{number}");
        let what = format!("{options}{how}");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => '{target}'{how})"));
        assert_same_text(&cluster.schema_of(&target), &schema, &what);
        assert_eq!(cluster.fingerprint(&target), content, "{what}");
        assert_eq!(properties(&cluster, &target), wanted, "{what}");
        assert_eq!(last_restore(&cluster), "succeeded", "{what}");
        cluster.sql("postgres", &format!("DROP DATABASE {target}"));
    }
    assert_eq!(cluster.fingerprint("app"), content);
    cluster.assert_clean();
}

#[test]
fn a_database_restores_on_another_server_and_a_missing_role_is_said_before() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    let (schema, content) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    cluster.sql("postgres", "DROP DATABASE app");
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    let target = format!("app_restored_{id}");
    assert_eq!(databases(&cluster), target);
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
    assert_eq!(databases(&cluster), "");
}

#[test]
fn hostile_and_long_names_are_only_names() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
    let id = cluster.value("postgres", "SELECT backup_create()");
    let long = "n".repeat(63);
    let call = format!("CALL backup_restore({id}, target => $1)");
    for target in
        ["dbname=postgres", "--help", "a'b\\c\"d", "a b\nc", "größe", "$(x)", long.as_str()]
    {
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
    assert!(databases(&cluster).split(' ').any(|name| name.len() == 63 && name.ends_with(&ending)));
}

#[test]
fn what_exists_is_never_touched() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    cluster.sql("app", "CREATE TABLE later (i int)");
    let content = cluster.fingerprint("app");
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    assert_eq!(error.sqlstate, "55000");
    assert!(error.detail.contains("database \"app\" exists"), "{error}");
    assert!(error.hint.contains("never overwritten"), "{error}");
    assert_eq!(cluster.fingerprint("app"), content);
    assert_eq!(last_restore(&cluster), format!("failed: backup {id} cannot be restored now"));
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
    assert_eq!(databases(&cluster), "");
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
    assert_eq!(databases(&cluster), "");
}

/// A low-privileged owner's functions, which would note down whose rights they get.
const TROJANS: &str = "
CREATE ROLE mallory;
CREATE TABLE caught (who text); GRANT ALL ON caught TO PUBLIC;
GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION bite(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'mallory' THEN
        RAISE EXCEPTION 'bitten as %', current_user;
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION bite_int(int) RETURNS int LANGUAGE sql IMMUTABLE
    AS 'SELECT CASE WHEN public.bite($1) THEN $1 END';
CREATE DOMAIN biting AS int CHECK (public.bite(VALUE));
CREATE TABLE checked (i int CHECK (public.bite(i)));
CREATE TABLE typed (i biting);
CREATE TABLE made (i int, j int GENERATED ALWAYS AS (public.bite_int(i)) STORED);
CREATE TABLE parted (i int) PARTITION BY RANGE (public.bite_int(i));
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE indexed (i int);
INSERT INTO checked VALUES (1); INSERT INTO typed VALUES (1); INSERT INTO made VALUES (1);
INSERT INTO parted VALUES (1); INSERT INTO indexed VALUES (1);
CREATE INDEX ON indexed (public.bite_int(i));
CREATE FUNCTION bite_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.bite(1); RETURN NEW; END $$;
CREATE FUNCTION sneak(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF session_user = 'mallory' THEN
        BEGIN
            SET SESSION AUTHORIZATION DEFAULT;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        BEGIN
            PERFORM pg_catalog.set_config('role', 'postgres', false);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        PERFORM pg_catalog.set_config('search_path', 'mallory', false);
    END IF;
    RETURN public.bite($1);
END $$;
CREATE TABLE sneaked (i int CHECK (public.sneak(i)));
INSERT INTO sneaked VALUES (1);
CREATE TRIGGER biting BEFORE INSERT ON indexed FOR EACH ROW EXECUTE FUNCTION bite_row();
ALTER TABLE indexed ENABLE ALWAYS TRIGGER biting;
RESET ROLE;";

#[test]
fn trojans_of_an_owner_without_rights_never_run_with_those_of_the_superuser() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", TROJANS);
    for options in ["", ", jobs => 2"] {
        let id = backed_up(&cluster, options);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy'{options})"));
        let rows = "SELECT (SELECT count(*) FROM checked) + (SELECT count(*) FROM typed) \
                    + (SELECT count(*) FROM made) + (SELECT count(*) FROM parted) \
                    + (SELECT count(*) FROM indexed)";
        assert_eq!(cluster.value("copy", rows), "5");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
}

#[test]
fn a_cast_behind_a_foreign_key_runs_as_its_owner() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app; CREATE ROLE mallory");
    cluster.psql(
        "app",
        "GRANT CREATE ON SCHEMA public TO mallory;
         SET ROLE mallory;
         CREATE TABLE numbers (i int PRIMARY KEY); INSERT INTO numbers VALUES (1);
         CREATE TYPE word AS ENUM ('one');
         CREATE FUNCTION as_int(word) RETURNS int LANGUAGE plpgsql STABLE AS $$
         BEGIN
             IF current_user <> 'mallory' THEN RAISE EXCEPTION 'bitten as %', current_user; END IF;
             RETURN 1;
         END $$;
         CREATE CAST (word AS int) WITH FUNCTION as_int(word) AS IMPLICIT;
         CREATE TABLE words (w word REFERENCES numbers); INSERT INTO words VALUES ('one');",
    );
    let id = backed_up(&cluster, "");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT w FROM words"), "one");
    cluster.sql("postgres", "DROP DATABASE copy");
    // What it keeps from happening.
    let trusted = format!("CALL backup_restore({id}, trusted => true)");
    let error = cluster.error("postgres", &trusted);
    assert!(error.detail.contains("bitten as postgres"), "{error}");
    assert_eq!(databases(&cluster), "app");
}

#[test]
fn a_restore_that_fails_leaves_no_database() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    // Dies when it has written the rows.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n\"$REAL\" \"$@\" || exit 1\n[[ \"$*\" == *section=data* ]] && exit 1\nexit 0",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "38000", "{error}");
    assert!(error.message.contains("pg_restore"), "{error}");
    assert_eq!(databases(&cluster), "app");
    cluster.use_real_tools();
    // Says that all is well, and has not written any.
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n[[ \"$*\" == *section=data* ]] && { cat >/dev/null; exit 0; }\nexec \"$REAL\" \"$@\"",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert_eq!(error.sqlstate, "XX001", "{error}");
    assert!(error.detail.contains("0 rows, not"), "{error}");
    assert_eq!(databases(&cluster), "app");
    cluster.use_real_tools();
    cluster.sql("postgres", &format!("CALL backup_restore({id})"));
    cluster.assert_clean();
}

#[test]
fn a_restore_is_seen_and_can_be_cancelled() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    faults.wait("after_data");
    let seen = "SELECT concat_ws(' ', kind, database, phase) FROM backup_progress";
    assert_eq!(cluster.value("postgres", seen), "restore copy data");
    let closed = "SELECT datconnlimit FROM pg_database WHERE datname = 'copy'";
    assert_eq!(cluster.value("postgres", closed), "0");
    call.cancel();
    faults.lift("after_data");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(databases(&cluster), "app");
    assert!(last_restore(&cluster).starts_with("cancelled"));
}

/// Kills the postmaster, and then the runner, which stands at a fault point and cannot see it.
fn kill_all(cluster: &mut Cluster, runner: i32) {
    let postmaster = cluster.pid();
    let killer = std::thread::spawn(move || {
        wait_until("the postmaster's end", LIMIT, || !is_alive(postmaster));
        signal(runner, Signal::SIGKILL);
    });
    cluster.kill_postmaster();
    killer.join().unwrap();
}

/// What the server does when a restore stands at `point`.
fn crash_at(point: &str) {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    let content = cluster.fingerprint("app");
    faults.plant(point);
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    let runner = faults.wait(point);
    kill_all(&mut cluster, runner);
    faults.lift(point);
    call.error();
    cluster.start_again();
    wait_until("the end of recovery", LIMIT, || last_restore(&cluster).starts_with("interrupted"));
    assert_eq!(databases(&cluster), "app", "{point}");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.fingerprint("copy"), content);
    cluster.restart(Mode::Fast);
    assert_eq!(databases(&cluster), "app copy", "a restore that succeeded stays");
}

#[test]
fn a_crash_before_the_database_is_there_leaves_nothing() {
    crash_at("before_create");
}

#[test]
fn a_crash_right_after_the_database_was_made_leaves_nothing() {
    crash_at("after_create");
}

#[test]
fn a_crash_between_the_sections_leaves_nothing() {
    crash_at("after_pre_data");
}

#[test]
fn a_crash_before_the_database_is_opened_leaves_nothing() {
    crash_at("loaded");
}

#[test]
fn the_plan_names_every_step_and_touches_nothing() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
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
    assert_eq!(databases(&cluster), "app");
    let runs = "SELECT count(*) FROM backup_history WHERE kind = 'restore'";
    assert_eq!(cluster.value("postgres", runs), "0");
}

#[test]
fn a_verification_restores_into_a_scratch_database_that_goes_again() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    for options in ["", ", jobs => 2"] {
        let id = backed_up(&cluster, options);
        let verify = format!(
            "SELECT bool_and(ok) || ' ' || max(detail) FILTER (WHERE subject = 'restore') \
             FROM backup_verify({id}, 'restore')"
        );
        let found = cluster.value("postgres", &verify);
        assert!(found.starts_with("true 803 rows in "), "{found}");
        let level = "SELECT verify_level FROM backup_history WHERE kind = 'backup' LIMIT 1";
        assert_eq!(cluster.value("postgres", level), "restore");
    }
    let id = backed_up(&cluster, ", format => 'plain'");
    let error = cluster.error("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
    assert!(error.detail.contains("plain dump"), "{error}");
    let sql = "CALL backup_schedule('s', 'hourly', timezone => 'UTC', database => 'app', \
               verify => 'restore', keep_last => 1)";
    cluster.sql("postgres", sql);
    cluster.sql("postgres", "SELECT backup_run('s')");
    let verified = "SELECT concat_ws(' ', kind, status, schedule) FROM backup_history \
                    WHERE kind = 'verify' LIMIT 1";
    assert_eq!(cluster.value("postgres", verified), "verify succeeded s");
    assert_eq!(databases(&cluster), "app");
    cluster.assert_clean();
}

#[test]
fn a_crash_while_a_restore_is_rehearsed_leaves_no_scratch_database() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    let id = backed_up(&cluster, "");
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
    let runner = faults.wait("after_data");
    assert!(databases(&cluster).contains("pg_backup_verify_"));
    kill_all(&mut cluster, runner);
    faults.lift("after_data");
    call.error();
    cluster.start_again();
    wait_until("the end of recovery", LIMIT, || databases(&cluster) == "app");
    let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &state), "available");
}

#[test]
fn schedules_in_a_database_begin_when_its_restore_is_complete_and_not_before() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_everything("app");
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    cluster.schedule("app", "'s', 'hourly', 'UTC'");
    let id = backed_up(&cluster, "");
    cluster.sql("postgres", "DROP DATABASE app WITH (FORCE)");
    // In the copy it is due at once.
    faults.set_clock(&cluster, 2.0 * 3600.0);
    faults.plant("after_data");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    faults.wait("after_data");
    // The launcher has been told of the rows, and has had the time to look.
    cluster.sql("postgres", "CALL backup_schedule('t', 'hourly', timezone => 'UTC')");
    cluster.sql("postgres", "SELECT backup_run('t')");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM backup_runs"), "0");
    faults.lift("after_data");
    call.end().unwrap();
    let runs = cluster.wait_for_runs("app", "s", 1);
    assert_eq!((runs.len(), runs[0].status.as_str()), (1, "succeeded"), "{runs:?}");
}
