//! A hook has the rights of the role that registered it, and never more, though it runs in a
//! session of a superuser. The role `low` is the enemy: an operator with a schema of its own.

use pg_backup_tests::{Cluster, Run, sample};

const BEFORE: &str = "before_backup";
const AFTER: &str = "after_backup";

/// What `low` may not have, and what it has.
const SETUP: &str = "
CREATE TABLE secret (word text);
INSERT INTO secret VALUES ('xyzzy');
CREATE ROLE loot SUPERUSER;
SET ROLE low;
CREATE TABLE low.seen (at timestamptz DEFAULT clock_timestamp(), what text);
CREATE TABLE low.plain (i int);
CREATE FUNCTION low.take() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO low.seen (what) SELECT word FROM public.secret; RETURN NULL; END $$;
CREATE TABLE low.late (i int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON low.late DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION low.take();
CREATE TABLE low.soon (i int);
CREATE TRIGGER soon AFTER INSERT ON low.soon FOR EACH ROW EXECUTE FUNCTION low.take();
CREATE FUNCTION low.definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS
    $$ SELECT word FROM public.secret $$;
CREATE FUNCTION low.as_postgres() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RESET ROLE; RETURN (SELECT word FROM public.secret); END $$;
CREATE PROCEDURE low.commits() LANGUAGE plpgsql AS
    $$ BEGIN COMMIT; INSERT INTO low.seen (what) SELECT word FROM public.secret; END $$;";

/// SQL of the enemy, and what the server says to it; where versions differ, what each says.
const ATTACKS: [(&str, &str); 38] = [
    ("INSERT INTO low.seen (what) SELECT word FROM public.secret", "permission denied for table"),
    ("SELECT * FROM pg_authid", "permission denied for table pg_authid"),
    ("SET ROLE postgres", "cannot set parameter \"role\""),
    ("SET LOCAL ROLE postgres", "cannot set parameter \"role\""),
    ("RESET ROLE", "cannot set parameter \"role\""),
    ("SET ROLE loot", "cannot set parameter \"role\""),
    ("SET SESSION AUTHORIZATION postgres", "cannot set parameter \"session_authorization\""),
    ("RESET SESSION AUTHORIZATION", "cannot set parameter \"session_authorization\""),
    ("SELECT set_config('role', 'postgres', false)", "cannot set parameter \"role\""),
    ("SELECT set_config('session_authorization', 'postgres', true)", "cannot set parameter"),
    ("DO $$ BEGIN SET ROLE postgres; END $$", "cannot set parameter \"role\""),
    ("SELECT low.as_postgres()", "cannot set parameter \"role\""),
    ("PREPARE p AS SELECT 1", "cannot execute PREPARE"),
    ("LISTEN pg_backup", "cannot execute LISTEN"),
    ("DISCARD ALL", "cannot execute DISCARD"),
    ("INSERT INTO low.late VALUES (1)", "cannot fire deferred trigger"),
    ("INSERT INTO low.soon VALUES (1)", "permission denied for table secret"),
    ("SELECT low.definer()", "permission denied for table secret"),
    ("CREATE TEMP TABLE t (i int) ON COMMIT DROP", "cannot create temporary table"),
    ("CREATE TEMP VIEW v AS SELECT 1", "cannot create temporary"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT low.definer()", "WITH HOLD"),
    ("COPY low.plain TO PROGRAM 'cat'", "pg_execute_server_program"),
    ("COPY low.plain FROM '/etc/passwd'", "pg_read_server_files"),
    ("SELECT pg_read_file('postgresql.conf')", "permission denied for function pg_read_file"),
    ("SELECT lo_import('/etc/passwd')", "permission denied for function lo_import"),
    ("ALTER ROLE low SUPERUSER", "must be superuser|permission denied to alter role"),
    ("GRANT loot TO low", "must be superuser|permission denied to grant role"),
    ("ALTER SYSTEM SET work_mem = '1GB'", "ALTER SYSTEM"),
    ("SET session_replication_role = replica", "permission denied to set parameter"),
    ("CREATE EXTENSION file_fdw", "permission denied to create extension|is not available"),
    ("CREATE FUNCTION low.c() RETURNS void LANGUAGE c AS 'x'", "permission denied for language c"),
    ("CREATE TABLE public.planted (i int)", "permission denied for schema public"),
    ("ALTER TABLE public.secret OWNER TO low", "must be owner"),
    ("UPDATE public.backup_hook_entries SET role = 'postgres'", "permission denied for table"),
    ("SELECT public.backup_run_hook('before_backup', 'rich')", "permission denied for function"),
    ("CALL public.backup_delete(1)", "permission denied for procedure backup_delete"),
    ("DO $$ BEGIN COMMIT; END $$", "invalid transaction termination"),
    ("CALL low.commits()", "invalid transaction termination"),
];

fn with_enemy() -> Cluster {
    let cluster = Cluster::start();
    cluster.make_operator("low");
    cluster.psql("postgres", SETUP);
    cluster
}

/// The last run succeeded; its hooks said nothing, or what it says in `warnings`.
fn backed_up(cluster: &Cluster) -> Run {
    cluster.sql("postgres", "SELECT backup_create()");
    cluster.last_backup()
}

fn seen(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(string_agg(what, '; ' ORDER BY at), '') FROM low.seen";
    cluster.value("postgres", sql)
}

/// The role of a hook, empty when there is no such hook.
fn owner_of(cluster: &Cluster, hook: &str) -> String {
    let sql = format!("SELECT max(role) FROM backup_hooks WHERE name = '{hook}'");
    cluster.value("postgres", &sql)
}

#[test]
fn whatever_the_enemy_tries_the_server_refuses() {
    let cluster = with_enemy();
    for (sql, wanted) in sample(ATTACKS) {
        cluster.hook_as("low", BEFORE, "attack", sql);
        let run = cluster.stopped_by_hook();
        let said = |wanted: &str| run.detail.contains(wanted);
        assert!(wanted.split('|').any(said), "{sql}: {}", run.detail);
    }
    assert_eq!(seen(&cluster), "");
    let clean = "SELECT NOT rolsuper FROM pg_roles WHERE rolname = 'low'";
    assert_eq!(cluster.value("postgres", clean), "t");
    cluster.assert_nothing_left();
    cluster.try_hook("low", BEFORE, "attack", None).expect("it is its own");
    cluster.assert_next_backup_works();
}

#[test]
fn a_hook_is_its_role_by_every_name() {
    let cluster = with_enemy();
    let sql = "INSERT INTO low.seen (what) SELECT concat_ws(' ', current_user, session_user, \
               current_setting('is_superuser'), \
               has_table_privilege('public.secret', 'SELECT'))";
    cluster.hook_as("low", AFTER, "who", sql);
    assert_eq!(backed_up(&cluster).warnings, "{}");
    assert_eq!(seen(&cluster), "low low off f");
}

#[test]
fn a_door_that_asks_for_the_session_user_stays_closed() {
    let cluster = with_enemy();
    let door = "CREATE FUNCTION door() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS \
                $$ BEGIN IF session_user <> 'postgres' THEN RAISE 'go away'; END IF; \
                RETURN (SELECT word FROM public.secret); END $$";
    cluster.sql("postgres", door);
    cluster.hook_as("low", BEFORE, "door", "INSERT INTO low.seen (what) SELECT public.door()");
    assert!(cluster.stopped_by_hook().detail.contains("go away"));
    assert_eq!(seen(&cluster), "");
}

#[test]
fn a_hook_that_registers_a_hook_does_not_promote_it() {
    let cluster = with_enemy();
    let inner = "INSERT INTO low.seen (what) SELECT word FROM public.secret";
    let outer = format!("CALL public.backup_hook('after_backup', 'inner', $q${inner}$q$)");
    cluster.hook_as("low", AFTER, "a", &outer);
    backed_up(&cluster);
    let owner = owner_of(&cluster, "inner");
    assert!(owner.is_empty() || owner == "low", "the hook belongs to {owner}");
    backed_up(&cluster);
    assert_eq!(seen(&cluster), "");
}

/// The owner of a table gets code run in a superuser's session by ANALYZE of an index on it: the
/// server switches to the owner's rights, and so must who calls the extension there.
#[test]
fn maintenance_of_the_enemys_table_registers_no_hook_of_a_superuser() {
    let cluster = with_enemy();
    // An index takes an immutable function only, but does not mind when it becomes another.
    let trap = "
        CREATE FUNCTION low.trap(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE low.t AS SELECT 1 AS i;
        CREATE INDEX ON low.t (low.trap(i));
        CREATE OR REPLACE FUNCTION low.trap(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN
            CALL public.backup_hook('after_backup', 'trap',
                'INSERT INTO low.seen (what) SELECT word FROM public.secret');
            RETURN $1; END $$;";
    cluster.connect_as("postgres", "low").batch_execute(trap).expect("it is the role's own");
    eprintln!(
        "{:?}",
        cluster.try_sql("postgres", "ANALYZE low.t").map_err(|e| pg_backup_tests::sqlstate(&e))
    );
    let owner = owner_of(&cluster, "trap");

    assert!(owner.is_empty() || owner == "low", "the hook belongs to {owner}");
    backed_up(&cluster);
    assert_eq!(seen(&cluster), "");
}

#[test]
fn a_role_made_anew_under_the_old_name_does_not_inherit() {
    let cluster = Cluster::start();
    cluster.make_operator("low");
    cluster.hook_as("low", BEFORE, "old", "SELECT 1");
    cluster.assert_next_backup_works();
    for again in ["", "CREATE ROLE low SUPERUSER LOGIN;"] {
        let sql = format!("DROP OWNED BY low; DROP ROLE low; {again}");
        cluster.psql("postgres", &sql);
        let run = cluster.stopped_by_hook();
        assert!(run.detail.contains("role \"low\", which registered the hook"), "{run:?}");
        assert!(run.hint.contains("backup_hook("), "{run:?}");
        cluster.psql("postgres", "DROP ROLE IF EXISTS low; CREATE ROLE low");
    }
    cluster.try_hook("postgres", BEFORE, "old", None).expect("a superuser may");
    cluster.assert_next_backup_works();
}

#[test]
fn a_renamed_role_keeps_its_hooks_and_its_rights() {
    let cluster = with_enemy();
    let sql = "INSERT INTO low.seen (what) SELECT concat_ws(' ', current_user, session_user)";
    cluster.hook_as("low", AFTER, "mine", sql);
    cluster.psql("postgres", "ALTER ROLE low RENAME TO lower");
    assert_eq!(backed_up(&cluster).warnings, "{}");
    assert_eq!(seen(&cluster), "lower lower");
    let theft = "INSERT INTO low.seen (what) SELECT word FROM public.secret";
    cluster.hook_as("lower", AFTER, "mine", theft);
    assert!(backed_up(&cluster).warnings.contains("permission denied"));
}

#[test]
fn a_hook_belongs_to_its_role_and_to_superusers() {
    let cluster = Cluster::start();
    cluster.make_operator("low");
    cluster.make_operator("other");
    cluster.hook_as("low", BEFORE, "h", "SELECT 1");
    for sql in [Some("SELECT 2"), None] {
        let error = cluster.try_hook("other", BEFORE, "h", sql).unwrap_err();
        assert_eq!(error.sqlstate, "42501", "{error}");
        assert_eq!(error.message, "must be owner of hook \"h\"");
        assert!(error.detail.contains("low"), "{error}");
    }
    // The same name at another event is another hook.
    cluster.hook_as("other", AFTER, "h", "SELECT 2");
    cluster.hook_as("low", BEFORE, "h", "SELECT 3");
    let all = "SELECT string_agg(concat_ws(' ', event, name, role, sql), '; ' ORDER BY event) \
               FROM backup_hooks";
    let wanted = "after_backup h other SELECT 2; before_backup h low SELECT 3";
    assert_eq!(cluster.value("postgres", all), wanted);
    cluster.hook("before_backup", "h", "SELECT 4");
    assert_eq!(owner_of(&cluster, "h"), "postgres", "it has the rights of who wrote it last");
    cluster.try_hook("low", BEFORE, "h", None).unwrap_err();
}

#[test]
fn members_of_a_role_do_not_get_its_hooks() {
    let cluster = Cluster::start();
    cluster.make_operator("low");
    cluster.psql("postgres", "CREATE ROLE member LOGIN IN ROLE low");
    cluster.hook_as("low", BEFORE, "h", "SELECT 1");
    assert_eq!(cluster.try_hook("member", BEFORE, "h", None).unwrap_err().sqlstate, "42501");
    // As the role itself, it may.
    let sql = "SET ROLE low; CALL backup_hook('before_backup', 'h', NULL)";
    cluster.connect_as("postgres", "member").batch_execute(sql).expect("it is that role");
}

#[test]
fn a_hook_leaves_nothing_behind_for_the_next_one() {
    let cluster = with_enemy();
    let sql = "SET search_path = low; SET statement_timeout = 0; SET work_mem = '64kB'; \
               SELECT set_config('backup_run.id', '99', false); \
               SELECT pg_advisory_lock(7); \
               CREATE FUNCTION low.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1/0; SELECT NULL::timestamptz'";
    cluster.hook_as("low", AFTER, "a", sql);
    cluster.sql("postgres", "CREATE TABLE told (what text)");
    let sql = "INSERT INTO public.told SELECT concat_ws('|', current_setting('search_path'), \
               current_setting('work_mem'), current_setting('backup_run.id'), current_user, \
               session_user, now() IS NOT NULL, pg_try_advisory_lock(7))";
    cluster.hook(AFTER, "b", sql);
    let run = backed_up(&cluster);
    assert_eq!(run.warnings, "{}");
    let work_mem = cluster.value("postgres", "SHOW work_mem");
    let wanted = format!("pg_catalog, pg_temp|{work_mem}|{}|postgres|postgres|t|t", run.id);
    assert_eq!(cluster.value("postgres", "SELECT what FROM told"), wanted);
}

#[test]
fn settings_of_the_role_do_not_reach_sessions_of_the_engine() {
    let cluster = with_enemy();
    let sql = "INSERT INTO low.seen (what) SELECT current_setting('search_path')";
    cluster.hook_as("low", AFTER, "h", sql);
    let sql = "ALTER ROLE low SET search_path = low; ALTER ROLE low SET statement_timeout = 1";
    cluster.connect_as("postgres", "low").batch_execute(sql).expect("it is the role's own");
    assert_eq!(backed_up(&cluster).warnings, "{}");
    assert_eq!(seen(&cluster), "pg_catalog, pg_temp");
}

#[test]
fn a_hook_cannot_kill_the_job() {
    let cluster = with_enemy();
    let sql = "SELECT pg_terminate_backend(pid), pg_cancel_backend(pid) FROM pg_stat_activity \
               WHERE application_name LIKE 'pg\\_backup%' OR backend_type LIKE 'pg_backup%'";
    cluster.hook_as("low", BEFORE, "kill", sql);
    let run = cluster.stopped_by_hook();
    let said = |text: &str| run.detail.contains(text);
    let refused = "must be a superuser to terminate";
    assert!(said(refused) || said("permission denied to terminate process"), "{run:?}");
    cluster.assert_nothing_left();
}
