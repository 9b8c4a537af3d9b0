//! Hostile surroundings: the environment of the postmaster, settings of roles and databases, the
//! search path of the caller. What is dumped is the same with and without them.

use pg_backup_tests::{Cluster, give_to_server, wait_until};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// What the text of a dump could show of settings: floats, bytes, intervals, escapes, characters
/// beyond ASCII, NULL in arrays, row security, bounds of partitions, a large object.
const CONTENT: &str = r"
CREATE TABLE t AS SELECT i, 'größe ' || i AS name, i / 3.0::float8 AS f, '\x00ff'::bytea AS b,
       make_interval(days => i, secs => 1.5) AS span, ARRAY[NULL, 'NULL', E'a\\b'] AS list,
       date '2020-02-01' + i AS day FROM generate_series(1, 300) i;
CREATE TABLE p (day date DEFAULT '2020-03-04', i int CHECK (i = NULL OR i > 0))
       PARTITION BY RANGE (day);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-03-04') TO ('2021-04-03');
INSERT INTO p VALUES ('2020-12-11', 1);
CREATE TABLE guarded (i int);
INSERT INTO guarded VALUES (1), (2);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY none ON guarded USING (false);
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'back\slash ''quote''' $$;
CREATE VIEW v AS SELECT E'a\\b\'c' AS x, lower(name) = 'x' AS y FROM t;
SELECT lo_from_bytea(0, 'large');
CREATE SCHEMA evil;
CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.array_to_string(anyarray, text) RETURNS text LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.~ (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text);
CREATE TABLE evil.pg_class AS SELECT 1 AS oid;
CREATE TYPE evil.text AS (x int);";

/// Each breaks a dump, its text, or the watch over it, where it is not put back.
const POISON: [&str; 34] = [
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '1ms'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "role = weak",
    "client_encoding = 'LATIN1'",
    "client_min_messages = 'debug5'",
    "search_path = evil, pg_catalog",
    "row_security = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "escape_string_warning = on",
    "array_nulls = off",
    "transform_null_equals = on",
    "DateStyle = 'German'",
    "IntervalStyle = 'iso_8601'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "xmloption = 'document'",
    "session_replication_role = 'replica'",
    "exit_on_error = on",
    "track_activities = off",
    "track_counts = off",
    "synchronize_seqscans = on",
    "force_parallel_mode = on",
    "enable_seqscan = off",
    "jit_above_cost = 0",
    "work_mem = '64kB'",
    "lo_compat_privileges = on",
    "default_tablespace = 'pg_global'",
    "default_table_access_method = 'nothing'",
];

/// A cluster with the content in a database `app`, and a superuser `boss` who is not poisoned.
fn with_content(cluster: Cluster) -> Cluster {
    cluster.psql(
        "postgres",
        "CREATE DATABASE app; CREATE ROLE weak; CREATE ROLE boss SUPERUSER LOGIN",
    );
    cluster.psql("app", CONTENT);
    cluster
}

fn backup(cluster: &Cluster, options: &str) -> Result<(), pg_backup_tests::DbError> {
    let sql = format!("SELECT backup_create(database => 'app'{options})");
    let done = cluster.connect_as("postgres", "boss").batch_execute(&sql);
    done.map_err(|error| pg_backup_tests::DbError::of(&error))
}

fn script(cluster: &Cluster, options: &str) -> String {
    backup(cluster, options).unwrap_or_else(|error| panic!("{options}: {error}"));
    let script = cluster.script(&cluster.last_backup());
    assert!(script.lines().count() > 300, "{script}");
    script
}

#[test]
fn settings_of_the_superuser_and_of_the_database_change_nothing() {
    let cluster = with_content(Cluster::start());
    let options = ["", ", format => 'plain'"];
    let wanted = options.map(|option| script(&cluster, option));
    for setting in POISON {
        let sql = format!("SET client_min_messages = error; ALTER DATABASE app SET {setting}");
        cluster.psql("postgres", &sql);
    }
    for (option, wanted) in options.iter().zip(&wanted) {
        assert_eq!(script(&cluster, option), *wanted, "of the database, {option}");
    }
    for setting in POISON {
        let mut boss = cluster.connect_as("postgres", "boss");
        let done = boss.batch_execute(&format!("ALTER ROLE postgres SET {setting}"));
        done.unwrap_or_else(|error| panic!("{setting}: {error}"));
    }
    let scripts: Vec<Result<(), _>> =
        options.iter().map(|option| backup(&cluster, option)).collect();
    cluster.connect_as("postgres", "boss").batch_execute("ALTER ROLE postgres RESET ALL").unwrap();
    for (option, done) in options.iter().zip(scripts) {
        done.unwrap_or_else(|error| panic!("of the role, {option}: {error}"));
    }
    let run = cluster.last_backup();
    assert_eq!(run.warnings, "{}", "{run:?}");
    assert_eq!(cluster.script(&run), wanted[1]);
    assert_eq!(jobs_dump(&cluster), "t 300");
    cluster.assert_clean();
}

