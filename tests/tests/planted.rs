//! Somebody who can write where archives go plants names, swaps files and removes folders while a
//! backup runs: nothing is followed, replaced or removed that is not ours, and the row is true.

use pg_backup_tests::{Call, Cluster, DbError, Faults, Mode, give_to_server, names_below, sample};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const PRECIOUS: &str = "precious";

fn victim(cluster: &Cluster) -> PathBuf {
    let path = cluster.make_dir("victims").join("victim");
    fs::write(&path, PRECIOUS).unwrap();
    give_to_server(&path);
    path
}

/// Starts a backup and waits until it stands at a fault point. Gives its partial file.
fn stopped_at(cluster: &Cluster, faults: &Faults, point: &str) -> (Call, PathBuf) {
    faults.plant(point);
    let call = cluster.call("postgres", "SELECT backup_create()");
    faults.wait(point);
    let partials = cluster.partials();
    assert_eq!(partials.len(), 1, "{partials:?}");
    (call, cluster.backup_dir().join(&partials[0]))
}

fn final_path(partial: &Path) -> PathBuf {
    let name = partial.file_name().unwrap().to_str().unwrap();
    partial.with_file_name(name.strip_prefix('.').unwrap().strip_suffix(".partial").unwrap())
}

fn plant(kind: &str, path: &Path, victim: &Path) {
    match kind {
        "a file" => fs::write(path, PRECIOUS).unwrap(),
        "a symbolic link" => symlink(victim, path).unwrap(),
        "a FIFO" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        _ => fs::create_dir(path).unwrap(),
    }
    if kind != "a symbolic link" {
        give_to_server(path);
    }
}

fn assert_failed(cluster: &Cluster, call: Call, sqlstate: &str) -> DbError {
    let error = call.error();
    assert_eq!(error.sqlstate, sqlstate, "{error}");
    let run = cluster.last_backup();
    assert_eq!((run.status.as_str(), run.file.as_str()), ("failed", ""), "{run:?}");
    assert_eq!(run.error, error.message);
    error
}

#[test]
fn a_name_that_is_taken_at_the_last_moment_is_not_replaced() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let victim = victim(&cluster);
    for kind in sample(["a file", "a symbolic link", "a FIFO", "a directory"]) {
        let (call, partial) = stopped_at(&cluster, &faults, "before_rename");
        let path = final_path(&partial);
        plant(kind, &path, &victim);
        let before = fs::symlink_metadata(&path).unwrap();
        faults.lift("before_rename");
        let error = assert_failed(&cluster, call, "58P02");
        assert!(error.message.contains("exists already"), "{error}");
        assert!(error.detail.contains(kind), "{error}");
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!(after.file_type(), before.file_type(), "{kind}");
        assert_eq!(after.modified().unwrap(), before.modified().unwrap(), "{kind}");
        cluster.assert_nothing_left();
        cluster.assert_next_backup_works();
        let removed = if kind == "a directory" { fs::remove_dir } else { fs::remove_file };
        removed(&path).unwrap();
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
    cluster.assert_clean();
}

#[test]
fn a_partial_file_that_was_swapped_is_neither_published_nor_removed() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let victim = victim(&cluster);
    for kind in sample(["nothing", "a file", "a symbolic link", "a FIFO"]) {
        let (call, partial) = stopped_at(&cluster, &faults, "before_rename");
        fs::remove_file(&partial).unwrap();
        if kind != "nothing" {
            plant(kind, &partial, &victim);
        }
        faults.lift("before_rename");
        let error = assert_failed(&cluster, call, "XX001");
        assert!(error.message.contains("replaced or removed"), "{kind}: {error}");
        assert!(!final_path(&partial).exists(), "{kind} was published");
        assert_eq!(fs::symlink_metadata(&partial).is_ok(), kind != "nothing", "{kind}");
        if kind == "a file" {
            assert_eq!(fs::read_to_string(&partial).unwrap(), PRECIOUS);
        }
        let _ = fs::remove_file(&partial);
        cluster.assert_clean();
        cluster.assert_next_backup_works();
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
}

