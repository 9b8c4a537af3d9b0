//! Servers that cannot run jobs: a standby, and one without the preloaded library. Every function
//! says so clearly or gives what it can; after promotion everything works.

use pg_backup_tests::{Cluster, DbError, Gate, LIMIT, Mode, give_to_server, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Calls that look up a name first, and here do not find it.
const NAMED: [&str; 3] = ["backup_prune", "backup_retention", "backup_run_hook"];

/// Runs every call of the extension with the id of a backup that exists; gives the errors by name.
fn errors(cluster: &Cluster, calls: &[String]) -> Vec<(String, Option<DbError>)> {
    let name = |call: &str| {
        let call = call.split_once('(').expect("a call").0;
        call.rsplit('.').next().expect("a name").to_owned()
    };
    calls
        .iter()
        .map(|call| {
            let done = cluster.try_sql("postgres", call);
            (name(call), done.err().map(|error| DbError::of(&error)))
        })
        .collect()
}

fn wait_for_history(standby: &Cluster, condition: &str) {
    let sql = format!("SELECT count(*) FROM backup_history WHERE {condition}");
    wait_until(condition, LIMIT, || standby.value("postgres", &sql) == "1");
}

/// A directory outside every data directory, for two servers.
fn shared_directory() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("the temporary directory is writable");
    give_to_server(place.path());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    place
}

/// Calls that look at what they are told before anything else.
const TOLD: [&str; 4] =
    ["backup_export", "backup_grant", "backup_next_runs", "backup_restore_plan"];

#[test]
fn on_a_standby_every_call_is_refused_clearly_or_answers() {
    let place = shared_directory();
    let directory = format!("pg_backup.directory = '{}'", place.path().display());
    let primary = Cluster::with(&[&directory]);
    primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i; SELECT 1");
    primary.sql("postgres", "SELECT backup_create()");
    let standby = primary.standby(&[&directory]);
    wait_for_history(&standby, "status = 'succeeded'");
    let mut answered = Vec::new();
    for (name, error) in errors(&standby, &primary.calls("postgres")) {
        match error {
            // What it is told is looked at first.
            Some(error) if TOLD.contains(&name.as_str()) => {
                assert_eq!(error.sqlstate, "22023");
            }
            Some(error) if NAMED.contains(&name.as_str()) => {
                assert_eq!(error.sqlstate, "42704", "{name}: {error}");
            }
            Some(error) => {
                assert_eq!(error.sqlstate, "25006", "{name}: {error}");
                let own = ["backup_create", "backup_verify", "backup_delete"];
                let hint = !own.contains(&name.as_str()) || error.hint.contains("primary");
                assert!(hint, "{name}: {error}");
            }
            None => answered.push(name),
        }
    }
    let wanted = "backup_cancel backup_check backup_compatibility backup_compatibility_here backup_contents \
                  backup_find backup_home_id backup_inspect backup_latest backup_list_badges backup_metrics \
                  backup_migration_hashes \
                  backup_next_run backup_progress_rows backup_upload_rows backup_wait";
    assert_eq!(answered.join(" "), wanted);
    for view in primary.views("postgres") {
        standby.sql("postgres", &format!("SELECT * FROM {view}"));
    }
    assert_eq!(standby.value("postgres", "SELECT backup_wait(1)"), "succeeded");
    assert_eq!(standby.value("postgres", "SELECT backup_latest()"), "1");
    let grant = standby.error("postgres", "CALL backup_grant('postgres', 'viewer')");
    assert_eq!(grant.sqlstate, "25006");
    let check = "SELECT check_name || ' ' || status FROM backup_check() ORDER BY 1";
    let checks = standby.psql("postgres", check);
    assert!(checks.contains("recovery warning") && !checks.contains("blocker"), "{checks}");
}

#[test]
fn a_standby_has_no_launcher_until_it_is_promoted() {
    let primary = Cluster::start();
    primary.assert_next_backup_works();
    let mut standby = primary.standby(&[]);
    let launchers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_backup%'";
    assert_eq!(standby.value("postgres", launchers), "0");
    wait_for_history(&standby, "status = 'succeeded'");
    standby.restart(Mode::Fast);
    assert_eq!(standby.value("postgres", launchers), "0");
    standby.sql("postgres", "SELECT pg_promote()");
    standby.assert_next_backup_works();
    assert_eq!(standby.value("postgres", "SELECT count(*) FROM backup_history"), "2");
    assert!(standby.last_backup().id > 1, "{:?}", standby.last_backup());
    standby.assert_nothing_left();
    primary.assert_next_backup_works();
    primary.assert_clean();
}

