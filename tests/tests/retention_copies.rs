//! A copy of a database holds a copy of its history, and must not prune the original's archives.

use pg_backup_tests::Cluster;
use std::path::PathBuf;

/// Three backups of the schedule `s` of `postgres`, and a copy of the database with all rows.
fn with_copy() -> (Cluster, Vec<PathBuf>) {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.psql("app", "CREATE EXTENSION pg_backup; CALL backup_schedule('s', '0 3 29 2 *')");
    let file = |_| {
        let id = cluster.value("app", "SELECT backup_run('s')");
        let sql = format!("SELECT file FROM backup_history WHERE id = {id}");
        cluster.backup_dir().join(cluster.value("app", &sql))
    };
    let files = (0..3).map(file).collect();
    cluster.sql("postgres", "CREATE DATABASE copy TEMPLATE app");
    (cluster, files)
}

#[test]
fn a_copy_of_a_database_does_not_prune_the_archives_of_the_original() {
    let (cluster, files) = with_copy();
    cluster.psql("copy", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    cluster.sql("copy", "SELECT backup_run('s')");
    let _ = cluster.try_sql("copy", "CALL backup_prune('s')");
    for file in &files {
        assert!(file.exists(), "{}", file.display());
    }
    // The original prunes its own.
    cluster.psql("app", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    cluster.psql("app", "CALL backup_prune('s')");
    assert_eq!(files.iter().filter(|file| file.exists()).count(), 1);
}

#[test]
fn a_database_that_was_renamed_still_prunes_its_own() {
    let (cluster, files) = with_copy();
    cluster.sql("postgres", "DROP DATABASE copy");
    cluster.sql("postgres", "ALTER DATABASE app RENAME TO shop");
    cluster.psql("shop", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    cluster.sql("shop", "SELECT backup_run('s')");
    assert!(files.iter().all(|file| !file.exists()));
}

#[test]
fn a_schedule_that_turns_to_another_database_keeps_the_last_backup_of_the_old_one() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let schedule = |database: &str| {
        let sql = format!(
            "CALL backup_schedule('s', '0 3 29 2 *', database => '{database}', keep_last => 1)"
        );
        cluster.psql("postgres", &sql);
        cluster.value("postgres", "SELECT backup_run('s')")
    };
    let old = schedule("app");
    schedule("postgres");
    schedule("postgres");
    let state = format!("SELECT file_state FROM backup_history WHERE id = {old}");
    assert_eq!(cluster.value("postgres", &state), "available");
}
