//! `backup_restore(replace => …)`, `backup_rollback()` and `backup_accept()`: the new content under
//! the live name, the old one kept; and the live database's own history goes on.

use pg_backup_tests::{Cluster, LIMIT, NEW, OLD, wait_until};

/// `app` with the extension in it, a schedule and a hook, and a backup in its own history.
fn at_home() -> (Cluster, String) {
    let cluster = Cluster::start();
    cluster.make_aged();
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    cluster.sql(
        "app",
        &format!(
            "UPDATE age SET says = '{OLD}'; TRUNCATE filler; \
        INSERT INTO filler SELECT i, '' FROM generate_series(1, 500) i"
        ),
    );
    let id = cluster.value("app", "SELECT backup_create(comment => 'first')");
    cluster.sql("app", &format!("UPDATE age SET says = '{NEW}'; DELETE FROM filler WHERE i > 9"));
    cluster.sql(
        "app",
        "CALL backup_schedule('later', '0 0 1 1 *', timezone => 'UTC', keep_last => 1)",
    );
    cluster.sql("app", "CALL backup_hook('after_backup', 'greet', 'SELECT 1')");
    cluster.sql("app", "SELECT backup_create(comment => 'second')");
    (cluster, id)
}

/// The history of `app`, oldest first.
fn story(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', id, kind, origin, status), ', ' ORDER BY id) \
               FROM backup_history";
    cluster.ask("app", sql).unwrap_or_default()
}

/// Waits until the history of `app` ends with this.
fn wait_for_story(cluster: &Cluster, end: &str) {
    let mut last = String::new();
    wait_until(&format!("a history that ends with \"{end}\""), LIMIT, || {
        last = story(cluster);
        last.ends_with(end)
    });
}

fn lives_on(cluster: &Cluster) {
    let schedule = "SELECT name || ' ' || enabled FROM backup_schedules";
    assert_eq!(cluster.value("app", schedule), "later true");
    assert_eq!(cluster.value("app", "SELECT name FROM backup_hooks"), "greet");
    let comments = "SELECT string_agg(comment, ' ' ORDER BY id) FROM backup_history \
                    WHERE kind = 'backup'";
    assert!(cluster.value("app", comments).starts_with("first second"));
}

#[test]
fn a_call_from_inside_the_replaced_database_comes_back_and_its_history_goes_on() {
    let (cluster, id) = at_home();
    // The real psql, as an operator would.
    let run = cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app');"));
    assert_eq!(run, "3");
    wait_for_story(&cluster, "2 backup manual succeeded, 3 restore manual succeeded");
    assert_eq!(cluster.age("app"), OLD);
    lives_on(&cluster);
    let next = cluster.value("app", "SELECT backup_create(comment => 'third')");
    assert_eq!(next, "4", "ids go on");
    let run = cluster.psql("app", "CALL backup_rollback(3)");
    assert_eq!(run, "5");
    wait_for_story(&cluster, "4 backup manual succeeded, 5 restore rollback succeeded");
    assert_eq!(cluster.age("app"), NEW);
    lives_on(&cluster);
    let run = cluster.psql("app", "CALL backup_rollback(5)");
    wait_for_story(&cluster, &format!("{run} restore rollback succeeded"));
    assert_eq!(cluster.age("app"), OLD);
    lives_on(&cluster);
    cluster.psql("app", &format!("CALL backup_accept({run})"));
    wait_for_story(&cluster, "restore accept succeeded");
    assert_eq!(cluster.databases(), "app");
    assert_eq!(cluster.value("app", "SELECT backup_create()"), "8");
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
    assert_eq!(cluster.value("app", &verify), "t", "the archives are still its own");
}

#[test]
fn a_database_without_the_extension_is_replaced_from_another_one() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let run = cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    assert_eq!(cluster.age("app"), OLD);
    let kept = cluster.kept("postgres");
    assert_eq!(cluster.databases(), format!("app {kept}"));
    let closed = format!("SELECT datallowconn FROM pg_database WHERE datname = '{kept}'");
    assert_eq!(cluster.value("postgres", &closed), "f");
    let extensions = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_backup'";
    assert_eq!(cluster.value("app", extensions), "0");
    let back = cluster.value("postgres", &format!("CALL backup_rollback({run})"));
    assert_eq!((cluster.age("app"), cluster.kept("postgres").is_empty()), (NEW.into(), false));
    let error = cluster.error("postgres", &format!("CALL backup_rollback({run})"));
    assert_eq!(error.sqlstate, "42704", "what it kept is live again: {error}");
    cluster.sql("postgres", &format!("CALL backup_accept({back})"));
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
    for call in ["accept", "rollback"] {
        let error = cluster.error("postgres", &format!("CALL backup_{call}({back})"));
        assert_eq!(error.sqlstate, "42704", "{error}");
    }
    cluster.assert_clean();
}

#[test]
fn an_archive_from_before_the_extension_gets_the_history_of_the_live_database() {
    let cluster = Cluster::start();
    let old = cluster.make_aged();
    let file =
        cluster.value("postgres", &format!("SELECT file FROM backup_history WHERE id = {old}"));
    assert!(!file.is_empty());
    cluster.sql("app", "CREATE SCHEMA tools; CREATE EXTENSION pg_backup SCHEMA tools");
    cluster.sql("app", "SELECT tools.backup_create(comment => 'with it')");
    cluster.sql("postgres", &format!("CALL backup_restore({old}, replace => 'app')"));
    assert_eq!(cluster.age("app"), OLD);
    let comment = "SELECT comment FROM tools.backup_history WHERE kind = 'backup'";
    assert_eq!(cluster.value("app", comment), "with it");
    assert_eq!(cluster.value("app", "SELECT tools.backup_create()"), "2");
}

#[test]
fn safety_makes_an_archive_first_or_keeps_nothing() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    let call = format!("CALL backup_restore({id}, replace => 'app', safety => ");
    cluster.sql("postgres", &format!("{call} 'none')"));
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), OLD.into()));
    cluster.sql("app", &format!("UPDATE age SET says = '{NEW}'; DELETE FROM filler WHERE i > 9"));
    let run = cluster.value("postgres", &format!("{call} 'dump')"));
    assert_eq!(cluster.age("app"), OLD);
    let saved = "SELECT concat_ws(' ', status, origin, comment) FROM backup_history \
                 WHERE kind = 'backup' ORDER BY id DESC LIMIT 1";
    let wanted = format!("succeeded safety before restore {run}");
    assert_eq!(cluster.value("postgres", saved), wanted);
    let saved =
        cluster.value("postgres", "SELECT max(id) FROM backup_history WHERE kind = 'backup'");
    cluster.sql("postgres", &format!("CALL backup_restore({saved}, target => 'saved')"));
    assert_eq!(cluster.age("saved"), NEW);
}
