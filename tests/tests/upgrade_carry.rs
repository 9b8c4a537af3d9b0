//! The history is carried over between databases whose extensions are of different versions.

use pg_backup_tests::{Cluster, LIMIT, NEW, OLD, wait_until};

const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'pg_backup'";

/// `app` with the extension at `version` and a schedule, an archive of it that says `OLD`.
fn at_home(version: &str) -> (Cluster, String) {
    let cluster = Cluster::start();
    cluster.make_aged();
    cluster.psql(
        "app",
        &format!(
            "CREATE EXTENSION pg_backup{version}; UPDATE age SET says = 'old'; TRUNCATE filler; \
             INSERT INTO filler SELECT i, '' FROM generate_series(1, 500) i; \
             CALL backup_schedule('s', '0 3 29 2 *', 'UTC', keep_last => 2); \
             CALL backup_hook('after_backup', 'h', 'SELECT 1')"
        ),
    );
    let id = cluster.value("app", "SELECT backup_create()");
    cluster.make_new();
    (cluster, id)
}

fn history(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(id || ' ' || kind || ' ' || origin || ' ' || status, ', ' ORDER BY id) \
               || (SELECT '; ' || string_agg(name, ',') FROM backup_schedules) \
               || (SELECT '; ' || string_agg(name, ',') FROM backup_hooks) FROM backup_history";
    cluster.value("app", sql)
}

fn replace(cluster: &Cluster, id: &str) {
    cluster.sql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    cluster.wait_for_restore("app", &["manual succeeded".to_owned()]);
    wait_until("the swap", LIMIT, || {
        cluster.ask("app", "SELECT says FROM age") == Some(OLD.into())
    });
}

#[test]
fn the_history_of_an_older_extension_goes_into_the_current_one() {
    let (cluster, id) = at_home(" VERSION '0.1.0'");
    // Older still than anything released.
    cluster.psql("app", "ALTER TABLE backup_runs DROP COLUMN removal");
    replace(&cluster, &id);
    assert_eq!(cluster.age("app"), OLD);
    assert_eq!(history(&cluster), "1 backup manual succeeded, 2 restore manual succeeded; s; h");
    assert_eq!(cluster.value("app", VERSION), cluster.value("postgres", VERSION));
    assert_ne!(cluster.value("app", VERSION), "0.1.0");
    assert_eq!(cluster.value("app", "SELECT backup_run('s')"), "3", "ids go on");
}

#[test]
fn a_rollback_into_an_older_extension_brings_it_up_to_date() {
    let (cluster, id) = at_home(" VERSION '0.1.0'");
    replace(&cluster, &id);
    cluster.sql("app", "CALL backup_rollback(2)");
    cluster.wait_for_restore("app", &["rollback succeeded".to_owned()]);
    wait_until("the swap", LIMIT, || {
        cluster.ask("app", "SELECT says FROM age") == Some(NEW.into())
    });
    assert_eq!(cluster.age("app"), NEW);
    assert_eq!(cluster.value("app", VERSION), cluster.value("postgres", VERSION));
    assert!(history(&cluster).ends_with("3 restore rollback succeeded; s; h"));
}

#[test]
fn a_live_extension_without_a_table_of_today_is_replaced_too() {
    let (cluster, id) = at_home(" VERSION '0.1.0'");
    cluster.psql(
        "app",
        "ALTER EXTENSION pg_backup DROP VIEW backup_audit; DROP VIEW backup_audit; \
         ALTER TABLE backup_hook_entries RENAME TO hooks_of_an_older_version",
    );
    let file = cluster.value("app", &format!("SELECT file FROM backup_list WHERE id = {id}"));
    cluster.sql("postgres", "SELECT * FROM backup_scan()");
    let sql = format!("CALL backup_restore(backup_find('{file}'), replace => 'app')");
    cluster.sql("postgres", &sql);
    assert_eq!(cluster.age("app"), OLD);
    assert_eq!(cluster.value("app", "SELECT count(*) FROM backup_hook_entries"), "0");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM backup_history"), "1");
}

#[test]
fn what_the_other_extension_cannot_hold_is_refused_and_nothing_is_swapped() {
    let (cluster, id) = at_home("");
    for (change, reason) in [
        ("ALTER TABLE backup_runs ADD COLUMN tomorrow text", "no column \"tomorrow\""),
        (
            "UPDATE pg_extension SET extversion = '99.0.0' WHERE extname = 'pg_backup'",
            "no update path",
        ),
    ] {
        cluster.psql("app", change);
        cluster.sql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
        cluster.wait_for_restore("app", &["manual failed".to_owned()]);
        let said = "SELECT concat_ws(' ', error, error_detail, error_hint) FROM backup_history \
                    WHERE kind = 'restore' LIMIT 1";
        let said = cluster.value("app", said);
        let message = "the history of database \"app\" cannot be carried over Database \"app\" \
                       is as it was.";
        assert!(said.starts_with(message) && said.contains(reason), "{said}");
        assert!(said.contains("Install version"), "{said}");
        assert_eq!(cluster.age("app"), NEW);
        assert_eq!(cluster.databases(), "app");
    }
}
