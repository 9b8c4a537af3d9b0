//! `backup_scan()`: the history is rebuilt from the directory, and no file is touched.

use pg_backup_tests::{Cluster, names_below};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything below a directory: names, contents, and when they were changed.
fn tree(directory: &Path) -> Vec<(String, Vec<u8>, i64)> {
    let read = |name: String| {
        let path = directory.join(&name);
        let meta = path.symlink_metadata().unwrap();
        let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        (name, bytes, meta.mtime_nsec() ^ meta.mtime())
    };
    names_below(directory).into_iter().map(read).collect()
}

/// What a scan finds: actions with how often, strangers apart.
fn scan(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(action || ' ' || n, ', ' ORDER BY action) FROM \
               (SELECT action, count(*) AS n FROM backup_scan() GROUP BY action) s";
    cluster.value("postgres", sql)
}

/// The rows of archives, oldest first.
fn history(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', kind, origin, database, status, file_state, \
                      is_foreign, verified_at IS NULL, sha256 IS NULL), '; ' ORDER BY id) \
                 FROM backup_runs WHERE kind IN ('backup', 'import')";
    cluster.value("postgres", sql)
}

#[test]
fn a_lost_history_is_rebuilt_and_restores() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let content = cluster.fingerprint("app");
    cluster.back_up_app(", comment => 'first'");
    cluster.back_up_app(", format => 'directory', comment => 'second'");
    assert_eq!(scan(&cluster), "known 2");
    cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    let before = tree(&cluster.backup_dir());
    assert_eq!(scan(&cluster), "adopted 2");
    let row = "import scan app succeeded available f t t";
    assert_eq!(history(&cluster), format!("{row}; {row}"));
    assert_eq!(scan(&cluster), "known 2", "a second scan changes nothing");
    assert_eq!(history(&cluster), format!("{row}; {row}"));
    assert_eq!(tree(&cluster.backup_dir()), before);
    let comments = "SELECT string_agg(comment, ' ' ORDER BY id) FROM backup_history";
    assert_eq!(cluster.value("postgres", comments), "first second", "ids follow their times");
    cluster.sql("postgres", "CALL backup_restore(backup_latest('app'), target => 'copy')");
    assert_eq!(cluster.fingerprint("copy"), content);
    let id = cluster.value("postgres", "SELECT backup_latest('app')");
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'file')");
    assert_eq!(cluster.value("postgres", &verify), "t");
    let known = format!("SELECT sha256 IS NOT NULL FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &known), "t", "a verification takes the hash");
    cluster.assert_nothing_left();
}

#[test]
fn an_adopted_archive_that_was_changed_does_not_restore() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    cluster.back_up_app(", compression => 'none'");
    let archive = cluster.archive(&cluster.last_backup());
    cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    assert_eq!(scan(&cluster), "adopted 1");
    let id = cluster.value("postgres", "SELECT backup_latest('app')");
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, target => 'x')"));
    assert!(error.message.contains("cannot be restored now"), "{error}");
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'file')");
    assert_eq!(cluster.value("postgres", &verify), "f");
}

#[test]
fn files_that_went_came_back_or_changed_are_told_apart() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let runs: Vec<_> = (0..4).map(|_| (cluster.back_up_app(""), cluster.last_backup())).collect();
    let file = |n: usize| cluster.archive(&runs[n].1);
    let aside = cluster.make_dir("aside").join("kept");
    fs::rename(file(0), &aside).unwrap();
    let mut longer = fs::read(file(1)).unwrap();
    longer.push(0);
    fs::write(file(1), longer).unwrap();
    cluster.sql("postgres", &format!("CALL backup_delete({})", runs[2].0));
    let dir = cluster.backup_dir();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    std::os::unix::fs::symlink("/etc", dir.join("link")).unwrap();
    let folder = file(3).parent().unwrap().to_owned();
    fs::write(folder.join(".app_20260101T000000Z_9.zip.partial"), "").unwrap();
    fs::write(folder.join("app_20260101T000000Z_9.zip"), "no zip").unwrap();
    let before = tree(&dir);
    let found = scan(&cluster);
    assert_eq!(found, "damaged 2, known 1, missing 1, stranger 2, work 1");
    let states = "available damaged deleted missing";
    let sql = "SELECT string_agg(DISTINCT file_state, ' ' ORDER BY file_state) FROM backup_runs";
    assert_eq!(cluster.value("postgres", sql), states);
    fs::rename(&aside, file(0)).unwrap();
    assert_eq!(scan(&cluster), "damaged 2, found 1, known 1, stranger 2, work 1");
    fs::rename(file(0), &aside).unwrap();
    let names = |tree: &[(String, Vec<u8>, i64)]| -> Vec<_> {
        tree.iter().map(|(name, bytes, _)| (name.clone(), bytes.clone())).collect()
    };
    assert_eq!(names(&tree(&dir)), names(&before));
}

#[test]
fn archives_of_another_cluster_are_adopted_as_foreign() {
    let (theirs, ours) = (Cluster::start(), Cluster::builder().fresh().start());
    theirs.make_everything("app");
    theirs.back_up_app("");
    let folder = theirs.archive(&theirs.last_backup()).parent().unwrap().to_owned();
    ours.sql("postgres", "CREATE EXTENSION pg_backup");
    ours.assert_next_backup_works();
    let to = ours.backup_dir().display().to_string();
    let system = folder.parent().unwrap().display().to_string();
    pg_backup_tests::run_tool(Path::new("/bin/cp"), &["-a", &system, &to]);
    assert_eq!(scan(&ours), "adopted 1, known 1");
    assert!(history(&ours).contains("import scan app succeeded available t t t"));
    let id = ours.value("postgres", "SELECT backup_latest('app')");
    let error = ours.error("postgres", &format!("CALL backup_restore({id}, target => 'x')"));
    assert!(error.detail.contains("nothing proves"), "{error}");
}

#[test]
fn two_scans_at_once_adopt_each_archive_once_and_only_superusers_scan() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    (0..3).for_each(|_| drop(cluster.back_up_app("")));
    cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    let calls: Vec<_> =
        (0..3).map(|_| cluster.call("postgres", "SELECT * FROM backup_scan()")).collect();
    calls.into_iter().for_each(|call| call.end().unwrap());
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_runs"), "3");
    cluster.sql("postgres", "CREATE ROLE op LOGIN; CALL backup_grant('op', 'operator')");
    cluster.sql("postgres", "GRANT EXECUTE ON FUNCTION backup_scan(), backup_import TO op");
    for call in ["SELECT * FROM backup_scan()", "SELECT backup_import('/x')"] {
        let error = cluster.connect_as("postgres", "op").batch_execute(call).unwrap_err();
        assert_eq!(pg_backup_tests::sqlstate(&error), "42501", "{error}");
    }
}
