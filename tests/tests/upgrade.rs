//! Upgrades of the extension: from every released version to what a fresh one is, with everything
//! that is in it, also in the middle of a run.

use pg_backup_tests::{Cluster, DbError, Faults, Gate, LIMIT, assert_same_text, wait_until};

/// The versions that an installation offers beside the current one.
const RELEASED: &str = "
SELECT version FROM pg_available_extension_versions a
 WHERE name = 'pg_backup' AND version <> (SELECT default_version FROM pg_available_extensions p
                                           WHERE p.name = a.name) ORDER BY 1";
const UPGRADE: &str = "ALTER EXTENSION pg_backup UPDATE";
/// All that people would miss, as one text.
const CONTENT: &str = "
SELECT string_agg(line, E'\\n') FROM (
  SELECT concat_ws(' ', 'run', id, kind, status, origin, schedule, file_state, sha256, home_id) AS line
    FROM backup_runs WHERE status <> 'running'
  UNION ALL SELECT concat_ws(' ', 'manifest', id, md5(manifest::text), migrations_key, format) FROM backup_manifests
  UNION ALL SELECT concat_ws(' ', 'schedule', s) FROM backup_schedule_entries s
  UNION ALL SELECT concat_ws(' ', 'hook', h) FROM backup_hook_entries h
  UNION ALL SELECT concat_ws(' ', 'audit', id, role, action, detail, outcome) FROM backup_audit_entries
  ORDER BY 1) l";

/// Takes away what only the test build has.
const WITHOUT_TESTS: &str = "
DO $$
DECLARE routine regprocedure;
BEGIN
    FOR routine IN SELECT oid FROM pg_proc WHERE pronamespace = to_regnamespace('tests') LOOP
        EXECUTE format('ALTER EXTENSION pg_backup DROP ROUTINE %s', routine);
    END LOOP;
    IF to_regnamespace('tests') IS NOT NULL THEN
        ALTER EXTENSION pg_backup DROP SCHEMA tests;
        SET LOCAL client_min_messages = warning;
        DROP SCHEMA tests CASCADE;
    END IF;
END $$";

fn released(cluster: &Cluster) -> Vec<String> {
    let rows = cluster.sql("postgres", RELEASED);
    let versions: Vec<String> = rows.into_iter().filter_map(|mut row| row.remove(0)).collect();
    assert!(versions.contains(&"0.1.0".to_owned()), "{versions:?}");
    versions
}

fn create_old(cluster: &Cluster, database: &str, version: &str) {
    cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
    cluster.sql(database, &format!("CREATE EXTENSION pg_backup VERSION '{version}'"));
}

#[test]
fn an_upgraded_extension_is_what_a_fresh_one_is() {
    let cluster = Cluster::start();
    let fresh = cluster.shape("postgres");
    for (number, version) in released(&cluster).iter().enumerate() {
        let database = format!("old{number}");
        create_old(&cluster, &database, version);
        cluster.sql(&database, UPGRADE);
        let upgraded = cluster.shape(&database);
        let differences = upgraded.differences(&fresh);
        assert!(
            differences.is_empty(),
            "upgraded from {version} it is not what a fresh one is:\n{}\n\n\
             For a file NNN_slug.sql in sql/unreleased, after reading it:\n\n{}",
            differences.join("\n"),
            upgraded.steps_to(&fresh)
        );
    }
}

/// All definitions with the members of the extension, without ids and other numbers of a database.
fn dump(cluster: &Cluster, database: &str) -> String {
    cluster.psql(database, WITHOUT_TESTS);
    let args = ["--schema-only", "--binary-upgrade", "-d", database];
    let text = cluster.tool("pg_dump", &args);
    let skipped = [
        "binary_upgrade_set_next",
        "relfrozenxid",
        "restrict",
        "create_empty_extension",
        "WHERE oid = ",
    ];
    let kept = text.lines().filter(|line| !skipped.iter().any(|word| line.contains(word)));
    let kept: Vec<&str> = kept.filter(|line| !line.is_empty()).collect();
    assert!(kept.iter().any(|line| line.contains("ALTER EXTENSION pg_backup ADD FUNCTION")));
    kept.join("\n")
}

#[test]
fn pg_dump_writes_the_same_of_an_upgraded_extension_and_of_a_fresh_one() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE fresh");
    cluster.sql("fresh", "CREATE EXTENSION pg_backup");
    let fresh = dump(&cluster, "fresh");
    for (number, version) in released(&cluster).iter().enumerate() {
        let database = format!("old{number}");
        create_old(&cluster, &database, version);
        cluster.sql(&database, UPGRADE);
        assert_same_text(&dump(&cluster, &database), &fresh, version);
    }
}