/// A dump by two connections of the same database.
fn jobs_dump(cluster: &Cluster) -> String {
    backup(cluster, ", jobs => 2").unwrap();
    cluster.value(
        "postgres",
        "SELECT t ->> 'name' || ' ' || (t ->> 'rows') FROM backup_manifest m, \
         jsonb_array_elements(manifest -> 'tables') t WHERE m.id = backup_latest('app') \
         AND t ->> 'name' = 't'",
    )
}

#[test]
fn the_watch_over_a_dump_sees_also_where_activities_are_not_tracked() {
    let cluster = with_content(Cluster::start());
    let mut other = cluster.connect("app");
    other.batch_execute("BEGIN; DROP VIEW v").unwrap();
    let sql = "ALTER ROLE postgres SET track_activities = off";
    cluster.connect_as("postgres", "boss").batch_execute(sql).unwrap();
    let mut boss = cluster.connect_as("postgres", "boss");
    let sql = "SET pg_backup.lock_timeout = '1s'; SELECT backup_create(database => 'app')";
    let error = boss.batch_execute(sql).unwrap_err();
    other.batch_execute("ROLLBACK").unwrap();
    boss.batch_execute("ALTER ROLE postgres RESET ALL").unwrap();
    assert_eq!(pg_backup_tests::sqlstate(&error), "55P03", "{error:?}");
    cluster.assert_survived("failed");
}