#[test]
fn promotion_settles_the_row_of_the_primary_but_not_its_file() {
    let place = shared_directory();
    let directory = format!("pg_backup.directory = '{}'", place.path().display());
    let primary = Cluster::with(&[&directory]);
    primary.fill("app", 1, 1);
    let standby = primary.standby(&[&directory]);
    let gate = Gate::new(&primary, "gate");
    primary.use_tool("pg_dump", &gate.script(20_000));
    let create = "SELECT backup_create(database => 'app')";
    let call = primary.call_until_dumping("postgres", create);
    wait_for_history(&standby, "status = 'running'");
    standby.sql("postgres", "SELECT pg_promote()");
    wait_for_history(&standby, "status = 'interrupted'");
    // The directory is shared, and so is the partial file: its owner lives on the old primary.
    standby.sql("postgres", create);
    gate.open();
    assert_eq!(call.end(), Ok(()));
    let run = primary.last_backup();
    assert_eq!(run.status, "succeeded");
    assert!(place.path().join(&run.file).exists(), "{run:?}");
    let theirs = standby.last_backup();
    assert_eq!(theirs.status, "succeeded");
    assert_ne!(theirs.file, run.file);
    for (cluster, id) in [(&primary, run.id), (&standby, theirs.id)] {
        let good = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
        assert_eq!(cluster.value("postgres", &good), "t");
        cluster.assert_nothing_left();
    }
}

#[test]
fn without_preload_every_call_says_what_to_add_or_answers() {
    let mut cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
    cluster.assert_next_backup_works();
    cluster.append_conf(&["shared_preload_libraries = ''"]);
    cluster.restart(Mode::Fast);
    let calls = cluster.calls("postgres");
    let mut answered = Vec::new();
    for (name, error) in errors(&cluster, &calls) {
        let Some(error) = error else {
            answered.push(name);
            continue;
        };
        // What it is told is looked at first.
        if TOLD.contains(&name.as_str()) || NAMED.contains(&name.as_str()) {
            assert!(["22023", "42704"].contains(&error.sqlstate.as_str()), "{name}: {error}");
            continue;
        }
        assert_eq!(error.sqlstate, "55000", "{name}: {error}");
        assert!(error.hint.contains("shared_preload_libraries"), "{name}: {error}");
        assert!(error.hint.contains("restart"), "{name}: {error}");
    }
    let wanted = "backup_audit_record backup_cancel backup_check backup_compatibility \
                  backup_compatibility_here backup_contents backup_find backup_home_id backup_inspect \
                  backup_latest backup_list_badges backup_metrics \
                  backup_migration_hashes backup_next_run backup_pin \
                  backup_progress_rows backup_upload_rows backup_wait";
    assert_eq!(answered.join(" "), wanted);
    for view in cluster.views("postgres") {
        cluster.sql("postgres", &format!("SELECT * FROM {view}"));
    }
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_history"), "1");
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.sql("other", "CREATE EXTENSION pg_backup; DROP EXTENSION pg_backup");
    cluster.append_conf(&["shared_preload_libraries = 'pg_backup'"]);
    cluster.restart(Mode::Fast);
    cluster.assert_next_backup_works();
    cluster.assert_clean();
}

#[test]
fn a_database_that_was_made_from_a_template_with_the_extension_has_a_history_of_its_own() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    cluster.sql("template1", "CREATE DATABASE copy TEMPLATE postgres");
    cluster.sql("copy", "SELECT backup_create()");
    let databases = "SELECT string_agg(database, ' ' ORDER BY id) FROM backup_history";
    assert_eq!(cluster.value("copy", databases), "postgres copy");
    assert_eq!(cluster.value("postgres", databases), "postgres");
    assert_eq!(cluster.value("copy", "SELECT backup_wait(2)"), "succeeded");
    let mut cluster = cluster;
    cluster.restart(Mode::Fast);
    assert_eq!(cluster.value("copy", databases), "postgres copy");
}