#[test]
fn a_difference_of_any_kind_is_noticed() {
    let cluster = Cluster::start();
    let fresh = cluster.shape("postgres");
    for (change, noticed) in [
        ("COMMENT ON COLUMN backup_runs.id IS 'x'", "comment"),
        ("COMMENT ON FUNCTION backup_find IS NULL", "comment"),
        ("ALTER TABLE backup_runs ALTER comment SET DEFAULT ''", "column comment"),
        ("ALTER TABLE backup_runs ALTER origin DROP NOT NULL", "column origin"),
        ("GRANT SELECT ON backup_history TO PUBLIC", "privileges"),
        ("GRANT EXECUTE ON FUNCTION backup_latest TO PUBLIC", "privileges"),
        ("ALTER FUNCTION backup_find(text) COST 7", "definition"),
        ("ALTER FUNCTION backup_find(text) RESET search_path", "definition"),
        ("DROP INDEX backup_runs_imports_idx", "is missing"),
        ("ALTER TABLE backup_schedule_entries DISABLE TRIGGER USER", "trigger"),
        ("ALTER EXTENSION pg_backup DROP FUNCTION backup_find(text)", "is missing"),
        ("ALTER TABLE backup_runs ADD CHECK (id > 0)", "is extra"),
        ("UPDATE pg_extension SET extcondition[1] = '' WHERE extname = 'pg_backup'", "rows of"),
    ] {
        let differences = cluster.shape_after("postgres", change).differences(&fresh);
        assert!(differences.iter().any(|line| line.contains(noticed)), "{change}: {differences:?}");
    }
}

#[test]
fn the_steps_that_are_proposed_for_an_upgrade_do_it() {
    let cluster = Cluster::start();
    let fresh = cluster.shape("postgres");
    cluster.sql("postgres", "CREATE DATABASE changed");
    cluster.psql(
        "changed",
        "CREATE EXTENSION pg_backup; COMMENT ON VIEW backup_list IS 'it''s'; \
         COMMENT ON COLUMN backup_list.id IS 'more'; COMMENT ON PROCEDURE backup_pin IS NULL; \
         ALTER FUNCTION backup_find(text) RESET search_path; \
         COMMENT ON TRIGGER backup_schedules_changed ON backup_schedule_entries IS 'more'; \
         ALTER EXTENSION pg_backup DROP FUNCTION backup_latest; DROP FUNCTION backup_latest; \
         CREATE OR REPLACE VIEW backup_manifest AS SELECT id, manifest FROM backup_manifests LIMIT 1",
    );
    let changed = cluster.shape("changed");
    assert_eq!(changed.differences(&fresh).len(), 12, "{:#?}", changed.differences(&fresh));
    let steps = changed.steps_to(&fresh).replace("@extschema@", "public");
    cluster.psql("changed", &steps);
    cluster.psql("changed", "ALTER EXTENSION pg_backup ADD FUNCTION backup_latest");
    let left = cluster.shape("changed").differences(&fresh);
    // Only a script of the extension makes initial privileges.
    assert!(left.iter().all(|line| line.contains("initial privileges")), "{left:#?}");
}

/// Makes a routine of the same kind and another argument beside each of the extension.
const OVERLOADS: &str = "
SELECT string_agg(format('CREATE %s public.%I(point) %s LANGUAGE sql AS %L;',
                         CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.proname,
                         CASE p.prokind WHEN 'p' THEN '' ELSE 'RETURNS int' END, 'SELECT 1'), ' ')
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.deptype = 'e' AND p.pronamespace = 'public'::regnamespace";

#[test]
fn overloads_that_somebody_has_made_stop_neither_an_upgrade_nor_an_installation() {
    let cluster = Cluster::start();
    let plant = cluster.value("postgres", OVERLOADS);
    assert!(plant.contains("PROCEDURE public.backup_restore(point)"), "{plant}");
    create_old(&cluster, "old", "0.1.0");
    cluster.sql("old", &plant);
    cluster.sql("old", UPGRADE);
    cluster.sql("postgres", "CREATE DATABASE new");
    cluster.sql("new", &plant);
    cluster.sql("new", "CREATE EXTENSION pg_backup");
    let differences = cluster.shape("old").differences(&cluster.shape("new"));
    assert!(differences.is_empty(), "{differences:#?}");
}