/// Variables that libpq, the tools, the C library, the shell and Rust's own library listen to.
fn hostile(bin: &str) -> Vec<(String, String)> {
    let pairs = [
        ("PATH", bin),
        ("PGHOST", "/nowhere"),
        ("PGHOSTADDR", "203.0.113.1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "nothing"),
        ("PGPASSWORD", "secret"),
        ("PGPASSFILE", "/nowhere/pass"),
        ("PGSERVICE", "evil"),
        ("PGSERVICEFILE", "/nowhere/evil.conf"),
        ("PGSYSCONFDIR", "/nowhere"),
        ("PGOPTIONS", "-c statement_timeout=1 -c search_path=nowhere -c role=nobody"),
        ("PGAPPNAME", "evil"),
        ("PGSSLMODE", "verify-full"),
        ("PGREQUIRESSL", "1"),
        ("PGGSSENCMODE", "require"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREPEER", "nobody"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGCONNECT_TIMEOUT", "1"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGDATESTYLE", "German"),
        ("PGTZ", "Asia/Kathmandu"),
        ("PG_COLOR", "always"),
        ("TZ", "Asia/Kathmandu"),
        ("LC_ALL", "xx_YY.nothing"),
        ("LANG", "tr_TR"),
        ("LANGUAGE", "de:fr"),
        ("HOME", "/nowhere"),
        ("TMPDIR", "/nowhere"),
        ("IFS", "/"),
        ("ENV", "/nowhere"),
        ("BASH_ENV", "/nowhere"),
        ("ZSTD_CLEVEL", "19"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_MIN_STACK", "1"),
        ("TOKIO_WORKER_THREADS", "0"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn cluster_with(variables: &[(String, String)]) -> Cluster {
    let pairs: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Cluster::builder().env(&pairs).start()
}

#[test]
fn the_environment_of_the_postmaster_changes_nothing() {
    let bin = tempfile::tempdir().unwrap();
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for tool in ["pg_dump", "pg_dumpall", "pg_restore", "sh", "zstd"] {
        fs::write(bin.path().join(tool), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(bin.path().join(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let normal = with_content(Cluster::start());
    let hostile = with_content(cluster_with(&hostile(&path)));
    for option in ["", ", format => 'plain'"] {
        assert_eq!(script(&hostile, option), script(&normal, option), "{option}");
    }
    assert_eq!(jobs_dump(&hostile), "t 300");
    assert_eq!(hostile.last_backup().warnings, "{}");
    let verified = "SELECT bool_and(ok) FROM backup_verify(1, 'read')";
    assert_eq!(hostile.value("postgres", verified), "t");
    let blockers = "SELECT string_agg(check_name || ': ' || detail, E'\\n') FROM backup_check() \
                    WHERE status = 'blocker'";
    assert_eq!(hostile.value("postgres", blockers), "");
    hostile.assert_clean();
}

#[test]
fn a_tool_inherits_only_what_it_needs() {
    let cluster = cluster_with(&hostile("/usr/bin:/bin"));
    let seen = cluster.make_dir("seen");
    let look = |tool: &str| {
        format!(
            "#!/bin/bash\n{{ env -0 | tr '\\n\\0' ' \\n'; echo FDS $(ls /proc/$$/fd); echo CWD $PWD; \
             echo UMASK $(umask); grep -E '^Sig(Blk|Ign)' /proc/$$/status; }} > {}/{tool}.$$\n\
             exec \"$REAL\" \"$@\"",
            seen.display()
        )
    };
    let scripts = ["pg_dump", "pg_dumpall", "pg_restore"].map(|tool| (tool, look(tool)));
    let tools: Vec<(&str, &str)> =
        scripts.iter().map(|(tool, script)| (*tool, script.as_str())).collect();
    let dir = cluster.fake_tools(&tools);
    cluster.set("pg_backup.bin_directory", &dir.display().to_string());
    cluster.assert_next_backup_works();
    let mut count = 0;
    for entry in fs::read_dir(&seen).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .filter(|name| !["_", "SHLVL", "PWD", "OLDPWD", "BASHOPTS"].contains(name))
            .collect();
        let known =
            "LC_ALL PATH PGAPPNAME PGCONNECT_TIMEOUT PGDATABASE PGHOST PGOPTIONS PGPORT PGUSER";
        assert!(names.iter().all(|name| known.split(' ').any(|k| k == *name)), "{text}");
        assert!(!text.contains("nowhere") && !text.contains("secret"), "{text}");
        // 255 is bash's own for the script.
        assert!(text.contains("FDS 0 1 2 255\n") && text.contains("CWD /\n"), "{text}");
        let signals = text.lines().filter(|line| line.starts_with("Sig"));
        assert!(signals.clone().count() == 2, "{text}");
        assert!(signals.clone().all(|line| line.ends_with("0000000000000000")), "{text}");
        count += 1;
    }
    assert!(count >= 3, "only {count} tools ran");
}

#[test]
fn the_search_path_of_the_caller_leads_no_function_astray() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE kept AS SELECT 1 AS i");
    cluster.assert_next_backup_works();
    let evil = CONTENT.split_once("CREATE SCHEMA evil;").unwrap().1;
    cluster.psql("postgres", &format!("CREATE SCHEMA evil; {evil}"));
    let mut calls = cluster.calls("postgres");
    calls.extend(cluster.views("postgres").iter().map(|view| format!("SELECT * FROM {view}")));
    let schema = cluster.value(
        "postgres",
        "SELECT extnamespace::regnamespace FROM pg_extension \
                                            WHERE extname = 'pg_backup'",
    );
    let prefixed = |call: String| {
        let dotted = format!("{schema}.");
        if call.contains(&dotted) { call } else { call.replace("FROM ", &format!("FROM {dotted}")) }
    };
    for call in calls.into_iter().map(prefixed) {
        let mut session = cluster.connect("postgres");
        let traps = "CREATE TEMP TABLE pg_proc (i int); CREATE TEMP TABLE backup_runs (i int); \
                     CREATE TEMP TABLE kept (i int)";
        session.batch_execute(traps).unwrap();
        session.batch_execute("SET search_path = evil, pg_temp, pg_catalog").unwrap();
        if let Err(error) = session.batch_execute(&call) {
            let error = pg_backup_tests::DbError::of(&error);
            let own = ["22023", "42704", "3D000", "58P01"].contains(&error.sqlstate.as_str());
            assert!(own && !error.to_string().contains("evil"), "{call}: {error}");
        }
    }
    cluster.assert_next_backup_works();
    wait_until("the end of everything", Duration::from_secs(30), || cluster.runners().is_empty());
}

#[test]
fn a_database_with_a_hostile_name_can_be_the_one_for_globals() {
    let cluster = Cluster::start();
    let name = "dbname=postgres host=/nowhere";
    cluster.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    cluster.set("pg_backup.connect_database", name);
    cluster.assert_next_backup_works();
    let place = tempfile::tempdir().unwrap();
    give_to_server(place.path());
    cluster.assert_clean();
}
