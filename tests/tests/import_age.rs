//! What is brought in is as old as it says, and does not pass for a backup of today.

use pg_backup_tests::{Cluster, give_to_server, run_tool};
use std::fs;
use std::path::{Path, PathBuf};

/// A cluster with a directory to import from, a key that signs, and a database `app`.
fn cluster() -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    let key = cluster.make_dir("keys").join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    give_to_server(&key);
    run_tool(Path::new("/bin/chmod"), &["600", &key.display().to_string()]);
    cluster.set("pg_backup.signing_key_file", &key.display().to_string());
    cluster.sql("postgres", "CREATE DATABASE app");
    (cluster, place)
}

fn import(cluster: &Cluster, path: &Path) -> String {
    give_to_server(path);
    cluster.value("postgres", &format!("SELECT backup_import('{}')", path.display()))
}

fn latest(cluster: &Cluster) -> String {
    cluster.value("postgres", "SELECT coalesce(backup_latest('app')::text, '-')")
}

fn last_success(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(max(last_success_id)::text, '-') FROM backup_status \
               WHERE database = 'app'";
    cluster.value("postgres", sql)
}

#[test]
fn an_archive_of_ours_that_comes_back_is_as_old_as_it_was() {
    let (cluster, place) = cluster();
    let first = cluster.back_up_app("");
    let copy = place.join("a.zip");
    fs::copy(cluster.archive(&cluster.last_backup()), &copy).unwrap();
    let second = cluster.back_up_app("");
    let id = import(&cluster, &copy);
    let order = "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM backup_list) l";
    let listed = cluster.value("postgres", order);
    assert!(listed.starts_with(&second.to_string()), "{listed}");
    assert_eq!(latest(&cluster), second.to_string());
    assert_eq!(last_success(&cluster), second.to_string());
    cluster.sql("postgres", &format!("CALL backup_delete({second})"));
    cluster.sql("postgres", &format!("CALL backup_delete({first})"));
    assert_eq!(latest(&cluster), id, "it is signed, and all there is");
    assert_eq!(last_success(&cluster), "-", "no backup has worked since");
}

#[test]
fn a_foreign_archive_is_the_newest_only_where_there_is_no_other() {
    let (cluster, place) = cluster();
    let ours = cluster.back_up_app("");
    let script = place.join("a.sql");
    let target = format!("--file={}", script.display());
    cluster.tool("pg_dump", &["--dbname=app", "--create", &target]);
    give_to_server(&script);
    run_tool(Path::new("/usr/bin/touch"), &["-d", "2999-01-01", &script.display().to_string()]);
    let id = import(&cluster, &script);
    let sane =
        format!("SELECT created <= now() AND database = 'app' FROM backup_list WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &sane), "t", "nothing was made tomorrow");
    assert_eq!(latest(&cluster), ours.to_string());
    assert_eq!(last_success(&cluster), ours.to_string());
    cluster.sql("postgres", &format!("CALL backup_delete({ours})"));
    assert_eq!(latest(&cluster), id);
}