/// `app` with version 0.1.0 and something in every table of it.
fn lived_in(faults: &Faults) -> Cluster {
    let cluster = faults.cluster(&[]);
    faults.set_time(&cluster, "2027-01-10 02:30:00+00");
    create_old(&cluster, "app", "0.1.0");
    cluster.psql(
        "app",
        "CREATE TABLE t AS SELECT generate_series(1, 100) AS i; CREATE ROLE viewer; \
         CALL backup_grant('viewer', 'viewer'); \
         CALL backup_schedule('nightly', '0 3 * * *', 'UTC', keep_last => 2); \
         CALL backup_hook('after_backup', 'done', 'INSERT INTO public.t VALUES (0)'); \
         SELECT backup_create(comment => 'before'); CALL backup_pin(1)",
    );
    cluster
}

#[test]
fn an_upgrade_in_the_middle_of_a_scheduled_run_loses_nothing() {
    let faults = Faults::default();
    let cluster = lived_in(&faults);
    faults.plant("archive_unfinished");
    faults.set_time(&cluster, "2027-01-10 03:00:00+00");
    faults.wait("archive_unfinished");
    let before = cluster.value("app", CONTENT);
    cluster.sql("app", UPGRADE);
    assert_eq!(cluster.value("app", CONTENT), before);
    faults.lift("archive_unfinished");
    cluster.wait_for_runs("app", "nightly", 1);
    cluster.assert_runs("app", "nightly", &["succeeded schedule 2027-01-10 03:00:00"]);
    faults.set_time(&cluster, "2027-01-11 03:00:00+00");
    cluster.wait_for_runs("app", "nightly", 2);
    let due = ["2027-01-10", "2027-01-11"].map(|day| format!("succeeded schedule {day} 03:00:00"));
    cluster.assert_runs("app", "nightly", &[&due[0], &due[1]]);
    assert_eq!(cluster.value("app", "SELECT count(*) FROM t WHERE i = 0"), "3", "the hook");
    let rights = "SELECT has_table_privilege('viewer', 'backup_history', 'SELECT') AND \
                  has_function_privilege('viewer', 'backup_latest(text, text)', 'EXECUTE')";
    assert_eq!(cluster.value("app", rights), "t", "what was granted is kept");
    assert_eq!(cluster.value("app", "SELECT comment FROM backup_list WHERE pinned"), "before");
}

#[test]
fn an_upgrade_that_locks_the_history_waits_for_the_dump_and_the_run_for_it() {
    let faults = Faults::default();
    let cluster = lived_in(&faults);
    cluster.psql(
        "app",
        "CREATE TABLE filler AS SELECT md5(i::text) AS m FROM generate_series(1, 50000) i",
    );
    let gate = Gate::new(&cluster, "gate");
    cluster.use_tool("pg_dump", &gate.script(20_000));
    let backup = cluster.call_until_dumping("app", "SELECT backup_create()");
    // An upgrade that adds a column takes this lock.
    let upgrade = format!("LOCK TABLE backup_runs IN ACCESS EXCLUSIVE MODE; {UPGRADE}");
    let upgrade = cluster.call("app", &upgrade);
    let waits = format!("SELECT cardinality(pg_blocking_pids({})) > 0", upgrade.pid);
    wait_until("the upgrade waits", LIMIT, || cluster.value("postgres", &waits) == "t");
    gate.open();
    upgrade.end().expect("the upgrade gets its lock when the dump is over");
    backup.end().expect("the run gets over it");
    assert_eq!(cluster.value("app", "SELECT status FROM backup_history LIMIT 1"), "succeeded");
}

#[test]
fn a_library_works_with_the_sql_of_the_last_release() {
    let faults = Faults::default();
    let cluster = lived_in(&faults);
    let id = cluster.value("app", "SELECT backup_latest()");
    cluster.sql("app", &format!("SELECT backup_verify({id}, 'restore')"));
    cluster.sql("app", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM t"), "100");
    let late = "SELECT count(*) FROM backup_check() WHERE status = 'blocker'";
    assert_eq!(cluster.value("app", late), "0");
    for view in cluster.views("app") {
        cluster.sql("app", &format!("SELECT * FROM {view}"));
    }
    // undefined_column, undefined_table, undefined_function, internal_error
    let wrong = ["42703", "42P01", "42883", "XX000"];
    for call in cluster.calls("app") {
        let Err(error) = cluster.try_sql("app", &call) else { continue };
        let error = DbError::of(&error);
        assert!(!wrong.contains(&error.sqlstate.as_str()), "{call}: {error}");
    }
}
