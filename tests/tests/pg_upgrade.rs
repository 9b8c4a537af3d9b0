//! pg_upgrade keeps history, schedules, hooks and archives.

use pg_backup_tests::{
    Cluster, LIMIT, assert_same_text, own_programs, programs_of, sample, skipped, wait_until,
};
use std::path::Path;

/// Where pg_upgrade leads to. The next major version that exists is the interesting one; the same
/// one is always there.
const NEWEST: u32 = 18;
/// All that has to be the same afterwards. Ids of databases and roles are: pg_upgrade keeps them.
const CONTENT: &str = "
SELECT string_agg(line, E'\\n') FROM (
  SELECT concat_ws(' ', 'run', r) AS line FROM backup_runs r
  UNION ALL SELECT concat_ws(' ', 'manifest', m) FROM backup_manifests m
  UNION ALL SELECT concat_ws(' ', 'schedule', s) FROM backup_schedule_entries s
  UNION ALL SELECT concat_ws(' ', 'hook', h) FROM backup_hook_entries h
  UNION ALL SELECT concat_ws(' ', 'audit', a) FROM backup_audit_entries a
  UNION ALL SELECT concat_ws(' ', 'extension', extversion, extcondition) FROM pg_extension
             WHERE extname = 'pg_backup'
  UNION ALL SELECT 'may see ' || has_table_privilege('viewer', 'backup_history', 'SELECT')
  ORDER BY 1) l";

/// `postgres` and `app` with something in every table, `plain` without the extension.
fn lived_in(conf: &[&str]) -> Cluster {
    let cluster = Cluster::with(conf);
    cluster.psql(
        "postgres",
        "CREATE DATABASE app; CREATE DATABASE plain; CREATE ROLE viewer; CREATE ROLE boss SUPERUSER; \
         CALL backup_grant('viewer', 'viewer'); SELECT backup_create(database => 'plain')",
    );
    cluster.psql(
        "app",
        "CREATE EXTENSION pg_backup; CREATE TABLE t AS SELECT generate_series(1, 100) AS i; \
         CALL backup_grant('viewer', 'viewer'); \
         CALL backup_schedule('nightly', '0 3 29 2 *', 'UTC', keep_last => 2); \
         SET ROLE boss; CALL backup_hook('after_backup', 'done', 'INSERT INTO public.t VALUES (0)'); \
         RESET ROLE; SELECT backup_run('nightly'); CALL backup_pin(1)",
    );
    cluster
}

fn goes_on_after(programs: &Path) {
    let mut old = lived_in(&[]);
    let databases = ["postgres", "app"];
    let before = databases.map(|database| old.value(database, CONTENT));
    let new = old.upgraded(programs, &[]);
    old.move_backups_to(&new);
    for (database, before) in databases.iter().zip(before) {
        let found = new.value(database, CONTENT);
        assert_same_text(&found, &before, database);
    }
    assert_eq!(new.shape("app").differences(&new.shape("postgres")), Vec::<String>::new());
    // A new backup, with its hook and its policy: 1 goes, were it not pinned.
    for _ in 0..2 {
        new.sql("app", "SELECT backup_run('nightly')");
    }
    let states = "SELECT string_agg(id || ' ' || status || ' ' || file_state, ', ' ORDER BY id) \
                  FROM backup_history WHERE kind = 'backup'";
    assert_eq!(
        new.value("app", states).matches("succeeded available").count(),
        3,
        "{}",
        new.value("app", states)
    );
    assert_eq!(new.value("app", "SELECT count(*) FROM t WHERE i = 0"), "3", "the hook");
    assert_eq!(new.value("app", "SELECT backup_find(file) FROM backup_list WHERE id = 1"), "1");
    let blockers = "SELECT string_agg(check_name || ': ' || detail, ', ') FROM backup_check() \
                    WHERE status = 'blocker'";
    assert_eq!(new.value("app", blockers), "");
    old_archive_restores(&new);
}

/// pg_upgrade gives the cluster a new system identifier, so what was made before it is no longer
/// proven to be of this server.
fn old_archive_restores(new: &Cluster) {
    new.sql("app", "SELECT backup_verify(1, 'restore')");
    let refused = new.error("app", "CALL backup_restore(1, target => 'copy')");
    assert!(refused.hint.contains("allow_foreign => true"), "{refused}");
    new.sql("app", "CALL backup_restore(1, target => 'copy', allow_foreign => true)");
    assert_eq!(new.value("copy", "SELECT count(*) FROM t"), "100");
    let id = new.value("app", "SELECT backup_latest()");
    new.sql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    let rows = || new.ask("app", "SELECT count(*) FROM t WHERE i = 0");
    wait_until("the swap", LIMIT, || rows() == Some("2".to_owned()));
}

#[test]
fn a_cluster_goes_on_after_pg_upgrade_to_the_same_and_to_the_newest_major_version() {
    for programs in sample([Ok(own_programs()), programs_of(NEWEST)]) {
        let programs = programs.unwrap_or_else(|reason| {
            skipped(&reason);
            own_programs()
        });
        goes_on_after(&programs);
    }
}