#[test]
fn folders_that_are_not_ours_alone_are_refused() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let first = cluster.archive(&cluster.last_backup());
    let database = first.parent().unwrap().to_owned();
    let system = database.parent().unwrap().to_owned();
    let elsewhere = cluster.make_dir("elsewhere");
    for folder in [&database, &system] {
        let aside = folder.with_extension("aside");
        for kind in ["a file", "a symbolic link", "a FIFO"] {
            fs::rename(folder, &aside).unwrap();
            plant(kind, folder, &elsewhere);
            let error = cluster.error("postgres", "SELECT backup_create()");
            assert_eq!(error.sqlstate, "58P02", "{kind}: {error}");
            assert!(error.message.contains(kind) && !error.hint.is_empty(), "{kind}: {error}");
            assert_eq!(names_below(&elsewhere), Vec::<String>::new());
            fs::remove_file(folder).unwrap();
            fs::rename(&aside, folder).unwrap();
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let error = cluster.error("postgres", "SELECT backup_create()");
        assert!(error.hint.contains("chmod"), "{error}");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    cluster.assert_survived("failed");
    assert!(first.exists());
}

#[test]
fn archives_of_a_history_that_was_dropped_are_never_replaced() {
    let cluster = Cluster::start();
    let mut archives = Vec::new();
    // Ids begin at 1 again, and the second is often the same: so is the name that is wanted.
    for _ in 0..6 {
        cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
        cluster.assert_next_backup_works();
        let path = cluster.archive(&cluster.last_backup());
        archives.push((fs::read(&path).unwrap(), path));
    }
    for (content, path) in &archives {
        assert_eq!(&fs::read(path).unwrap(), content, "{}", path.display());
    }
    let names = names_below(&cluster.backup_dir());
    let count = names.iter().filter(|name| name.ends_with(".zip")).count();
    assert_eq!(count, archives.len(), "{names:?}");
}

#[test]
fn a_folder_that_is_removed_meanwhile_fails_the_backup_and_is_made_again() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    for point in sample(["archive_unfinished", "before_rename"]) {
        let (call, partial) = stopped_at(&cluster, &faults, point);
        fs::remove_dir_all(partial.parent().unwrap()).unwrap();
        faults.lift(point);
        let error = call.error();
        assert!(["XX001", "58P01", "58030"].contains(&error.sqlstate.as_str()), "{error}");
        cluster.assert_survived("failed");
        let old = cluster.backup_dir();
        fs::remove_dir_all(&old).unwrap();
        cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    }
}

#[test]
fn a_directory_link_that_changes_meanwhile_changes_nothing_for_a_backup_under_way() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let (old, new) = (cluster.make_dir("old"), cluster.make_dir("new"));
    let link = cluster.make_dir("links").join("backups");
    symlink(&old, &link).unwrap();
    cluster.set("pg_backup.directory", &link.display().to_string());
    faults.plant("before_rename");
    let call = cluster.call("postgres", "SELECT backup_create()");
    faults.wait("before_rename");
    fs::remove_file(&link).unwrap();
    symlink(&new, &link).unwrap();
    faults.lift("before_rename");
    assert_eq!(call.end(), Ok(()));
    let run = cluster.last_backup();
    assert!(old.join(&run.file).exists() && names_below(&new).is_empty(), "{run:?}");
    let state = format!("SELECT string_agg(detail, '') FROM backup_verify({}, 'file')", run.id);
    assert!(!cluster.value("postgres", &state).is_empty());
    let state = format!("SELECT file_state FROM backup_history WHERE id = {}", run.id);
    assert_eq!(cluster.value("postgres", &state), "missing");
    fs::remove_file(&link).unwrap();
    symlink(&old, &link).unwrap();
    let good = format!("SELECT bool_and(ok) FROM backup_verify({}, 'read')", run.id);
    assert_eq!(cluster.value("postgres", &good), "t");
    assert_eq!(cluster.value("postgres", &state), "available");
}

#[test]
fn a_start_removes_dead_partials_and_nothing_else() {
    let mut cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let first = cluster.archive(&cluster.last_backup());
    let victim = victim(&cluster);
    let name = |id: u32| format!(".postgres_20200101T000000Z_{id}.zip.partial");
    let dead = first.with_file_name(name(1));
    plant("a file", &dead, &victim);
    let mut kept = vec![first.clone(), victim.clone()];
    for (id, kind) in [(2, "a symbolic link"), (3, "a FIFO"), (4, "a directory")] {
        kept.push(first.with_file_name(name(id)));
        plant(kind, kept.last().unwrap(), &victim);
    }
    for foreign in [".foreign.partial", "notes.txt", "postgres_20200101T000000Z_9.zip"] {
        kept.push(first.with_file_name(foreign));
        plant("a file", kept.last().unwrap(), &victim);
    }
    cluster.restart(Mode::Fast);
    pg_backup_tests::wait_until("the sweep", pg_backup_tests::LIMIT, || !dead.exists());
    cluster.assert_next_backup_works();
    for path in &kept {
        assert!(fs::symlink_metadata(path).is_ok(), "{} is gone", path.display());
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), PRECIOUS);
}

#[test]
fn backup_dir_gives_way_to_the_setting_and_may_be_empty_relative_or_wrong() {
    for (value, conf, shown) in [
        ("", "", "pg_backup"),
        ("sub/folder", "", "sub/folder"),
        ("/nowhere", "pg_backup.directory = 'mine'", "mine"),
    ] {
        let cluster = Cluster::builder().env(&[("BACKUP_DIR", value)]).conf(&[conf]).start();
        let setting = cluster.value("postgres", "SHOW pg_backup.directory");
        let setting = if setting.is_empty() { "pg_backup".to_owned() } else { setting };
        assert_eq!(setting, shown);
        let id = cluster.value("postgres", "SELECT backup_create()");
        assert_eq!(id, "1");
        let names = names_below(&cluster.data_dir().join(shown));
        assert!(names.iter().any(|name| name.ends_with(".zip")), "{names:?}");
    }
    let cluster = Cluster::builder().env(&[("BACKUP_DIR", "/nowhere")]).start();
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "58P01", "{error}");
    assert!(error.message.contains("/nowhere"), "{error}");
    cluster.set("pg_backup.directory", "../outside");
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "22023", "{error}");
    assert!(!cluster.data_dir().parent().unwrap().join("outside").exists());
}
