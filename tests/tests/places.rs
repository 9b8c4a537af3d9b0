//! Where archives go: directories that will not do, things planted in the way, hostile
//! surroundings.

use pg_backup_tests::{Cluster, DbError, give_to_server, names_below, skipped, tmpfs};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn use_directory(cluster: &Cluster, path: &Path) {
    cluster.append_conf(&[&format!("pg_backup.directory = '{}'", path.display())]);
    cluster.reload();
}

fn refused(cluster: &Cluster, path: &Path) -> DbError {
    use_directory(cluster, path);
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(cluster.last_backup().status, "failed");
    assert!(!error.hint.is_empty(), "{error}");
    let check = "SELECT status FROM backup_check() WHERE check_name = 'directory'";
    assert_eq!(cluster.value("postgres", check), "blocker", "{}", path.display());
    cluster.assert_nothing_left();
    error
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_default_directory_is_made_with_narrow_rights() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let root = cluster.backup_dir();
    assert_eq!(mode(&root), 0o700);
    for name in names_below(&root) {
        let wanted = if name.ends_with(".zip") { 0o600 } else { 0o700 };
        assert_eq!(mode(&root.join(&name)), wanted, "{name}");
    }
    let check = "SELECT status FROM backup_check() WHERE check_name = 'directory'";
    assert_eq!(cluster.value("postgres", check), "warning");
}

#[test]
fn a_directory_that_will_not_do_is_refused_with_its_reason() {
    let cluster = Cluster::start();
    let place = cluster.make_dir("places");
    assert_eq!(refused(&cluster, &place.join("missing")).sqlstate, "58P01");
    let file = place.join("file");
    fs::write(&file, "").unwrap();
    assert!(refused(&cluster, &file).to_string().contains("file"));
    let fifo = place.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(&cluster, &fifo);
    let dangling = place.join("dangling");
    symlink(place.join("nowhere"), &dangling).unwrap();
    refused(&cluster, &dangling);
    let open = place.join("open");
    fs::create_dir(&open).unwrap();
    give_to_server(&open);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&cluster, &open).hint.contains("chmod"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o500)).unwrap();
    refused(&cluster, &open);
    if nix::unistd::geteuid().is_root() {
        let foreign = place.join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&foreign, Some(4711), Some(4711)).unwrap();
        assert!(refused(&cluster, &foreign).to_string().contains("4711"));
    } else {
        skipped("not root: a directory of another user was not tried");
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o700)).unwrap();
    let link = place.join("link");
    symlink(&open, &link).unwrap();
    use_directory(&cluster, &link);
    cluster.sql("postgres", "SELECT backup_create()");
    assert!(names_below(&open).iter().any(|name| name.ends_with(".zip")));
}

#[test]
fn a_read_only_file_system_is_refused() {
    let Some(disk) = tmpfs(4) else { return };
    let cluster = Cluster::start();
    let flags = nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_RDONLY;
    nix::mount::mount(None::<&str>, disk.path(), None::<&str>, flags, None::<&str>).unwrap();
    refused(&cluster, disk.path());
}

#[test]
fn backup_dir_of_the_environment_is_the_default() {
    let place = tempfile::tempdir().unwrap();
    give_to_server(place.path());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = place.path().to_str().unwrap();
    let cluster = Cluster::builder().env(&[("BACKUP_DIR", path)]).start();
    assert_eq!(cluster.value("postgres", "SHOW pg_backup.directory"), path);
    cluster.sql("postgres", "SELECT backup_create()");
    assert!(names_below(place.path()).iter().any(|name| name.ends_with(".zip")));
}

#[test]
fn what_is_planted_at_the_name_is_neither_followed_nor_replaced() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let first = cluster.archive(&cluster.last_backup());
    let folder = first.parent().unwrap();
    let victim = cluster.data_dir().join("victim");
    fs::write(&victim, "precious").unwrap();
    give_to_server(&victim);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut planted = Vec::new();
    for second in now..now + 30 {
        let stamp =
            "SELECT to_char(to_timestamp($1) AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')";
        let stamp = cluster.value("postgres", &stamp.replace("$1", &second.to_string()));
        for id in 2..6 {
            let name = format!("postgres_{stamp}_{id}.zip");
            let partial = folder.join(format!(".{name}.partial"));
            let path = folder.join(&name);
            match id {
                2 => symlink(&victim, &path).unwrap(),
                3 => symlink(&victim, &partial).unwrap(),
                4 => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                _ => nix::unistd::mkfifo(&partial, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            }
            planted.push(if id % 2 == 0 { path } else { partial });
        }
    }
    for _ in 2..6 {
        cluster.assert_next_backup_works();
        let path = cluster.archive(&cluster.last_backup());
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{}", path.display());
        assert!(!planted.contains(&path), "the name was taken");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    for path in planted {
        assert!(fs::symlink_metadata(&path).is_ok(), "{} is gone", path.display());
        fs::remove_file(path).unwrap();
    }
    assert!(first.exists());
}

#[test]
fn a_hostile_environment_of_the_postmaster_changes_nothing() {
    let bin = tempfile::tempdir().unwrap();
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for tool in ["pg_dump", "pg_dumpall", "pg_restore"] {
        fs::write(bin.path().join(tool), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(bin.path().join(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let cluster = Cluster::builder()
        .env(&[
            ("PATH", &path),
            ("PGOPTIONS", "-c statement_timeout=1 -c search_path=nowhere"),
            ("PGHOST", "/nowhere"),
            ("PGUSER", "nobody"),
            ("PGDATABASE", "nothing"),
            ("PGPASSWORD", "secret"),
            ("PGSERVICE", "evil"),
            ("PGSERVICEFILE", "/nowhere/evil.conf"),
            ("PGSSLMODE", "verify-full"),
            ("PGCLIENTENCODING", "SQL_ASCII"),
            ("RUST_BACKTRACE", "1"),
        ])
        .start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 'ä' AS x");
    cluster.assert_next_backup_works();
    let tables = "SELECT count(*) FROM backup_contents(backup_latest()) WHERE name = 't'";
    assert_eq!(cluster.value("postgres", tables), "2");
}
